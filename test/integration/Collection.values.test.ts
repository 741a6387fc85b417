import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Collection from "../../src/Collection.js"
import * as Database from "../../src/Database.js"
import * as MongoClient from "../../src/MongoClient.js"
import { on, sent, things } from "../support/data/collections.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

const Person = Schema.Struct({
  _id: Schema.Number,
  nick: Schema.optional(Schema.String),
  inner: Schema.optional(Schema.Struct({ deep: Schema.optional(Schema.String) })),
  list: Schema.optional(Schema.Array(Schema.Struct({ deep: Schema.UndefinedOr(Schema.String) })))
})

/** What is refused, and the path that its error names. */
type Refusal = readonly [Effect.Effect<unknown, { readonly _tag: string }, MongoClient.MongoClient>, string]

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  for (const ignoreUndefined of [false, true]) {
    describe(`with ignoreUndefined: ${ignoreUndefined}`, () => {
      const test = <A, E, R>(body: (watched: Monitor.Watched) => Effect.Effect<A, E, R>) =>
        Monitor.withClient({ driver: { ignoreUndefined } }, (watched) => on(watched)(body(watched)))

      it.effect("stores no field that is undefined, with a schema", () =>
        test((watched) =>
          Effect.gen(function*() {
            const { Things, database } = yield* things(watched, 0)
            const People = Collection.make(Things.name, { schema: Person, database })
            yield* People.insertOne({ _id: 1, nick: undefined, inner: { deep: undefined } })
            yield* People.insertMany([{ _id: 2, nick: undefined }])
            yield* People.replaceOne({ _id: 2 }, { _id: 2, inner: { deep: undefined } })
            yield* People.bulkWrite([{ insertOne: { document: { _id: 3, nick: undefined } } }])
            const raw = Collection.make(Things.name, { database })
            const stored = Array.from(yield* Stream.runCollect(raw.find({}, { sort: { _id: 1 } })))
            expect(stored).toEqual([{ _id: 1, inner: {} }, { _id: 2, inner: {} }, { _id: 3 }])
            expect(stored.every((one) => !("nick" in one))).toBe(true)
            expect(Array.from(yield* Stream.runCollect(People.find()))).toHaveLength(3)
          })
        ))

      it.effect("refuses undefined wherever it would change what is asked for, and sends nothing", () =>
        test((watched) =>
          Effect.gen(function*() {
            const { Things, database } = yield* things(watched, 3)
            const Raw = Collection.make(Things.name, { database })
            const absent = { age: undefined }
            const set = { $set: { a: { b: undefined } } }
            const refused: Record<string, Refusal> = {
              find: [Stream.runDrain(Raw.find(absent)), "age"],
              findOne: [Raw.findOne({ $or: [absent] }), "$or.0.age"],
              countDocuments: [Raw.countDocuments(absent), "age"],
              distinct: [Raw.distinct("a", absent), "age"],
              aggregate: [Stream.runDrain(Raw.aggregate([{ $match: absent }])), "0.$match.age"],
              watch: [Stream.runDrain(Raw.watch([{ $match: absent }])), "0.$match.age"],
              updateOne: [Raw.updateOne({}, set), "$set.a.b"],
              updateMany: [Raw.updateMany(absent, { $set: { a: 1 } }), "age"],
              pipeline: [Raw.updateOne({}, [set]), "0.$set.a.b"],
              arrayFilters: [Raw.updateOne({}, { $set: { a: 1 } }, { arrayFilters: [absent] }), "arrayFilters.0.age"],
              replaceOne: [Raw.replaceOne(absent, {}), "age"],
              deleteOne: [Raw.deleteOne(absent), "age"],
              deleteMany: [Raw.deleteMany(absent), "age"],
              findOneAndUpdate: [Raw.findOneAndUpdate({}, set), "$set.a.b"],
              findOneAndReplace: [Raw.findOneAndReplace(absent, {}), "age"],
              findOneAndDelete: [Raw.findOneAndDelete(absent), "age"],
              bulkWrite: [Raw.bulkWrite([{ deleteMany: { filter: absent } }]), "0.filter.age"],
              partialFilterExpression: [
                Raw.createIndex({ a: 1 }, { partialFilterExpression: absent }),
                "partialFilterExpression.age"
              ],
              createIndexes: [
                Raw.createIndexes([{ key: { a: 1 }, partialFilterExpression: absent }]),
                "0.partialFilterExpression.age"
              ],
              listCollections: [Stream.runDrain(Database.make(database).listCollections(absent)), "age"],
              nullByte: [Raw.insertOne({ a: { "b\0c": 1 } }), "a.b\\0c"],
              inArray: [Raw.insertOne({ tags: ["a", undefined] }), "tags.1"],
              bigint: [Raw.insertOne({ count: 2n ** 64n + 7n }), "count"],
              set: [Raw.insertOne({ tags: new Set(["a"]) }), "tags"],
              saidNothing: [Raw.deleteMany({ age: { toBSON: () => undefined } }), "age"],
              saidFunction: [Raw.deleteMany({ age: { toBSON: () => () => 1 } }), "age"],
              saidBigint: [Raw.insertOne({ age: { toBSON: () => 2n ** 70n } }), "age"],
              saidOfUpdate: [Raw.updateMany({}, { $set: { age: { toBSON: () => undefined } } }), "$set.age"],
              symbol: [Raw.deleteMany({ age: Symbol("age") }), "age"],
              view: [
                Database.make(database).createCollection("seen", {
                  viewOn: "things",
                  pipeline: [{ $match: { age: () => 1 } }]
                }),
                "pipeline.0.$match.age"
              ],
              validator: [
                Database.make(database).createCollection("checked", { validator: { age: { $gt: undefined } } }),
                "validator.age.$gt"
              ],
              command: [
                Database.make(database).command({ delete: "things", deletes: [{ q: { age: () => 1 }, limit: 0 }] }),
                "deletes.0.q.age"
              ],
              cursorCommand: [
                Stream.runDrain(
                  Database.make(database).runCursorCommand({ find: "things", filter: { age: Symbol("a") } })
                ),
                "filter.age"
              ],
              projection: [Stream.runDrain(Raw.find({}, { projection: { age: () => 1 } })), "projection.age"],
              projectionOfOne: [Raw.findOne({}, { projection: { age: undefined } }), "projection.age"],
              projectionOfWrite: [
                Raw.findOneAndDelete({}, { projection: { age: Symbol("age") } }),
                "projection.age"
              ],
              projectionOfPlan: [Raw.explainFind({}, { projection: { age: () => 1 } as object }), "projection.age"],
              hint: [Raw.deleteMany({}, { hint: { age: () => 1 } }), "hint.age"],
              hintOfBulk: [Raw.bulkWrite([{ deleteMany: { filter: {}, hint: { age: () => 1 } } }]), "0.hint.age"],
              collation: [Raw.deleteMany({}, { collation: { locale: () => 1 } as never }), "collation.locale"],
              index: [Raw.createIndex({ age: () => 1 } as never), "key.age"],
              indexOfMany: [Raw.createIndexes([{ key: { age: () => 1 } as never }]), "0.key.age"],
              searchIndex: [Raw.createSearchIndex({ definition: { age: () => 1 } }), "indexes.0.definition.age"],
              function: [Raw.deleteMany({ age: () => 1 }), "age"],
              functionOfUpdate: [Raw.updateMany({}, { $set: { a: () => 1 } }), "$set.a"],
              functionOfPipeline: [Stream.runDrain(Raw.aggregate([{ $match: { a: () => 1 } }])), "0.$match.a"],
              functionInDocument: [Raw.insertOne({ a: () => 1 }), "a"],
              symbolOfBulk: [Raw.bulkWrite([{ deleteMany: { filter: { age: Symbol("age") } } }]), "0.filter.age"],
              date: [Raw.insertOne({ at: new Date(Number.NaN) }), "at"]
            }
            for (const [name, [effect, path]] of Object.entries(refused)) {
              const failure = yield* Effect.flip(Effect.asVoid(effect))
              expect(failure, name).toMatchObject({
                _tag: "MongoError",
                reason: "EncodingFailed",
                hint: expect.stringContaining(`\`${path}\` is`)
              })
            }
            expect(yield* Raw.countDocuments()).toBe(3)
          })
        ))

      it.effect("leaves fields out without a schema, and asks a class how it is stored", () =>
        test((watched) =>
          Effect.gen(function*() {
            const { Things, database } = yield* things(watched, 0)
            const Raw = Collection.make(Things.name, { database })
            class Money {
              readonly #cents = 5
              toBSON() {
                return { _id: 2, cents: this.#cents }
              }
            }
            const given = { _id: 1, nick: undefined, inner: { deep: undefined, at: new Date(5) } }
            yield* Raw.insertOne(given)
            yield* Raw.insertOne(new Money())
            expect(Object.keys(given)).toEqual(["_id", "nick", "inner"])
            expect(Array.from(yield* Stream.runCollect(Raw.find({}, { sort: { _id: 1 } })))).toEqual([
              { _id: 1, inner: { at: new Date(5) } },
              { _id: 2, cents: 5 }
            ])
          })
        ))
    })
  }

  it.effect("stores functions as code where the client or the operation says so, and asks for them", () =>
    Monitor.withClient({ driver: { serializeFunctions: true } }, (watched) =>
      on(watched)(Effect.gen(function*() {
        const { Things, database } = yield* things(watched, 0)
        const Raw = Collection.make(Things.name, { database })
        const call = () => 1
        yield* Raw.insertOne({ _id: 1, call })
        yield* Raw.insertMany([{ _id: 2, call }])
        yield* Raw.bulkWrite([{ insertOne: { document: { _id: 3, call } } }])
        yield* Raw.replaceOne({ _id: 3 }, { _id: 3, call })
        const codes = yield* Stream.runCollect(Raw.find({ call: { $type: "javascript" } }))
        expect(codes.length).toBe(3)
        yield* Raw.insertMany([{ _id: 4 }, { _id: 5 }, { _id: 6 }])
        const set = { $set: { call } }
        yield* Raw.updateOne({ _id: 4 }, set)
        yield* Raw.findOneAndUpdate({ _id: 5 }, set)
        yield* Raw.bulkWrite([{ updateOne: { filter: { _id: 6 }, update: set } }])
        // A filter whose function was left out would match the last one, too.
        yield* Raw.insertOne({ _id: 7 })
        const count = Stream.runCount
        expect(yield* count(Raw.find({ call }))).toBe(6)
        expect(yield* Raw.countDocuments({ call })).toBe(6)
        expect(yield* Raw.distinct("_id", { call })).toHaveLength(6)
        expect(yield* count(Raw.aggregate([{ $match: { call } }]))).toBe(6)
        expect(yield* Effect.map(Raw.findOne({ call, _id: 7 }), Option.isNone)).toBe(true)
        const db = Database.make(database)
        // Of commands the driver encodes none by the client's option.
        const own = { serializeFunctions: true }
        const query = { call }
        expect(yield* db.command({ count: Things.name, query }, own)).toMatchObject({ n: 6 })
        expect(yield* count(db.runCursorCommand({ find: Things.name, filter: query }, own))).toBe(6)
        expect(yield* count(db.aggregate([{ $listLocalSessions: {} }, { $match: { call } }]))).toBe(0)
        expect(yield* count(db.listCollections({ name: call }))).toBe(0)
        yield* db.createCollection("checked", { validator: { call } })
        const [checked] = yield* Stream.runCollect(db.listCollections({ name: "checked" }))
        expect(checked).toMatchObject({ options: { validator: { call: expect.anything() } } })
        yield* Raw.createIndex({ call: 1 }, { name: "call", partialFilterExpression: { call } })
        const indexes = yield* Stream.runCollect(Raw.listIndexes())
        expect(Array.from(indexes).find(({ name }) => name === "call")).toMatchObject({
          partialFilterExpression: { call: expect.anything() }
        })
        yield* Raw.dropIndex("call")
        yield* Raw.bulkWrite([{ deleteMany: { filter: { call, _id: { $gte: 6 } } } }])
        yield* Raw.deleteMany({ call, _id: { $ne: 1 } })
        expect(Array.from(yield* Stream.runCollect(Raw.find({}, { projection: { _id: 1 }, sort: { _id: 1 } }))))
          .toEqual([
            { _id: 1 },
            { _id: 7 }
          ])
        const refused: ReadonlyArray<Refusal[0]> = [
          Raw.deleteMany({ call }, { serializeFunctions: false }),
          Raw.updateMany({}, set, { serializeFunctions: false }),
          Raw.insertOne({ call }, { serializeFunctions: false }),
          db.command({ count: Things.name, query }),
          Stream.runDrain(db.runCursorCommand({ find: Things.name, filter: query })),
          // The driver encodes it by no option.
          MongoClient.bulkWrite([{ namespace: "a.b", name: "deleteMany", filter: { call } }])
        ]
        for (const effect of refused) {
          expect(yield* Effect.flip(Effect.asVoid(effect))).toMatchObject({ reason: "EncodingFailed" })
        }
        expect(yield* Raw.countDocuments()).toBe(2)
      }))))

  it.effect("inserts no document with an `_id` of null, for the driver would give it another, and replaces one", () =>
    Monitor.withClient({}, (watched) =>
      on(watched)(Effect.gen(function*() {
        const { Things, database } = yield* things(watched, 0)
        const Raw = Collection.make(Things.name, { database })
        const document = { _id: null }
        const refused: ReadonlyArray<Refusal[0]> = [
          Raw.insertOne(document),
          Raw.insertMany([{}, document]),
          Raw.bulkWrite([{ insertOne: { document } }])
        ]
        for (const effect of refused) {
          expect(yield* Effect.flip(Effect.asVoid(effect))).toMatchObject({
            reason: "EncodingFailed",
            hint: expect.stringContaining("`_id` is null")
          })
        }
        expect(yield* sent(watched)).toEqual([])
        yield* Raw.replaceOne(document, { a: 1 }, { upsert: true })
        yield* Raw.replaceOne(document, { ...document, a: 2 })
        yield* Raw.bulkWrite([{ replaceOne: { filter: document, replacement: { ...document, a: 3 } } }])
        expect(Array.from(yield* Stream.runCollect(Raw.find(document)))).toEqual([{ _id: null, a: 3 }])
      }))))

  const document = { _id: null }
  const forced = { forceServerObjectId: true } as const
  for (const [where, driver, options] of [["client", forced, {}], ["operation", {}, forced]] as const) {
    it.effect(`inserts a document with an \`_id\` of null where the ${where} leaves ids to the server`, () =>
      Monitor.withClient({ driver }, (watched) =>
        on(watched)(Effect.gen(function*() {
          const { Things, database } = yield* things(watched, 0)
          const Raw = Collection.make(Things.name, { database })
          const inserts: ReadonlyArray<Refusal[0]> = [
            Raw.insertOne(document, options),
            Raw.insertMany([document], options),
            Raw.bulkWrite([{ insertOne: { document } }], options)
          ]
          for (const insert of inserts) {
            yield* Effect.asVoid(insert)
            expect(Array.from(yield* Stream.runCollect(Raw.find()))).toEqual([document])
            yield* Raw.deleteMany({})
          }
        }))))
  }
})
