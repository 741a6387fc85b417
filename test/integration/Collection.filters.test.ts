import { expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Collection from "../../src/Collection.js"
import * as Filter from "../../src/Filter.js"
import { bulkWrite, type MongoClient } from "../../src/MongoClient.js"
import * as Transaction from "../../src/Transaction.js"
import { numbers, onClient, sent, things } from "../support/data/collections.js"
import * as TestServer from "../support/server/testServer.js"

const Account = Schema.Struct({ _id: Schema.String, password: Schema.String })

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  it.effect("a value of a request is a value, whatever its fields are called", () =>
    onClient(() =>
      Effect.gen(function*() {
        const database = yield* TestServer.database
        const Accounts = Collection.make("accounts", { schema: Account, database })
        const Loose = Collection.make("accounts", { database })
        yield* Accounts.insertOne({ _id: "ada", password: "secret" })
        const attacks: ReadonlyArray<unknown> = [
          { $ne: null },
          { $gt: "" },
          { $regex: "" },
          { $exists: true },
          { $in: ["secret"] },
          { $not: { $eq: 1 } },
          { $eq: "secret" },
          /secret/,
          [],
          null
        ]
        for (const password of attacks) {
          // What the plain filter does with it is why there is the other.
          expect(yield* Accounts.findOne({ _id: "ada", password: Filter.eq(password) })).toEqual(Option.none())
          expect(yield* Loose.findOne({ _id: "ada", password: Filter.eq(password) })).toEqual(Option.none())
          expect(yield* Accounts.countDocuments({ $or: [{ password: Filter.eq(password) }] })).toBe(0)
        }
        expect(yield* Loose.countDocuments({ password: attacks[0] })).toBe(1)
        expect(yield* Accounts.countDocuments(Filter.unsafe({ password: attacks[0] }))).toBe(1)
        for (const password of ["secret"] as ReadonlyArray<unknown>) {
          expect(Option.isSome(yield* Accounts.findOne({ _id: "ada", password: Filter.eq(password) }))).toBe(true)
          expect(Option.isSome(yield* Loose.findOne({ password: Filter.eq(password) }))).toBe(true)
        }
      })
    ))

  it.effect("a value with fields like operators is found, where it is stored", () =>
    onClient(() =>
      Effect.gen(function*() {
        const Loose = Collection.make("odd", { database: yield* TestServer.database })
        yield* Loose.insertOne({ _id: "odd", value: { a: { b: 1 } } })
        expect(yield* Loose.countDocuments({ value: Filter.eq({ a: { b: 1 } }) })).toBe(1)
        expect(yield* Loose.countDocuments({ value: Filter.eq({ a: { $gt: 0 } }) })).toBe(0)
        expect(yield* Effect.flip(Loose.countDocuments({ value: Filter.eq({ a: undefined }) }))).toMatchObject({
          reason: "EncodingFailed"
        })
      })
    ))

  it.effect("a write without a filter writes nothing, and sends nothing", () =>
    onClient((watched) =>
      Effect.gen(function*() {
        const { Things, database } = yield* things(watched, 3)
        const Raw = Collection.make(Things.name, { database })
        const update = { $set: { n: "9" } }
        for (const given of [undefined, null, "", [], 1]) {
          const filter = given as unknown as Filter.Unsafe
          const writes: Readonly<Record<string, Effect.Effect<unknown, { readonly _tag: string }, MongoClient>>> = {
            updateOne: Raw.updateOne(filter, update),
            updateMany: Raw.updateMany(filter, update),
            replaceOne: Raw.replaceOne(filter, {}),
            deleteOne: Raw.deleteOne(filter),
            deleteMany: Raw.deleteMany(filter),
            findOneAndUpdate: Raw.findOneAndUpdate(filter, update),
            findOneAndReplace: Raw.findOneAndReplace(filter, {}),
            findOneAndDelete: Raw.findOneAndDelete(filter),
            deleteManyOfBulk: Raw.bulkWrite([{ insertOne: { document: {} } }, { deleteMany: { filter } }]),
            deleteOneOfBulk: Raw.bulkWrite([{ deleteOne: { filter } }]),
            updateManyOfBulk: Raw.bulkWrite([{ updateMany: { filter, update } }]),
            updateOneOfBulk: Raw.bulkWrite([{ updateOne: { filter, update } }]),
            replaceOneOfBulk: Raw.bulkWrite([{ replaceOne: { filter, replacement: {} } }]),
            bulkOfClient: bulkWrite([{ namespace: `${database}.things`, name: "deleteMany", filter }]),
            inTransaction: Transaction.run(Raw.deleteMany(filter))
          }
          for (const [name, write] of Object.entries(writes)) {
            expect(yield* Effect.flip(Effect.asVoid(write)), name).toMatchObject({
              _tag: "MongoError",
              reason: "InvalidOptions",
              hint: expect.stringContaining("For all documents it is `{}`")
            })
          }
        }
        expect(yield* sent(watched)).toEqual([])
        expect(Array.from(yield* Stream.runCollect(Raw.find()))).toEqual(numbers(3).map((n) => ({ _id: n, n: `${n}` })))
        expect(yield* Raw.updateMany({}, update)).toMatchObject({ modifiedCount: 3 })
      })
    ))
})
