import { describe, expect, layer } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Collection from "../../src/Collection.js"
import * as Cursor from "../../src/Cursor.js"
import * as Database from "../../src/Database.js"
import * as Session from "../../src/Session.js"
import { numbers, on, onClient, sent, things } from "../support/data/collections.js"
import * as TestServer from "../support/server/testServer.js"
import * as Versions from "../support/server/versions.js"
import { liveHeap } from "../support/watch/heap.js"
import * as Monitor from "../support/watch/monitor.js"

const sizes = <A, E, R>(stream: Stream.Stream<A, E, R>) =>
  Effect.map(Stream.runCollect(Stream.chunks(stream)), (chunks) => Chunk.toReadonlyArray(Chunk.map(chunks, Chunk.size)))

const ids = <A extends { readonly _id?: unknown }, E, R>(stream: Stream.Stream<A, E, R>) =>
  Effect.map(Stream.runCollect(stream), (rows) => Chunk.toReadonlyArray(rows).map(({ _id }) => _id))

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  // A command that a monitor keeps has the cluster time of the reply before it, and so all of that reply's memory.
  const unwatched = <A, E, R>(test: (watched: Monitor.Watched) => Effect.Effect<A, E, R>) =>
    Monitor.withClient({ driver: { monitorCommands: false } }, (watched) => on(watched)(test(watched)))

  describe("a stream that is misused", () => {
    it.effect("fails with SessionEnded after its session's scope, and sends nothing more", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Things } = yield* things(watched, 6)
          const scope = yield* Scope.make()
          const session = yield* Scope.extend(Monitor.session(watched), scope)
          const stream = Things.find({}, { batchSize: 2 })
          const pull = yield* Stream.toPull(stream)
          expect(Chunk.size(yield* Session.provide(pull, session))).toBe(2)
          yield* Scope.close(scope, Exit.void)
          yield* watched.monitor.clear
          const ended = { _tag: "SessionEnded", reason: "released" }
          expect(yield* Effect.flip(pull)).toMatchObject({ value: { ...ended, operation: "getMore" } })
          expect(yield* Effect.flip(Session.provide(Stream.runDrain(stream), session)))
            .toMatchObject({ ...ended, operation: "find" })
          expect(yield* sent(watched)).toEqual([])
        })
      ))

    it.effect("a cursor of another client fails with ForeignSession, and nothing is sent", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { database } = yield* things(watched, 1)
          const other = yield* Monitor.connect()
          const stream = Cursor.stream((added) => other.client.driver.db(database).collection("things").find({}, added))
          expect(yield* Effect.flip(Stream.runDrain(stream))).toMatchObject({ _tag: "ForeignSession" })
          expect(yield* Effect.flip(Session.scoped(Stream.runDrain(stream)))).toMatchObject({ _tag: "ForeignSession" })
          expect(yield* sent(watched)).toEqual([])
          expect(yield* sent(other)).toEqual([])
        })
      ))

    it.effect("a cursor that the server has lost fails with CursorLost", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Things } = yield* things(watched, 6)
          yield* Monitor.fail(watched, { failCommands: ["getMore"], errorCode: 43 })
          const error = yield* Effect.flip(Stream.runDrain(Things.find({}, { batchSize: 2 })))
          expect(error).toMatchObject({ _tag: "MongoError", reason: "CursorLost", operation: "getMore", code: 43 })
        })
      ))

    it.effect("what it has read before it fails is passed on", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Things } = yield* things(watched, 6)
          yield* Monitor.fail(watched, { failCommands: ["getMore"], errorCode: 43, mode: { skip: 1 } })
          const seen: Array<number> = []
          const reading = Stream.runForEach(
            Things.find({}, { batchSize: 2 }),
            ({ _id }) => Effect.sync(() => seen.push(_id))
          )
          expect(yield* Effect.flip(reading)).toMatchObject({ reason: "CursorLost" })
          expect(seen).toEqual(numbers(4))
        })
      ))
  })

  describe("a stream is read batch by batch", () => {
    it.effect("one stream value gives its rows each time that it is run", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Things, raw } = yield* things(watched, 3)
          const stream = Things.find()
          expect(yield* sent(watched)).toEqual([])
          expect(yield* ids(stream)).toEqual([0, 1, 2])
          yield* Effect.promise(() => raw.insertOne({ _id: 3, n: "3" }))
          expect(yield* ids(stream)).toEqual([0, 1, 2, 3])
          expect(yield* watched.monitor.named("find")).toHaveLength(2)
        })
      ))

    it.effect("each batch of the server is one chunk", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Things } = yield* things(watched, 5)
          expect(yield* sizes(Things.find({}, { batchSize: 2 }))).toEqual([2, 2, 1])
          expect(yield* sent(watched)).toEqual(["find", "getMore", "getMore"])
        })
      ))

    it.effect("no batch is asked for before the one before it is consumed", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Things } = yield* things(watched, 6)
          const pull = yield* Stream.toPull(Things.find({}, { batchSize: 2 }))
          yield* pull
          yield* Effect.sleep("50 millis")
          expect(yield* sent(watched)).toEqual(["find"])
          yield* pull
          expect(yield* sent(watched)).toEqual(["find", "getMore"])
        })
      ))

    it.effect("an empty result is no chunk, and an exhausted cursor is not killed", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Things } = yield* things(watched, 3)
          expect(yield* ids(Things.find({ _id: -1 }))).toEqual([])
          expect(yield* ids(Things.find({}, { batchSize: 2 }))).toEqual([0, 1, 2])
          expect(yield* watched.monitor.named("killCursors")).toEqual([])
        })
      ))

    it.effect("a command's cursor asks for its further batches as it is told", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { database } = yield* things(watched, 6)
          const command = { find: "things", batchSize: 1 }
          const stream = Database.make(database).runCursorCommand(command, { batchSize: 3, comment: "batch by batch" })
          expect(yield* sizes(stream)).toEqual([1, 3, 2])
          const batches = yield* watched.monitor.named("getMore")
          expect(batches.map(({ command }) => [command["batchSize"], command["comment"]])).toEqual([
            [3, "batch by batch"],
            [3, "batch by batch"]
          ])
        })
      ))

    it.effect("a cursor of the driver that maps its documents is a stream of what it maps them to", () =>
      Effect.gen(function*() {
        const database = yield* TestServer.database
        const stream = Cursor.stream((added, db) =>
          db.collection<{ _id: number }>("things").find({}, { ...added, batchSize: 2 }).map(({ _id }) => _id * 10)
        )
        yield* Monitor.withClient({ database }, (watched) =>
          on(watched)(Effect.gen(function*() {
            yield* Collection.make("things").insertMany(numbers(5).map((_id) => ({ _id })))
            expect(yield* sizes(stream)).toEqual([2, 2, 1])
            expect(Chunk.toReadonlyArray(yield* Stream.runCollect(stream))).toEqual([0, 10, 20, 30, 40])
          })))
      }).pipe(Effect.scoped))

    it.effect("200,000 documents are never in memory at once", (context) =>
      unwatched(() =>
        Effect.gen(function*() {
          yield* Versions.needs(context, Versions.documentsStage)
          const database = Database.make(yield* TestServer.database)
          const before = yield* liveHeap
          let largest = 0
          const count = yield* database.aggregate([
            { $documents: [{ n: { $range: [0, 200_000] } }] },
            { $unwind: "$n" },
            { $project: { n: 1, padding: { $concat: ["x".repeat(300), { $toString: "$n" }] } } }
          ], { batchSize: 5_000 }).pipe(
            Stream.mapChunksEffect((chunk) =>
              Effect.map(liveHeap, (now) => {
                largest = Math.max(largest, now - before)
                return chunk
              })
            ),
            Stream.runCount
          )
          expect(count).toBe(200_000)
          // all of them are more than 60 MB
          expect(largest / 2 ** 20).toBeLessThan(25)
        })
      ))
  })

  describe("a tailable cursor", () => {
    const capped = (watched: Monitor.Watched) =>
      Effect.gen(function*() {
        const { Things, database, raw } = yield* things(watched, 0)
        yield* Database.make(database).createCollection("things", { capped: true, size: 100_000 })
        yield* Effect.promise(() => raw.insertMany([{ _id: 0, n: "0" }, { _id: 1, n: "1" }]))
        yield* watched.monitor.clear
        return Things
      })

    it.effect("gives what is inserted later, also by its own session", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const Things = yield* capped(watched)
          yield* Session.scoped(Effect.gen(function*() {
            const tail = Things.find({}, { tailable: true, awaitData: true, maxAwaitTimeMS: 50 })
            const reading = yield* Effect.fork(ids(Stream.take(tail, 4)))
            yield* watched.monitor.awaitStarted("getMore")
            yield* Things.insertOne({ _id: 2, n: 2 })
            yield* Things.insertOne({ _id: 3, n: 3 })
            expect(yield* Effect.timeout(Fiber.join(reading), "10 seconds")).toEqual([0, 1, 2, 3])
          }))
          expect(yield* watched.monitor.overlaps).toEqual([])
          expect((yield* sent(watched)).at(-1)).toBe("killCursors")
        })
      ))

    it.effect("is given up at once, when it is interrupted while the server waits for data", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const Things = yield* capped(watched)
          const { monitor } = watched
          yield* Session.scoped(Effect.gen(function*() {
            const tail = Things.find({}, { tailable: true, awaitData: true, maxAwaitTimeMS: 20_000 })
            const reading = yield* Effect.fork(Stream.runDrain(tail))
            yield* monitor.awaitStarted("getMore")
            const [time] = yield* Effect.timed(Fiber.interrupt(reading))
            expect(Duration.toSeconds(time)).toBeLessThan(5)
            expect((yield* monitor.commands).map(({ outcome }) => outcome)).not.toContain(undefined)
            expect((yield* monitor.named("killCursors")).map(({ outcome }) => outcome)).toEqual(["succeeded"])
            // The server has marked the cursor as killed. It only sees that when its own wait for data is over.
            yield* Things.insertOne({ _id: 2, n: 2 })
            expect(yield* Things.countDocuments()).toBe(3)
          }))
          expect(yield* monitor.overlaps).toEqual([])
        })
      ))

    it.effect("without awaitData, asks again at intervals only", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const Things = yield* capped(watched)
          const reading = yield* Effect.fork(ids(Stream.take(Things.find({}, { tailable: true }), 3)))
          yield* watched.monitor.awaitStarted("getMore", 3)
          yield* watched.monitor.clear
          yield* Effect.sleep("500 millis")
          expect((yield* watched.monitor.named("getMore")).length).toBeLessThanOrEqual(6)
          yield* Things.insertOne({ _id: 2, n: 2 })
          expect(yield* Effect.timeout(Fiber.join(reading), "10 seconds")).toEqual([0, 1, 2])
        })
      ))
  })
})
