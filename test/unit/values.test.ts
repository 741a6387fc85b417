import { describe, expect, it } from "@effect/vitest"
import * as Driver from "mongodb"
import { isTooLarge, storable, type Stored, weightOf } from "../../src/internal/data/values.js"
import { MongoError } from "../../src/MongoError.js"

const stored = (document: object) => storable(document, "insertOne", "a.b")
const asked = (value: object) => weightOf({ values: [value] }, "find", "a.b")

/** The hint for a document and for a filter, which are refused alike. */
const hintOf = (value: object): string => {
  const hints = [stored(value), asked(value)].map((found) => {
    expect(found).toBeInstanceOf(MongoError)
    expect(found).toMatchObject({ reason: "EncodingFailed" })
    return String((found as MongoError).hint)
  })
  expect(hints[0]).toBe(hints[1])
  return hints[0] ?? ""
}

describe("a hint for a value that is refused", () => {
  const bad = new Date(Number.NaN)

  it("has the path to it", () => {
    expect(hintOf({ a: [{ b: bad }] })).toContain("`a.0.b` is")
    expect(hintOf({ $or: [{ "address.city": bad }] })).toContain("`$or.0.address.city` is")
    expect(hintOf({ "a\0b": 1 })).toContain("`a\\0b` is")
  })

  it("quotes no key that may be data", () => {
    const hint = hintOf({ visits: { "ada@example.com": { at: bad } } })
    expect(hint).toContain("`visits.<key>.at` is")
    expect(hint).not.toContain("ada")
    expect(hintOf({ "a secret of many words": bad })).not.toContain("secret")
    expect(hintOf({ ["x".repeat(65)]: bad })).not.toContain("xxx")
    expect(hintOf({ "ada@\0example": 1 })).toContain("`<key>` is")
  })
})

describe("what the encoder would leave out", () => {
  const call = () => 1

  it("is refused wherever it stands", () => {
    for (const strange of [Symbol("secret"), call, class {}]) {
      expect(hintOf({ a: strange })).toContain("`a` is a")
      expect(hintOf({ a: [1, strange] })).toContain("`a.1` is a")
      expect(hintOf({ $set: { a: { b: strange } } })).toContain("`$set.a.b` is a")
    }
    expect(hintOf({ a: Symbol("secret") })).not.toContain("secret")
  })

  it("is stored where it is a function, and code is asked for", () => {
    const found = storable({ a: call, b: [call] }, "insertOne", "a.b", { takesFunctions: true })
    expect(found).toMatchObject({ document: { a: call, b: [call] } })
    expect(storable({ a: Symbol("a") }, "insertOne", "a.b", { takesFunctions: true })).toBeInstanceOf(MongoError)
  })
})

