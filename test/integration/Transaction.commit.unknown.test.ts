/**
 * Commits of unknown result, on a scripted server. Those that are sent again go by a clock that only the test moves: how
 * many there are does not depend on how fast they are.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import * as TestClock from "effect/TestClock"
import * as Collection from "../../src/Collection.js"
import * as MongoClient from "../../src/MongoClient.js"
import { Label } from "../../src/MongoError.js"
import * as Session from "../../src/Session.js"
import type * as Telemetry from "../../src/Telemetry.js"
import * as Transaction from "../../src/Transaction.js"
import { on } from "../support/data/collections.js"
import { connected, logged, send } from "../support/server/connected.js"
import type * as Responder from "../support/server/responder.js"
import { toLines, witness } from "../support/transactions/transactions.js"
import * as Monitor from "../support/watch/monitor.js"

const insert = Collection.make("things", { database: "test" }).insertOne({ n: 1 })

/** Says nothing of whether it happened. */
const lost = { writeConcernError: { code: 64, codeName: "WriteConcernTimeout", errmsg: "waiting timed out" } }

const expired = { ok: 0, code: 50, codeName: "MaxTimeMSExpired", errmsg: "operation exceeded time limit" }

const refused = { ok: 0, code: 13, codeName: "Unauthorized", errmsg: "not authorized" }

const lostThenRefused: Responder.Handler = (_, { count }) => count === 0 ? lost : refused

/** Runs a transaction to its end, and puts the clock forward by each wait before a commit, once it has begun. */
const leaping = <A, E, R>(
  run: (onRetry: (retry: Telemetry.Retry) => Effect.Effect<void>) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.gen(function*() {
    const told = yield* Queue.unbounded<Telemetry.Retry>()
    const running = yield* Effect.fork(run((retry) => Effect.asVoid(Queue.offer(told, retry))))
    const leap = Effect.gen(function*() {
      const { delay } = yield* Queue.take(told)
      const now = yield* Clock.currentTimeMillis
      const isDue = (time: number) => time > now && time < now + Duration.toMillis(delay) + 1
      const due = Effect.map(TestClock.sleeps(), (times) => [...times].filter(isDue))
      const [next] = yield* Monitor.until(Effect.withClock(due, yield* Effect.clock), (found) => found.length > 0)
      yield* TestClock.setTime(next ?? now)
    })
    return yield* Effect.raceFirst(Fiber.join(running), Effect.forever(leap))
  })

describe("a commit whose answer is lost each time", () => {
  it.scoped("is sent again until the time is out; the waits grow as the specification says; no hook runs", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected(
        { handlers: { commitTransaction: lost, abortTransaction: refused } },
        { keepAlive: false }
      )
      const { hooks, register } = witness()
      const retries: Array<Telemetry.Retry> = []
      const error = yield* leaping((tell) =>
        Transaction.run(Effect.zipRight(register, insert), {
          timeout: "3 seconds",
          onRetry: (retry) => Effect.zipRight(Effect.sync(() => void retries.push(retry)), tell(retry))
        })
      ).pipe(on({ client }), Effect.withRandom(Random.fixed([1])), Effect.flip)
      expect(error).toMatchObject({ _tag: "CommitUnknown", attempts: 1, last: { code: 64 } })
      expect("labels" in error && error.labels).toEqual([Label.UnknownTransactionCommitResult])
      // 5 ms · 1.5ⁿ for n from 1 to 11, and then 500 ms three times: 2.78 seconds in all, and another half would be too much.
      const waits = [...Array.from({ length: 11 }, (_, n) => 5 * 1.5 ** (n + 1)), 500, 500, 500]
      expect(retries.map(({ delay }) => Math.round(Duration.toMillis(delay)))).toEqual(waits.map(Math.round))
      expect(new Set(retries.map(({ step }) => step))).toEqual(new Set(["commit"]))
      expect(toLines(yield* server.commands)).toEqual([
        "1 insert start",
        "1 commitTransaction",
        ...waits.map(() => "1 commitTransaction w:majority"),
        "1 abortTransaction w:majority"
      ])
      expect(hooks).toEqual([])
    }))
})

