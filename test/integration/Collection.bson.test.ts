import { describe, expect, layer } from "@effect/vitest"
import * as BigDecimal from "effect/BigDecimal"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Driver from "mongodb"
import * as Collection from "../../src/Collection.js"
import * as Filter from "../../src/Filter.js"
import { all, packages } from "../support/data/bson.js"
import { on, onClient } from "../support/data/collections.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

// Each changes the form in which some values are read.
const clients = FastCheck.record({ promoteBuffers: FastCheck.boolean() }).chain((bytes) =>
  FastCheck.constantFrom<Driver.BSONSerializeOptions>(
    {},
    { promoteLongs: false },
    { promoteValues: false },
    { useBigInt64: true }
  ).map((numbers) => ({ ...bytes, ...numbers }))
)

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  for (const used of packages) {
    const { S, Schemas, isSame, name, values } = used

    describe(`values of BSON by ${name}`, () => {
      it.effect("are read as they were written, and found by what is stored, whatever the client's options are", () =>
        Effect.gen(function*() {
          const schemas = all(used)
          const Whole = S.Struct(schemas) as unknown as Schema.Schema<
            Readonly<Record<string, unknown>>,
            Readonly<Record<string, unknown>>
          >
          const documents = FastCheck.record(
            Object.fromEntries(Object.entries(schemas).map(([field, schema]) => [field, values(schema)]))
          ).filter((value) => S.encodeUnknownOption(Whole)(value)._tag === "Some")
          const database = yield* TestServer.database
          for (const [driver, written] of FastCheck.sample(FastCheck.tuple(clients, documents), 12)) {
            yield* Monitor.withClient({ driver }, (watched) =>
              on(watched)(Effect.gen(function*() {
                const Things = Collection.make("bson", { database, schema: Whole })
                const { insertedId } = yield* Things.insertOne(written)
                const found = Option.getOrThrow(yield* Things.findById(insertedId))
                const stored = yield* S.encode(Whole)(written)
                for (const [field, schema] of Object.entries(schemas)) {
                  const about = `${field} with ${JSON.stringify(driver)}`
                  // Promoted bytes have no subtype.
                  const isLost = field === "BinaryFromSelf" && driver.promoteBuffers === true
                  if (!isLost) expect(isSame(schema)(found[field], written[field]), about).toBe(true)
                  const filter = Filter.unsafe({ _id: insertedId, [field]: { $eq: stored[field] } })
                  expect(Number(yield* Things.countDocuments(filter)), about).toBe(1)
                }
              })))
          }
        }))

      it.effect("are stored with the types that BSON has for them", () =>
        onClient(() =>
          Effect.gen(function*() {
            const database = yield* TestServer.database
            const Typed = Collection.make("typed", {
              database,
              schema: S.Struct({
                objectId: Schemas.HexFromObjectId,
                decimal: Schemas.BigDecimalFromDecimal128,
                long: Schemas.BigIntFromLong,
                binData: Schemas.StringFromUUID,
                timestamp: Schemas.TimestampFromSelf
              })
            })
            yield* Typed.insertOne({
              objectId: "0123456789abcdef01234567",
              decimal: BigDecimal.unsafeFromString("1.50"),
              long: 2n ** 60n,
              binData: "01234567-89ab-4def-8123-456789abcdef",
              timestamp: new Driver.Timestamp({ t: 1, i: 2 })
            })
            for (const type of ["objectId", "decimal", "long", "binData", "timestamp"]) {
              expect(yield* Typed.countDocuments(Filter.unsafe({ [type]: { $type: type } })), type).toBe(1)
            }
          })
        ))
    })

    describe(`documents whose id the driver makes, by ${name}`, () => {
      const Named = S.Struct({ name: S.String, n: S.optional(S.NumberFromString) })
      const Users = (database: string) => Collection.make("named", { database, schema: Schemas.withId(Named) })

      it.effect("are inserted without it, and read with it", () =>
        onClient(() =>
          Effect.gen(function*() {
            const users = Users(yield* TestServer.database)
            const { insertedId } = yield* users.insertOne({ name: "Ada", n: 5 })
            expect(insertedId).toBeInstanceOf(Driver.ObjectId)
            expect(yield* users.findById(insertedId)).toEqual(Option.some({ _id: insertedId, name: "Ada", n: 5 }))
            yield* users.insertMany([{ name: "Bob", _id: undefined }, { name: "Cy" }])
            yield* users.bulkWrite([{ insertOne: { document: { name: "Dee" } } }])
            const all = Array.from(yield* Stream.runCollect(users.find({}, { sort: { name: 1 } })))
            expect(all.map((user) => user.name)).toEqual(["Ada", "Bob", "Cy", "Dee"])
            for (const { _id } of all) expect(_id).toBeInstanceOf(Driver.ObjectId)
          })
        ))

      it.effect("have the program's own id where it gives one, and keep theirs when they are replaced", () =>
        onClient(() =>
          Effect.gen(function*() {
            const users = Users(yield* TestServer.database)
            const _id = new Driver.ObjectId()
            const { insertedId } = yield* users.insertOne({ _id, name: "Ada" })
            expect(insertedId).toEqual(_id)
            yield* users.replaceOne({ _id }, { name: "Bob" })
            expect(yield* users.findById(_id)).toEqual(Option.some({ _id, name: "Bob" }))
            const read = Option.getOrThrow(yield* users.findById(_id))
            const after = yield* users.findOneAndReplace({ _id }, { ...read, n: 7 }, { returnDocument: "after" })
            expect(after).toEqual(Option.some({ _id, name: "Bob", n: 7 }))
          })
        ))

      it.effect("with an id of another kind, or a document without one, fail by name", () =>
        onClient(() =>
          Effect.gen(function*() {
            const database = yield* TestServer.database
            const users = Users(database)
            yield* Collection.make("named", { database }).insertOne({ _id: "ada" as unknown, name: "Ada" })
            const failed = yield* Effect.flip(users.findOne())
            expect(failed).toMatchObject({ _tag: "DecodeFailed", path: ["_id"], issue: "expected an ObjectId" })
          })
        ))

      it.effect("may have an id of another type", () =>
        onClient(() =>
          Effect.gen(function*() {
            const database = yield* TestServer.database
            const users = Collection.make("keyed", {
              database,
              schema: Schemas.withId(Named, Schemas.StringFromUUID)
            })
            const _id = "01234567-89ab-4def-8123-456789abcdef"
            yield* users.insertOne({ _id, name: "Ada" })
            expect(yield* users.findOne()).toEqual(Option.some({ _id, name: "Ada" }))
            expect(yield* users.countDocuments({ _id: new Driver.UUID(_id) })).toBe(1)
          })
        ))

      it.effect("may be instances of a class, which get the field", () =>
        onClient(() =>
          Effect.gen(function*() {
            class User extends S.Class<User>("User")({ name: S.String, total: Schemas.LongFromSelf }) {
              get greeting() {
                return `Hello ${this.name}`
              }
            }
            const database = yield* TestServer.database
            const users = Collection.make("instances", { database, schema: Schemas.withId(User) })
            const { insertedId } = yield* users.insertOne(new User({ name: "Ada", total: Driver.Long.ONE }))
            const read = Option.getOrThrow(yield* users.findOne({ name: "Ada", _id: insertedId }))
            expect(read).toBeInstanceOf(User)
            expect([read.greeting, read._id, read.total]).toEqual(["Hello Ada", insertedId, Driver.Long.ONE])
            yield* users.replaceOne({ _id: insertedId }, read)
            yield* users.replaceOne({ _id: insertedId }, new User({ name: "Bob", total: Driver.Long.ONE }))
            expect(Option.map(yield* users.findById(insertedId), (user) => user.greeting)).toEqual(
              Option.some("Hello Bob")
            )
          })
        ))
    })
  }

  describe("a model with a variant `insert`", () => {
    it.effect("is written as the variant has it", () =>
      onClient(() =>
        Effect.gen(function*() {
          const database = yield* TestServer.database
          const select = Schema.Struct({ _id: Schema.instanceOf(Driver.ObjectId), at: Schema.DateFromSelf })
          const insert = Schema.Struct({
            at: Schema.transform(Schema.DateFromSelf, Schema.Undefined, {
              strict: true,
              decode: () => undefined,
              encode: () => new Date(5)
            })
          })
          const model = Collection.make("model", { database, schema: Object.assign(select, { insert }) })
          const { insertedId } = yield* model.insertOne({ at: undefined })
          expect(yield* model.findOne()).toEqual(Option.some({ _id: insertedId, at: new Date(5) }))
        })
      ))
  })
})
