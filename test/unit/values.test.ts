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