describe("what would be stored as something else", () => {
  class Thenable {
    readonly name = "a"
    then() {
      return 1
    }
  }
  class Broken extends Error {
    readonly field = 1
  }

  it.each<[of: string, value: object, says: string]>([
    ["an ArrayBuffer", new ArrayBuffer(2), "`Uint8Array`"],
    ["a SharedArrayBuffer", new SharedArrayBuffer(2), "`Uint8Array`"],
    ["a DataView", new DataView(new ArrayBuffer(2)), "`Uint8Array`"],
    ["clamped bytes", new Uint8ClampedArray(2), "`Uint8Array`"],
    ["floats", new Float64Array([1]), "array of numbers"],
    ["bigints", new BigInt64Array([1n]), "array of numbers"],
    ["a Set", new Set([1]), "an array"],
    ["an iterator", [1].values(), "an array"],
    ["a WeakMap", new WeakMap(), "its values"],
    ["a promise", Promise.resolve(1), "what it resolves to"],
    ["a thenable", new Thenable(), "what it resolves to"],
    ["an Error", new Error("secret"), "what you need of it"],
    ["an Error with fields", new Broken("secret"), "what you need of it"],
    ["a URL", new URL("https://secret@example.com"), "its text"],
    ["a boxed text", new String("secret"), "the text itself"],
    ["a boxed number", new Number(1), "the number itself"],
    ["a boxed flag", new Boolean(false), "itself"],
    ["a boxed bigint", Object(1n) as object, "the bigint itself"],
    ["a boxed symbol", Object(Symbol("secret")) as object, "its text"],
    ["a Map with numbers as keys", new Map([[1, 2]]), "texts as its keys"],
    ["a Map with objects as keys", new Map([[{}, 2]]), "texts as its keys"]
  ])("is refused with what to do: %s", (_, value, says) => {
    for (const hint of [hintOf({ a: { b: value } }), hintOf({ a: { b: [[value]] } })]) {
      expect(hint).toMatch(/^`a\.b(\.0\.0)?` is a/)
      expect(hint).toContain(says)
      expect(hint).not.toContain("secret")
    }
  })

  it("is refused as a document where it is a list, or a value of BSON", () => {
    const given = [
      [1],
      [{}],
      new Date(),
      /a/,
      new Uint8Array(1),
      Buffer.from("a"),
      new Driver.ObjectId(),
      Driver.Long.ONE
    ]
    for (const value of given) {
      expect(stored(value)).toMatchObject({
        reason: "EncodingFailed",
        hint: expect.stringContaining("object of fields")
      })
      expect(stored({ toBSON: () => value })).toMatchObject({ reason: "EncodingFailed" })
    }
  })

  it("is refused as a document, too", () => {
    expect(stored(new Map<unknown, unknown>([[1, 2]]))).toMatchObject({ reason: "EncodingFailed" })
    expect(stored(new URL("https://example.com"))).toMatchObject({ reason: "EncodingFailed" })
  })

  it("is not what has fields of its own, or says how it is stored", () => {
    class Money {
      readonly cents = 5
      readonly inner = new Map([["a", Buffer.from("b")]])
    }
    class Said extends Error {
      toBSON() {
        return { message: this.message }
      }
    }
    const bare = Object.assign(Object.create(null) as object, { a: 1 })
    const given = { money: new Money(), bare, said: new Said("a"), bytes: new Uint8Array(2), buffer: Buffer.from("b") }
    expect(stored(given)).toMatchObject({ document: { ...given, said: { message: "a" } } })
    expect(asked(given)).toBeGreaterThan(0)
  })
})

describe("a value of one of BSON's own types", () => {
  const length = 100_000
  const long = "x".repeat(length)
  const withRoom = new Driver.Binary(new Uint8Array(length))
  withRoom.position = 10

  it.each<[of: string, value: object, least: number, most: number]>([
    ["a Binary", new Driver.Binary(new Uint8Array(length)), length, length + 50],
    ["a Binary with room for more", withRoom, 10, 60],
    ["a UUID", new Driver.UUID(), 16, 60],
    ["code", new Driver.Code(long), length, length + 50],
    ["code with a scope", new Driver.Code("x", { long }), length, length + 60],
    ["a regular expression", new Driver.BSONRegExp(long, "i"), length, length + 50],
    ["a symbol", new Driver.BSONSymbol(long), length, length + 50],
    ["a reference", new Driver.DBRef("a", new Driver.ObjectId(), "b", { long }), length, length + 100],
    ["an ObjectId", new Driver.ObjectId(), 12, 50],
    ["a Decimal128", Driver.Decimal128.fromString("1.5"), 12, 50]
  ])("is counted: %s", (_, value, least, most) => {
    for (const bytes of [asked({ value }), (stored({ value }) as Stored<object>).bytes]) {
      expect(bytes).toBeGreaterThanOrEqual(least)
      expect(bytes).toBeLessThanOrEqual(most)
    }
  })

  it("is looked into where it holds others", () => {
    const bad = new Date(Number.NaN)
    const id = new Driver.ObjectId()
    expect(hintOf({ a: new Driver.Code("x", { b: bad }) })).toContain("`a.scope.b` is")
    expect(hintOf({ a: new Driver.DBRef("b", id, undefined, { b: [bad] }) })).toContain("`a.fields.b.0` is")
    expect(hintOf({ a: new Driver.DBRef("b", bad as unknown as Driver.ObjectId) })).toContain("`a.oid` is")
  })

  it("is stored without what is undefined in it, and asked for with nothing undefined", () => {
    const code = new Driver.Code("x", { a: undefined, b: 1 })
    const reference = new Driver.DBRef("b", new Driver.ObjectId(), undefined, { a: undefined, c: 1 })
    const { document } = stored({ code, reference }) as Stored<object>
    const read = Driver.BSON.deserialize(Driver.BSON.serialize(document, { ignoreUndefined: false }))
    expect(read["code"].scope).toEqual({ b: 1 })
    expect(read["reference"].fields).toEqual({ c: 1 })
    expect(asked({ code })).toMatchObject({ hint: expect.stringContaining("`code.scope.a` is undefined") })
    expect(asked({ reference })).toMatchObject({ hint: expect.stringContaining("`reference.fields.a` is undefined") })
    expect(code.scope).toEqual({ a: undefined, b: 1 })
  })
})

