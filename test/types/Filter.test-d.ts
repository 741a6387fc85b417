import * as OldSchema from "@effect/schema/Schema"
import * as Schema from "effect/Schema"
import type { Binary, Decimal128, Document } from "mongodb"
import { Long, ObjectId } from "mongodb"
import { expectTypeOf } from "vitest"
import * as Collection from "../../src/Collection.js"
import * as Filter from "../../src/Filter.js"
import type * as Path from "../../src/Path.js"
import * as Sort from "../../src/Sort.js"

export const Order = Schema.Struct({
  _id: Schema.String,
  name: Schema.propertySignature(Schema.String).pipe(Schema.fromKey("n")),
  age: Schema.NumberFromString,
  nick: Schema.optional(Schema.String),
  rating: Schema.optionalWith(Schema.Number, { exact: true }),
  address: Schema.NullOr(Schema.Struct({ city: Schema.String, place: Schema.Array(Schema.Number) })),
  tags: Schema.Array(Schema.String),
  items: Schema.Array(Schema.Struct({ sku: Schema.String, count: Schema.Number, notes: Schema.Array(Schema.String) })),
  born: Schema.DateFromSelf,
  owner: Schema.instanceOf(ObjectId),
  total: Schema.instanceOf(Long),
  labels: Schema.Record({ key: Schema.String, value: Schema.Unknown }),
  anything: Schema.Unknown,
  email: Schema.String.pipe(Schema.brand("Email")),
  status: Schema.Literal("open", "done"),
  isPaid: Schema.Boolean,
  count: Schema.Number
})
const OldOrder = OldSchema.Struct({
  _id: OldSchema.String,
  name: OldSchema.propertySignature(OldSchema.String).pipe(OldSchema.fromKey("n")),
  age: OldSchema.NumberFromString,
  nick: OldSchema.optional(OldSchema.String),
  rating: OldSchema.optionalWith(OldSchema.Number, { exact: true }),
  address: OldSchema.NullOr(
    OldSchema.Struct({ city: OldSchema.String, place: OldSchema.Array(OldSchema.Number) })
  ),
  tags: OldSchema.Array(OldSchema.String),
  items: OldSchema.Array(
    OldSchema.Struct({ sku: OldSchema.String, count: OldSchema.Number, notes: OldSchema.Array(OldSchema.String) })
  ),
  born: OldSchema.DateFromSelf,
  owner: OldSchema.instanceOf(ObjectId),
  total: OldSchema.instanceOf(Long),
  labels: OldSchema.Record({ key: OldSchema.String, value: OldSchema.Unknown }),
  anything: OldSchema.Unknown,
  email: OldSchema.String.pipe(OldSchema.brand("Email")),
  status: OldSchema.Literal("open", "done"),
  isPaid: OldSchema.Boolean,
  count: OldSchema.Number
})
const Orders = Collection.make("orders", { schema: Order })
const OldOrders = Collection.make("orders", { schema: OldOrder })

// The same by both packages, so that all below holds for both.
expectTypeOf<Filter.Filter<typeof OldOrder.Encoded>>().toEqualTypeOf<Filter.Filter<typeof Order.Encoded>>()
expectTypeOf<Sort.Sort<typeof OldOrder.Encoded>>().toEqualTypeOf<Sort.Sort<typeof Order.Encoded>>()

// What fits

void Orders.find({ n: "a", age: "1", nick: null, rating: { $exists: false }, address: null, isPaid: true })
void Orders.find({ tags: "a", "tags.0": "a", "items.sku": "a", "items.0.sku": /a/, "address.place.1": { $gt: 1 } })
void Orders.find({ tags: { $all: ["a"], $size: 1 }, items: { $elemMatch: { sku: "a", count: { $gte: 1 } } } })
void Orders.find({ owner: new ObjectId(), total: { $lt: Long.ONE }, born: { $lt: new Date() }, email: "a" })
void Orders.find({ "labels.a.b": 1, anything: [1], "anything.a.b": "c", status: { $in: ["open"] } })
void Orders.find({ $or: [{ n: { $regex: "a" } }, { $and: [{ count: 1 }] }], $expr: { $gt: ["$count", 1] } })
void Orders.find({ n: { $not: /a/ }, address: { city: "a", place: [] }, "address.city": { $ne: "b" } })
void Orders.find({}, { sort: { n: 1, "address.city": -1, "items.0.count": "desc" } })
void Orders.find({}, { sort: [["n", 1], ["age", -1]] })
void Orders.find({}, { sort: "n" })
void OldOrders.find({ "address.city": "a", n: "b" }, { sort: { n: 1 } })

// What does not

