import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import { identity } from "effect/Function"
import * as Driver from "mongodb"
import { withClientDefaults } from "../../src/internal/driver/transaction.js"
import type * as Attempt from "../../src/internal/transaction/attempt.js"
import * as Hooks from "../../src/internal/transaction/hooks.js"
import * as Joining from "../../src/internal/transaction/join.js"
import * as Parts from "../../src/internal/transaction/part.js"
import type { MongoError } from "../../src/MongoError.js"
import type { TransactionEnded } from "../../src/TransactionErrors.js"
import * as TransactionOptions from "../../src/TransactionOptions.js"
import { attempt, duplicate, operate } from "../support/transactions/attempts.js"

type Options = TransactionOptions.TransactionOptions
type Failure = MongoError | TransactionEnded | string

// Not connected: only its options are looked at.
const client = (options: Driver.MongoClientOptions = {}) => new Driver.MongoClient("mongodb://localhost", options)

const decode = (options: Options) => Either.getOrThrow(TransactionOptions.decode(options))

/** The options of a part that a transaction does not meet. */
const unmet = (part: Options, transaction: Options, driver: Driver.MongoClient = client(), session?: Options) => {
  const own = TransactionOptions.merge(decode(transaction), session && decode(session))
  const options = withClientDefaults(own, driver)
  return Effect.runSync(Effect.match(Joining.ensureMet(decode(part), attempt({ options })), {
    onFailure: (error) => error.options,
    onSuccess: () => []
  }))
}

const operation = (part: Parts.Part, effect: Effect.Effect<void, Failure> = Effect.void) =>
  Effect.zipRight(Parts.ensureOpen(part, "insertOne"), operate(part, effect))

