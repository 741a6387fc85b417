/**
 * What the specification "Convenient API for Transactions" asks for in words, in its sections "Prose Tests" and
 * "Retry Backoff": its `withTransaction` is `Transaction.run`.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as TestClock from "effect/TestClock"
import * as Collection from "../../src/Collection.js"
import { Label } from "../../src/MongoError.js"
import { live } from "../../src/testing/internal/live.js"
import * as Transaction from "../../src/Transaction.js"
import { on } from "../support/data/collections.js"
import { connected } from "../support/server/connected.js"
import { transient } from "../support/server/faults.js"
import type * as Responder from "../support/server/responder.js"
import { toLines } from "../support/transactions/transactions.js"

class OutOfStock extends Data.TaggedError("OutOfStock") {}

const insert = Collection.make("things", { database: "test" }).insertOne({ n: 1 })

const unknown = { writeConcernError: { code: 64, codeName: "WriteConcernTimeout", errmsg: "waiting timed out" } }

const wire = (server: Responder.Responder) => Effect.map(server.commands, toLines)

describe("what the body gives", () => {
  it.scoped("is what the run gives, after the commit", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      expect(yield* Transaction.run(Effect.as(insert, "value")).pipe(on({ client }))).toBe("value")
      expect(yield* wire(server)).toEqual(["1 insert start", "1 commitTransaction"])
    }))

  it.scoped("as an error of its own is what the run fails with, after one attempt and its abort", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      let runs = 0
      const body = Effect.sync(() => runs++).pipe(Effect.zipRight(insert), Effect.zipRight(new OutOfStock()))
      expect(yield* Transaction.run(body).pipe(on({ client }), Effect.flip)).toBeInstanceOf(OutOfStock)
      expect(runs).toBe(1)
      expect(yield* wire(server)).toEqual(["1 insert start", "1 abortTransaction"])
    }))
})

describe("after 120 seconds nothing is tried again", () => {
  const late = Effect.zipLeft(insert, TestClock.adjust("120 seconds"))

  it.scoped("neither the body, when it fails for a reason that may go away", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected({ handlers: { insert: transient } })
      const body = Effect.zipRight(TestClock.adjust("120 seconds"), insert)
      const error = yield* Transaction.run(body).pipe(on({ client }), Effect.flip)
      expect(error).toMatchObject({ _tag: "TransactionAborted", attempts: 1, last: { code: transient.code } })
      expect("labels" in error && error.labels).toEqual([Label.TransientTransactionError])
      expect(yield* wire(server)).toEqual(["1 insert start", "1 abortTransaction"])
    }))

  it.scoped("nor the body, when the commit fails for such a reason", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected({ handlers: { commitTransaction: transient } })
      const error = yield* Transaction.run(late).pipe(on({ client }), Effect.flip)
      expect(error).toMatchObject({ _tag: "TransactionAborted", attempts: 1, last: { code: transient.code } })
      expect("labels" in error && error.labels).toEqual([Label.TransientTransactionError])
      expect((yield* wire(server)).slice(0, 2)).toEqual(["1 insert start", "1 commitTransaction"])
      expect(yield* server.named("insert")).toHaveLength(1)
    }))

  it.scoped("nor the commit, when its result is unknown", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected({
        handlers: { commitTransaction: unknown, abortTransaction: { ok: 0, code: 13, errmsg: "not authorized" } }
      })
      const error = yield* Transaction.run(late).pipe(on({ client }), Effect.flip)
      expect(error).toMatchObject({ _tag: "CommitUnknown", attempts: 1, last: { code: 64 } })
      expect("labels" in error && error.labels).toEqual([Label.UnknownTransactionCommitResult])
      expect(yield* server.named("commitTransaction")).toHaveLength(1)
    }))

  it.scoped("a moment before, it is", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected({
        handlers: { insert: (_, { count }) => count === 0 ? transient : { n: 1 } }
      })
      const body = Effect.zipRight(Effect.whenEffect(TestClock.adjust("119 seconds"), isFirst()), insert)
      yield* Transaction.run(body).pipe(on({ client }), Effect.withRandom(Random.fixed([0])))
      expect(yield* server.named("insert")).toHaveLength(2)
    }))
})

/** Whether it is asked for the first time. */
const isFirst = (): Effect.Effect<boolean> => {
  let asked = 0
  return Effect.sync(() => asked++ === 0)
}

/**
 * Runs a transaction to its end, and puts the clock forward to whenever its next attempt is due; gives how long it has waited
 * in all. What it waits for longer than for any attempt are its time limits.
 */
const waits = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const began = yield* Clock.currentTimeMillis
    const fiber = yield* Effect.fork(effect)
    while (fiber.unsafePoll() === null) {
      const now = yield* Clock.currentTimeMillis
      const next = [...yield* TestClock.sleeps()].filter((time) => time > now && time <= now + 500)
      if (next.length > 0) yield* TestClock.setTime(Math.min(...next))
      // Replies come in real time.
      yield* live(Effect.sleep("1 millis"))
    }
    yield* Fiber.join(fiber)
    return (yield* Clock.currentTimeMillis) - began
  })

describe("between attempts a random part of a growing time is waited for", () => {
  const repeated = (jitter: number) =>
    Effect.gen(function*() {
      const { client, server } = yield* connected(
        { handlers: { commitTransaction: (_, { count }) => count < 13 ? transient : {} } },
        { keepAlive: false }
      )
      const time = yield* Effect.withRandom(waits(Transaction.run(insert).pipe(on({ client }))), Random.fixed([jitter]))
      expect(yield* server.named("insert")).toHaveLength(14)
      return time
    })

  it.scoped("which is nothing where the random part is nothing", () =>
    Effect.gen(function*() {
      expect(yield* repeated(0)).toBe(0)
    }))

  // 5 ms · 1.5ⁿ for n from 1 to 11, and then 500 ms twice.
  it.scoped("which is 2.28 seconds in all where it is the whole, for 13 attempts more", () =>
    Effect.gen(function*() {
      const time = yield* repeated(1)
      expect(time).toBeGreaterThan(2_282 - 14)
      expect(time).toBeLessThan(2_282 + 14)
    }))
})
