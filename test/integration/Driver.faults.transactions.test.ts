/**
 * Faults of the driver in transactions, each as a pair: the driver as it is, then this library. Those in reads and sessions
 * are in the files beside this one.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as TestClock from "effect/TestClock"
import type * as Driver from "mongodb"
import { Long } from "mongodb"
import * as Collection from "../../src/Collection.js"
import type * as MongoClient from "../../src/MongoClient.js"
import { Label } from "../../src/MongoError.js"
import * as Session from "../../src/Session.js"
import * as Transaction from "../../src/Transaction.js"
import { on } from "../support/data/collections.js"
import { connected } from "../support/server/connected.js"
import { needsDriver7 } from "../support/server/driverVersion.js"
import {
  driverClock,
  inSession,
  raw,
  rejectedTransaction as rejected,
  shownBy,
  transient
} from "../support/server/faults.js"
import type * as Responder from "../support/server/responder.js"
import { toLines } from "../support/transactions/transactions.js"
import { until } from "../support/watch/until.js"

class PaymentFailed extends Data.TaggedError("PaymentFailed")<{ readonly cause?: unknown }> {}

const Things = Collection.make("things", { database: "test" })

const insert = Things.insertOne({ n: 1 })

const thingsOf = (driver: Driver.MongoClient) => driver.db("test").collection("things")

/** Inserts are refused so many times. */
const transientInserts = (times: number): Responder.Options => ({
  handlers: { insert: (_, { count }) => count < times ? transient : { n: 1 } }
})

const wire = (server: Responder.Responder) => Effect.map(server.commands, toLines)

const once = ["1 insert start", "1 abortTransaction"]

describe("a failure that may go away, in an error of the program's", () => {
  it.scoped("is not run again by the driver, which asks for an error of its own", () =>
    Effect.gen(function*() {
      const { driver, server } = yield* raw(transientInserts(1))
      const error = yield* rejected(driver, (session) =>
        thingsOf(driver).insertOne({}, { session }).catch((cause: unknown) => {
          throw new PaymentFailed({ cause })
        }))
      expect(error).toMatchObject({ _tag: "PaymentFailed", cause: { code: 251 } })
      shownBy("the attempts of internal/transaction/attempts")(yield* wire(server)).toEqual(once)
    }))

  it.scopedLive("is run again by this library", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected(transientInserts(1))
      const body = Effect.mapError(insert, (cause) => new PaymentFailed({ cause }))
      yield* Transaction.run(body).pipe(on({ client }))
      expect(yield* wire(server)).toEqual([...once, "2 insert start", "2 commitTransaction"])
    }))
})

describe("the failure of a body that has ended its transaction by itself", () => {
  const ways = [
    { way: "commitTransaction", ours: Transaction.commit, message: "after calling commitTransaction" },
    { way: "abortTransaction", ours: Transaction.abort, message: "twice" }
  ] as const

  for (const { message, ours, way } of ways) {
    it.scoped(`is lost in the driver for one about a second end: ${way}`, () =>
      Effect.gen(function*() {
        const { driver } = yield* raw()
        const error = yield* rejected(driver, async (session) => {
          await thingsOf(driver).insertOne({}, { session })
          await session[way]()
          throw new PaymentFailed({})
        })
        shownBy("how internal/transaction/attempts keeps it")(error).toMatchObject({
          name: "MongoTransactionError",
          message: `Cannot call abortTransaction ${message}`
        })
      }))

    it.scoped(`is what the run fails with in this library: ${way}`, () =>
      Effect.gen(function*() {
        const { client } = yield* connected()
        const body = insert.pipe(Effect.zipRight(ours), Effect.zipRight(new PaymentFailed({})))
        expect(yield* Transaction.run(body).pipe(on({ client }), Effect.flip)).toBeInstanceOf(PaymentFailed)
      }))
  }
})

describe("a transaction that has failed for reasons that may go away for longer than 120 seconds", () => {
  it.scopedLive("fails in the driver with the last of them, which says nothing of the time", () =>
    Effect.gen(function*() {
      const { driver } = yield* raw(transientInserts(10))
      const clock = yield* driverClock
      let runs = 0
      const error = yield* rejected(driver, (session) => {
        runs++
        clock.adjust("50 seconds")
        return thingsOf(driver).insertOne({}, { session })
      })
      expect(runs).toBe(3)
      shownBy("TransactionAborted as a time-out of its own")(error).toMatchObject({
        name: "MongoServerError",
        code: transient.code
      })
    }))

  it.scoped("fails in this library with the time and the attempts, the last failure, and its labels", () =>
    Effect.gen(function*() {
      const { client } = yield* connected(transientInserts(10))
      const body = Effect.zipRight(TestClock.adjust("50 seconds"), insert)
      const error = yield* Transaction.run(body).pipe(
        on({ client }),
        Effect.flip,
        Effect.withRandom(Random.fixed([0]))
      )
      expect(error).toMatchObject({ _tag: "TransactionAborted", attempts: 3, last: { _tag: "MongoError", code: 251 } })
      if (error._tag !== "TransactionAborted") return
      expect(Duration.toSeconds(error.elapsed)).toBe(150)
      expect(error.cause).toBe(error.last)
      expect(error.labels).toEqual([Label.TransientTransactionError])
    }))
})

