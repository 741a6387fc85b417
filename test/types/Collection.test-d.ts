import * as OldSchema from "@effect/schema/Schema"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"
import type { Collection as DriverCollection, Document, InsertOneResult, ObjectId } from "mongodb"
import { expectTypeOf } from "vitest"
import type * as ChangeStream from "../../src/ChangeStream.js"
import * as Codec from "../../src/Codec.js"
import * as Collection from "../../src/Collection.js"
import * as Database from "../../src/Database.js"
import * as MongoClient from "../../src/MongoClient.js"
import * as Path from "../../src/Path.js"
import type * as Projection from "../../src/Projection.js"
import type { DecodeFailed } from "../../src/SessionErrors.js"

type Client = MongoClient.MongoClient
type OperationError = Collection.OperationError

class Analytics extends MongoClient.Tag("Analytics")<Analytics>() {}

class Rates extends Context.Tag("test/Rates")<Rates, number>() {}

interface User {
  readonly _id: string
  readonly name: string
  readonly age: number
}

interface Stored {
  readonly _id: string
  readonly name: string
  readonly age: string
}

const shape = { _id: Schema.String, name: Schema.String, age: Schema.NumberFromString }
const Users = Collection.make("users", { schema: Schema.Struct(shape) })
const OldUsers = Collection.make("users", {
  schema: OldSchema.Struct({ _id: OldSchema.String, name: OldSchema.String, age: OldSchema.NumberFromString })
})
const Raw = Collection.make("raw")
const Priced = Collection.make("priced", {
  schema: Schema.Struct({
    price: Schema.transformOrFail(Schema.Number, Schema.Number, {
      strict: true,
      decode: (price) => Effect.map(Rates, (rate) => price * rate),
      encode: (price) => Effect.succeed(price)
    })
  })
})
const Elsewhere = Collection.make("users", { schema: Schema.Struct(shape), client: Analytics })
const Name = Schema.Struct({ name: Schema.String })

// A, I, R and the client

expectTypeOf(Users).toEqualTypeOf<Collection.Collection<User, Stored, never, Client>>()
expectTypeOf(OldUsers).toEqualTypeOf<Collection.Collection<User, Stored, never, Client>>()
expectTypeOf(Elsewhere).toEqualTypeOf<Collection.Collection<User, Stored, never, Analytics>>()
expectTypeOf(Raw).toEqualTypeOf<Collection.Collection<Document, Document, never, Client>>()
expectTypeOf(Codec.fromSchema(Name)).toEqualTypeOf<
  Codec.Codec<{ readonly name: string }, { readonly name: string }, never>
>()
// @ts-expect-error documents are no numbers
Collection.make("users", { schema: Schema.Number })
// @ts-expect-error an unknown option
Collection.make("users", { scheme: Name })

// What is read

expectTypeOf(Users.find()).toEqualTypeOf<Stream.Stream<User, OperationError | DecodeFailed, Client>>()
expectTypeOf(Users.findOne({ _id: "a" })).toEqualTypeOf<
  Effect.Effect<Option.Option<User>, OperationError | DecodeFailed, Client>
>()
expectTypeOf(Elsewhere.find()).toEqualTypeOf<Stream.Stream<User, OperationError | DecodeFailed, Analytics>>()
expectTypeOf(Raw.find({ _id: 1 })).toEqualTypeOf<Stream.Stream<Document, OperationError | DecodeFailed, Client>>()
expectTypeOf(Users.countDocuments({ age: "1" })).toEqualTypeOf<Effect.Effect<number, OperationError, Client>>()
expectTypeOf(Users.distinct("name")).toEqualTypeOf<Effect.Effect<ReadonlyArray<string>, OperationError, Client>>()
expectTypeOf(Users.distinct(Path.unsafe("a.b"))).toEqualTypeOf<
  Effect.Effect<ReadonlyArray<unknown>, OperationError, Client>
>()
// @ts-expect-error there is no such field
void Users.distinct("a.b")
expectTypeOf(Users.aggregate([])).toEqualTypeOf<Stream.Stream<Document, OperationError, Client>>()
expectTypeOf(Users.aggregate([], { schema: Name })).toEqualTypeOf<
  Stream.Stream<{ readonly name: string }, OperationError | DecodeFailed, Client>
>()
// filters are of what is stored
void Users.find({ age: { $in: ["1", "2"] }, name: /a/ })
// @ts-expect-error a number is stored as text
void Users.find({ age: 1 })
// @ts-expect-error the session is the ambient one
void Users.find({}, { session: undefined })
// @ts-expect-error it would be a `$out` that no rule sees
void Users.aggregate([], { out: "copy" })
// @ts-expect-error it would be a `$out` that no rule sees
void Users.countDocuments({}, { out: "copy" })
// @ts-expect-error it would be a `$out` that no rule sees
void Users.explainAggregate([], { out: "copy" })
// @ts-expect-error it would be a `$out` that no rule sees
void Users.listSearchIndexes("a", { out: "copy" })
// @ts-expect-error it would work on another database than the collection's
void Users.distinct("name", {}, { dbName: "other" })
// @ts-expect-error it would drop a collection of another database
void Users.drop({ authdb: "other" })
// @ts-expect-error the driver decides
void Users.updateMany({}, { $set: { name: "a" } }, { willRetryWrite: true })
// @ts-expect-error an unknown option
void Users.find({}, { batchsize: 1 })

