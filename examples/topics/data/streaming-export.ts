// Writes a collection to a file, one JSON document a line, and notes in the same session what it has written. It can be
// interrupted, goes on where it was, and never has more than one batch in memory.
import { Array, Chunk, Deferred, Effect, Schema, Stream } from "effect"
import { Collection, Session } from "effect-mongo-session"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"
import { mkdtemp, open, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"

const Reading = Schema.Struct({ _id: Schema.Number, value: Schema.NumberFromString, exported: Schema.Boolean })
const Readings = Collection.make("readings", { schema: Reading })

const total = 5_000
const batchSize = 250

const append = (path: string) =>
  Effect.acquireRelease(Effect.promise(() => open(path, "a")), (file) => Effect.promise(() => file.close()))

/** Exports what was not exported yet, and calls `onBatch` with the size of each batch. */
const exportTo = (path: string, onBatch: (size: number) => Effect.Effect<unknown>) =>
  Effect.gen(function*() {
    const file = yield* append(path)
    yield* Readings.find({ exported: false }, { batchSize, sort: { _id: 1 } }).pipe(
      Stream.chunks,
      Stream.runForEach((batch) => {
        const lines = Chunk.join(Chunk.map(batch, ({ _id, value }) => `${JSON.stringify({ _id, value })}\n`), "")
        const ids = Chunk.toArray(Chunk.map(batch, ({ _id }) => _id))
        return Effect.promise(() => file.appendFile(lines)).pipe(
          // The session is free between two batches, though the cursor is open in it.
          Effect.zipRight(Readings.updateMany({ _id: { $in: ids } }, { $set: { exported: true } })),
          // An interruption waits for both, or they would not agree.
          Effect.uninterruptible,
          Effect.zipRight(onBatch(batch.length))
        )
      })
    )
  }).pipe(Effect.scoped, Session.scoped())

const temporaryFile = Effect.map(
  Effect.acquireRelease(
    Effect.promise(() => mkdtemp(join(tmpdir(), "export-"))),
    (folder) => Effect.promise(() => rm(folder, { recursive: true }))
  ),
  (folder) => join(folder, "readings.ndjson")
)

const program = Effect.gen(function*() {
  yield* Readings.deleteMany({})
  const readings = Array.makeBy(total, (_id) => ({ _id, value: _id * 3, exported: false }))
  yield* Readings.insertMany(readings)
  const path = yield* temporaryFile

  const enough = yield* Deferred.make<void>()
  yield* Effect.raceFirst(
    exportTo(path, () => Deferred.succeed(enough, undefined)),
    Deferred.await(enough)
  )
  const rest = yield* Readings.countDocuments({ exported: false })
  yield* Effect.log(rest > 0 && rest < total ? "interrupted on the way" : "not interrupted")

  let largest = 0
  yield* exportTo(path, (size) => Effect.sync(() => largest = Math.max(largest, size)))
  const lines = (yield* Effect.promise(() => readFile(path, "utf8"))).trimEnd().split("\n")
  const sum = lines.reduce((sum, line) => sum + JSON.parse(line).value, 0)
  yield* Effect.log(`${lines.length} lines, ${new Set(lines).size} of them different, the sum is ${sum}`)
  yield* Effect.log(`never more than ${largest} documents at once`)
}).pipe(Effect.scoped)

await Effect.runPromise(program.pipe(Effect.provide(MongoServer.layerClient())))
