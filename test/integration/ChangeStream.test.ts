import { describe, expect, layer } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as ChangeStream from "../../src/ChangeStream.js"
import { fromSchema, raw } from "../../src/Codec.js"
import * as ResumeToken from "../../src/ResumeToken.js"
import * as Session from "../../src/Session.js"
import * as Transaction from "../../src/Transaction.js"
import { changing, follow, told } from "../support/data/changes.js"
import { on, onClient, sent } from "../support/data/collections.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

const Thing = fromSchema(Schema.Struct({ _id: Schema.Number, n: Schema.NumberFromString }))

const tokenOf = (event: ChangeStream.Event<unknown> | undefined) => {
  if (event === undefined) throw new Error("there is no such event")
  return event.resumeToken
}

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("a change stream that cannot be", () => {
    it.effect("is refused in a transaction, before anything is sent", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { changes } = yield* changing(watched)
          expect(yield* Effect.flip(Transaction.run(Stream.runDrain(changes))))
            .toMatchObject({ _tag: "InvalidInTransaction", operation: "watch" })
          expect(yield* sent(watched)).toEqual([])
        })
      ))

    it.effect("fails with MongoError when it is to go on after what is no token of the server's", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { target } = yield* changing(watched)
          const resumeAfter = new ResumeToken.ResumeToken({ _data: "nonsense" })
          expect(yield* Effect.flip(Stream.runDrain(ChangeStream.watch(target, raw, [], { resumeAfter }))))
            .toMatchObject({ _tag: "MongoError", operation: "watch", namespace: `${target.database}.things` })
          expect((yield* sent(watched)).filter((name) => name === "aggregate")).toHaveLength(1)
        })
      ))

    it.effect("fails with ChangeStreamLost when its pipeline takes the place out of its events", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { put, target } = yield* changing(watched)
          const { fiber } = yield* follow(watched, ChangeStream.watch(target, raw, [{ $unset: "_id" }]))
          yield* put(1)
          expect(yield* Effect.flip(Fiber.join(fiber))).toMatchObject({
            _tag: "MongoError",
            reason: "ChangeStreamLost"
          })
        })
      ))

    it.effect("fails with SessionEnded after its session's scope", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { changes } = yield* changing(watched)
          const session = yield* Effect.scoped(Monitor.session(watched))
          expect(yield* Effect.flip(Session.provide(Stream.runDrain(changes), session)))
            .toMatchObject({ _tag: "SessionEnded" })
        })
      ))
  })

  describe("an event that cannot be decoded", () => {
    const put = [{ _id: 1, n: "1" }, { _id: 2, n: "two" }, { _id: 3, n: "3" }]

    it.effect("fails the stream with DecodeFailed when what came before it has been passed on", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { collection, target } = yield* changing(watched)
          const { fiber, given } = yield* follow(watched, ChangeStream.watch(target, Thing))
          yield* Effect.promise(() => collection.insertMany(put))
          expect(yield* Effect.flip(Fiber.join(fiber))).toMatchObject({
            _tag: "DecodeFailed",
            source: `${target.database}.things`,
            documentId: "2",
            path: ["n"]
          })
          expect(told(yield* given)).toEqual(["insert 1"])
        })
      ))

    it.effect("is left out, or says so itself, if that is asked for", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { collection, target } = yield* changing(watched)
          const skipping = yield* follow(watched, ChangeStream.watch(target, Thing, [], { onInvalid: "skip" }))
          const telling = yield* follow(watched, ChangeStream.watch(target, Thing, [], { onInvalid: "either" }))
          yield* Effect.promise(() => collection.insertMany(put))
          expect(told(yield* skipping.until(2))).toEqual(["insert 1", "insert 3"])
          const documents = (yield* telling.until(3)).map((event) =>
            event._tag === "insert" ? Option.getOrThrow(event.fullDocument) : undefined
          )
          expect(documents.map((document) => document && Either.isRight(document))).toEqual([true, false, true])
        })
      ))
  })

  describe("a change stream", () => {
    it.effect("sends nothing until it is run, and begins anew each time", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { changes, put } = yield* changing(watched)
          expect(yield* sent(watched)).toEqual([])
          const first = yield* follow(watched, Stream.take(changes, 1))
          yield* put(1)
          yield* Fiber.join(first.fiber)
          const second = yield* follow(watched, Stream.take(changes, 1))
          yield* put(2)
          yield* Fiber.join(second.fiber)
          expect([told(yield* first.given), told(yield* second.given)]).toEqual([["insert 1"], ["insert 2"]])
        })
      ))

    it.effect("gives each batch of the server as a chunk, as large as was asked for", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { put, target } = yield* changing(watched)
          const changes = ChangeStream.watch(target, raw, [], { batchSize: 2 })
          const { until } = yield* follow(
            watched,
            Stream.filter(Stream.map(Stream.chunks(changes), Chunk.size), (size) => size > 0)
          )
          yield* put(1, 2, 3, 4, 5)
          expect(yield* until(3)).toEqual([2, 2, 1])
        })
      ))

    it.effect("tells the server how long to wait, and begins at once nevertheless", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { target } = yield* changing(watched)
          yield* follow(watched, ChangeStream.watch(target, raw, [], { maxAwaitTime: "20 seconds" }))
          yield* watched.monitor.awaitStarted("getMore")
          expect((yield* watched.monitor.named("getMore")).map(({ command }) => command["maxTimeMS"]))
            .toEqual([20_000])
        })
      ))

    it.effect("is over promptly when it is interrupted while the server waits, and its cursor is killed", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { target } = yield* changing(watched)
          const { fiber } = yield* follow(watched, ChangeStream.watch(target, raw, [], { maxAwaitTime: "20 seconds" }))
          yield* watched.monitor.awaitStarted("getMore")
          const [time] = yield* Effect.timed(Fiber.interrupt(fiber))
          expect(Duration.toMillis(time)).toBeLessThan(3000)
          expect((yield* sent(watched)).filter((name) => name === "killCursors")).toHaveLength(1)
          expect(yield* watched.monitor.overlaps).toEqual([])
        })
      ))

    it.effect("is closed as soon as nobody wants more of it", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { changes, put } = yield* changing(watched)
          const { fiber } = yield* follow(watched, Stream.take(changes, 2))
          yield* put(1, 2, 3)
          yield* Fiber.join(fiber)
          expect((yield* sent(watched)).filter((name) => name === "killCursors")).toHaveLength(1)
        })
      ))

    it.effect("does not make the ambient session wait, while it waits itself", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { collection, target } = yield* changing(watched)
          const session = yield* Monitor.session(watched)
          const changes = ChangeStream.watch(target, raw, [], { maxAwaitTime: "20 seconds" })
          const { until } = yield* follow(watched, changes).pipe(Session.provide(session))
          yield* watched.monitor.awaitStarted("getMore")
          const [time] = yield* Effect.timed(
            session.use((driverSession) => collection.findOne({}, { session: driverSession }))
          )
          expect(Duration.toMillis(time)).toBeLessThan(3000)
          yield* session.use((driverSession) => collection.insertOne({ _id: 1 }, { session: driverSession }))
          expect(told(yield* until(1))).toEqual(["insert 1"])
          expect(yield* watched.monitor.overlaps).toEqual([])
        })
      ))

    it.effect("that is opened first misses nothing that is written from then on, and asks for nothing before it is run", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { changes, put, target } = yield* changing(watched)
          for (const n of [1, 2, 3, 4, 5]) {
            const found = yield* Effect.scoped(Effect.gen(function*() {
              const opened = yield* ChangeStream.opened(changes)
              yield* put(n)
              return yield* Stream.runCollect(Stream.take(opened, 1))
            }))
            expect(told(Chunk.toReadonlyArray(found))).toEqual([`insert ${n}`])
          }
          yield* watched.monitor.clear
          yield* Effect.scoped(Effect.zipRight(ChangeStream.opened(changes), Effect.sleep("50 millis")))
          expect((yield* sent(watched)).filter((name) => name !== "endSessions")).toEqual(["aggregate", "killCursors"])
          const broken = ChangeStream.watch(target, raw, [{ $nonsense: 1 }])
          expect(yield* Effect.flip(ChangeStream.opened(broken))).toMatchObject({
            _tag: "MongoError",
            operation: "watch"
          })
        })
      ))

    it.effect("begins after what the ambient session has seen, if that is causally consistent", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { changes, collection } = yield* changing(watched)
          for (const causalConsistency of [true, false]) {
            const session = yield* Monitor.session(watched, { causalConsistency })
            yield* session.use((driverSession) =>
              collection.insertOne({ _id: Number(causalConsistency) }, { session: driverSession })
            )
            const seen = Option.getOrThrow(yield* session.operationTime)
            yield* watched.monitor.clear
            yield* follow(watched, changes).pipe(Session.provide(session))
            const [opening] = yield* watched.monitor.named("aggregate")
            expect(opening?.command["readConcern"]).toEqual({
              level: "majority",
              ...(causalConsistency && { afterClusterTime: seen })
            })
            expect(opening?.lsid).not.toBe(session.id.hex)
          }
        })
      ))

    it.effect("fails with SessionEnded when the session ends in which it is followed", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { target } = yield* changing(watched)
          const changes = ChangeStream.watch(target, raw, [], { maxAwaitTime: "20 millis" })
          const fiber = yield* Effect.scoped(Effect.gen(function*() {
            const session = yield* Monitor.session(watched)
            const fiber = yield* Effect.forkDaemon(Session.provide(Stream.runDrain(changes), session))
            yield* watched.monitor.awaitStarted("getMore")
            return fiber
          }))
          expect(yield* Effect.flip(Fiber.join(fiber))).toMatchObject({ _tag: "SessionEnded" })
        })
      ))

    it.effect("asks for the majority's data, whatever the client or the collection prefers", () =>
      Monitor.withClient({ driver: { readConcernLevel: "local" } }, (watched) =>
        on(watched)(Effect.gen(function*() {
          const { changes, put, target } = yield* changing(watched)
          const own = ChangeStream.watch({ ...target, readConcern: "available" }, raw)
          const streams = [yield* follow(watched, changes), yield* follow(watched, own)]
          yield* put(1)
          for (const { until } of streams) expect(told(yield* until(1))).toEqual(["insert 1"])
        }))))

    it.effect("tells which transaction a change was part of", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { changes, collection } = yield* changing(watched)
          const { until } = yield* follow(watched, changes)
          yield* Transaction.run(
            Effect.forEach([1, 2], (_id) => Session.use((session) => collection.insertOne({ _id }, { session })))
          )
          const transactions = (yield* until(2)).map(({ transaction }) => Option.getOrThrow(transaction))
          expect(transactions[0]?.txnNumber).toBe(transactions[1]?.txnNumber)
          expect(transactions[0]?.lsid).toEqual(transactions[1]?.lsid)
        })
      ))
  })

  describe("a change stream goes on", () => {
    const next = <A, E, R>(stream: ChangeStream.ChangeStream<A, E, R>, count: number) =>
      Effect.map(Stream.runCollect(Stream.take(stream, count)), (found) => told(Chunk.toReadonlyArray(found)))

    it.effect("after any event, by its token, also when that has been a text, and from any time", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { changes, put, target } = yield* changing(watched)
          const { until } = yield* follow(watched, changes)
          yield* put(1, 2, 3)
          const events = yield* until(3)
          const token = Either.getOrThrow(ResumeToken.decode(tokenOf(events[0]).toString()))
          const rest = ["insert 2", "insert 3"]
          expect(yield* next(ChangeStream.watch(target, raw, [], { resumeAfter: token }), 2)).toEqual(rest)
          expect(yield* next(ChangeStream.watch(target, raw, [], { startAfter: token }), 2)).toEqual(rest)
          expect(yield* next(ChangeStream.after(changes, token), 2)).toEqual(rest)
          expect(yield* next(changes.pipe(ChangeStream.after(token)), 2)).toEqual(rest)
          const startAtOperationTime = Option.getOrThrow(events[1]?.clusterTime ?? Option.none())
          expect(yield* next(ChangeStream.watch(target, raw, [], { startAtOperationTime }), 2)).toEqual(rest)
        })
      ))

    it.effect("also after the event that has ended it, if the collection is made again", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { changes, collection, put, target } = yield* changing(watched)
          const { fiber, given } = yield* follow(watched, changes)
          yield* Effect.promise(() => collection.drop())
          yield* Fiber.join(fiber)
          yield* put(1)
          const last = tokenOf((yield* given).at(-1))
          expect(yield* next(ChangeStream.after(changes, last), 1)).toEqual(["insert 1"])
          expect(yield* Effect.flip(Stream.runDrain(ChangeStream.watch(target, raw, [], { resumeAfter: last }))))
            .toMatchObject({ _tag: "MongoError" })
        })
      ))
  })
})