describe("the write concern of a transaction", () => {
  const ways = [
    { way: "commitTransaction", ours: Transaction.commit },
    { way: "abortTransaction", ours: Transaction.abort }
  ] as const
  const concernsOf = (server: Responder.Responder, name: string) =>
    Effect.map(server.named(name), (seen) => seen.map(({ command }): unknown => command["writeConcern"]))

  for (const { ours, way } of ways) {
    it.scoped(`gets a time limit from the driver that nobody has asked for, and a w: ${way}`, () =>
      Effect.gen(function*() {
        const { driver, server } = yield* raw()
        for (const writeConcern of [{ w: 1 }, { journal: true }]) {
          yield* inSession(driver, {}, async (session) => {
            session.startTransaction({ writeConcern })
            await thingsOf(driver).insertOne({}, { session })
            await session[way]()
          })
        }
        shownBy("asStarted of internal/driver/transaction")(yield* concernsOf(server, way)).toEqual([
          { w: 1, wtimeout: 10_000 },
          { w: "majority", j: true, wtimeout: 10_000 }
        ])
      }))

    it.scoped(`is sent by this library as it was given: ${way}`, () =>
      Effect.gen(function*() {
        const { client, server } = yield* connected()
        for (const writeConcern of [{ w: 1 }, { journal: true }]) {
          yield* Transaction.start({ writeConcern }).pipe(
            Effect.zipRight(insert),
            Effect.zipRight(ours),
            Session.scoped(),
            on({ client })
          )
        }
        expect(yield* concernsOf(server, way)).toEqual([{ w: 1 }, { j: true }])
      }))
  }
})

describe("a transaction whose first operation cannot be encoded", () => {
  const circular: Record<string, unknown> = {}
  circular["itself"] = circular
  const begins = (server: Responder.Responder) =>
    Effect.map(server.named("insert"), (seen) => seen.map(({ command }): unknown => command["startTransaction"]))

  it.scoped("is taken for begun by the driver, so that no operation ever begins it", () =>
    Effect.gen(function*() {
      const { driver, server } = yield* raw()
      yield* inSession(driver, {}, async (session) => {
        session.startTransaction()
        await thingsOf(driver).insertOne(circular, { session }).catch(() => undefined)
        await thingsOf(driver).insertOne({}, { session })
        await session.abortTransaction()
      })
      shownBy("keepStarting of internal/driver/transaction")(yield* begins(server)).toEqual([undefined])
    }))

  it.scoped("is begun in this library by the next one", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      const refused = Effect.flip(Things.insertOne(circular))
      const error = yield* Transaction.run(Effect.zipLeft(refused, insert)).pipe(on({ client }))
      expect(error).toMatchObject({ _tag: "MongoError", reason: "EncodingFailed" })
      expect(yield* begins(server)).toEqual([true])
    }))
})

describe("a concern of one operation in a transaction, which has its own,", () => {
  it.scoped("is dropped by the driver without a word", (context) =>
    Effect.gen(function*() {
      needsDriver7(context, "it sends the read concern along")
      const { driver, server } = yield* raw()
      yield* inSession(driver, {}, async (session) => {
        session.startTransaction()
        await thingsOf(driver).findOne({}, { session, readConcern: { level: "majority" } })
        await thingsOf(driver).insertOne({}, { session, writeConcern: { w: 1 } })
        await session.abortTransaction()
      })
      const sent = (yield* server.commands).filter(({ name }) => name === "find" || name === "insert")
      expect(sent).toHaveLength(2)
      const fault = shownBy("the rules for transactions in internal/data/rules")
      for (const { command } of sent) {
        fault(command).not.toHaveProperty("readConcern")
        fault(command).not.toHaveProperty("writeConcern")
      }
    }))

  it.scoped("is refused by this library before anything is sent", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      const read = Effect.flip(Things.findOne({}, { readConcern: { level: "majority" } }))
      const write = Effect.flip(Things.insertOne({}, { writeConcern: { w: 1 } }))
      const errors = yield* Transaction.run(Effect.all([read, write])).pipe(on({ client }))
      expect(errors).toMatchObject([
        { _tag: "InvalidInTransaction", operation: "findOne", option: "readConcern" },
        { _tag: "InvalidInTransaction", operation: "insertOne", option: "writeConcern" }
      ])
      expect(yield* server.commands).toEqual([])
    }))
})