// What does not fit

expectTypeOf(Users.find({}, { onInvalid: "fail" })).toEqualTypeOf<
  Stream.Stream<User, OperationError | DecodeFailed, Client>
>()
expectTypeOf(Users.find({}, { onInvalid: "skip" })).toEqualTypeOf<Stream.Stream<User, OperationError, Client>>()
expectTypeOf(Users.find({}, { onInvalid: "either" })).toEqualTypeOf<
  Stream.Stream<Either.Either<User, DecodeFailed>, OperationError, Client>
>()
expectTypeOf(Users.aggregate([], { schema: Name, onInvalid: "skip" })).toEqualTypeOf<
  Stream.Stream<{ readonly name: string }, OperationError, Client>
>()
// @ts-expect-error there is nothing that could not fit
void Users.aggregate([], { onInvalid: "skip" })
// one document is there, or not, or does not fit
expectTypeOf<Extract<keyof NonNullable<Parameters<typeof Users.findOne>[1]>, "onInvalid">>().toBeNever()

// Projections

expectTypeOf(Users.find({}, { projection: { name: 1 } })).toEqualTypeOf<
  Stream.Stream<{ readonly _id: string; readonly name: string }, OperationError, Client>
>()
expectTypeOf(Users.findOne({}, { projection: { age: true, _id: 0 } })).toEqualTypeOf<
  Effect.Effect<Option.Option<{ readonly age: string }>, OperationError, Client>
>()
expectTypeOf(Users.findOne({}, { projection: { _id: 1 } })).toEqualTypeOf<
  Effect.Effect<Option.Option<{ readonly _id: string }>, OperationError, Client>
>()
expectTypeOf<Projection.Projected<Stored, { readonly name: 0 }>>().toEqualTypeOf<
  { readonly _id: string; readonly age: string }
>()
expectTypeOf<Projection.Projected<Stored, { readonly name: { readonly $slice: 1 } }>>().toEqualTypeOf<Document>()
expectTypeOf<Projection.Projected<Stored, Document>>().toEqualTypeOf<Document>()
expectTypeOf<Projection.Projected<Document, { readonly name: 1 }>>().toEqualTypeOf<Document>()
expectTypeOf<Projection.Projected<{ readonly name: string }, { readonly name: 1 }>>().toEqualTypeOf<
  { readonly _id: ObjectId; readonly name: string }
>()
expectTypeOf(Users.find({}, { projection: { name: 1 }, schema: Name })).toEqualTypeOf<
  Stream.Stream<{ readonly name: string }, OperationError | DecodeFailed, Client>
>()

// What is written

expectTypeOf(Users.insertOne({ _id: "a", name: "A", age: 1 })).toEqualTypeOf<
  Effect.Effect<InsertOneResult<Stored>, OperationError | DecodeFailed, Client>
>()
expectTypeOf(Users.updateOne({}, { $set: { age: "1" } })).toEqualTypeOf<
  Effect.Effect<Collection.Updated<Stored>, OperationError, Client>
>()
expectTypeOf(Users.findOneAndUpdate({}, { $set: { name: "B" } }, { returnDocument: "after" })).toEqualTypeOf<
  Effect.Effect<Option.Option<User>, OperationError | DecodeFailed, Client>
>()
expectTypeOf(Users.findOneAndDelete({}, { projection: { name: 1 } })).toEqualTypeOf<
  Effect.Effect<Option.Option<{ readonly _id: string; readonly name: string }>, OperationError, Client>
>()
void Users.bulkWrite([
  { insertOne: { document: { _id: "a", name: "A", age: 1 } } },
  { updateOne: { filter: { _id: "a" }, update: { $set: { age: "2" } }, upsert: true } },
  { deleteMany: { filter: {} } }
])
void Raw.insertOne({ anything: [1] })
// @ts-expect-error values go in, not documents
void Users.insertOne({ _id: "a", name: "A", age: "1" })
// @ts-expect-error a field is missing
void Users.replaceOne({ _id: "a" }, { _id: "a", name: "A" })
// @ts-expect-error updates are of what is stored
void Users.updateOne({}, { $set: { age: 1 } })
// @ts-expect-error values go in, not documents
void Users.bulkWrite([{ insertOne: { document: { _id: "a", name: "A", age: "1" } } }])
expectTypeOf(Users.findOneAndUpdate({}, { $set: { name: "B" } }, { upsert: true, includeResultMetadata: true }))
  .toEqualTypeOf<
    Effect.Effect<Collection.Modified<User, Collection.UpsertedId<Stored>>, OperationError | DecodeFailed, Client>
  >()