void Orders.find({
  // @ts-expect-error the name in the program, which is not that in the database
  name: "a"
})
void Orders.find({
  // @ts-expect-error what is stored is text
  age: 1
})
void Orders.find({
  // @ts-expect-error the end of a path has another type
  "address.city": 5
})
void Orders.find({
  // @ts-expect-error there is no such path
  "address.town": "a"
})
void Orders.find({
  // @ts-expect-error an element has another type
  "tags.0": 5
})
void Orders.find({
  // @ts-expect-error there is no such path through an array
  "items.skuu": "a"
})
void Orders.find({
  // @ts-expect-error the end of a path through an array has another type
  "items.sku": 5
})
void Orders.find({
  $or: [{
    // @ts-expect-error there is no such field
    agee: "1"
  }]
})
void Orders.find({
  $and: [{
    $nor: [{
      // @ts-expect-error another type
      count: "1"
    }]
  }]
})
void Orders.find({
  // @ts-expect-error there is no such operator
  $orr: []
})
void Orders.find({
  count: {
    // @ts-expect-error there is no such operator
    $gtt: 1
  }
})
void Orders.find({
  count: {
    // @ts-expect-error another type
    $in: ["1"]
  }
})
void Orders.find({
  // @ts-expect-error no such value
  status: "opened"
})
void Orders.find({
  // @ts-expect-error never null
  count: null
})
void Orders.find({
  // @ts-expect-error an element has no such field
  items: { $elemMatch: { skuu: "a" } }
})
void Orders.find({}, {
  sort: {
    // @ts-expect-error there is no such field
    name: 1
  }
})
void Orders.find({}, {
  // @ts-expect-error there is no such field
  sort: "name"
})
void OldOrders.find({
  // @ts-expect-error the name in the program
  name: "a"
})
void Orders.countDocuments({
  // @ts-expect-error another type
  n: 1
})
void Orders.deleteMany({
  // @ts-expect-error there is no such field
  m: 1
})
void Orders.bulkWrite([{
  deleteOne: {
    filter: {
      // @ts-expect-error there is no such field
      m: 1
    }
  }
}])

// The ways out

void Orders.find(Filter.unsafe({ anywhere: 1 }), { sort: Sort.unsafe({ score: { $meta: "textScore" } }) })
void Orders.find({ $or: [{ n: "a" }, Filter.unsafe({ anywhere: 1 })] })
const generic = <A, I extends Document>(collection: Collection.Collection<A, I>, _id: unknown) =>
  collection.find(Filter.unsafe({ _id }), { sort: Sort.unsafe({ _id: 1 }) })
void generic(Orders, "a")
expectTypeOf<Filter.Filter<{ readonly a: number }>>().not.toBeAny()

// What comes from outside

declare const body: { readonly name: unknown; readonly age: string }
void Orders.find({ n: Filter.eq(body.name), age: Filter.eq(body.age) })
void Orders.find({
  // @ts-expect-error a value of a known type must be of the right one
  n: Filter.eq(1)
})

// Documents of other shapes

const Raw = Collection.make("raw")
declare const document: Document
void Raw.find({ anywhere: { $new: 1 }, "a.b": 1 }, { sort: { "a.b": 1 } })
void Raw.find(document, { sort: ["a", "b"] })
void Raw.distinct("a.b")

/** One that contains itself. */
interface Tree {
  readonly _id: string
  readonly name: string
  readonly left: Tree | null
  readonly children: ReadonlyArray<Tree>
}
const accept = <I>(_filter: Filter.Filter<I>): void => undefined
accept<Tree>({ "left.left.name": "a", "children.children.0.name": "b", "left.left.left.left.left.left.left.name": "c" })
accept<Tree>({
  // @ts-expect-error another type
  "children.left.name": 1
})

type Either = { readonly kind: "a"; readonly x: number } | { readonly kind: "b"; readonly x: string; readonly y: Date }
accept<Either>({ kind: "a", x: "1", y: new Date(), _id: new ObjectId() })
accept<Either>({
  // @ts-expect-error in none of them
  kind: "c"
})
accept<{ readonly [name: string]: number }>({ any: 1 })
accept<{ readonly a: { readonly [name: string]: number } }>({ "a.b": 1 })
accept<{ readonly bytes: Binary; readonly price: Decimal128; readonly raw: Uint8Array }>({ bytes: { $exists: true } })
accept<{ readonly price: Decimal128 }>({
  // @ts-expect-error it is a value, not a document
  "price.bytes": 1
})
accept<{ readonly name: string; readonly [extra: string]: unknown }>({ extra: 1 })
accept<{ readonly name: string; readonly [extra: string]: unknown }>({
  // @ts-expect-error another type
  name: 1
})

// Paths, and what lies there

type Stored = typeof Order.Encoded
expectTypeOf<Path.At<Stored, "items.0.count">>().toEqualTypeOf<number>()
expectTypeOf<Path.At<Stored, "items.sku">>().toEqualTypeOf<string>()
expectTypeOf<"address.city">().toExtend<Path.Path<Stored>>()
expectTypeOf<"address.town">().not.toExtend<Path.Path<Stored>>()
