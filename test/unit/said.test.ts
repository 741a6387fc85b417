import { describe, expect, it } from "@effect/vitest"
import * as Driver from "mongodb"
import { storable, type Stored, weightOf } from "../../src/internal/data/values.js"

const stored = (document: unknown) => storable(document as Driver.Document, "insertOne", "a.b")
const said = (value: unknown) => ({ toBSON: () => value })
const refusal = (hint: string) => ({ reason: "EncodingFailed", hint: expect.stringContaining(hint) })

/** What each way of asking for it says. */
const asked = (value: unknown) => [
  weightOf({ values: [{ a: value }] }, "find", "a.b"),
  weightOf({ values: [{ $set: { a: value } }], updates: [{ $set: { a: value } }] }, "updateOne", "a.b"),
  weightOf({ pipeline: [{ $match: { a: value } }] }, "aggregate", "a.b"),
  weightOf({ parts: [{ filter: { a: value } }] }, "bulkWrite", "a.b")
]

describe("what says itself how it is stored", () => {
  it.each<[of: string, value: unknown, says: string]>([
    ["a function", () => 1, "a` is a function"],
    ["a symbol", Symbol("secret"), "a` is a symbol"],
    ["a bigint", 2n ** 70n, "a` is a bigint"],
    ["a Set", new Set([1]), "a` is a Set"],
    ["an invalid date", new Date(Number.NaN), "a` is an invalid date"],
    ["half of a character", "\ud83d", "a` is a text"],
    ["a list with undefined", [undefined], "a.0` is undefined"],
    ["a field with a function", { b: () => 1 }, "a.b` is a function"],
    ["another one", said(1), "a` is a value whose `toBSON`"]
  ])("is refused by what it says: %s", (_, value, says) => {
    for (const given of [said(value), Object.assign(new Date(1), said(value)), Object.assign([], said(value))]) {
      expect(stored({ a: given })).toMatchObject(refusal(says))
      for (const found of asked(given)) expect(found).toMatchObject(refusal(says))
    }
  })

  it("is left out of a document where it says nothing, and refused where that would change what is asked for", () => {
    expect(stored({ a: said(undefined), b: 1, c: { d: said(undefined) } })).toMatchObject({
      document: expect.toSatisfy((found: object) => JSON.stringify(found) === "{\"b\":1,\"c\":{}}")
    })
    expect(stored({ a: [1, said(undefined)] })).toMatchObject(refusal("`a.1` is undefined"))
    for (const found of asked(said(undefined))) expect(found).toMatchObject(refusal("a` is undefined"))
    for (const found of asked([said(undefined)])) expect(found).toMatchObject(refusal("a.0` is undefined"))
  })

  it("is asked once, and stored as it says then", () => {
    let count = 0
    const counting = { toBSON: () => ({ count: ++count, at: undefined }) }
    const { document } = stored({ a: counting, b: [counting] }) as Stored<Driver.Document>
    expect(Driver.BSON.deserialize(Driver.BSON.serialize(document))).toEqual({ a: { count: 1 }, b: [{ count: 2 }] })
    expect(document["a"]).not.toHaveProperty("at")
    expect(count).toBe(2)
  })

  it("is taken where it says what it is itself, or something that is stored", () => {
    class Money {
      readonly cents = 5
      toBSON() {
        return this
      }
    }
    // Of whom the encoder would ask what is stored, nobody is left: another answer was not looked into.
    let count = 0
    class Counted extends Money {
      override toBSON() {
        count++
        return this
      }
    }
    const list = Object.assign([1], { toBSON: () => list })
    const map = Object.assign(new Map([["d", 1]]), { toBSON: () => map })
    const { document } = stored({ a: new Counted(), b: [new Counted()], c: list, map }) as Stored<Driver.Document>
    expect(Driver.BSON.deserialize(Driver.BSON.serialize(document))).toEqual({
      a: { cents: 5 },
      b: [{ cents: 5 }],
      c: [1],
      map: { d: 1 }
    })
    const { document: whole } = stored(new Counted()) as Stored<Driver.Document>
    expect(Driver.BSON.deserialize(Driver.BSON.serialize(whole))).toEqual({ cents: 5 })
    expect(count).toBe(3)
    expect(stored({ a: new Money() })).toMatchObject({ document: { a: { cents: 5 } } })
    expect(stored(new Money())).toMatchObject({ document: { cents: 5 } })
    for (const value of [new Money(), said(null), said("x"), said(new Driver.ObjectId()), said([1, { b: 2 }])]) {
      for (const found of asked(value)) expect(found).toBeGreaterThan(0)
    }
    const long = "x".repeat(100_000)
    for (const found of asked(said({ long }))) expect(found).toBeGreaterThan(long.length)
  })

  it("is a function like any other, too", () => {
    const call = Object.assign(() => 1, said(undefined))
    const given = { values: [{ a: call }] }
    for (const takesFunctions of [false, true]) {
      expect(weightOf(given, "find", "a.b", takesFunctions)).toMatchObject(refusal("`a` is undefined"))
    }
  })

  it("gets no `_id` of null", () => {
    const found = storable({ _id: said(null) }, "insertOne", "a.b", { getsId: true })
    expect(found).toMatchObject(refusal("`_id` is null"))
  })

  it("is no filter of a write where it says nothing, or what is none", () => {
    const of = (filter: unknown) => weightOf({ filters: [filter], values: [filter] }, "deleteMany", "a.b")
    const none = [{}, new Map(), undefined, null, 1, [], new Date()]
    for (const value of none) {
      expect(of({ owner: 1, ...said(value) })).toMatchObject({
        reason: "InvalidOptions",
        hint: expect.stringContaining("For all documents it is `{}`")
      })
    }
    for (const value of [{ owner: 1 }, new Map([["owner", 1]])]) expect(of(said(value))).toBeGreaterThan(0)
  })

  it("is no update where it says something without operators", () => {
    const of = (update: unknown) => weightOf({ updates: [update], values: [update] }, "updateOne", "a.b")
    for (const value of [{ a: 1 }, {}, undefined]) {
      const update = Object.assign(Object.create(said(value)) as object, { $set: { a: 1 } })
      expect(of(update)).toMatchObject({ reason: "InvalidOptions" })
    }
    expect(of(said({ $set: { a: 1 } }))).toBeGreaterThan(0)
    expect(of(said(said({ $set: { a: 1 } })))).toMatchObject({ reason: "EncodingFailed" })
  })

  it("is no command, which gets more fields from the driver", () => {
    expect(weightOf({ command: { ping: 1, ...said({ ping: 1 }) } }, "command", "a.b")).toMatchObject(
      refusal("A document is a command with a `toBSON`")
    )
    const ofCommand = (a: unknown) => weightOf({ command: { find: "a", a } }, "command", "a.b")
    expect(ofCommand(said(() => 1))).toMatchObject(refusal("`a` is a function"))
    for (const a of [said(undefined), said([undefined]), said({ b: 1 })]) expect(ofCommand(a)).toBeGreaterThan(0)
  })
})
