import { expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import * as Database from "../../src/Database.js"
import * as MongoClient from "../../src/MongoClient.js"
import * as Transaction from "../../src/Transaction.js"
import { on, things } from "../support/data/collections.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"
import { recorder } from "../support/watch/spans.js"

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  /** The comments of the commands that are sent for what is done with three things. */
  const commentsOf = <A, E, R>(
    telemetry: MongoClient.TelemetryOptions,
    test: (there: Effect.Effect.Success<ReturnType<typeof things>>, watched: Monitor.Watched) => Effect.Effect<A, E, R>
  ) =>
    Monitor.withClient({ telemetry }, (watched) =>
      on(watched)(Effect.gen(function*() {
        yield* watched.client.deployment
        yield* test(yield* things(watched, 3), watched)
        const commands = yield* watched.monitor.commands
        return commands
          .filter(({ name }) => name !== "commitTransaction" && name !== "endSessions")
          .map(({ command, name }) => [name, (command["explain"] ?? command)["comment"]])
      })))

  it.effect("nothing is told where nobody asks for it", () =>
    Effect.gen(function*() {
      const sent = yield* commentsOf({}, ({ Things }) => Effect.withSpan(Things.findOne(), "look"))
      expect(sent).toEqual([["find", undefined]])
    }))

  it.effect("each command carries the span that it is sent in, also without a tracer, and each batch does", () =>
    Effect.gen(function*() {
      let ids = ""
      const sent = yield* commentsOf({ comments: true }, ({ Things }) =>
        Effect.gen(function*() {
          const span = yield* Effect.currentSpan
          ids = `00-${span.traceId}-${span.spanId}-01`
          yield* Things.insertOne({ _id: 7, n: 7 })
          yield* Things.updateOne({ _id: 7 }, { $set: { n: "8" } })
          yield* Things.findById(7)
          yield* Things.findOneAndDelete({ _id: 7 })
          yield* Things.countDocuments()
          yield* Stream.runDrain(Things.find({}, { batchSize: 2 }))
        }).pipe(Transaction.run(), Effect.withSpan("placeOrder")))
      expect(sent.map(([name]) => name))
        .toEqual(["insert", "update", "find", "findAndModify", "aggregate", "find", "getMore"])
      for (const [, comment] of sent) {
        expect(comment).toEqual({ span: "placeOrder", traceparent: expect.stringMatching(/^00-\w{32}-\w{16}-01$/) })
      }
      expect(sent[0]?.[1]).toMatchObject({ traceparent: ids })
    }))

  it.effect("the span of a transaction is the library's own: what is told is the program's around it", () =>
    Effect.gen(function*() {
      const { tracer } = recorder()
      const run = (name?: string) =>
        commentsOf({ comments: true }, ({ Things }) => {
          const one = Things.insertOne({ _id: 7, n: 7 }).pipe(Transaction.run())
          return Effect.withTracer(name === undefined ? one : Effect.withSpan(one, name), tracer)
        })
      expect(yield* run("placeOrder")).toEqual([["insert", expect.objectContaining({ span: "placeOrder" })]])
      expect(yield* run()).toEqual([["insert", expect.objectContaining({ span: "transaction" })]])
    }))

  it.effect("a comment of the caller's stays; without a span there is none; a span of another process has no name", () =>
    Effect.gen(function*() {
      const outside = Tracer.externalSpan({ traceId: "a".repeat(32), spanId: "b".repeat(16), sampled: false })
      const sent = yield* commentsOf({ comments: true }, ({ Things }) =>
        Effect.gen(function*() {
          yield* Effect.withSpan(Things.findOne({}, { comment: "mine" }), "look")
          yield* Effect.withSpan(Stream.runDrain(Things.find({}, { comment: "mine" })), "look")
          yield* Things.findOne()
          yield* Effect.withParentSpan(Things.findOne(), outside)
          yield* Effect.withSpan(Things.findOne(), "x".repeat(1000))
        }))
      expect(sent.map(([, comment]) => comment)).toEqual([
        "mine",
        "mine",
        undefined,
        { traceparent: `00-${"a".repeat(32)}-${"b".repeat(16)}-00` },
        expect.objectContaining({ span: "x".repeat(200) })
      ])
    }))

  it.effect("a change stream carries it, unless it has a comment of its own", () =>
    Effect.gen(function*() {
      const sent = yield* commentsOf({ comments: true }, ({ Things }, { monitor }) =>
        Effect.forEach([{}, { comment: "mine" }], (options, index) =>
          Effect.gen(function*() {
            const fiber = yield* Effect.fork(
              Stream.runHead(Things.watch([], { maxAwaitTime: "10 millis", ...options }))
            )
            yield* monitor.awaitStarted("aggregate", index + 1)
            yield* Fiber.interrupt(fiber)
          }).pipe(Effect.withSpan("follow"))))
      const opened = sent.filter(([name]) =>
        name === "aggregate"
      ).map(([, comment]) => comment)
      expect(opened).toEqual([expect.objectContaining({ span: "follow" }), "mine"])
    }))

  it.effect("each operation carries it, but those with which the driver sends none", () =>
    Effect.gen(function*() {
      const sent = yield* commentsOf({ comments: true }, ({ Things, database }) =>
        Effect.gen(function*() {
          const db = Database.make(database)
          yield* Things.insertMany([{ _id: 7, n: 7 }])
          yield* Things.bulkWrite([{ insertOne: { document: { _id: 8, n: 8 } } }])
          yield* Things.updateMany({ _id: 7 }, { $set: { n: "8" } })
          yield* Things.replaceOne({ _id: 7 }, { _id: 7, n: 9 })
          yield* Things.deleteMany({ _id: 7 })
          yield* Things.distinct("n")
          yield* Things.estimatedDocumentCount()
          yield* Things.explainFind()
          yield* Things.options()
          yield* MongoClient.listDatabases()
          yield* db.createCollection("others")
          yield* Stream.runDrain(db.listCollections())
          yield* Stream.runDrain(db.aggregate([{ $documents: [] }]))
          yield* db.stats()
          yield* Things.createIndex({ n: 1 })
          yield* Things.createIndexes([{ key: { m: 1 } }])
          yield* Stream.runDrain(Things.listIndexes())
          yield* Things.dropIndex("n_1")
          yield* Things.dropIndexes()
          const Renamed = yield* Things.rename("renamed")
          yield* Renamed.drop()
          yield* db.drop()
        }).pipe(Effect.withSpan("manage")))
      const without = sent.flatMap(([name, comment]) => comment === undefined ? [name] : [])
      expect([...new Set(without)].sort()).toEqual([
        "createIndexes",
        "dbStats",
        "drop",
        "dropDatabase",
        "dropIndexes",
        "renameCollection"
      ])
      for (const [, comment] of sent) {
        if (comment !== undefined) expect(comment).toMatchObject({ span: "manage" })
      }
    }))
})