describe("the options of a part that joins", () => {
  const one: Options = {
    readConcern: "majority",
    writeConcern: { w: 2, journal: true, wtimeout: "10 seconds" },
    readPreference: { mode: "nearest", tags: [{ region: "north" }], maxStalenessSeconds: 90 },
    maxCommitTime: "5 seconds",
    timeout: "1 minute"
  }

  it.each<readonly [string, Options]>([
    ["readConcern", { readConcern: "snapshot" }],
    ["writeConcern", { writeConcern: "majority" }],
    ["writeConcern", { writeConcern: 3 }],
    ["writeConcern", { writeConcern: "twoRegions" }],
    ["writeConcern", { writeConcern: { w: 2, journal: true, wtimeout: "11 seconds" } }],
    ["readPreference", { readPreference: "nearest" }],
    ["readPreference", { readPreference: { mode: "nearest", tags: [{ region: "south" }], maxStalenessSeconds: 90 } }],
    ["readPreference", { readPreference: { mode: "nearest", tags: [{ region: "north" }], maxStalenessSeconds: 91 } }],
    ["readPreference", {
      readPreference: { mode: "nearest", tags: [{ region: "north" }, {}], maxStalenessSeconds: 90 }
    }],
    ["readPreference", { readPreference: { mode: "nearest", tags: [{}], maxStalenessSeconds: 90 } }],
    ["readPreference", { readPreference: { mode: "nearest", tags: [], maxStalenessSeconds: 90 } }],
    ["maxCommitTime", { maxCommitTime: "6 seconds" }]
  ])("may not ask for more than it gives in its %s: %j", (name, part) => {
    expect(unmet(part, one)).toEqual([name])
  })

  it.each<readonly [Options, Options]>([
    [{ readConcern: "local" }, { readConcern: "majority" }],
    [{ readConcern: "majority" }, { readConcern: "snapshot" }],
    [{ readConcern: "local" }, {}],
    [{ writeConcern: 3 }, { writeConcern: "majority" }],
    [{ writeConcern: 2 }, { writeConcern: { w: 3, journal: true } }],
    [{ writeConcern: { journal: false } }, { writeConcern: { w: 1, journal: true } }],
    [{ writeConcern: { wtimeout: 5 } }, { writeConcern: { w: 1, wtimeout: 6 } }],
    [{ writeConcern: { w: "majority", wtimeout: 5 } }, { writeConcern: "majority" }],
    [{ writeConcern: "majority" }, {}],
    [{ timeout: "1 hour" }, { timeout: "1 minute" }],
    [{ timeout: "1 second" }, { timeout: "1 minute" }]
  ])("may ask for %j of a transaction with %j", (part, transaction) => {
    expect(unmet(part, transaction)).toEqual([])
  })

  it.each<readonly [Options, Options]>([
    [{ readConcern: "majority" }, { readConcern: "local" }],
    [{ readConcern: "majority" }, {}],
    [{ readConcern: "snapshot" }, { readConcern: "majority" }],
    [{ writeConcern: "majority" }, { writeConcern: 3 }],
    [{ writeConcern: { journal: true } }, { writeConcern: "majority" }],
    [{ writeConcern: 1 }, { writeConcern: "twoRegions" }],
    [{ writeConcern: 1 }, { writeConcern: { journal: true } }]
  ])("may not ask for %j of a transaction with %j", (part, transaction) => {
    expect(unmet(part, transaction)).toHaveLength(1)
  })

  it("are told all, and no others, where several are not met, with both values", () => {
    const part: Options = { ...one, timeout: "2 minutes", readConcern: "snapshot", maxCommitTime: "1 second" }
    expect(unmet(part, one)).toEqual(["readConcern", "maxCommitTime"])
    const whole = attempt({ options: withClientDefaults(TransactionOptions.merge(decode(one), undefined), client()) })
    const error = Effect.runSync(Effect.flip(Joining.ensureMet(decode(part), whole)))
    expect(error.conflicts).toEqual([
      { option: "readConcern", wanted: { level: "snapshot" }, found: { level: "majority" } },
      { option: "maxCommitTime", wanted: Duration.seconds(1), found: Duration.seconds(5) }
    ])
    expect(error.message).toBe(
      "cannot join the running transaction: it was started with other values of readConcern ({ level: \"majority\" }, " +
        "where the part asks for { level: \"snapshot\" }), maxCommitTime (5s, where the part asks for 1s)"
    )
  })

  it("may ask for any write concern in a sandbox", () => {
    const options = withClientDefaults(TransactionOptions.merge(decode({ writeConcern: 1 }), undefined), client())
    const sandbox = attempt({ options, isSandbox: true })
    expect(Effect.runSync(Joining.ensureMet(decode({ writeConcern: "majority" }), sandbox))).toBeUndefined()
  })

  it("may not ask for a limit of the commit that the transaction has left to the server", () => {
    expect(unmet({ readConcern: "local", writeConcern: 1, maxCommitTime: "1 second" }, {})).toEqual(["maxCommitTime"])
  })

  it.each<readonly [Options, Options]>([
    [{ readConcern: "majority" }, { readConcern: { level: "majority" } }],
    [{ writeConcern: "majority" }, { writeConcern: { w: "majority" } }],
    [{ writeConcern: 1 }, { writeConcern: { w: 1, journal: undefined } }],
    [{ readPreference: "secondary" }, { readPreference: { mode: "secondary" } }],
    [{ timeout: 60_000 }, { timeout: "1 minute" }],
    [{ maxCommitTime: Duration.seconds(1) }, { maxCommitTime: "1000 millis" }],
    [{ writeConcern: { wtimeout: 1_000 } }, { writeConcern: { wtimeout: "1 second" } }]
  ])("are the same in whatever form: %j and %j", (left, right) => {
    expect([unmet(left, right), unmet(right, left)]).toEqual([[], []])
  })

  it("are compared with what the transaction has from its session and by default", () => {
    const session: Options = { readConcern: "snapshot", writeConcern: "majority", maxCommitTime: "1 second" }
    expect(unmet({ ...session, timeout: "120 seconds", readPreference: "primary" }, {}, client(), session)).toEqual(
      []
    )
    expect(unmet({ readConcern: "local", maxCommitTime: "2 seconds" }, {}, client(), session)).toEqual([
      "maxCommitTime"
    ])
    expect(unmet({ readConcern: "snapshot" }, { readConcern: "local" }, client(), session)).toEqual(["readConcern"])
  })

  it("are compared with what the transaction has from its client", () => {
    const driver = client({
      readConcernLevel: "majority",
      readPreference: "secondaryPreferred",
      writeConcern: { w: 2, journal: true, wtimeoutMS: 3_000 }
    })
    const same: Options = {
      readConcern: "majority",
      readPreference: "secondaryPreferred",
      writeConcern: { w: 2, journal: true, wtimeout: "3 seconds" }
    }
    expect(unmet(same, {}, driver)).toEqual([])
    expect(unmet({ readConcern: "snapshot", readPreference: "primary", writeConcern: 3 }, {}, driver)).toEqual([
      "readConcern",
      "writeConcern",
      "readPreference"
    ])
    expect(unmet(same, { readConcern: "local" }, driver)).toEqual(["readConcern"])
  })

  it("may be those of the transaction, or any of them, or none", () => {
    const time = FastCheck.integer({ min: 1, max: 1_000_000 })
    const optional = <A>(arbitrary: FastCheck.Arbitrary<A>) => FastCheck.option(arbitrary, { nil: undefined })
    const options: FastCheck.Arbitrary<Options> = FastCheck.record({
      readConcern: optional(FastCheck.constantFrom("local", "majority", "snapshot")),
      writeConcern: optional(FastCheck.record({
        w: optional(FastCheck.oneof(FastCheck.constant("majority"), FastCheck.integer({ min: 1, max: 50 }))),
        journal: optional(FastCheck.boolean()),
        wtimeout: optional(time)
      })),
      readPreference: optional(FastCheck.record({
        mode: FastCheck.constantFrom<TransactionOptions.ReadPreferenceMode>("secondary", "nearest"),
        tags: optional(FastCheck.array(FastCheck.dictionary(FastCheck.string(), FastCheck.string()), { maxLength: 3 })),
        maxStalenessSeconds: optional(FastCheck.integer({ min: 90, max: 1_000 }))
      })),
      maxCommitTime: optional(time),
      timeout: optional(time)
    })
    const driver = client({ readConcernLevel: "majority", w: "majority", readPreference: "nearest" })
    const names = ["readConcern", "writeConcern", "readPreference", "maxCommitTime", "timeout"] as const
    FastCheck.assert(FastCheck.property(
      options,
      FastCheck.subarray([...names]),
      (transaction, kept) => {
        const part = Object.fromEntries(kept.map((name) => [name, structuredClone(transaction[name])]))
        expect(unmet(part, transaction, driver)).toEqual([])
      }
    ))
  })
})

