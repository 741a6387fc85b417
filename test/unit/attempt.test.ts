import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import { type Place, placeOf, Transaction } from "../../src/internal/session/turn.js"
import * as Hooks from "../../src/internal/transaction/hooks.js"
import * as Parts from "../../src/internal/transaction/part.js"
import { MongoError } from "../../src/MongoError.js"
import { logged } from "../support/server/connected.js"
import { attempt, conflict, defaults, duplicate, inside, operate } from "../support/transactions/attempts.js"

class Name extends Context.Tag("test/Name")<Name, string>() {}

const moments = ["beforeCommit", "onCommit", "onRollback"] as const

describe("an operation of a part", () => {
  const broken = new MongoError({ reason: "EncodingFailed", operation: "insertOne", labels: [] })

  it.effect("is counted in the part and in all around it, and nowhere else", () =>
    Effect.gen(function*() {
      const outer = attempt()
      const whole = attempt({ outer })
      const part = new Parts.Part(whole.of, whole)
      const inner = new Parts.Part(whole.of, part)
      const sibling = new Parts.Part(whole.of, whole)
      yield* operate(whole, Effect.void)
      yield* operate(inner, Effect.void)
      yield* operate(part, Effect.void)
      yield* operate(sibling, Effect.void)
      expect([outer, whole, part, inner, sibling].map(({ operations }) => operations)).toEqual([0, 4, 2, 1, 1])
    }))

  it.effect("is counted each time that it is run, as soon as it is begun, however it ends", () =>
    Effect.gen(function*() {
      const part = attempt()
      const seen: Array<number> = []
      const operation = <E>(exit: Exit.Exit<void, E>) =>
        Effect.exit(operate(
          part,
          Effect.suspend(() => {
            seen.push(part.operations)
            return exit
          })
        ))
      const failing = operation(Exit.fail(broken))
      expect(part.operations).toBe(0)
      yield* failing
      yield* failing
      yield* operation(Exit.die("bug"))
      yield* Effect.fork(operation(Exit.void)).pipe(Effect.flatMap(Fiber.await))
      yield* Effect.exit(operate(part, Effect.interrupt))
      expect(seen).toEqual([1, 2, 3, 4])
      expect(part.operations).toBe(5)
    }))

  it.effect("passes on what becomes of it as it is", () =>
    Effect.gen(function*() {
      const exits: ReadonlyArray<Exit.Exit<number, MongoError>> = [
        Exit.succeed(1),
        Exit.fail(conflict),
        Exit.fail(broken),
        Exit.die("bug")
      ]
      for (const exit of exits) expect(yield* Effect.exit(operate(attempt(), exit))).toEqual(exit)
    }))

  const seenAfter = (...causes: ReadonlyArray<Cause.Cause<MongoError | string>>) =>
    Effect.gen(function*() {
      const whole = attempt()
      const part = new Parts.Part(whole.of, whole)
      for (const cause of causes) yield* Effect.exit(operate(part, Effect.failCause(cause)))
      return whole.of.failures
    })

  it.effect("that the server refused dooms the attempt, and says whether another may succeed", () =>
    Effect.gen(function*() {
      expect(yield* seenAfter(Cause.fail(duplicate))).toMatchObject({
        doom: Cause.fail(duplicate),
        transient: undefined
      })
      expect(yield* seenAfter(Cause.fail(conflict))).toMatchObject({ doom: Cause.fail(conflict), transient: conflict })
    }))

  it.effect("that never reached a server dooms the attempt, too, for it may have been sent before", () =>
    Effect.gen(function*() {
      const selection = new MongoError({ reason: "ServerSelectionFailed", operation: "insertOne", labels: [] })
      expect(yield* seenAfter(Cause.fail(selection))).toMatchObject({
        doom: Cause.fail(selection),
        transient: selection
      })
    }))

  it.effect("that lost its connection makes the whole run again, though the driver may have labelled another one only", () =>
    Effect.gen(function*() {
      const lost = new MongoError({ reason: "NetworkError", operation: "insertOne", labels: [] })
      expect(yield* seenAfter(Cause.fail(duplicate), Cause.fail(lost), Cause.fail(conflict))).toMatchObject({
        doom: Cause.fail(duplicate),
        transient: lost
      })
    }))

  it.effect("that the driver refused by itself does not doom the attempt", () =>
    Effect.gen(function*() {
      const refusals = [
        "EncodingFailed",
        "InvalidArgument",
        "InvalidOptions",
        "SessionExpired",
        "TransactionMisuse"
      ] as const
      for (const reason of refusals) {
        const refusal = new MongoError({ reason, operation: "insertOne", labels: [] })
        expect(yield* seenAfter(Cause.fail(refusal))).toMatchObject({ doom: undefined, transient: undefined })
      }
    }))

  it.effect("that died, was interrupted before it began, or failed for another reason does not doom the attempt", () =>
    Effect.gen(function*() {
      for (
        const cause of [
          Cause.die(duplicate),
          Cause.interrupt(FiberId.none),
          Cause.fail("no")
        ]
      ) {
        expect(yield* seenAfter(cause)).toMatchObject({ doom: undefined, transient: undefined })
      }
    }))

  it.effect("that is the first to fail stays the reason, while the first that is transient makes it run again", () =>
    Effect.gen(function*() {
      const later = new MongoError({ ...conflict, reason: "NotPrimary" })
      const seen = yield* seenAfter(Cause.fail(broken), Cause.fail(duplicate), Cause.fail(conflict), Cause.fail(later))
      expect(seen.doom).toEqual(Cause.fail(duplicate))
      expect(seen.transient).toBe(conflict)
    }))

  it.effect("that was given up half-way dooms the attempt, unless it was doomed before", () =>
    Effect.gen(function*() {
      const { of } = attempt()
      of.failures.giveUp({ operation: "find", namespace: "shop.users" })
      const given = { reason: "Interrupted", operation: "find", namespace: "shop.users" }
      expect(Cause.squash(of.failures.doom ?? Cause.empty)).toMatchObject(given)
      expect(of.failures.transient).toBeUndefined()
      const doomed = yield* seenAfter(Cause.fail(duplicate))
      doomed.giveUp({ operation: "find" })
      expect(doomed.doom).toEqual(Cause.fail(duplicate))
    }))
})

