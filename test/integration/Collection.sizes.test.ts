import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Driver from "mongodb"
import * as Collection from "../../src/Collection.js"
import type { MongoClient } from "../../src/MongoClient.js"
import type { DecodeFailed, OperationError } from "../../src/SessionErrors.js"
import { on, sent, things } from "../support/data/collections.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

type Failing = Effect.Effect<unknown, OperationError | DecodeFailed, MongoClient>

const mebibyte = 2 ** 20

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  const test = <A, E, R>(body: (watched: Monitor.Watched) => Effect.Effect<A, E, R>) =>
    Monitor.withClient({}, (watched) => on(watched)(body(watched)))

  const expectTooLarge = (failing: Readonly<Record<string, Failing>>) =>
    Effect.forEach(
      Object.entries(failing),
      ([name, effect]) =>
        Effect.map(Effect.flip(Effect.asVoid(effect)), (error) =>
          expect(error, name).toMatchObject({ _tag: "MongoError", reason: "DocumentTooLarge" }))
    )

  describe("a document of more than 16 MiB", () => {
    // About the limit, and about the 17 MiB of the encoder's buffer, at whose end it cuts a text.
    for (const size of [16 * mebibyte, 16 * mebibyte + 20_000, 17 * mebibyte - 18, 17 * mebibyte, 40 * mebibyte]) {
      it.effect(`is refused wherever it is written, with ${size} bytes, and nothing is sent`, () =>
        test((watched) =>
          Effect.gen(function*() {
            const { Things, database } = yield* things(watched, 0)
            const Raw = Collection.make(Things.name, { database })
            const document = { text: "x".repeat(size - 20) }
            yield* expectTooLarge({
              insertOne: Raw.insertOne(document),
              insertMany: Raw.insertMany([{}, document]),
              replaceOne: Raw.replaceOne({}, document),
              bulkWrite: Raw.bulkWrite([{ insertOne: { document } }]),
              findOneAndReplace: Raw.findOneAndReplace({}, document)
            })
            expect(yield* sent(watched)).toEqual([])
          })
        ))
    }

    it.effect("is refused as a filter or an update, also where it is made of small parts", () =>
      test((watched) =>
        Effect.gen(function*() {
          const { Things, database } = yield* things(watched, 0)
          const Raw = Collection.make(Things.name, { database })
          const ids = Array.from({ length: 2_000_000 }, (_, n) => n)
          const texts = Array.from({ length: 20_000 }, () => "€".repeat(300))
          yield* expectTooLarge({
            find: Stream.runDrain(Raw.find({ _id: { $in: ids } })),
            aggregate: Stream.runDrain(Raw.aggregate([{ $match: { _id: { $in: ids } } }])),
            texts: Stream.runDrain(Raw.find({ a: { $in: texts } })),
            deleteMany: Raw.deleteMany({ _id: { $in: ids } }),
            updateOne: Raw.updateOne({}, { $set: { bytes: new Uint8Array(17 * mebibyte) } }),
            insertOne: Raw.insertOne({ texts })
          })
          expect(yield* sent(watched)).toEqual([])
        })
      ))

    it.effect("is refused where its bytes and texts are in values of BSON's own types", () =>
      test((watched) =>
        Effect.gen(function*() {
          const { Things, database } = yield* things(watched, 0)
          const Raw = Collection.make(Things.name, { database })
          const long = "x".repeat(17 * mebibyte)
          const value = new Driver.Binary(new Uint8Array(17 * mebibyte))
          const others = {
            Code: new Driver.Code(long),
            scope: new Driver.Code("x", { long }),
            BSONRegExp: new Driver.BSONRegExp(long),
            BSONSymbol: new Driver.BSONSymbol(long),
            DBRef: new Driver.DBRef("things", new Driver.ObjectId(), undefined, { long }),
            many: Array.from({ length: 2_000_000 }, () => Driver.Long.ONE)
          }
          yield* expectTooLarge({
            insertOne: Raw.insertOne({ value }),
            insertMany: Raw.insertMany([{}, { value }]),
            updateOne: Raw.updateOne({}, { $set: { value } }),
            bulkWrite: Raw.bulkWrite([{ replaceOne: { filter: {}, replacement: { value } } }]),
            ...Object.fromEntries(
              Object.entries(others).map((
                [name, value]
              ): readonly [string, Failing] => [name, Raw.insertOne({ value })])
            )
          })
          expect(yield* sent(watched)).toEqual([])
        })
      ))

    it.effect("is refused where an update would make one", () =>
      test((watched) =>
        Effect.gen(function*() {
          const { Things, database } = yield* things(watched, 0)
          const Raw = Collection.make(Things.name, { database })
          yield* Raw.insertOne({ _id: 1, a: "x".repeat(9 * mebibyte) })
          yield* expectTooLarge({
            updateOne: Raw.updateOne({ _id: 1 }, [{ $set: { b: "$a" } }]),
            findOneAndUpdate: Raw.findOneAndUpdate({ _id: 1 }, [{ $set: { b: "$a" } }]),
            aggregate: Stream.runDrain(Raw.aggregate([{ $set: { b: "$a" } }, { $out: "larger" }]))
          })
        })
      ))

    it.effect("is none of the writes of a bulk that has more in all", () =>
      test((watched) =>
        Effect.gen(function*() {
          const { Things, database } = yield* things(watched, 0)
          const Raw = Collection.make(Things.name, { database })
          yield* Raw.insertMany([{ _id: 0 }, { _id: 1 }])
          const text = "x".repeat(9 * mebibyte)
          const written = yield* Raw.bulkWrite([
            { updateOne: { filter: { _id: 0 }, update: { $set: { text } } } },
            { updateOne: { filter: { _id: 1 }, update: { $set: { text } } } },
            { updateMany: { filter: { text: { $ne: text } }, update: { $set: { n: 1 } } } }
          ])
          expect(written.modifiedCount).toBe(2)
          const long = "x".repeat(17 * mebibyte)
          yield* expectTooLarge({
            bulkWrite: Raw.bulkWrite([{ deleteOne: { filter: {} } }, { deleteMany: { filter: { long } } }])
          })
          expect(
            yield* Effect.flip(Raw.bulkWrite([
              { deleteOne: { filter: {} } },
              { updateOne: { filter: {}, update: { $set: { a: undefined } } } }
            ]))
          ).toMatchObject({ reason: "EncodingFailed", hint: expect.stringContaining("`1.update.$set.a`") })
          expect(yield* Raw.countDocuments()).toBe(2)
        })
      ))

    it.effect("may have nearly as much", () =>
      test((watched) =>
        Effect.gen(function*() {
          const { Things, database } = yield* things(watched, 0)
          const Raw = Collection.make(Things.name, { database })
          yield* Raw.insertOne({ text: "x".repeat(16 * mebibyte - 60) })
          yield* Raw.insertMany([{ text: "x".repeat(16 * mebibyte - 60) }])
          expect(yield* Raw.countDocuments()).toBe(2)
        })
      ))
  })

  describe("what is written", () => {
    it.effect("must have operators where it is an update", () =>
      test((watched) =>
        Effect.gen(function*() {
          const { Things, database } = yield* things(watched, 1)
          const Raw = Collection.make(Things.name, { database })
          const update: object = { n: "2" }
          const failing: ReadonlyArray<Failing> = [
            Raw.updateOne({}, update),
            Raw.updateMany({}, {}),
            Raw.findOneAndUpdate({}, { $set: { a: 1 }, ...update }),
            Raw.bulkWrite([{ updateOne: { filter: {}, update } }]),
            Raw.bulkWrite([{ updateMany: { filter: {}, update } }])
          ]
          for (const effect of failing) {
            expect(yield* Effect.flip(Effect.asVoid(effect))).toMatchObject({
              _tag: "MongoError",
              reason: "InvalidOptions",
              hint: expect.stringContaining("replaceOne")
            })
          }
          expect(yield* sent(watched)).toEqual([])
        })
      ))

    it.effect("may be no documents", () =>
      test((watched) =>
        Effect.gen(function*() {
          const { Things, database } = yield* things(watched, 0)
          const Raw = Collection.make(Things.name, { database })
          expect(yield* Raw.insertMany([])).toEqual({ acknowledged: true, insertedCount: 0, insertedIds: {} })
          expect(yield* sent(watched)).toEqual([])
        })
      ))
  })
})