describe("timeoutMS", () => {
  it.scopedLive("does nothing in the driver", (context) =>
    Effect.gen(function*() {
      needsDriver7(context, "it keeps to its timeoutMS")
      const find = Effect.as(Effect.sleep("200 millis"), {
        cursor: { firstBatch: [{ _id: 1 }], id: Long.ZERO, ns: "test.things" }
      })
      const { driver } = yield* raw({ handlers: { find: () => find } }, { timeoutMS: 20 })
      const found = yield* inSession(driver, { defaultTimeoutMS: 20 }, (session) =>
        thingsOf(driver).findOne({}, { session, timeoutMS: 20 }))
      shownBy("the deadlines of this library")(found).toEqual({ _id: 1 })
    }))

  // What this library has in its place are options of its own.
  const timeout = "1 second"

  /** What an operation fails with when the server is silent for as long as it may take, and the commands that it was sent. */
  const overdue = <A, E, R>(server: Responder.Responder, name: string, effect: Effect.Effect<A, E, R>) =>
    Effect.gen(function*() {
      const running = yield* Effect.fork(Effect.flip(effect))
      yield* server.awaitCommand(name)
      yield* TestClock.adjust(timeout)
      const error = yield* Fiber.join(running)
      const commands = yield* server.commands
      return { error, limits: commands.map(({ command, name }): [string, unknown] => [name, command["maxTimeMS"]]) }
    })

  const places: ReadonlyArray<
    readonly [where: string, ofClient: Partial<MongoClient.Options>, ofSession: Session.Options]
  > = [
    ["client", { timeout }, {}],
    ["session", {}, { timeout }]
  ]
  for (const [where, ofClient, ofSession] of places) {
    it.scoped(`has its place in this library's timeout of the ${where}`, () =>
      Effect.gen(function*() {
        const { client, server } = yield* connected({ handlers: { find: "hang" } }, { keepAlive: false, ...ofClient })
        const find = Things.findOne().pipe(Session.scoped(ofSession), on({ client }))
        const { error, limits } = yield* overdue(server, "find", find)
        expect(error).toMatchObject({ _tag: "MongoError", reason: "TimedOut", operation: "findOne" })
        expect(limits[0]).toEqual(["find", 1000])
        // The server may have opened a cursor for it.
        expect(limits.slice(1).map(([name]) => name)).toEqual(["killSessions", "endSessions"])
      }))
  }

  it.scoped("has its place in this library's timeout of a transaction, whose abort has it once more", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected({ handlers: { insert: "hang" } }, { keepAlive: false })
      const run = Transaction.run(insert, { timeout }).pipe(on({ client }))
      const { error, limits } = yield* overdue(server, "insert", run)
      expect(error).toMatchObject({ _tag: "MongoError", reason: "TimedOut", operation: "insertOne" })
      expect(limits.slice(0, 2)).toEqual([["insert", 1000], ["abortTransaction", 1000]])
    }))
})

describe("an operation that never settles", () => {
  it.scoped("is killed on the server when its session is closed, with the transaction that it may have begun", () =>
    Effect.gen(function*() {
      const options = { keepAlive: false, settleTimeout: "1 second" } as const
      const { client, server } = yield* connected({ handlers: { insert: "hang" } }, options)
      const running = yield* Effect.fork(Session.scoped(Transaction.run(insert)).pipe(on({ client })))
      yield* server.awaitCommand("insert")
      yield* Effect.fork(Fiber.interrupt(running))
      yield* Effect.repeatN(TestClock.adjust("1 second"), 20)
      yield* Fiber.await(running)
      const killed = yield* until(
        Effect.map(server.commands, (all) => all.filter(({ name }) => name === "killSessions")),
        ({ length }) => length > 0
      )
      expect(killed.map(({ command }) => command["killSessions"].length)).toEqual([1])
    }))
})

describe("an abort that goes on in the background", () => {
  it.scoped("does not wait for a connection that is dead without a word: it takes another one after 5 seconds", () =>
    Effect.gen(function*() {
      const replies = ["close", "close", "hang", "hang", { ok: 1 }] as const
      const { client, server } = yield* connected({
        handlers: { insert: { ok: 1, n: 1 }, abortTransaction: (_, { count }) => replies[count] ?? "hang" }
      }, { keepAlive: false })
      const aborts = Effect.map(server.commands, (all) => all.filter(({ name }) => name === "abortTransaction").length)
      const awaiting = (count: number) => until(aborts, (seen) => seen === count)
      const running = yield* Effect.fork(
        Effect.flip(Transaction.run(Effect.zipRight(insert, Effect.fail("no")))).pipe(on({ client }))
      )
      yield* awaiting(3)
      yield* TestClock.adjust("30 seconds")
      expect(yield* Fiber.join(running)).toBe("no")
      yield* TestClock.adjust("1 second")
      yield* awaiting(4)
      yield* TestClock.adjust("5 seconds")
      yield* TestClock.adjust("1 second")
      yield* awaiting(5)
    }))
})