describe("a part", () => {
  it("tells the attempt's number and options, and nothing of its inside in logs", () => {
    const whole = attempt({ number: 3 })
    const part = new Parts.Part(whole.of, whole)
    expect([part.attempt, part.options]).toEqual([3, defaults])
    expect(Object.keys(JSON.parse(JSON.stringify(part)))).toEqual(["_id", "attempt", "options"])
  })

  it.effect("refuses further use when the attempt is over, naming what was attempted", () =>
    Effect.gen(function*() {
      const whole = attempt()
      const part = new Parts.Part(whole.of, whole)
      yield* Parts.ensureOpen(part, "find")
      whole.of.close()
      for (const one of [whole, part]) {
        expect(yield* Effect.flip(Parts.ensureOpen(one, "find"))).toMatchObject({
          _tag: "TransactionEnded",
          operation: "find"
        })
      }
    }))

  it("is over when it, or any part around it, has failed, and not when one beside it or in it has", () => {
    FastCheck.assert(FastCheck.property(
      // Each part is within one that was made before it; the first is the whole.
      FastCheck.array(FastCheck.record({ within: FastCheck.nat(), failed: FastCheck.boolean() }), { maxLength: 12 }),
      (plans) => {
        const parts = [attempt()]
        const over = [false]
        for (const { failed, within } of plans) {
          const index = within % parts.length
          const around = parts[index]!
          const part = new Parts.Part(around.of, around)
          if (failed) part.fail(Cause.fail("no"))
          parts.push(part)
          over.push(failed || over[index]!)
        }
        expect(parts.map(({ isOver }) => isOver)).toEqual(over)
      }
    ))
  })

  it.effect("is looked at when the operation runs, not when it is made", () =>
    Effect.gen(function*() {
      const part = attempt()
      const check = Parts.ensureOpen(part, "find")
      part.of.close()
      expect(Exit.isFailure(yield* Effect.exit(check))).toBe(true)
    }))
})

