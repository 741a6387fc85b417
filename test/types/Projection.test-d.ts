import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"
import type { Document } from "mongodb"
import { expectTypeOf } from "vitest"
import * as Collection from "../../src/Collection.js"
import type { MongoClient } from "../../src/MongoClient.js"
import * as Projection from "../../src/Projection.js"
import type { DecodeFailed } from "../../src/SessionErrors.js"

const Users = Collection.make("users", {
  schema: Schema.Struct({
    _id: Schema.String,
    name: Schema.propertySignature(Schema.String).pipe(Schema.fromKey("n")),
    age: Schema.NumberFromString,
    nick: Schema.optional(Schema.String),
    address: Schema.Struct({ city: Schema.String, zip: Schema.String }),
    other: Schema.NullOr(Schema.Struct({ city: Schema.String })),
    items: Schema.Array(Schema.Struct({ sku: Schema.String, count: Schema.Number }))
  })
})

/** What a projection gives. */
const rows = <A, E, R>(_stream: Stream.Stream<A, E, R>) => expectTypeOf<A>()

// Fields that are read

rows(Users.find({}, { projection: { n: 1, nick: true } })).toEqualTypeOf<
  { readonly _id: string; readonly n: string; readonly nick?: string | undefined }
>()
rows(Users.find({}, { projection: { "address.city": 1, _id: 0 } })).toEqualTypeOf<
  { readonly address: { readonly city: string } }
>()
rows(Users.find({}, { projection: { "items.sku": 1, _id: 0 } })).toEqualTypeOf<
  { readonly items: ReadonlyArray<{ readonly sku: string }> }
>()
// where there may be no document, there may be nothing
rows(Users.find({}, { projection: { "other.city": 1, _id: 0 } })).toEqualTypeOf<
  { readonly other?: { readonly city: string } }
>()

// Fields that are left out

rows(Users.find({}, { projection: { items: 0, nick: 0, other: 0, "address.zip": 0 } })).toEqualTypeOf<
  { readonly _id: string; readonly n: string; readonly age: string; readonly address: { readonly city: string } }
>()

// Of which nothing is known

rows(Users.find({}, { projection: { items: { $slice: 1 } } })).toEqualTypeOf<Document>()
rows(Users.find({}, { projection: { "items.$": 1 } })).toEqualTypeOf<Document>()
rows(Users.find({}, { projection: Projection.unsafe({ full: "$n" }) })).toEqualTypeOf<Document>()

// What does not fit

void Users.find({}, {
  projection: {
    // @ts-expect-error the name in the program
    name: 1
  }
})
void Users.find({}, {
  projection: {
    n: 1,
    // @ts-expect-error there is no such path
    "address.town": 1
  }
})
void Users.find({}, {
  projection: {
    // @ts-expect-error no array
    n: { $slice: 1 }
  }
})

// A schema of some fields, by which they are decoded

const Age = Schema.Struct({ _id: Schema.String, age: Schema.NumberFromString })
expectTypeOf(Users.find({}, { projection: Age })).toEqualTypeOf<
  Stream.Stream<{ readonly _id: string; readonly age: number }, Collection.OperationError | DecodeFailed, MongoClient>
>()
expectTypeOf(Users.findOne({}, { projection: Age })).toEqualTypeOf<
  Effect.Effect<
    Option.Option<{ readonly _id: string; readonly age: number }>,
    Collection.OperationError | DecodeFailed,
    MongoClient
  >
>()
rows(Users.find({}, { projection: Schema.Struct({ n: Schema.String }), onInvalid: "skip" })).toEqualTypeOf<
  { readonly n: string }
>()
// @ts-expect-error it reads what is not stored
void Users.find({}, { projection: Schema.Struct({ name: Schema.String }) })
// @ts-expect-error it reads a number, and text is stored
void Users.find({}, { projection: Schema.Struct({ age: Schema.Number }) })
