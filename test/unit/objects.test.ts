import { describe, expect, it } from "@effect/vitest"
import type * as Driver from "mongodb"
import { storable, weightOf } from "../../src/internal/data/values.js"

const stored = (document: Driver.Document) => storable(document, "insertOne", "a.b")
const searched = (value: object) => weightOf({ values: [value] }, "find", "a.b")

const refusal = (hint: string) => ({ reason: "EncodingFailed", hint: expect.stringContaining(hint) })

describe("an object with a tag", () => {
  const tagged = (tag: string, fields: object) =>
    Object.assign(
      Object.create({
        get [Symbol.toStringTag]() {
          return tag
        }
      }) as object,
      fields
    )

  it("is a document of its fields, if it has some, whatever tag a program has given to it", () => {
    for (const tag of ["Set", "Blob", "URL", "Generator", "Error", "Array Iterator", "Money"]) {
      const money = tagged(tag, { cents: 5 })
      expect(stored({ money })).toMatchObject({ document: { money } })
    }
    expect(stored({ money: tagged("Set", {}) })).toMatchObject(refusal("a Set"))
  })

  it("is of the language, whatever fields it has besides", () => {
    class Tags extends Set<string> {
      readonly of = "a"
    }
    const given = [new Tags(), Object.assign(new URL("https://example.com"), { of: "a" }), new Int16Array(2)]
    for (const value of given) expect(stored({ value })).toMatchObject(refusal("`value` is a"))
  })

  it("is refused where it is an iterator of any kind", () => {
    async function* generate() {
      yield await Promise.resolve(1)
    }
    const helper: unknown = Reflect.get(Object([1].values()), "map")
    const given = [
      "ab"[Symbol.iterator](),
      "ab".matchAll(/a/g),
      new Set([1]).entries(),
      generate(),
      tagged("Iterator Helper", {})
    ]
    const helped: unknown = typeof helper === "function" ? helper.call([1].values(), (n: number) => n) : [1].values()
    for (const value of [...given, helped]) {
      expect(stored({ value })).toMatchObject(refusal("give an array"))
      expect(searched({ value })).toMatchObject(refusal("give an array"))
    }
  })
})
