import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Driver from "mongodb"
import { HandlingFailed } from "../../src/ChangeStreamErrors.js"
import * as Poison from "../../src/internal/changes/poison.js"
import { MongoError } from "../../src/MongoError.js"
import { CommitUnknown, TransactionAborted } from "../../src/SessionErrors.js"

/** Handles a message by an effect; what of it was counted and set aside is told. */
const handled = <E>(effect: Effect.Effect<unknown, E>, options: Poison.PoisonOptions) => {
  const counted: Array<unknown> = []
  const aside: Array<unknown> = []
  const handling = Poison.handle(effect, {
    ...options,
    count: (cause) =>
      Effect.sync(() => {
        counted.push(Cause.squash(cause))
        return Option.some(
          new HandlingFailed<E>({
            kind: "outbox",
            of: "mails",
            id: "1",
            attempts: counted.length,
            cause: Cause.squash(cause)
          })
        )
      }),
    setAside: ({ cause }) => Effect.sync(() => aside.push(cause) > 0)
  })
  return { handling, counted, aside }
}

describe("a message whose parts are handled at once", () => {
  const parts = (failing: Effect.Effect<never, string>) => Effect.all([failing, Effect.never], { concurrency: 2 })

  it.effect("and of which one fails, has failed with that", () =>
    Effect.gen(function*() {
      const { counted, handling } = handled(parts(Effect.fail("boom")), {})
      expect(yield* Effect.flip(handling)).toMatchObject({ _tag: "HandlingFailed", attempts: 1, error: "boom" })
      expect(counted).toEqual(["boom"])
    }))

  it.effect("is tried again and set aside like any other", () =>
    Effect.gen(function*() {
      for (const failing of [Effect.fail("boom"), Effect.die("boom")]) {
        const { aside, counted, handling } = handled(parts(failing), {
          retry: Schedule.recurs(1),
          onPoison: "setAside"
        })
        expect(yield* handling).toEqual(Option.none())
        expect(counted).toEqual(["boom", "boom"])
        expect(aside).toEqual(["boom"])
      }
    }))

  it.effect("keeps a defect, where what cannot be handled stops the rest", () =>
    Effect.gen(function*() {
      const { counted, handling } = handled(parts(Effect.die("boom")), {})
      const exit = yield* Effect.exit(handling)
      expect(Exit.isFailure(exit) && [...Cause.defects(exit.cause)]).toEqual(["boom"])
      expect(counted).toEqual([])
    }))

  it.effect("is not counted when it was interrupted, whatever a part of it fails with then", () =>
    Effect.gen(function*() {
      const started = yield* Deferred.make<void>()
      const failing = Effect.zipRight(Deferred.succeed(started, undefined), Effect.never).pipe(
        Effect.onInterrupt(() => Effect.die("as it ended"))
      )
      const told: Array<unknown> = []
      // Where nothing else can be interrupted, what comes next is run.
      const fiber = yield* Effect.fork(Effect.uninterruptibleMask((restore) => {
        const { counted, handling } = handled(restore(parts(failing)), { onPoison: "skip" })
        return Effect.map(Effect.exit(handling), (exit) => told.push(Exit.isInterrupted(exit), counted))
      }))
      yield* Deferred.await(started)
      yield* Fiber.interrupt(fiber)
      expect(told).toEqual([true, []])
    }))

  it.effect("is interrupted, and not counted, when a part of it interrupts itself", () =>
    Effect.gen(function*() {
      const { counted, handling } = handled(parts(Effect.interrupt), { onPoison: "skip" })
      const exit = yield* Effect.exit(handling)
      expect(Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause)).toBe(true)
      expect(counted).toEqual([])
    }))
})

describe("a failure of the way to the database", () => {
  const lost = new MongoError({ reason: "ServerSelectionFailed", operation: "insert", labels: [] })
  const tried = { attempts: 9, elapsed: Duration.minutes(2) }
  const cases: ReadonlyArray<readonly [string, Error]> = [
    ["by itself", lost],
    ["of a transaction that was given up for it", new TransactionAborted({ ...tried, last: lost })],
    ["of a commit of which nothing is known", new CommitUnknown({ ...tried, last: lost })],
    ["that the program has wrapped", new Error("no mail", { cause: lost })],
    [
      "that the program has wrapped more than once",
      new Error("no order", {
        cause: new Error("no mail", { cause: new TransactionAborted({ ...tried, last: lost }) })
      })
    ],
    ["of the driver", new Error("no mail", { cause: new Driver.MongoNetworkError("connection closed") })],
    [
      "that is somebody else's who takes over",
      new Error("no mail", { cause: new MongoError({ reason: "Interrupted", operation: "insert", labels: [] }) })
    ]
  ]

  it.effect.each(cases)(
    "stops what comes after it, whatever becomes of poison: one %s",
    ([, failure]) =>
      Effect.gen(function*() {
        for (const onPoison of ["skip", "setAside"] as const) {
          const { aside, handling } = handled(Effect.fail(failure), { onPoison })
          expect(yield* Effect.flip(handling)).toMatchObject({ _tag: "HandlingFailed", error: failure })
          expect(aside).toEqual([])
        }
      })
  )

  const circular = new Error("no end")
  circular.cause = circular
  const others: ReadonlyArray<readonly [string, Error]> = [
    ["a failure that is its own cause", circular],
    [
      "an operation that was refused",
      new Error("no mail", {
        cause: new MongoError({ reason: "DuplicateKey", operation: "insert", labels: [], cause: lost })
      })
    ]
  ]

  it.effect.each(others)("is not %s", ([, failure]) =>
    Effect.gen(function*() {
      const { aside, handling } = handled(Effect.fail(failure), { onPoison: "setAside" })
      expect(yield* handling).toEqual(Option.none())
      expect(aside).toEqual([failure])
    }))
})
