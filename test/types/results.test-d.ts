/**
 * The ids in what writes give are those that the collection may have.
 */
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Document, ObjectId } from "mongodb"
import { expectTypeOf } from "vitest"
import * as Collection from "../../src/Collection.js"
import * as Schemas from "../../src/Schemas.js"

declare const successOf: <A>(effect: Effect.Effect<A, unknown, unknown>) => A

const upsert = { upsert: true, includeResultMetadata: true } as const

// Without a schema an id may be anything

const Raw = Collection.make("raw")
const inserted = successOf(Raw.insertOne({ _id: "ada" }))
const updated = successOf(Raw.updateOne({ _id: "ada" }, { $set: { n: 1 } }, { upsert: true }))
const many = successOf(Raw.insertMany([{ _id: "ada" }]))
const bulk = successOf(Raw.bulkWrite([{ insertOne: { document: { _id: "ada" } } }]))

expectTypeOf(inserted.insertedId).toEqualTypeOf<unknown>()
expectTypeOf(inserted.acknowledged).toEqualTypeOf<boolean>()
expectTypeOf(many.insertedIds[0]).toEqualTypeOf<unknown>()
expectTypeOf(updated.upsertedId).toEqualTypeOf<unknown>()
expectTypeOf(successOf(Raw.updateMany({}, { $set: { n: 1 } })).upsertedId).toEqualTypeOf<unknown>()
expectTypeOf(successOf(Raw.replaceOne({}, { n: 1 })).upsertedId).toEqualTypeOf<unknown>()
expectTypeOf(bulk.insertedIds[0]).toEqualTypeOf<unknown>()
expectTypeOf(bulk.upsertedIds[0]).toEqualTypeOf<unknown>()
expectTypeOf(successOf(Raw.findOneAndUpdate({}, { $set: { n: 1 } }, upsert)).insertedId).toEqualTypeOf<
  Option.Option<unknown>
>()
// @ts-expect-error it is a text
inserted.insertedId.toHexString()
// @ts-expect-error it is a text
updated.upsertedId?.toHexString()
// @ts-expect-error it is a text
bulk.insertedIds[0].toHexString()
// What was inserted is found again.
void Raw.findById(inserted.insertedId)

// With a schema it is what the schema says

const Users = Collection.make("users", { schema: Schema.Struct({ _id: Schema.String, name: Schema.String }) })

expectTypeOf(successOf(Users.insertOne({ _id: "ada", name: "Ada" })).insertedId).toEqualTypeOf<string>()
expectTypeOf(successOf(Users.insertMany([])).insertedIds).toEqualTypeOf<{ [key: number]: string }>()
// Where no id is named, the server makes one.
expectTypeOf(successOf(Users.updateMany({}, { $set: { name: "A" } })).upsertedId).toEqualTypeOf<
  string | ObjectId | null
>()
expectTypeOf(successOf(Users.findOneAndUpdate({}, { $set: { name: "A" } }, upsert)).insertedId).toEqualTypeOf<
  Option.Option<string | ObjectId>
>()
expectTypeOf(successOf(Users.bulkWrite([])).insertedIds).toEqualTypeOf<{ [key: number]: string }>()
expectTypeOf(successOf(Users.bulkWrite([])).upsertedIds).toEqualTypeOf<{ [key: number]: string | ObjectId }>()

// Where the schema has none, the driver makes one; also where it may have one

const Notes = Collection.make("notes", { schema: Schema.Struct({ text: Schema.String }) })
const Named = Collection.make("named", { schema: Schemas.withId(Schema.Struct({ name: Schema.String })) })

expectTypeOf(successOf(Notes.insertOne({ text: "" })).insertedId).toEqualTypeOf<ObjectId>()
expectTypeOf(successOf(Notes.findOneAndReplace({}, { text: "" }, upsert)).insertedId).toEqualTypeOf<
  Option.Option<ObjectId>
>()
expectTypeOf(successOf(Named.insertOne({ name: "" })).insertedId).toEqualTypeOf<ObjectId>()

expectTypeOf<Collection.IdOf<Document>>().toEqualTypeOf<unknown>()
expectTypeOf<Collection.IdOf<{ readonly name: string }>>().toEqualTypeOf<ObjectId>()
expectTypeOf<Collection.IdOf<{ readonly _id?: string | undefined }>>().toEqualTypeOf<string | ObjectId>()
expectTypeOf<Collection.IdOf<{ readonly _id: unknown }>>().toEqualTypeOf<unknown>()
expectTypeOf<Collection.IdOf<{ readonly _id: { readonly year?: number } }>>().toEqualTypeOf<
  { readonly year?: number }
>()
expectTypeOf<Collection.IdOf<{ readonly _id: string } | { readonly _id: number }>>().toEqualTypeOf<string | number>()
