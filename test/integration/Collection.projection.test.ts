import * as OldSchema from "@effect/schema/Schema"
import { expect, layer } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Collection from "../../src/Collection.js"
import { onClient } from "../support/data/collections.js"
import * as TestServer from "../support/server/testServer.js"

const User = Schema.Struct({
  _id: Schema.String,
  name: Schema.propertySignature(Schema.String).pipe(Schema.fromKey("n")),
  age: Schema.NumberFromString,
  other: Schema.NullOr(Schema.Struct({ city: Schema.String, zip: Schema.String })),
  items: Schema.Array(Schema.Struct({ sku: Schema.String, count: Schema.Number }))
})

const users = Effect.gen(function*() {
  const Users = Collection.make("users", { schema: User, database: yield* TestServer.database })
  const items = [{ sku: "a", count: 1 }]
  yield* Users.insertMany([
    { _id: "ada", name: "Ada", age: 36, other: { city: "London", zip: "1" }, items },
    { _id: "bob", name: "Bob", age: 40, other: null, items }
  ])
  return Users
})

const rows = <A, E, R>(stream: Stream.Stream<A, E, R>) => Effect.map(Stream.runCollect(stream), Chunk.toReadonlyArray)

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  it.effect("the schema of some fields reads these only, and decodes them", () =>
    onClient((watched) =>
      Effect.gen(function*() {
        const Users = yield* users
        const Age = Schema.Struct({
          years: Schema.propertySignature(Schema.NumberFromString).pipe(Schema.fromKey("age"))
        })
        expect(yield* rows(Users.find({}, { projection: Age, sort: { n: 1 } }))).toEqual([{ years: 36 }, { years: 40 }])
        const OldAge = OldSchema.Struct({ _id: OldSchema.String, age: OldSchema.NumberFromString })
        expect(yield* Users.findOne({ n: "Ada" }, { projection: OldAge })).toEqual(Option.some({ _id: "ada", age: 36 }))
        const asked = yield* watched.monitor.named("find")
        expect(asked.map(({ command }) => command["projection"])).toEqual([{ _id: 0, age: 1 }, { _id: 1, age: 1 }])
      })
    ))

  it.effect("what comes back of a projection is what its type says", () =>
    onClient(() =>
      Effect.gen(function*() {
        const Users = yield* users
        expect(yield* rows(Users.find({}, { projection: { "other.city": 1, _id: 0 }, sort: { n: 1 } }))).toEqual([
          { other: { city: "London" } },
          {}
        ])
        expect(yield* rows(Users.find({}, { projection: { "items.sku": 1 }, sort: { n: 1 } }))).toEqual([
          { _id: "ada", items: [{ sku: "a" }] },
          { _id: "bob", items: [{ sku: "a" }] }
        ])
        expect(yield* Users.findOne({ n: "Bob" }, { projection: { items: 0, "other.zip": 0 } })).toEqual(
          Option.some({ _id: "bob", n: "Bob", age: "40", other: null })
        )
      })
    ))

  it.effect("the different values are those of the field, as they are stored", () =>
    onClient(() =>
      Effect.gen(function*() {
        const Users = yield* users
        const ages: ReadonlyArray<string> = yield* Users.distinct("age")
        expect(ages).toEqual(["36", "40"])
        const cities: ReadonlyArray<string> = yield* Users.distinct("other.city")
        expect(cities).toEqual(["London"])
        const skus: ReadonlyArray<string> = yield* Users.distinct("items.sku", { n: "Ada" })
        expect(skus).toEqual(["a"])
      })
    ))
})
