import { describe, expect, it } from "@effect/vitest"
import { storable, weightOf } from "../../src/internal/data/values.js"
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