describe("what is put off", () => {
  it.effect("is refused when the attempt is over, and in a part that has failed", () =>
    Effect.gen(function*() {
      const whole = attempt()
      const part = new Parts.Part(whole.of, whole)
      part.fail(Cause.fail("no"))
      for (const moment of moments) {
        expect(yield* Effect.flip(Hooks.register(part, moment, Effect.void))).toMatchObject({
          _tag: "TransactionEnded",
          operation: moment
        })
      }
      yield* Hooks.register(whole, "onCommit", Effect.void)
      whole.of.close()
      expect(yield* Effect.flip(Hooks.register(whole, "onCommit", Effect.void))).toMatchObject({
        _tag: "TransactionEnded"
      })
      expect(whole.of.hooks).toHaveLength(1)
    }))

  it.effect("does not run when it is registered, and keeps the services that it was registered with", () =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const part = attempt()
      const hook = Effect.map(Name, (name) => void ran.push(name))
      yield* Effect.provideService(Hooks.register(part, "onCommit", hook), Name, "there")
      expect(ran).toEqual([])
      yield* Effect.provideService(
        Hooks.run(Hooks.due(part.of, "committed"), Duration.seconds(30), identity),
        Name,
        "here"
      )
      expect(ran).toEqual(["there"])
    }))

  it.effect("logs with the annotations that it was registered with", () =>
    logged((entries) =>
      Effect.gen(function*() {
        const part = attempt()
        yield* Effect.annotateLogs(Hooks.register(part, "onCommit", Effect.logInfo("sent")), { order: 7 })
        yield* Effect.annotateLogs(Hooks.run(Hooks.due(part.of, "committed"), Duration.seconds(30), identity), {
          order: 8
        })
        expect(entries).toEqual([{ message: "sent", annotations: { order: 7 } }])
      })
    ))

  it.effect("until before the commit runs in the transaction; until after it, outside", () =>
    Effect.gen(function*() {
      const part = attempt()
      const found: Array<readonly [string, boolean, boolean]> = []
      for (const moment of moments) {
        const look = Effect.zipWith(
          Effect.serviceOption(Transaction),
          Effect.withFiberRuntime<Place>((fiber) => Effect.succeed(placeOf(fiber, part.of.sessionLane))),
          (service, place) => void found.push([moment, Option.isSome(service), place.isLocked])
        )
        yield* inside(part, Hooks.register(part, moment, look))
      }
      yield* Hooks.beforeCommit(part)
      yield* Hooks.run(Hooks.due(part.of, "committed"), Duration.seconds(30), identity)
      part.of.run.end()
      yield* Hooks.run(Hooks.due(part.of, "aborted"), Duration.seconds(30), identity)
      expect(found).toEqual([["beforeCommit", true, false], ["onCommit", false, true], ["onRollback", false, false]])
    }))
})

describe("an attempt in which the body has ended the transaction by hand and starts another", () => {
  it.effect("knows nothing any more of what was seen, and keeps what was put off with how it ended", () =>
    Effect.gen(function*() {
      const part = attempt()
      yield* inside(part, Hooks.register(part, "onCommit", Effect.void))
      yield* Effect.exit(operate(part, Effect.fail(conflict)))
      const hooks = part.of.hooks
      part.of.end("aborted")
      part.of.rollBack()
      part.of.failures.leaveHalfDone(Cause.fail("no"))
      part.of.restart(defaults)
      const { failures: { transient }, past } = part.of
      expect({ ...part.of.facts("success", transient !== undefined, false) }).toEqual({
        body: "success",
        ended: "no",
        transient: false,
        doomed: false,
        rollbackOnly: false,
        mayRetry: false
      })
      expect(hooks).toHaveLength(1)
      expect(part.of.hooks).toEqual([])
      expect(past.map((one) => [one.ended, one.hooks === hooks])).toEqual([["aborted", true]])
    }))
})
