import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import { identity } from "effect/Function"
import * as Metric from "effect/Metric"
import type * as Attempt from "../../src/internal/transaction/attempt.js"
import * as Hooks from "../../src/internal/transaction/hooks.js"
import * as Parts from "../../src/internal/transaction/part.js"
import * as Telemetry from "../../src/Telemetry.js"
import { logged } from "../support/server/connected.js"
import { attempt, conflict, duplicate } from "../support/transactions/attempts.js"

const moments = ["beforeCommit", "onCommit", "onRollback"] as const
const ends = ["committed", "aborted", "refused", "unknown"] as const

/** Registers a hook that writes its name down when it runs. */
const note = (ran: Array<string>, part: Parts.Part, moment: Attempt.Moment, name: string) =>
  Hooks.register(part, moment, Effect.sync(() => void ran.push(name)))

const failures = (moment: Attempt.Moment) =>
  Effect.map(Metric.value(Metric.tagged(Telemetry.hookFailures, "moment", moment)), ({ count }) => count)

describe("before the commit", () => {
  it.effect("hooks run in the order of their registration, each once, and no others", () =>
    Effect.promise(() =>
      FastCheck.assert(FastCheck.asyncProperty(
        FastCheck.array(FastCheck.constantFrom(...moments), { maxLength: 20 }),
        (list) =>
          Effect.runPromise(Effect.gen(function*() {
            const ran: Array<string> = []
            const part = attempt()
            const named = list.map((moment, index) => [moment, `${index}`] as const)
            for (const [moment, name] of named) yield* note(ran, part, moment, name)
            yield* Hooks.beforeCommit(part)
            expect(ran).toEqual(named.filter(([moment]) => moment === "beforeCommit").map(([, name]) => name))
          }))
      ))
    ))

  it.effect("hooks that these register run after all that were registered before, and are due after the commit", () =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const part = attempt()
      yield* Hooks.register(
        part,
        "beforeCommit",
        Effect.gen(function*() {
          ran.push("first")
          yield* note(ran, part, "onCommit", "after")
          yield* Hooks.register(
            part,
            "beforeCommit",
            Effect.zipRight(Effect.sync(() => void ran.push("third")), note(ran, part, "beforeCommit", "fourth"))
          )
        })
      )
      yield* note(ran, part, "beforeCommit", "second")
      yield* Hooks.beforeCommit(part)
      expect(ran).toEqual(["first", "second", "third", "fourth"])
      yield* Hooks.run(Hooks.due(part.of, "committed"), Duration.seconds(30), identity)
      expect(ran.slice(4)).toEqual(["after"])
    }))

  it.effect("a hook that fails makes the commit impossible, and those behind it do not run", () =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const part = attempt()
      yield* note(ran, part, "beforeCommit", "first")
      yield* Hooks.register(part, "beforeCommit", Effect.fail("no"))
      yield* note(ran, part, "beforeCommit", "third")
      yield* Hooks.beforeCommit(part)
      expect(ran).toEqual(["first"])
      expect(part.of.failures).toMatchObject({ halfDone: Cause.fail("no"), transient: undefined })
    }))

  it.effect("a hook that fails for a transient reason, however wrapped, makes the whole run again", () =>
    Effect.gen(function*() {
      const part = attempt()
      yield* Hooks.register(part, "beforeCommit", Effect.fail({ _tag: "Broken", cause: conflict }))
      yield* Hooks.beforeCommit(part)
      expect(part.of.failures.transient).toBe(conflict)
      expect(part.of.failures.halfDone).toBeDefined()
    }))

  it.effect("a hook that dies is a defect of the body, and one that is interrupted an interruption", () =>
    Effect.gen(function*() {
      const endOf = (cause: Cause.Cause<string>) =>
        Effect.gen(function*() {
          const part = attempt()
          yield* Hooks.register(part, "beforeCommit", Effect.failCause(cause))
          const exit = yield* Effect.exit(Hooks.beforeCommit(part))
          expect(part.of.failures.halfDone !== undefined).toBe(Exit.isSuccess(exit))
          const found: Cause.Cause<string> = Exit.isFailure(exit) ? exit.cause : Cause.empty
          return [Cause.isInterrupted(found), [...Cause.defects(found)], [...Cause.failures(found)]]
        })
      const interrupt = Cause.interrupt(FiberId.none)
      expect(yield* endOf(Cause.die("bug"))).toEqual([false, ["bug"], []])
      expect(yield* endOf(Cause.parallel(Cause.fail("no"), Cause.die("bug")))).toEqual([false, ["bug"], []])
      expect(yield* endOf(interrupt)).toEqual([true, [], []])
      // Of parts that run at once one has failed, and the others were interrupted for it.
      expect(yield* endOf(Cause.parallel(Cause.fail("no"), interrupt))).toEqual([false, [], []])
      expect(yield* endOf(Cause.sequential(Cause.die("bug"), interrupt))).toEqual([true, ["bug"], []])
    }))

  it.effect.each<readonly [string, (attempt: Attempt.Attempt) => void]>([
    ["is to be rolled back", (attempt) => attempt.rollBack()],
    ["has seen a transient failure", (attempt) => attempt.observe(Cause.fail(conflict))],
    ["is doomed", (attempt) => attempt.observe(Cause.fail(duplicate))],
    ["has a part that failed half-way", (attempt) => attempt.failures.leaveHalfDone(Cause.fail("no"))],
    ["was aborted by hand", (attempt) => attempt.end("aborted")],
    ["was committed by hand", (attempt) => attempt.end("committed")]
  ])(
    "no hook runs in an attempt that %s, not even when that comes to pass in the midst of them",
    ([_, change]) =>
      Effect.gen(function*() {
        const ran: Array<string> = []
        const before = attempt()
        yield* note(ran, before, "beforeCommit", "before")
        change(before.of)
        yield* Hooks.beforeCommit(before)
        expect(ran).toEqual([])

        const amidst = attempt()
        yield* Hooks.register(amidst, "beforeCommit", Effect.sync(() => change(amidst.of)))
        yield* note(ran, amidst, "beforeCommit", "amidst")
        yield* Hooks.beforeCommit(amidst)
        expect(ran).toEqual([])
      })
  )

  it.effect("what a part that has failed since had put off is dropped, also what parts in it had", () =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const whole = attempt()
      const part = new Parts.Part(whole.of, whole)
      const inner = new Parts.Part(whole.of, part)
      yield* note(ran, part, "beforeCommit", "part")
      yield* note(ran, inner, "beforeCommit", "inner")
      yield* note(ran, whole, "beforeCommit", "whole")
      part.fail(Cause.fail("no"))
      yield* Hooks.beforeCommit(whole)
      expect(ran).toEqual(["whole"])
    }))
})