describe("a part that joins", () => {
  /** Runs a body as a part that is recovered from, and tells what has become of both. */
  const joined = (body: (part: Parts.Part) => Effect.Effect<unknown, Failure>, whole = attempt()) =>
    Effect.gen(function*() {
      let part = whole
      const exit = yield* Effect.exit(Joining.join((given) => {
        part = given
        return body(given)
      }, whole))
      return { exit, halfDone: whole.of.failures.halfDone, part, whole }
    })

  it.effect("is a part of the same attempt, and leaves nothing behind when it succeeds", () =>
    Effect.gen(function*() {
      const { exit, halfDone, part, whole } = yield* joined((part) => Effect.as(operation(part), "done"))
      expect(exit).toEqual(Exit.succeed("done"))
      expect([part !== whole, part.of === whole.of, part.within === whole]).toEqual([true, true, true])
      expect([halfDone, part.hasFailed, whole.hasFailed]).toEqual([undefined, false, false])
    }))

  it.effect.each<readonly [string, Effect.Effect<never, string>]>([
    ["fails", Effect.fail("no")],
    ["dies", Effect.die("bug")],
    ["is interrupted", Effect.interrupt]
  ])("that %s before its first operation may be recovered from", ([_, end]) =>
    Effect.gen(function*() {
      const whole = attempt()
      yield* operation(whole)
      const { exit, halfDone, part } = yield* joined(() => end, whole)
      expect(Exit.isFailure(exit)).toBe(true)
      expect([halfDone, part.hasFailed, whole.isOver]).toEqual([undefined, true, false])
      yield* operation(whole)
    }))

  it.effect.each<readonly [string, Effect.Effect<never, string>]>([
    ["fails", Effect.fail("no")],
    ["dies", Effect.die("bug")],
    ["is interrupted", Effect.interrupt]
  ])("that %s after an operation makes the commit impossible", ([_, end]) =>
    Effect.gen(function*() {
      const { exit, halfDone, whole } = yield* joined((part) => Effect.zipRight(operation(part), end))
      expect(Exit.isFailure(exit) && halfDone === exit.cause).toBe(true)
      // The rest may go on, to find out by itself what it makes of that.
      expect(whole.isOver).toBe(false)
    }))

  it.effect("that fails with its only operation makes the commit impossible, too, for that may have written", () =>
    Effect.gen(function*() {
      const { halfDone } = yield* joined((part) => operation(part, Effect.fail(duplicate)))
      expect(halfDone).toEqual(Cause.fail(duplicate))
    }))

  it.effect("that is interrupted from without while an operation runs makes the commit impossible", () =>
    Effect.gen(function*() {
      const whole = attempt()
      const begun = yield* Deferred.make<void>()
      const running = Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never)
      const fiber = yield* Effect.fork(joined((part) => operation(part, running), whole))
      yield* Deferred.await(begun)
      yield* Fiber.interrupt(fiber)
      expect(whole.of.failures.halfDone !== undefined && Cause.isInterruptedOnly(whole.of.failures.halfDone)).toBe(true)
    }))

  it.effect("that succeeds in one that fails has written for that one", () =>
    Effect.gen(function*() {
      const { halfDone } = yield* joined((part) =>
        Effect.zipRight(Joining.join((inner) => operation(inner), part), Effect.fail("no"))
      )
      expect(halfDone).toEqual(Cause.fail("no"))
    }))

  it.effect("that fails after an operation makes the commit impossible, even where the part around recovers", () =>
    Effect.gen(function*() {
      const { exit, halfDone, part } = yield* joined((part) =>
        Effect.ignore(Joining.join((inner) => Effect.zipRight(operation(inner), Effect.fail("inner")), part))
      )
      expect(exit).toEqual(Exit.void)
      expect([halfDone, part.hasFailed]).toEqual([Cause.fail("inner"), false])
    }))

  it.effect("that is the first to fail half-way stays the reason", () =>
    Effect.gen(function*() {
      const whole = attempt()
      const fail = (name: string) => (part: Parts.Part) => Effect.zipRight(operation(part), Effect.fail(name))
      yield* joined(fail("first"), whole)
      yield* joined(fail("second"), whole)
      const { halfDone } = yield* joined((part) => Joining.join(fail("third"), part), whole)
      expect(halfDone).toEqual(Cause.fail("first"))
    }))

  it.effect("is not charged with what others have done", () =>
    Effect.gen(function*() {
      const whole = attempt()
      yield* joined((part) => operation(part), whole)
      const { halfDone, part } = yield* joined(
        (part) => Effect.zipRight(operation(whole), Effect.fail(`attempt ${part.attempt}`)),
        whole
      )
      expect([halfDone, part.operations, whole.operations]).toEqual([undefined, 0, 2])
    }))

  it.effect("that has failed refuses further operations, as do parts in it, while others go on", () =>
    Effect.gen(function*() {
      const whole = attempt()
      let inner = whole
      const { part } = yield* joined(
        (part) =>
          Effect.zipRight(Joining.join((given) => Effect.sync(() => void (inner = given)), part), Effect.fail("no")),
        whole
      )
      for (const one of [part, inner]) {
        expect(yield* Effect.flip(operation(one))).toMatchObject({ _tag: "TransactionEnded", operation: "insertOne" })
      }
      yield* operation(whole)
      yield* joined((beside) => operation(beside), whole)
      expect([part.operations, inner.operations, whole.operations]).toEqual([0, 0, 2])
    }))

  it.effect("that has failed has its hooks dropped, but for those of a rollback", () =>
    Effect.gen(function*() {
      const ran: Array<string> = []
      const whole = attempt()
      const register = (part: Parts.Part, moment: Attempt.Moment, name: string) =>
        Hooks.register(part, moment, Effect.sync(() => void ran.push(name)))
      yield* joined((part) =>
        Effect.zipRight(
          Effect.forEach(
            ["beforeCommit", "onCommit", "onRollback"] as const,
            (moment) => register(part, moment, moment)
          ),
          Effect.fail("no")
        ), whole)
      yield* register(whole, "onCommit", "the whole")
      yield* Hooks.beforeCommit(whole)
      yield* Hooks.run(Hooks.due(whole.of, "committed"), Duration.seconds(30), identity)
      expect(ran).toEqual(["onRollback", "the whole"])
    }))

  it.effect("is a new one each time that it is run", () =>
    Effect.gen(function*() {
      const parts = new Set<Parts.Part>()
      const whole = attempt()
      const again = Joining.join((part) => Effect.sync(() => void parts.add(part)), whole)
      yield* Effect.repeatN(again, 2)
      yield* Effect.ignore(Joining.join((part) => Effect.fail(parts.add(part)), whole))
      expect(parts.size).toBe(4)
    }))
})