describe("a text that has half of a character", () => {
  const half = "a\ud83d"

  it("is refused as a value, as the name of a field, and in values of BSON's own types", () => {
    expect(hintOf({ a: [half] })).toContain("`a.0` is a text")
    expect(hintOf({ a: { [half]: 1 } })).toContain("`a.<key>` is a field")
    expect(hintOf({ a: new Map([[half, 1]]) })).toContain("`a.<key>` is a field")
    const values = [new Driver.Code(half), new Driver.BSONRegExp(half), new Driver.BSONSymbol(half)]
    for (const value of values) expect(hintOf({ a: value })).toContain("`a` is a value")
    expect(hintOf({ a: new Driver.DBRef(half, new Driver.ObjectId()) })).toContain("`a.collection` is a value")
  })

  it("is taken where it has both", () => {
    const given = { a: "\ud83d\ude00", "\ud83d\ude00": ["é"] }
    expect(stored(given)).toMatchObject({ document: given })
  })
})

describe("an `_id` of null", () => {
  it("is refused where the driver would put another in its place", () => {
    const found = storable({ _id: null, a: 1 }, "insertOne", "a.b", { getsId: true })
    expect(found).toMatchObject({ reason: "EncodingFailed", hint: expect.stringContaining("`_id` is null") })
    expect(storable(new Map([["_id", null]]), "insertOne", "a.b", { getsId: true })).toBeInstanceOf(MongoError)
  })

  it("is a value elsewhere", () => {
    expect(stored({ _id: null })).toMatchObject({ document: { _id: null } })
    expect(storable({ a: { _id: null } }, "insertOne", "a.b", { getsId: true })).not.toBeInstanceOf(MongoError)
    expect(asked({ _id: null })).toBeGreaterThan(0)
  })
})

describe("the filter of a write", () => {
  const hintFor = (filters: ReadonlyArray<unknown>, parts: ReadonlyArray<object> = []) => {
    const found = weightOf({ filters, parts, values: filters }, "deleteMany", "a.b")
    return found instanceof MongoError && found.reason === "InvalidOptions" ? found.hint : undefined
  }

  it("is an object, whatever it asks for", () => {
    for (const filter of [{}, { a: 1 }, new Map([["a", 1]]), Object.create(null)]) {
      expect(hintFor([filter])).toBeUndefined()
    }
    const none = [undefined, null, "", "a", 1, 1n, true, [], [{}], () => ({}), new Date(), /a/, new Driver.ObjectId()]
    for (const filter of none) {
      expect(hintFor([filter])).toContain("For all documents it is `{}`")
    }
  })

  it("is refused where it cannot be read", () => {
    const { proxy, revoke } = Proxy.revocable({}, {})
    revoke()
    expect(weightOf({ filters: [proxy] }, "deleteMany", "a.b")).toBeInstanceOf(MongoError)
    expect(weightOf({ updates: [proxy] }, "updateMany", "a.b")).toBeInstanceOf(MongoError)
  })

  it("is told by its place in a bulk", () => {
    expect(hintFor([{}, undefined], [{}, {}])).toContain("`1.filter` is none")
  })
})

describe("the size of a document", () => {
  it("is known of what is refused for another reason, too", () => {
    const strange = { a: [undefined], text: "x".repeat(2 ** 24) }
    expect(stored(strange)).toMatchObject({ hint: expect.stringContaining("`a.0` is undefined") })
    expect(isTooLarge(strange)).toBe(true)
    expect(isTooLarge({ a: [undefined] })).toBe(false)
  })
})
