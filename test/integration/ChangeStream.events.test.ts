import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { Timestamp } from "mongodb"
import * as ChangeStream from "../../src/ChangeStream.js"
import { fromSchema, raw } from "../../src/Codec.js"
import { changing, follow, type Numbered, told } from "../support/data/changes.js"
import { onClient, sent } from "../support/data/collections.js"
import * as TestServer from "../support/server/testServer.js"
import * as Versions from "../support/server/versions.js"
import * as Monitor from "../support/watch/monitor.js"

const Thing = fromSchema(Schema.Struct({ _id: Schema.Number, n: Schema.NumberFromString }))

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  // A cursor that the server has ended needs no killing.
  const onClientToTheEnd = <A, E, R>(test: (watched: Monitor.Watched) => Effect.Effect<A, E, R>) =>
    onClient((watched) =>
      Effect.zipRight(
        Effect.scoped(test(watched)),
        Effect.map(sent(watched), (names) => expect(names).not.toContain("killCursors"))
      )
    )

  describe("the changes of a collection", () => {
    it.effect("are told in order, each kind as its own type, until it is dropped", () =>
      onClientToTheEnd((watched) =>
        Effect.gen(function*() {
          const { collection, database, target } = yield* changing(watched)
          const { fiber, given } = yield* follow(
            watched,
            ChangeStream.watch(target, Thing, [], { fullDocument: "updateLookup" })
          )
          yield* Effect.promise(() => collection.insertOne({ _id: 1, n: "1" }))
          yield* Effect.promise(() => collection.updateOne({ _id: 1 }, { $set: { n: "2" } }))
          // The document is looked up when the event is read.
          yield* Monitor.until(given, ({ length }) => length === 2)
          yield* Effect.promise(() => collection.replaceOne({ _id: 1 }, { n: "3" }))
          yield* Monitor.until(given, ({ length }) => length === 3)
          yield* Effect.promise(() => collection.deleteOne({ _id: 1 }))
          yield* Effect.promise(() => collection.drop())
          yield* Fiber.join(fiber)
          const events = yield* given
          expect(told(events)).toEqual(["insert 1", "update 1", "replace 1", "delete 1", "drop", "invalidate"])
          const [insert, update, replace, deletion, drop] = events
          const namespace = { database, collection: "things" }
          expect(insert).toMatchObject({ namespace, fullDocument: Option.some({ _id: 1, n: 1 }) })
          expect(update).toMatchObject({
            namespace,
            fullDocument: Option.some({ _id: 1, n: 2 }),
            updateDescription: { updatedFields: { n: "2" }, removedFields: [], truncatedArrays: [] }
          })
          expect(replace).toMatchObject({ namespace, fullDocument: Option.some({ _id: 1, n: 3 }) })
          expect(deletion).toMatchObject({ namespace, fullDocument: Option.none() })
          expect(drop).toMatchObject({ namespace })
          const hasWallTime = yield* Versions.has({ version: "6.0" })
          for (const { clusterTime, wallTime } of events) {
            expect(Option.getOrThrow(clusterTime)).toBeInstanceOf(Timestamp)
            expect(Option.isSome(wallTime)).toBe(hasWallTime)
          }
        })
      ))

    it.effect("end with its renaming, which tells the new name", () =>
      onClientToTheEnd((watched) =>
        Effect.gen(function*() {
          const { changes, collection, database } = yield* changing(watched)
          const { fiber, given } = yield* follow(watched, changes)
          yield* Effect.promise(() => collection.rename("others"))
          yield* Fiber.join(fiber)
          const events = yield* given
          expect(told(events)).toEqual(["rename", "invalidate"])
          expect(events[0]).toMatchObject({
            namespace: { database, collection: "things" },
            to: { database, collection: "others" }
          })
        })
      ))

    it.effect("are those of indexes, too, if that is asked for", (context) =>
      onClient((watched) =>
        Effect.gen(function*() {
          yield* Versions.needs(context, Versions.expandedEvents)
          const { collection, target } = yield* changing(watched)
          const { until } = yield* follow(watched, ChangeStream.watch(target, raw, [], { showExpandedEvents: true }))
          yield* Effect.promise(() => collection.createIndex({ n: 1 }, { name: "by_n" }))
          yield* Effect.promise(() => collection.dropIndex("by_n"))
          const events = yield* until(2)
          expect(told(events)).toEqual(["createIndexes", "dropIndexes"])
          expect(events.map((event) => "operationDescription" in event && Option.isSome(event.operationDescription)))
            .toEqual([true, true])
        })
      ))

    it.effect("are NotSupported where they are asked for by an option that the server does not know", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { target } = yield* changing(watched)
          const expanded = Stream.runDrain(ChangeStream.watch(target, raw, [], { showExpandedEvents: true }))
          const ended = yield* Effect.timeoutOption(Effect.flip(expanded), "1 second")
          if (yield* Versions.has(Versions.expandedEvents)) expect(ended).toEqual(Option.none())
          else expect(ended).toMatchObject(Option.some({ _tag: "MongoError", reason: "NotSupported" }))
        })
      ))

    it.effect("come with the documents as they were before, if the collection keeps them", (context) =>
      onClient((watched) =>
        Effect.gen(function*() {
          yield* Versions.needs(context, { version: "6.0", what: "pre-images" })
          const { collection, db, put, target } = yield* changing(watched)
          yield* Effect.promise(() =>
            db.command({ collMod: "things", changeStreamPreAndPostImages: { enabled: true } })
          )
          const { until } = yield* follow(
            watched,
            ChangeStream.watch(target, Thing, [], { fullDocumentBeforeChange: "required" })
          )
          yield* put(1)
          yield* Effect.promise(() => collection.updateOne({ _id: 1 }, { $set: { n: "5" } }))
          yield* Effect.promise(() => collection.deleteOne({ _id: 1 }))
          expect(
            (yield* until(3)).map((event) => "fullDocumentBeforeChange" in event && event.fullDocumentBeforeChange)
          )
            .toEqual([Option.none(), Option.some({ _id: 1, n: 1 }), Option.some({ _id: 1, n: 5 })])
        })
      ))

    it.effect("are those that the pipeline lets through", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { put, target } = yield* changing(watched)
          const { until } = yield* follow(
            watched,
            ChangeStream.watch(target, raw, [{ $match: { "documentKey._id": { $gt: 2 } } }, { $unset: "fullDocument" }])
          )
          yield* put(1, 2, 3)
          const events = yield* until(1)
          expect(told(events)).toEqual(["insert 3"])
          expect(events[0]).toMatchObject({ fullDocument: Option.none() })
        })
      ))
  })

  describe("the changes of a database and of a deployment", () => {
    it.effect("are those of all collections there, and no others", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { database, db } = yield* changing(watched)
          const other = yield* TestServer.database
          const ofDatabase = yield* follow(watched, ChangeStream.watch({ database }, raw))
          const ofAll = yield* follow(
            watched,
            ChangeStream.watch({}, raw, [{ $match: { "ns.db": { $in: [database, other] } } }])
          )
          yield* Effect.promise(() => db.collection<Numbered>("a").insertOne({ _id: 1 }))
          yield* Effect.promise(() => watched.client.driver.db(other).collection<Numbered>("b").insertOne({ _id: 2 }))
          yield* Effect.promise(() => db.collection<Numbered>("c").insertOne({ _id: 3 }))
          expect(told(yield* ofAll.until(3))).toEqual(["insert 1", "insert 2", "insert 3"])
          const events = yield* ofDatabase.until(2)
          expect(told(events)).toEqual(["insert 1", "insert 3"])
          expect(events.map((event) => "namespace" in event && event.namespace))
            .toEqual([{ database, collection: "a" }, { database, collection: "c" }])
        })
      ))

    it.effect("end with the database", () =>
      onClientToTheEnd((watched) =>
        Effect.gen(function*() {
          const { database, db } = yield* changing(watched)
          const { fiber, given } = yield* follow(watched, ChangeStream.watch({ database }, raw))
          yield* Effect.promise(() => db.dropDatabase())
          yield* Fiber.join(fiber)
          const events = yield* given
          expect(told(events).slice(-2)).toEqual(["dropDatabase", "invalidate"])
          expect(events.at(-2)).toMatchObject({ namespace: { database } })
        })
      ))
  })
})