describe("a commit that nobody knows the result of", () => {
  it.scoped("is given up when the time is out by which verifyCommit says that it did not happen", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected({ handlers: { commitTransaction: expired } }, { keepAlive: false })
      const { hooks, register } = witness()
      let asked = 0
      const verifyCommit = Effect.zipRight(TestClock.adjust("2 seconds"), Effect.sync(() => asked++ > 0))
      const error = yield* Transaction.run(Effect.zipRight(register, insert), { verifyCommit, timeout: "2 seconds" })
        .pipe(on({ client }), Effect.flip)
      expect(error).toMatchObject({ _tag: "TransactionAborted", attempts: 1, last: { code: 50 } })
      expect(asked).toBe(1)
      expect(toLines(yield* server.commands)).toEqual([
        "1 insert start",
        "1 commitTransaction",
        "1 abortTransaction w:majority"
      ])
      expect(hooks).toEqual(["onRollback"])
    }))

  it.scoped("stays so when its time is over before it is sent again, and the time-out keeps what it was lost by", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected(
        { handlers: { commitTransaction: lost, abortTransaction: refused } },
        { keepAlive: false }
      )
      const { hooks, register } = witness()
      const error = yield* Transaction.run(Effect.zipRight(register, insert), {
        timeout: "1 second",
        onRetry: () => TestClock.adjust("2 seconds")
      }).pipe(on({ client }), Effect.withRandom(Random.fixed([0])), Effect.flip)
      expect(error).toMatchObject({
        _tag: "CommitUnknown",
        labels: [Label.UnknownTransactionCommitResult],
        last: { reason: "TimedOut", operation: "commitTransaction", cause: { code: 64 } }
      })
      expect(yield* server.named("commitTransaction")).toHaveLength(1)
      expect(hooks).toEqual([])
    }))

  it.scoped("stays so when it is refused as it is sent again: the first one may have happened", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected(
        { handlers: { commitTransaction: lostThenRefused, abortTransaction: refused } },
        { keepAlive: false }
      )
      const { hooks, register } = witness()
      const error = yield* Transaction.run(Effect.zipRight(register, insert)).pipe(
        on({ client }),
        Effect.withRandom(Random.fixed([0])),
        Effect.flip
      )
      expect(error).toMatchObject({ _tag: "CommitUnknown", attempts: 1, last: { code: 13 } })
      expect(yield* server.named("commitTransaction")).toHaveLength(2)
      expect(hooks).toEqual([])
    }))

  it.scoped("stays so by hand, too: what was put off until it is rolled back does not run", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected(
        { handlers: { commitTransaction: lostThenRefused, abortTransaction: refused } },
        { keepAlive: false }
      )
      const { hooks, register } = witness()
      const commit = Effect.flip(Transaction.commit)
      const body = register.pipe(Effect.zipRight(insert), Effect.zipRight(Effect.all([commit, commit])))
      const errors = yield* Transaction.run(body).pipe(on({ client }))
      expect(errors).toMatchObject([{ code: 64 }, { code: 13 }])
      expect(yield* server.named("commitTransaction")).toHaveLength(2)
      expect(hooks).toEqual([])
    }))
})

describe("who no longer waits for a commit of unknown result", () => {
  /** Interrupts a run in a session of its own as soon as a command was sent, and says how long that took. */
  const interruptedAt = (
    command: string,
    handlers: Responder.Options["handlers"],
    options: Omit<Transaction.Options, "propagation"> = {}
  ) =>
    Effect.gen(function*() {
      const { client, open, server } = yield* connected({ handlers }, { closeTimeout: "200 millis" })
      const session = yield* open({ settleTimeout: "300 millis" })
      const { hooks, register } = witness()
      const body = Effect.zipRight(register, send(session, { insert: "items", documents: [{}] }))
      const run = yield* Transaction.run(body, options).pipe(
        Session.provide(session),
        Effect.provideService(MongoClient.MongoClient, client),
        Effect.fork
      )
      yield* Monitor.until(server.named(command), (sent) => sent.length > 0)
      const [time, exit] = yield* Effect.timed(Fiber.interrupt(run))
      expect(Exit.isInterrupted(exit)).toBe(true)
      return { hooks, server, session, millis: Duration.toMillis(time) }
    })

  it.scopedLive("is told soon though the commit is not answered, and nothing stays open on the server", () =>
    Effect.gen(function*() {
      const { hooks, millis, server } = yield* interruptedAt("commitTransaction", { commitTransaction: "hang" })
      expect(millis).toBeLessThan(3000)
      expect(toLines(yield* server.commands)).toEqual([
        "1 insert start",
        "1 commitTransaction",
        "1 abortTransaction w:majority"
      ])
      expect(hooks).toEqual(["onRollback"])
    }))

  it.scopedLive("is told soon though verifyCommit never ends, and the log says that it is unknown", () =>
    logged((entries) =>
      Effect.gen(function*() {
        const handlers = { commitTransaction: expired, abortTransaction: refused }
        const { hooks, millis } = yield* interruptedAt("commitTransaction", handlers, { verifyCommit: Effect.never })
        expect(millis).toBeLessThan(3000)
        expect(entries.map(({ message }) => message)).toContain(
          "a transaction was interrupted, and it is not known whether it was committed"
        )
        expect(hooks).toEqual([])
      })
    ))

  it.scopedLive("is told soon though onRetry never ends", () =>
    Effect.gen(function*() {
      const handlers = { commitTransaction: lost }
      const { hooks, millis } = yield* interruptedAt("commitTransaction", handlers, { onRetry: () => Effect.never })
      expect(millis).toBeLessThan(3000)
      expect(hooks).toEqual(["onRollback"])
    }))
})
