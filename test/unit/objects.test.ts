import { describe, expect, it } from "@effect/vitest"
import * as Driver from "mongodb"
import * as Vm from "node:vm"
import { storable, type Stored, weightOf } from "../../src/internal/data/values.js"

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

describe("an object of another realm", () => {
  const other = (code: string): Driver.Document => Vm.runInNewContext(`(${code})`) as Driver.Document

  it("is looked into where it is a Map, a Date or a RegExp", () => {
    const wrong: ReadonlyArray<readonly [code: string, hint: string]> = [
      ["new Map([['b', () => 1]])", "`a.b` is a function"],
      ["new Map([[1, 2]])", "`a` is a Map with a key that is no text"],
      ["new Date(NaN)", "`a` is an invalid date"],
      ["/a/u", "`a` is a RegExp"]
    ]
    for (const [code, hint] of wrong) {
      expect(stored({ a: other(code) }), code).toMatchObject(refusal(hint))
      expect(searched({ a: other(code) }), code).toMatchObject(refusal(hint))
    }
    expect(searched(other("new Map([['age', undefined]])"))).toMatchObject(refusal("`age` is undefined"))
    expect(searched({ a: other("/a/g") })).toMatchObject(refusal("`a` is a RegExp"))
  })

  it("is stored as one of this realm", () => {
    const { document } = stored({
      map: other("new Map([['b', 1], ['c', undefined]])"),
      date: other("new Date(5)"),
      regExp: other("/a.b/s"),
      list: other("[{ a: 1 }]")
    }) as Stored<Driver.Document>
    expect(Driver.BSON.deserialize(Driver.BSON.serialize(document), { bsonRegExp: true })).toEqual({
      map: { b: 1 },
      date: new Date(5),
      regExp: new Driver.BSONRegExp("a.b", "s"),
      list: [{ a: 1 }]
    })
    expect(stored(other("new Map([['a', 1], ['b', undefined]])"))).toMatchObject({ document: { a: 1 } })
  })

  it("is no document where it is a Date, a RegExp or bytes", () => {
    for (const code of ["new Date(5)", "/a/", "new Uint8Array(2)"]) {
      expect(stored(other(code)), code).toMatchObject(refusal("give an object of fields"))
      expect(weightOf({ filters: [other(code)] }, "deleteMany", "a.b"), code).toMatchObject({
        reason: "InvalidOptions"
      })
    }
  })
})