expectTypeOf(Users.findOneAndReplace({}, { _id: "a", name: "A", age: 1 }, { includeResultMetadata: true }))
  .toEqualTypeOf<
    Effect.Effect<Collection.Modified<User, Collection.UpsertedId<Stored>>, OperationError | DecodeFailed, Client>
  >()

// R only where the schema is used

type Needs<T> = T extends Effect.Effect<unknown, unknown, infer R> ? R :
  T extends Stream.Stream<unknown, unknown, infer R> ? R
  : never

const price = { price: 1 }
expectTypeOf<Needs<ReturnType<typeof Priced.insertOne>>>().toEqualTypeOf<Rates | Client>()
expectTypeOf<Needs<ReturnType<typeof Priced.insertMany>>>().toEqualTypeOf<Rates | Client>()
expectTypeOf<Needs<ReturnType<typeof Priced.replaceOne>>>().toEqualTypeOf<Rates | Client>()
expectTypeOf<Needs<ReturnType<typeof Priced.bulkWrite>>>().toEqualTypeOf<Rates | Client>()
expectTypeOf(Priced.find({})).toEqualTypeOf<
  Stream.Stream<{ readonly price: number }, OperationError | DecodeFailed, Rates | Client>
>()
expectTypeOf<Needs<ReturnType<typeof Priced.watch>>>().toEqualTypeOf<Rates | Client>()
expectTypeOf(Priced.findOneAndReplace({}, price, { projection: { price: 1 } })).toEqualTypeOf<
  Effect.Effect<
    Option.Option<{ readonly _id: ObjectId; readonly price: number }>,
    OperationError | DecodeFailed,
    Rates | Client
  >
>()
expectTypeOf<Needs<ReturnType<typeof Priced.updateOne>>>().toEqualTypeOf<Client>()
expectTypeOf<Needs<ReturnType<typeof Priced.deleteOne>>>().toEqualTypeOf<Client>()
expectTypeOf<Needs<ReturnType<typeof Priced.deleteMany>>>().toEqualTypeOf<Client>()
expectTypeOf<Needs<ReturnType<typeof Priced.countDocuments>>>().toEqualTypeOf<Client>()
expectTypeOf<Needs<ReturnType<typeof Priced.createIndex>>>().toEqualTypeOf<Client>()
expectTypeOf<Needs<ReturnType<typeof Priced.listIndexes>>>().toEqualTypeOf<Client>()
expectTypeOf(Priced.listIndexNames()).toEqualTypeOf<Effect.Effect<ReadonlyArray<string>, OperationError, Client>>()
expectTypeOf(Priced.find({}, { projection: { price: 1 } })).toEqualTypeOf<
  Stream.Stream<{ readonly _id: ObjectId; readonly price: number }, OperationError, Client>
>()
expectTypeOf(Priced.findOneAndDelete({}, { schema: Name })).toEqualTypeOf<
  Effect.Effect<Option.Option<{ readonly name: string }>, OperationError | DecodeFailed, Client>
>()

// The rest

expectTypeOf(Users.withWriteConcern({ w: "majority" })).toEqualTypeOf(Users)
expectTypeOf(Users.rename("others")).toEqualTypeOf<Effect.Effect<typeof Users, OperationError, Client>>()
expectTypeOf(
  Users.use((collection, { session, signal }) => {
    expectTypeOf(collection).toEqualTypeOf<DriverCollection<Stored>>()
    expectTypeOf(signal).toEqualTypeOf<AbortSignal | undefined>()
    return collection.countDocuments({}, { ...session && { session } })
  })
).toEqualTypeOf<Effect.Effect<number, OperationError, Client>>()
expectTypeOf(Users.watch()).toEqualTypeOf<
  ChangeStream.ChangeStream<User, ChangeStream.WatchError, Client>
>()

const shop = Database.make("shop", { client: Analytics })
expectTypeOf(Database.make()).toEqualTypeOf<Database.Database<Client>>()
expectTypeOf(shop).toEqualTypeOf<Database.Database<Analytics>>()
expectTypeOf(shop.collection("users", { schema: Schema.Struct(shape) })).toEqualTypeOf(Elsewhere)
expectTypeOf(shop.command({ ping: 1 })).toEqualTypeOf<Effect.Effect<Document, OperationError, Analytics>>()
expectTypeOf(shop.aggregate([], { schema: Name, onInvalid: "skip" })).toEqualTypeOf<
  Stream.Stream<{ readonly name: string }, OperationError, Analytics>
>()
expectTypeOf<Needs<ReturnType<typeof MongoClient.listDatabases<Analytics>>>>().toEqualTypeOf<Analytics>()
expectTypeOf(
  MongoClient.bulkWrite([{ namespace: "a.b", name: "deleteOne", filter: { _id: 1 } }], { client: Analytics })
)
  .toExtend<Effect.Effect<unknown, OperationError, Analytics>>()
// @ts-expect-error a write that there is not
void MongoClient.bulkWrite([{ namespace: "a.b", name: "deleteAll", filter: {} }])
