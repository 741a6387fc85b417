import { describe, expect, layer } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Schedule from "effect/Schedule"
import * as Collection from "../../src/Collection.js"
import * as Session from "../../src/Session.js"
import { TransactionAborted } from "../../src/SessionErrors.js"
import * as Telemetry from "../../src/Telemetry.js"
import * as MongoServer from "../../src/testing/MongoServer.js"
import * as Transaction from "../../src/Transaction.js"
import { on, onClient } from "../support/data/collections.js"
import * as Processes from "../support/programs/processes.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"
import { recorder } from "../support/watch/spans.js"

const secret = "secret-4711"
const fighter = new URL("../support/programs/fighter.ts", import.meta.url)
const retry = Schedule.intersect(Transaction.backoff, Schedule.recurs(2))

// Its own: a message names only the oldest of the transactions that are open on the server.
layer(TestServer.own(), { excludeTestServices: true })((it) => {
  const accounts = Effect.gen(function*() {
    const database = yield* TestServer.database
    const Accounts = Collection.make("accounts", { database })
    yield* Accounts.insertMany([{ _id: secret, n: 0 }, { _id: "own", n: 0 }])
    return { database, write: (_id: string) => Accounts.updateOne({ _id }, { $inc: { n: 1 } }) }
  })

  /** Runs an effect while a transaction of another fiber has done something. */
  const while_ = <A, E, R, A2, E2, R2>(write: Effect.Effect<A, E, R>, effect: Effect.Effect<A2, E2, R2>) =>
    Effect.gen(function*() {
      const isHeld = yield* Deferred.make<void>()
      const letGo = yield* Deferred.make<void>()
      const holder = yield* Transaction.run(
        Effect.zipRight(write, Effect.zipRight(Deferred.succeed(isHeld, void 0), Deferred.await(letGo)))
      ).pipe(Effect.withSpan("restock"), Effect.fork)
      yield* Deferred.await(isHeld)
      const result = yield* Effect.ensuring(effect, Deferred.succeed(letGo, void 0))
      yield* Fiber.join(holder)
      return result
    })

  const aborted = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.flatMap(
      Effect.flip(Transaction.run(effect, { retry })),
      (error) => error instanceof TransactionAborted ? Effect.succeed(error) : Effect.die(error)
    )

  describe("a transaction that is given up after a conflict", () => {
    it.scoped("names the two other processes that fight for the document, as the server knows them", () =>
      onClient(() =>
        Effect.gen(function*() {
          const { database, write } = yield* accounts
          const { url } = yield* MongoServer.MongoServer
          const start = (name: string, id: string) =>
            Effect.flatMap(
              Processes.start(fighter, [url, database, name, id]),
              ({ firstLine }) => firstLine
            )
          yield* Effect.all([start("stock-keeper", secret), start("night-job", "own")], { concurrency: 2 })
          const error = yield* aborted(write(secret))
          expect(error.conflict).toMatchObject({ operation: "updateOne", fields: ["_id"], rivals: [] })
          const server = error.conflict?.server
          expect(server?.seen).toBe("all")
          const theirs = server?.transactions.filter(({ appName }) => /^(stock-keeper|night-job)$/.test(appName ?? ""))
          expect(theirs?.map(({ appName }) => appName).sort()).toEqual(["night-job", "stock-keeper"])
          for (const { age, client, isHere } of theirs ?? []) {
            expect(isHere).toBe(false)
            expect(client).toMatch(/^127\.0\.0\.1:\d+$/)
            expect(Duration.toMillis(age)).toBeGreaterThan(0)
          }
          expect(error.message).toMatch(/"stock-keeper" for .*s/)
          expect(error.message).toMatch(/"night-job" for .*s/)
          expect(error.message).not.toContain("127.0.0.1")
          expect(error.message).not.toContain(secret)
        })
      ))

    it.effect("tells who of its own client had written the document, and asks the server once", () =>
      onClient(({ monitor }) =>
        Effect.gen(function*() {
          const { database, write } = yield* accounts
          const conflicts = Metric.value(Telemetry.transactionConflicts.pipe(
            Metric.tagged("db.namespace", database),
            Metric.tagged("db.collection.name", "accounts"),
            Metric.tagged("db.operation.name", "update")
          ))
          yield* monitor.clear
          const error = yield* while_(write(secret), aborted(write(secret)))
          const { conflict, message } = error
          expect(conflict).toMatchObject({
            operation: "updateOne",
            fields: ["_id"],
            document: 1,
            rivals: [{ operation: "updateOne", span: { name: "restock" } }],
            server: { seen: "all" }
          })
          expect(conflict?.server?.transactions.some(({ isHere }) => isHere)).toBe(true)
          expect(conflict?.values).toBeUndefined()
          expect(message).toMatch(/; document 1 by _id; also written here by updateOne in "restock", open for /)
          expect(JSON.stringify([error, conflict])).not.toContain(secret)
          expect(error.last).toMatchObject({ conflict: { document: 1 } })
          const asked = (yield* monitor.commands).filter(({ name }) => name === "aggregate")
          expect(asked).toHaveLength(1)
          expect(asked[0]?.lsid).toBeUndefined()
          expect((yield* conflicts).count).toBe(3)
          const report = yield* Transaction.report()
          expect(report.conflicts).toBe(3)
          expect(report.keys).toMatchObject([{ document: 1, conflicts: 3, here: 3, spans: ["restock"] }])
          expect(`${report} ${JSON.stringify(report)}`).not.toContain(secret)
        })
      ))

    it.effect("names who has inserted a document of the same id", () =>
      onClient(() =>
        Effect.gen(function*() {
          const { database } = yield* accounts
          const Accounts = Collection.make("accounts", { database })
          const { conflict } = yield* while_(
            Accounts.insertOne({ _id: "new" }),
            aborted(Accounts.insertMany([{ _id: "new" }]))
          )
          expect(conflict).toMatchObject({
            operation: "insertMany",
            fields: ["_id"],
            document: 1,
            rivals: [{ operation: "insertOne", span: { name: "restock" } }]
          })
        })
      ))

    it.effect("tells values only where the client was asked to keep them", () =>
      Monitor.withClient({ conflicts: { values: true } }, (watched) =>
        on(watched)(Effect.gen(function*() {
          const { write } = yield* accounts
          const { conflict, message } = yield* while_(write(secret), aborted(write(secret)))
          expect(conflict?.values).toEqual({ _id: secret })
          expect(message).toContain(`document 1 by _id "${secret}"`)
          expect(String(yield* Transaction.report())).toContain(secret)
        }))))

    it.effect("does not ask the server where the client is told not to, nor where it is retried", () =>
      Monitor.withClient({ conflicts: { server: false } }, (watched) =>
        on(watched)(Effect.gen(function*() {
          const { write } = yield* accounts
          yield* watched.monitor.clear
          const { conflict, message } = yield* while_(write(secret), aborted(write(secret)))
          expect(conflict?.rivals).toHaveLength(1)
          expect(conflict?.server).toBeUndefined()
          expect(message).not.toContain("on the server")
          expect((yield* watched.monitor.commands).map(({ name }) => name)).not.toContain("aggregate")
        }))))

    it.effect("is told by an event of its span, which names no value", () =>
      onClient(() =>
        Effect.gen(function*() {
          const { write } = yield* accounts
          const { spans, tracer } = recorder()
          yield* Effect.withTracer(while_(write(secret), aborted(write(secret))), tracer)
          const events = spans.flatMap(({ events, name }) => name === "transaction" ? events : [])
          const lost = events.filter(({ name }) => name === "conflict")
          expect(lost).toHaveLength(3)
          expect(lost[0]?.attributes).toMatchObject({
            attempt: 1,
            "db.collection.name": "accounts",
            "db.operation.name": "update",
            document: 1,
            fields: "_id",
            rivals: 1,
            "rivals.spans": "restock"
          })
          expect(events.filter(({ name }) => name === "others")).toMatchObject([{ attributes: { seen: "all" } }])
          expect(JSON.stringify(events)).not.toContain(secret)
        })
      ))
  })

  describe("a transaction under manual control", () => {
    it.effect("that loses a conflict is told who had written the document", () =>
      onClient(() =>
        Effect.gen(function*() {
          const { write } = yield* accounts
          const manual = Session.scoped(Effect.gen(function*() {
            yield* Transaction.start()
            const error = yield* Effect.flip(write(secret))
            expect(yield* Effect.flip(Transaction.commit)).toMatchObject({ reason: "NoSuchTransaction" })
            return error
          }))
          expect(yield* while_(write(secret), manual)).toMatchObject({
            _tag: "MongoError",
            reason: "WriteConflict",
            conflict: { operation: "updateOne", fields: ["_id"], document: 1, rivals: [{ span: { name: "restock" } }] }
          })
        })
      ))

    it.effect("is named as who had written the document, until it is over", () =>
      onClient(() =>
        Effect.gen(function*() {
          const { write } = yield* accounts
          yield* Session.scoped(Effect.gen(function*() {
            yield* Transaction.start()
            yield* write(secret)
            const apart = Effect.scoped(
              Effect.flatMap(Session.make(), (other) => Session.provide(aborted(write(secret)), other))
            )
            expect((yield* apart).conflict).toMatchObject({
              rivals: [{ operation: "updateOne", span: { name: "by hand" } }]
            })
            yield* Transaction.commit
            // It is nobody's rival any more, nor are those that were ended otherwise.
            yield* Transaction.start()
            yield* write(secret)
            yield* Transaction.abort
            yield* Session.scoped(Effect.zipRight(Transaction.start(), write(secret)))
            const after = yield* while_(write(secret), apart)
            expect(after.conflict?.rivals).toMatchObject([{ span: { name: "restock" } }])
          })).pipe(Effect.withSpan("by hand"))
        })
      ))
  })
})
