import * as OldSchema from "@effect/schema/Schema"
import { describe, expect, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Schema from "effect/Schema"
import { Binary, BSON, Int32, Long, ObjectId, UUID } from "mongodb"
import * as Codec from "../../src/Codec.js"
import * as Schemas from "../support/data/schemas.js"
import { build, described, everyLeaf, holds } from "../support/hostile/hostile.js"

/** One schema in both packages: a number that is stored as text, in a document in a list. */
const users = [
  {
    name: "effect/Schema",
    codec: Codec.fromSchema(Schema.Struct({
      _id: Schema.Unknown,
      name: Schema.String,
      scores: Schema.Array(Schema.Struct({ n: Schema.NumberFromString }))
    }))
  },
  {
    name: "@effect/schema",
    codec: Codec.fromSchema(OldSchema.Struct({
      _id: OldSchema.Unknown,
      name: OldSchema.String,
      scores: OldSchema.Array(OldSchema.Struct({ n: OldSchema.NumberFromString }))
    }))
  }
]

class Rates extends Context.Tag("test/Rates")<Rates, { readonly rate: number }>() {}

const failure = <A, E>(effect: Effect.Effect<A, E>) => Effect.flip(effect)

describe.each(users)("a codec of $name", ({ codec }) => {
  it.effect("a document that does not fit fails and names source, _id and path, and not the value", () =>
    Effect.gen(function*() {
      const document = { _id: "ada", name: "Ada", scores: [{ n: "1" }, { n: "secret" }] }
      const error = yield* failure(codec.decode(document, "shop.users"))
      expect(error).toMatchObject({
        _tag: "DecodeFailed",
        source: "shop.users",
        documentId: "ada",
        path: ["scores", "1", "n"]
      })
      expect(error.message).not.toContain("secret")
    }))

  it.effect("a document without the field that the schema asks for fails at that field", () =>
    Effect.gen(function*() {
      const error = yield* failure(codec.decode({ _id: 1, scores: [] }, "shop.users"))
      expect(error).toMatchObject({ documentId: "1", path: ["name"], issue: "is missing" })
    }))

  const throws = () => {
    throw new Error("secret")
  }
  class Getter {
    readonly _id = 1
    get name(): string {
      return throws()
    }
    readonly scores = []
  }
  it.effect.each<[of: string, value: object]>([
    ["a getter", {
      _id: 1,
      scores: [],
      get name() {
        return throws()
      }
    }],
    ["a getter of its class", new Getter()],
    ["a getter further down", {
      _id: 1,
      name: "a",
      scores: [{
        get n() {
          return throws()
        }
      }]
    }],
    ["a proxy that has no fields", new Proxy({}, { get: throws })],
    ["a proxy that says it has none", new Proxy({}, { has: throws, ownKeys: throws, getOwnPropertyDescriptor: throws })]
  ])("a value that throws when it is read fails by type: %s", ([, value]) =>
    Effect.gen(function*() {
      const error = yield* failure(codec.encode(value as never, "shop.users"))
      expect(error).toMatchObject({
        _tag: "DecodeFailed",
        isOwnValue: true,
        issue: expect.stringContaining("a getter or a proxy")
      })
      expect(error.message).not.toContain("secret")
    }))

  it("any value goes in, or fails by type", () => {
    const names = ["_id", "name", "scores", "n"]
    const isTyped = (given: Parameters<typeof build>[0]): void => {
      const exit = Effect.runSyncExit(codec.encode(build(given) as never, "shop.users"))
      expect(Exit.isSuccess(exit) || exit.cause._tag === "Fail").toBe(true)
    }
    everyLeaf.forEach(isTyped)
    for (const name of names) for (const leaf of everyLeaf) isTyped({ fields: [[name, leaf]] })
    holds(described(names, ["a"]), isTyped)
  })

  it.effect("a value that does not fit fails on its way in, too", () =>
    Effect.gen(function*() {
      const value = { _id: 2, name: 3, scores: [] }
      // as a program in JavaScript may do
      const error = yield* failure(codec.encode(value as never, "shop.users"))
      expect(error).toMatchObject({ _tag: "DecodeFailed", source: "shop.users", documentId: "2", path: ["name"] })
    }))

  const id = new ObjectId()
  const uuid = new UUID()
  it.effect.each([
    { _id: id, text: id.toHexString() },
    { _id: uuid, text: uuid.toHexString() },
    { _id: 7n, text: "7" },
    { _id: new Int32(7), text: "7" },
    { _id: Long.fromBigInt(2n ** 60n), text: String(2n ** 60n) },
    { _id: true, text: "true" },
    { _id: null, text: undefined },
    { _id: { a: 1 }, text: undefined },
    { _id: new Binary(), text: undefined }
  ])("an _id of any type is told as text, where it has one: $text", ({ _id, text }) =>
    Effect.gen(function*() {
      expect((yield* failure(codec.decode({ _id }, "a.b"))).documentId).toBe(text)
    }))

  it.effect.each([undefined, null, 1, "text", []])(
    "what is no document at all fails: %s",
    (document) =>
      Effect.gen(function*() {
        expect(yield* failure(codec.decode(document, "a.b"))).toMatchObject({ _tag: "DecodeFailed", source: "a.b" })
      })
  )
})

it.effect("a schema with a variant `insert` writes that, or the whole value where that is asked for", () =>
  Effect.gen(function*() {
    const schema = Object.assign(Schema.Struct({ id: Schema.NumberFromString, name: Schema.String }), {
      insert: Schema.Struct({ name: Schema.String })
    })
    const value = { id: 1, name: "Ada" }
    expect(yield* Codec.fromSchema(schema).encode(value, "shop.users")).toEqual({ name: "Ada" })
    expect(yield* Codec.whole(schema).encode(value, "shop.users")).toEqual({ id: "1", name: "Ada" })
  }))

describe.each(Schemas.packages)("any codec of $name", ({ of }) => {
  it("decodes what it has encoded", async () => {
    const pairs = Schemas.shapes.chain((shape) => {
      const { schema, values } = of(shape)
      return FastCheck.tuple(FastCheck.constant(Codec.fromSchema(schema)), values)
    })
    await FastCheck.assert(FastCheck.asyncProperty(pairs, async ([codec, value]) => {
      const through = Effect.flatMap(codec.encode(value, "a.b"), (document) => codec.decode(document, "a.b"))
      expect(await Effect.runPromise(through)).toEqual(value)
    }))
  })

  it("waits for nothing once its package is loaded", async () => {
    const { schema } = of(FastCheck.sample(Schemas.shapes, 1)[0]!)
    const codec = Codec.fromSchema(schema)
    await Effect.runPromise(Effect.either(codec.decode({}, "a.b")))
    expect(Exit.isSuccess(Effect.runSyncExit(Effect.either(codec.decode({}, "a.b"))))).toBe(true)
  })
})

describe("bugs in a schema stay bugs", () => {
  const bug = new Error("a bug in the schema")
  const broken = [
    {
      name: "effect/Schema",
      codec: Codec.fromSchema(Schema.transform(Schema.Struct({}), Schema.Struct({}), {
        strict: true,
        decode: () => {
          throw bug
        },
        encode: () => {
          throw bug
        }
      }))
    },
    {
      name: "@effect/schema",
      codec: Codec.fromSchema(OldSchema.transformOrFail(OldSchema.Struct({}), OldSchema.Struct({}), {
        strict: true,
        decode: () => Effect.die(bug),
        encode: () => Effect.die(bug)
      }))
    }
  ]
  it.effect.each(broken)("$name, in both directions", ({ codec }) =>
    Effect.gen(function*() {
      expect(yield* Effect.exit(codec.decode({}, "a.b"))).toEqual(Exit.die(bug))
      expect(yield* Effect.exit(codec.encode({}, "a.b"))).toEqual(Exit.die(bug))
    }))
})

describe("a schema that needs something", () => {
  const Priced = Schema.transformOrFail(Schema.Number, Schema.Number, {
    strict: true,
    decode: (price) => Effect.map(Rates, ({ rate }) => price * rate),
    encode: (price) => Effect.map(Rates, ({ rate }) => price / rate)
  })
  const codec = Codec.fromSchema(Schema.Struct({ price: Priced }))

  it.effect("finds it where it is run", () =>
    Effect.gen(function*() {
      expect(yield* codec.decode({ price: 2 }, "a.b")).toEqual({ price: 20 })
      expect(yield* codec.encode({ price: 20 }, "a.b")).toEqual({ price: 2 })
    }).pipe(Effect.provideService(Rates, { rate: 10 })))

  it.effect("finds it for many, from the first document that needs it on", () =>
    Effect.gen(function*() {
      const invalid = { _id: 7, price: "dear" }
      const all = yield* codec.decodeAll([invalid, { price: 2 }, invalid, { price: 3 }], "a.b")
      expect(all.map(Either.getOrElse((error) => error.message))).toEqual([
        (yield* Effect.flip(codec.decode(invalid, "a.b"))).message,
        { price: 20 },
        (yield* Effect.flip(codec.decode(invalid, "a.b"))).message,
        { price: 30 }
      ])
    }).pipe(Effect.provideService(Rates, { rate: 10 })))
})

describe("many documents", () => {
  const schemas = {
    "effect/Schema": Codec.fromSchema(Schema.Struct({ _id: Schema.Number, born: Schema.Date })),
    "@effect/schema": Codec.fromSchema(OldSchema.Struct({ _id: OldSchema.Number, born: OldSchema.Date }))
  }
  const document = FastCheck.record({
    _id: FastCheck.integer(),
    born: FastCheck.oneof(FastCheck.constant("1815-12-10T00:00:00.000Z"), FastCheck.integer())
  })
  for (const [name, codec] of Object.entries(schemas)) {
    it.effect(`become what each of them becomes by itself (${name})`, () =>
      Effect.promise(() =>
        FastCheck.assert(
          FastCheck.asyncProperty(FastCheck.array(document, { maxLength: 8 }), async (documents) => {
            const all = await Effect.runPromise(codec.decodeAll(documents, "a.b"))
            const each = await Effect.runPromise(
              Effect.forEach(documents, (one) => Effect.either(codec.decode(one, "a.b")))
            )
            expect(all).toEqual(each)
          })
        )
      ))
  }

  it.effect("are left alone by raw", () =>
    Effect.gen(function*() {
      const documents = [{ a: 1 }, { b: 2 }]
      const all = yield* Codec.raw.decodeAll(documents, "a.b")
      expect(all.map(Either.getOrThrow)).toEqual(documents)
    }))
})

describe("raw documents", () => {
  it.effect("come out as they are, and go in so", () =>
    Effect.gen(function*() {
      const document = Object.freeze({ a: { b: 1 } })
      expect(yield* Codec.raw.decode(document, "a.b")).toBe(document)
      const encoded = yield* Codec.raw.encode(document, "a.b")
      expect(encoded).toBe(document)
    }))

  it.effect("go in with what makes BSON of them", () =>
    Effect.gen(function*() {
      class Point {
        readonly x = 1
        toBSON() {
          return { point: [this.x] }
        }
      }
      const encoded = yield* Codec.raw.encode(new Point(), "a.b")
      expect(BSON.deserialize(BSON.serialize(encoded))).toEqual({ point: [1] })
    }))
})
