import * as OldSchema from "@effect/schema/Schema"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Binary, InsertOneResult } from "mongodb"
import { Decimal128, Long, ObjectId, Timestamp, UUID } from "mongodb"
import { expectTypeOf } from "vitest"
import * as Collection from "../../src/Collection.js"
import * as Database from "../../src/Database.js"
import * as OldSchemas from "../../src/OldSchemas.js"
import * as Schemas from "../../src/Schemas.js"

declare const successOf: <A>(effect: Effect.Effect<A, unknown, unknown>) => A

const shape = {
  owner: Schemas.ObjectIdFromSelf,
  parent: Schemas.HexFromObjectId,
  price: Schemas.Decimal128FromSelf,
  total: Schemas.BigIntFromLong,
  key: Schemas.StringFromUUID,
  bytes: Schemas.BinaryFromUint8Array,
  at: Schemas.TimestampFromSelf
}
const oldShape = {
  owner: OldSchemas.ObjectIdFromSelf,
  parent: OldSchemas.HexFromObjectId,
  price: OldSchemas.Decimal128FromSelf,
  total: OldSchemas.BigIntFromLong,
  key: OldSchemas.StringFromUUID,
  bytes: OldSchemas.BinaryFromUint8Array,
  at: OldSchemas.TimestampFromSelf
}

const Item = Schema.Struct(shape)
const OldItem = OldSchema.Struct(oldShape)
expectTypeOf(OldItem.Type).toEqualTypeOf<typeof Item.Type>()
expectTypeOf(OldItem.Encoded).toEqualTypeOf<typeof Item.Encoded>()
expectTypeOf<typeof Item.Type.total>().toEqualTypeOf<bigint>()
expectTypeOf<typeof Item.Type.bytes>().toEqualTypeOf<Binary>()

// Filters are of what is stored

const Items = Collection.make("items", { schema: Schemas.withId(Item) })
void Items.find({
  owner: new ObjectId(),
  parent: { $in: [new ObjectId()] },
  price: { $lt: Decimal128.fromString("1") }
})
void Items.find({
  total: { $gt: Long.ONE },
  key: new UUID(),
  bytes: new Uint8Array(1),
  at: new Timestamp({ t: 1, i: 1 })
})
void Items.updateMany({}, { $inc: { total: Long.ONE, price: Decimal128.fromString("1") } })
void Items.find({
  // @ts-expect-error it is no text in the database
  parent: "0123456789abcdef01234567"
})
void Items.find({
  // @ts-expect-error filters are not encoded
  total: 1n
})

// An id beside

const Named = Schema.Struct({ name: Schema.String, n: Schema.NumberFromString })
const Users = Collection.make("users", { schema: Schemas.withId(Named) })
const OldUsers = Collection.make("users", {
  schema: OldSchemas.withId(OldSchema.Struct({ name: OldSchema.String, n: OldSchema.NumberFromString }))
})
expectTypeOf(OldUsers).toEqualTypeOf(Users)
expectTypeOf(Database.make("shop").collection("users", { schema: Schemas.withId(Named) })).toEqualTypeOf(Users)

type Found = { readonly name: string; readonly n: number } & { readonly _id: ObjectId }
type Stored = { readonly name: string; readonly n: string } & { readonly _id: ObjectId }

expectTypeOf(successOf(Users.findOne({ name: "Ada", n: "1", _id: new ObjectId() }))).toEqualTypeOf<
  Option.Option<Found>
>()
expectTypeOf(successOf(Users.insertOne({ name: "Ada", n: 1 }))).toEqualTypeOf<InsertOneResult<Stored>>()
void Users.insertOne({ _id: new ObjectId(), name: "Ada", n: 1 })
void Users.replaceOne({ name: "Ada" }, { name: "Bob", n: 2 })
void Users.bulkWrite([{ insertOne: { document: { name: "Ada", n: 1 } } }])
void Users.withWriteConcern({ w: 1 }).insertMany([{ name: "Ada", n: 1 }])
void Users.insertOne({
  // @ts-expect-error an id of another type
  _id: "ada",
  name: "Ada",
  n: 1
})
// @ts-expect-error a field is missing
void Users.insertOne({ name: "Ada" })
// @ts-expect-error it has an id
void Schemas.withId(Schema.Struct({ _id: Schema.String }))
// @ts-expect-error it has an id
void OldSchemas.withId(OldSchema.Struct({ _id: OldSchema.String }))

class User extends Schema.Class<User>("User")({ name: Schema.String }) {}
const Instances = Collection.make("users", { schema: Schemas.withId(User, Schemas.HexFromObjectId) })
expectTypeOf(successOf(Instances.findOne())).toEqualTypeOf<Option.Option<User & { readonly _id: string }>>()
void Instances.insertOne(new User({ name: "Ada" }))
void Instances.findById(new ObjectId())

// The variant of a model

const model = Object.assign(Schema.Struct({ _id: Schemas.ObjectIdFromSelf, name: Schema.String }), {
  insert: Schema.Struct({ name: Schema.String })
})
const Models = Collection.make("models", { schema: model })
void Models.insertOne({ name: "Ada" })
expectTypeOf<Parameters<typeof Models.insertOne>[0]>().toEqualTypeOf<{ readonly name: string }>()
expectTypeOf(successOf(Models.findOne())).toEqualTypeOf<Option.Option<typeof model.Type>>()