describe("what is due", () => {
  const dueNames = (part: Parts.Part, ended: typeof ends[number], ran: Array<string>) =>
    Effect.gen(function*() {
      ran.length = 0
      yield* Hooks.run(Hooks.due(part.of, ended), Duration.seconds(30), identity)
      return [...ran]
    })

  it.effect("follows the end: after a commit what waits for one, after any other end what waits for that", () =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const part = attempt()
      for (const moment of moments) yield* note(ran, part, moment, moment)
      expect(yield* dueNames(part, "committed", ran)).toEqual(["onCommit"])
      expect(yield* dueNames(part, "aborted", ran)).toEqual(["onRollback"])
      expect(yield* dueNames(part, "refused", ran)).toEqual(["onRollback"])
    }))

  it.effect("is nothing where the end is not known, not even of a part that has failed", () =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const whole = attempt()
      const part = new Parts.Part(whole.of, whole)
      for (const moment of moments) {
        yield* note(ran, whole, moment, moment)
        yield* note(ran, part, moment, moment)
      }
      part.fail(Cause.fail("no"))
      expect(yield* dueNames(whole, "unknown", ran)).toEqual([])
    }))

  it.effect("of transactions that the body has ended by hand is what their own end asks for, first", () =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const part = attempt()
      for (const ended of ["committed", "aborted", "unknown", "no", "refused"] as const) {
        for (const moment of moments) yield* note(ran, part, moment, `${moment} ${ended}`)
        if (ended !== "no") part.of.end(ended)
        part.of.restart(part.options)
      }
      for (const moment of moments) yield* note(ran, part, moment, `${moment} last`)
      const past = ["onCommit committed", "onRollback aborted", "onRollback refused"]
      expect(yield* dueNames(part, "committed", ran)).toEqual([...past, "onCommit last"])
      expect(yield* dueNames(part, "aborted", ran)).toEqual([...past, "onRollback last"])
      expect(yield* dueNames(part, "unknown", ran)).toEqual(past)
    }))

  it.effect("is in the order of registration, whatever parts there are: a failed part's counts as rolled back", () =>
    Effect.promise(() =>
      FastCheck.assert(FastCheck.asyncProperty(
        FastCheck.array(FastCheck.record({ within: FastCheck.nat(), failed: FastCheck.boolean() }), { maxLength: 6 }),
        FastCheck.array(FastCheck.tuple(FastCheck.constantFrom(...moments), FastCheck.nat()), { maxLength: 20 }),
        FastCheck.constantFrom(...ends),
        (plans, list, ended) =>
          Effect.runPromise(Effect.gen(function*() {
            const ran: Array<string> = []
            const parts = [attempt()]
            const hasFailed = [false]
            for (const { failed, within } of plans) {
              const index = within % parts.length
              parts.push(new Parts.Part(parts[0]!.of, parts[index]))
              hasFailed.push(failed || hasFailed[index]!)
            }
            const named = list.map(([moment, n], index) => ({ moment, owner: n % parts.length, name: `${index}` }))
            for (const { moment, name, owner } of named) yield* note(ran, parts[owner]!, moment, name)
            plans.forEach(({ failed }, index) => failed && parts[index + 1]!.fail(Cause.fail("no")))
            const expected = named.filter(({ moment, owner }) => {
              if (ended === "unknown") return false
              return hasFailed[owner]! || ended !== "committed" ? moment === "onRollback" : moment === "onCommit"
            })
            expect(yield* dueNames(parts[0]!, ended, ran)).toEqual(expected.map(({ name }) => name))
          }))
      ))
    ))
})

