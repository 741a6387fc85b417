import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { Long } from "mongodb"
import * as Collection from "../../src/Collection.js"
import * as Database from "../../src/Database.js"
import { ofClient } from "../../src/internal/driver/privates.js"
import * as MongoClient from "../../src/MongoClient.js"
import * as Session from "../../src/Session.js"
import type * as SessionErrors from "../../src/SessionErrors.js"
import { messages } from "../../src/Telemetry.js"
import * as Transaction from "../../src/Transaction.js"
import { onClient, sent, things } from "../support/data/collections.js"
import { connected, type Entry, logged } from "../support/server/connected.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

/** Neither the driver nor the server has a cursor any more, and nothing was told of one that could not be closed. */
const allClosed = ({ client, monitor }: Monitor.Watched, log: ReadonlyArray<Entry>) =>
  Effect.gen(function*() {
    expect([...ofClient(client.driver).s.activeCursors]).toEqual([])
    expect(yield* Monitor.openCursors(monitor)).toBe(0)
    expect(log.filter(({ message }) => message === messages.closingFailed)).toEqual([])
    expect(yield* monitor.overlaps).toEqual([])
  })

/** What closed cursors was sent in no transaction, and has succeeded. */
const closedApart = ({ monitor }: Monitor.Watched, count: number) =>
  Effect.map(monitor.named("killCursors"), (kills) => {
    expect(kills.map(({ command, outcome }) => [outcome, command["txnNumber"], command["startTransaction"]]))
      .toEqual(Array.from({ length: count }, () => ["succeeded", undefined, undefined]))
    expect(kills.every(({ lsid }) => lsid !== undefined)).toBe(true)
  })

const two = { batchSize: 2 }

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("a cursor that is closed while its session is in a transaction that it was not opened in", () => {
    const start = (
      stream: Stream.Stream<unknown, SessionErrors.OperationError | SessionErrors.DecodeFailed, MongoClient.MongoClient>
    ) => Stream.runForEach(Stream.take(stream, 1), () => Transaction.start())

    it.effect("is closed apart, so that the transaction begins with its first operation", () =>
      onClient((watched) =>
        logged((log) =>
          Session.scoped(Effect.gen(function*() {
            const { Things } = yield* things(watched, 6)
            yield* start(Things.find({}, two))
            yield* Things.updateOne({ _id: 1 }, { $set: { n: "11" } })
            yield* Transaction.commit
            expect(yield* sent(watched)).toEqual(["find", "killCursors", "update", "commitTransaction"])
            yield* closedApart(watched, 1)
            yield* allClosed(watched, log)
            expect(yield* Things.countDocuments({ n: "11" })).toBe(1)
          }))
        )
      ))

    it.effect("is closed apart also when the transaction has had operations", () =>
      onClient((watched) =>
        logged((log) =>
          Session.scoped(Effect.gen(function*() {
            const { Things } = yield* things(watched, 6)
            const write = (_id: number) => Things.updateOne({ _id }, { $set: { n: "11" } })
            yield* Stream.runForEach(
              Stream.take(Things.find({}, two), 1),
              () => Effect.zipRight(Transaction.start(), write(1))
            )
            yield* write(2)
            yield* Transaction.commit
            yield* closedApart(watched, 1)
            yield* allClosed(watched, log)
            expect(yield* Things.countDocuments({ n: "11" })).toBe(2)
          }))
        )
      ))

    it.effect("is closed also when it was opened by what no transaction allows", () =>
      onClient((watched) =>
        logged((log) =>
          Session.scoped(Effect.gen(function*() {
            const { database, raw, Things } = yield* things(watched, 6)
            yield* Effect.promise(() => raw.db.createCollection("others"))
            const local = Collection.make("things", { database, readPreference: "secondaryPreferred" })
            yield* watched.monitor.clear
            const streams = [
              Things.find({}, { ...two, readConcern: "majority" }),
              Things.find({}, { ...two, timeout: "1 minute" }),
              local.find({}, two),
              Database.make(database).listCollections({}, { batchSize: 1 })
            ]
            for (const stream of streams) {
              yield* start(stream)
              yield* Things.updateOne({ _id: 1 }, { $set: { n: "11" } })
              yield* Transaction.commit
            }
            yield* closedApart(watched, streams.length)
            yield* allClosed(watched, log)
          }))
        )
      ))

    it.effect("is closed by its session that way, too", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { raw } = yield* things(watched, 6)
          yield* Session.scoped(Effect.gen(function*() {
            const session = yield* Session.Session
            yield* session.use((session) => raw.find({}, { session, ...two }).next())
            yield* Transaction.start()
          }))
          expect(yield* sent(watched)).toEqual(["find", "killCursors"])
          yield* closedApart(watched, 1)
        })
      ))
  })

  describe("a cursor of a transaction", () => {
    it.effect("is closed when another operation has made that fail, which is run again", () =>
      onClient((watched) =>
        logged((log) =>
          Session.scoped(Effect.gen(function*() {
            const { raw, Things } = yield* things(watched, 6)
            let rivals = 0
            const loop = Stream.runForEach(Stream.take(Things.find({}, two), 1), ({ _id }) =>
              Effect.gen(function*() {
                if (rivals++ < 3) yield* Effect.promise(() => raw.updateOne({ _id }, { $set: { n: String(rivals) } }))
                yield* Things.updateOne({ _id }, { $set: { n: "99" } })
              }))
            yield* Transaction.run(loop, { retry: Schedule.recurs(5) })
            expect(rivals).toBe(4)
            yield* closedApart(watched, 4)
            yield* allClosed(watched, log)
            expect(yield* Things.countDocuments({ n: "99" })).toBe(1)
          }))
        )
      ))

    it.effect("is closed when its stream outlives it, however it ended", () =>
      onClient((watched) =>
        logged((log) =>
          Session.scoped(Effect.gen(function*() {
            const { Things } = yield* things(watched, 6)
            const opened = Effect.flatMap(Stream.toPull(Things.find({}, two)), (pull) => pull)
            yield* Effect.scoped(Transaction.run(opened))
            yield* Effect.flip(Effect.scoped(Transaction.run(Effect.zipRight(opened, Effect.fail("no")))))
            yield* closedApart(watched, 2)
            yield* allClosed(watched, log)
          }))
        )
      ))

    it.effect("is killed with its session where the server may be gone", () =>
      logged((log) =>
        Effect.gen(function*() {
          const cursor = { firstBatch: [{ _id: 1 }, { _id: 2 }], id: Long.fromNumber(7), ns: "shop.things" }
          const { client, open, server } = yield* connected({
            handlers: {
              find: { cursor },
              update: (_, { count }) => count === 0 ? "close" : { n: 1, nModified: 1 },
              killCursors: { cursorsKilled: [7n] }
            }
          })
          const Things = Collection.make("things", { database: "shop" })
          const loop = Stream.runForEach(
            Stream.take(Things.find({}), 1),
            () => Things.updateOne({}, { $set: { n: 1 } })
          )
          yield* Effect.scoped(Effect.gen(function*() {
            const session = yield* open()
            yield* Transaction.run(loop).pipe(
              Session.provide(session),
              Effect.provideService(MongoClient.MongoClient, client)
            )
            expect([...ofClient(client.driver).s.activeCursors]).toEqual([])
            // That of the second attempt.
            expect(yield* server.named("killCursors")).toHaveLength(1)
          }))
          expect(yield* server.named("killSessions")).toHaveLength(1)
          expect(log.filter(({ message }) => message === messages.closingFailed)).toEqual([])
        }).pipe(Effect.scoped)
      ))
  })
})
