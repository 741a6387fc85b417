import { describe, expect, layer } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Collection from "../../src/Collection.js"
import type * as MongoClient from "../../src/MongoClient.js"
import * as Update from "../../src/Update.js"
import { onClient, sent, things } from "../support/data/collections.js"
import * as Schemas from "../support/data/schemas.js"
import * as TestServer from "../support/server/testServer.js"
import type * as Monitor from "../support/watch/monitor.js"

const rows = <A, E, R>(stream: Stream.Stream<A, E, R>) =>
  Effect.map(Stream.runCollect(stream), (found) => Chunk.toReadonlyArray(found))

class Rates extends Context.Tag("test/Rates")<Rates, number>() {}

const Priced = Schema.Struct({
  _id: Schema.Number,
  price: Schema.transformOrFail(Schema.Number, Schema.Number, {
    strict: true,
    decode: (price) => Effect.map(Rates, (rate) => price * rate),
    encode: (price) => Effect.map(Rates, (rate) => price / rate)
  })
})

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  /** A test of things that were not all stored by this library: the third of them fits no schema. */
  const spoilt = (watched: Monitor.Watched) =>
    Effect.gen(function*() {
      const { Things, database, raw } = yield* things(watched, 4)
      yield* Effect.promise(() => raw.updateOne({ _id: 2 }, { $set: { n: "no number" } }))
      return { Things, database }
    })

  describe("documents that do not fit", () => {
    it.effect("fail the stream with _id and path, after those before them", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Things, database } = yield* spoilt(watched)
          const seen: Array<number> = []
          const reading = Stream.runForEach(Things.find({}, { sort: { _id: 1 } }), ({ _id }) =>
            Effect.sync(() => seen.push(_id)))
          const failed = { _tag: "DecodeFailed", source: `${database}.things`, documentId: "2", path: ["n"] }
          expect(yield* Effect.flip(reading)).toMatchObject(failed)
          expect(seen).toEqual([0, 1])
          const read = yield* Effect.flip(Things.findOne({ _id: 2 }))
          expect(read).toMatchObject(failed)
          expect(read).not.toMatchObject({ isWritten: true })
          expect(yield* Effect.flip(Things.findOneAndDelete({ _id: 2 }))).toMatchObject(failed)
        })
      ))

    it.effect("of a write that has taken effect are told as such", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Things, database } = yield* spoilt(watched)
          const raw = Collection.make(Things.name, { database })
          const filter = { _id: 2 }
          const update = Update.unsafe({ $set: { m: 1 } })
          const failed = {
            _tag: "DecodeFailed",
            source: `${database}.things`,
            documentId: "2",
            path: ["n"],
            isWritten: true,
            hint: expect.stringContaining("has taken effect")
          }
          expect(yield* Effect.flip(Things.findOneAndUpdate(filter, update))).toMatchObject(failed)
          expect(yield* Effect.flip(Things.findOneAndUpdate(filter, update, { includeResultMetadata: true })))
            .toMatchObject(failed)
          expect(yield* raw.findOne(filter)).toMatchObject(Option.some({ m: 1 }))
          expect(yield* Effect.flip(Things.findOneAndReplace(filter, { _id: 2, n: 5 }))).toMatchObject(failed)
          expect(yield* Things.findOne(filter)).toEqual(Option.some({ _id: 2, n: 5 }))
          yield* raw.updateOne(filter, { $set: { n: "no number" } })
          expect(yield* Effect.flip(Things.findOneAndDelete(filter))).toMatchObject(failed)
          expect(yield* raw.countDocuments(filter)).toBe(0)
        })
      ))

    it.effect("are never left out for a word that is none, which is refused before anything is sent", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Things, database } = yield* things(watched, 4)
          const whole = Schema.Struct({ _id: Schema.Number })
          for (const onInvalid of ["Fail", "ignore", "", null, 0, true]) {
            const options = { onInvalid: onInvalid as "fail" }
            const reads = [
              Stream.runDrain(Things.find({}, options)),
              Stream.runDrain(Things.aggregate([], { schema: whole, ...options }))
            ]
            for (const read of reads) {
              expect(yield* Effect.flip(read)).toMatchObject({
                _tag: "MongoError",
                reason: "InvalidOptions",
                namespace: `${database}.things`,
                hint: expect.stringContaining("`onInvalid` is")
              })
            }
          }
          expect(yield* sent(watched)).toEqual([])
        })
      ))

    it.effect("are left out, or told among the others, as asked for", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Things } = yield* spoilt(watched)
          const valid = yield* rows(Things.find({}, { onInvalid: "skip", sort: { _id: 1 }, batchSize: 2 }))
          expect(valid.map(({ n }) => n)).toEqual([0, 1, 3])
          const all = yield* rows(Things.find({}, { onInvalid: "either", sort: { _id: 1 }, batchSize: 2 }))
          expect(all.map(Either.isRight)).toEqual([true, true, false, true])
          const [, , third] = all
          expect(third).toMatchObject({ left: { _tag: "DecodeFailed", documentId: "2" } })
        })
      ))

    it.effect("are read as they are by a projection, or as another schema has them", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Things } = yield* spoilt(watched)
          const schema = Schema.Struct({ n: Schema.String })
          const filter = { _id: 2 }
          expect(yield* Things.findOne(filter, { projection: { n: 1, _id: 0 } }))
            .toEqual(Option.some({ n: "no number" }))
          expect(yield* rows(Things.find(filter, { projection: { n: 1 } }))).toEqual([{ _id: 2, n: "no number" }])
          expect(yield* rows(Things.find(filter, { schema }))).toEqual([{ n: "no number" }])
          expect(yield* Things.findOneAndUpdate(filter, { $set: { n: "2" } }, { schema }))
            .toEqual(Option.some({ n: "no number" }))
          const sums = Things.aggregate([{ $group: { _id: null, n: { $max: "$n" } } }], { schema })
          expect(yield* rows(sums)).toEqual([{ n: "3" }])
        })
      ))

    it.effect("a bug in a schema stays a bug", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { database } = yield* things(watched, 1)
          const bug = new Error("a bug in the schema")
          const schema = Schema.transform(
            Schema.Struct({ _id: Schema.Number }),
            Schema.Struct({ _id: Schema.Number }),
            {
              strict: true,
              decode: () => {
                throw bug
              },
              encode: (value) => value
            }
          )
          const Buggy = Collection.make("things", { database, schema })
          expect(yield* Effect.exit(Buggy.findOne())).toEqual(Exit.die(bug))
          expect(yield* Effect.exit(rows(Buggy.find({}, { onInvalid: "skip" })))).toEqual(Exit.die(bug))
        })
      ))
  })

  describe("a schema that needs a service", () => {
    it.effect("needs it where it is used, and nowhere else", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const Prices = Collection.make("prices", { database: (yield* things(watched, 0)).database, schema: Priced })
          yield* Effect.provideService(Prices.insertOne({ _id: 1, price: 20 }), Rates, 10)
          expect(yield* Prices.findOne({ _id: 1 }, { projection: { price: 1 } }))
            .toEqual(Option.some({ _id: 1, price: 2 }))
          expect(yield* Effect.provideService(Prices.findOne({ _id: 1 }), Rates, 100))
            .toEqual(Option.some({ _id: 1, price: 200 }))
          expect(yield* Prices.deleteOne({ _id: 1 })).toMatchObject({ deletedCount: 1 })
        })
      ))
  })

  describe.each(Schemas.packages)("a collection with a schema of $name", ({ of }) => {
    it.effect("finds what was inserted, for any schema and values", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { database } = yield* things(watched, 0)
          const run = Runtime.runPromise(yield* Effect.runtime<MongoClient.MongoClient>())
          const cases = Schemas.shapes.chain((shape) => {
            const { schema, values } = of(shape)
            return FastCheck.tuple(FastCheck.constant(schema), FastCheck.array(values, { minLength: 1, maxLength: 5 }))
          })
          let count = 0
          yield* Effect.promise(() =>
            FastCheck.assert(
              FastCheck.asyncProperty(cases, async ([schema, values]) => {
                const Any = Collection.make(`any${count++}`, { database, schema })
                const program = Effect.zipRight(Any.insertMany(values), rows(Any.find({}, { sort: { _id: 1 } })))
                const found = await run(program)
                expect(found).toEqual(values)
              }),
              { numRuns: 60 }
            )
          )
          expect(count).toBeGreaterThanOrEqual(60)
        })
      ))
  })
})