describe("hooks that are run", () => {
  it.effect("run one after the other, however each of them ends, and can't fail", () =>
    logged((entries) =>
      Effect.gen(function*() {
        const ran: Array<string> = []
        const part = attempt()
        const before = yield* failures("onCommit")
        const exits: ReadonlyArray<Exit.Exit<void, string>> = [
          Exit.fail("no"),
          Exit.die("bug"),
          Exit.interrupt(FiberId.none),
          Exit.void
        ]
        for (const [index, exit] of exits.entries()) {
          yield* note(ran, part, "onCommit", `${index}`)
          yield* Hooks.register(part, "onCommit", Effect.zipRight(Effect.yieldNow(), exit))
        }
        yield* Hooks.run(Hooks.due(part.of, "committed"), Duration.seconds(30), identity)
        expect(ran).toEqual(["0", "1", "2", "3"])
        expect((yield* failures("onCommit")) - before).toBe(3)
        expect(entries).toEqual(
          Array.from({ length: 3 }, () => ({
            message: "a hook of a transaction failed",
            annotations: { moment: "onCommit" }
          }))
        )
      })
    ))

  it.effect("are not interrupted with the fiber that runs them", () =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const part = attempt()
      const begun = yield* Deferred.make<void>()
      const released = yield* Deferred.make<void>()
      yield* Hooks.register(
        part,
        "onRollback",
        Effect.zipRight(Deferred.succeed(begun, undefined), Deferred.await(released))
      )
      yield* note(ran, part, "onRollback", "second")
      const fiber = yield* Effect.fork(Hooks.run(Hooks.due(part.of, "aborted"), Duration.seconds(30), identity))
      yield* Deferred.await(begun)
      const interrupting = yield* Effect.fork(Fiber.interrupt(fiber))
      yield* Effect.repeatN(Effect.yieldNow(), 10)
      expect(ran).toEqual([])
      yield* Deferred.succeed(released, undefined)
      yield* Fiber.join(interrupting)
      expect(ran).toEqual(["second"])
    }))
})
