import { describe, expect, it } from "@effect/vitest"
import * as Driver from "mongodb"
import { documentsIn, storable, type Stored, weightOf } from "../../src/internal/data/values.js"
import { MongoError } from "../../src/MongoError.js"

const stored = (document: unknown) => storable(document as Driver.Document, "insertOne", "a.b")
const searched = (value: object) => weightOf({ values: [value] }, "find", "a.b")
const updated = (update: object) => weightOf({ values: [update], updates: [update] }, "updateOne", "a.b")
const commanded = (command: object, takesFunctions = false) => weightOf({ command }, "command", "a.b", takesFunctions)

const refusal = (hint: string) => ({ reason: "EncodingFailed", hint: expect.stringContaining(hint) })

const read = (options: string, reading: Driver.BSON.DeserializeOptions = {}) =>
  Driver.BSON.deserialize(Driver.BSON.serialize({ t: new Driver.BSONRegExp("a.b", options) }), reading)

describe("a regular expression", () => {
  const all = ["", "i", "m", "s", "im", "is", "ms", "ims"]

  it.each(all)("is written as it was read: %s", (options) => {
    const raw = read(options)
    const { document } = stored(raw) as Stored<Driver.Document>
    const again = Driver.BSON.deserialize(Driver.BSON.serialize(document), { bsonRegExp: true })
    expect(again).toEqual(read(options, { bsonRegExp: true }))
    expect(updated({ $set: raw })).toBeGreaterThan(0)
    expect(updated([{ $set: raw }])).toBeGreaterThan(0)
  })

  it("has its flag `s` in a document, and is refused with it where the encoder would drop it", () => {
    const { document } = stored({ t: [/a.b/s] }) as Stored<Driver.Document>
    expect(document).toEqual({ t: [new Driver.BSONRegExp("a.b", "s")] })
    expect(updated({ $set: { t: /a.b/s } })).toMatchObject(refusal("`$set.t` is a RegExp"))
    expect(commanded({ find: "a", filter: { t: /a.b/s } })).toMatchObject(refusal("`filter.t` is a RegExp"))
    expect(searched({ t: /a.b/s })).toMatchObject(refusal("BSONRegExp"))
  })

  it("is refused with `g` where it is searched for", () => {
    expect(searched({ t: /a.b/g })).toMatchObject(refusal("`t` is a RegExp"))
    const part = { filter: { t: /a.b/g }, update: { $set: { t: /a.b/g } } }
    expect(weightOf({ parts: [{}, part] }, "bulkWrite", "a.b")).toMatchObject(refusal("`1.filter.t` is a RegExp"))
    expect(weightOf({ parts: [{ ...part, filter: {} }] }, "bulkWrite", "a.b")).toBeGreaterThan(0)
  })

  it.each(["u", "v", "y", "d"])("is refused with a flag that BSON does not have: %s", (flag) => {
    const t = new RegExp("a", flag)
    for (const found of [stored({ t }), searched({ t }), commanded({ t })]) {
      expect(found).toMatchObject(refusal("`t` is a RegExp"))
    }
    expect(updated({ $set: { t } })).toMatchObject(refusal("`$set.t` is a RegExp"))
  })

  it("has a text like any other", () => {
    const long = "x".repeat(100_000)
    for (const t of [new RegExp(long), new RegExp(long, "s")]) {
      expect((stored({ t }) as Stored<object>).bytes).toBeGreaterThan(long.length)
    }
    expect(searched({ t: new RegExp(long) })).toBeGreaterThan(long.length)
    const pattern = "a\0"
    const nulled = Object.assign(new Driver.BSONRegExp("a"), { pattern })
    for (const t of [new RegExp(pattern), new RegExp(pattern, "g"), nulled]) {
      expect(stored({ t })).toMatchObject(refusal("`t` is a pattern with a null byte"))
      expect(updated({ $set: { t } })).toMatchObject(refusal("`$set.t` is a pattern with a null byte"))
    }
    expect(stored({ t: new RegExp("\ud83d") })).toMatchObject(refusal("`t` is a value whose text"))
    expect(searched({ t: new RegExp("\ud83d") })).toMatchObject(refusal("`t` is a value whose text"))
  })
})

describe("a command", () => {
  it("has no function and no symbol at any depth", () => {
    for (const strange of [() => 1, Symbol("secret")]) {
      expect(commanded({ find: "a", filter: { b: [strange] } })).toMatchObject(refusal("`filter.b.0` is a"))
    }
    expect(commanded({ find: "a", filter: { b: () => 1 } }, true)).toBeGreaterThan(0)
  })

  it("is as it was given otherwise", () => {
    const command = { find: "a", comment: undefined, filter: { b: [undefined], c: /a/g, d: { e: undefined } } }
    expect(commanded(command)).toBeGreaterThan(0)
    expect(Object.keys(command)).toEqual(["find", "comment", "filter"])
  })
})

describe("a Long without a sign", () => {
  const long = (unsigned: bigint) => Driver.Long.fromBigInt(unsigned, true)

  it.each([2n ** 63n, 2n ** 64n - 1n])("is refused where an int64 would be another number: %s", (number) => {
    const v = long(number)
    const why = "is a bigint of more than 64 bits"
    expect(stored({ a: [{ v }] })).toMatchObject(refusal(`\`a.0.v\` ${why}`))
    expect(searched({ v: { $gte: v } })).toMatchObject(refusal(`\`v.$gte\` ${why}`))
    expect(updated({ $set: { v } })).toMatchObject(refusal(`\`$set.v\` ${why}`))
    expect(commanded({ find: "a", filter: { v } })).toMatchObject(refusal(`\`filter.v\` ${why}`))
  })

  it("is an int64 where that has the same number", () => {
    const v = long(2n ** 63n - 1n)
    expect(stored({ v })).toMatchObject({ document: { v } })
    expect(searched({ v })).toBeGreaterThan(0)
  })
})

describe("what the encoder would change in a value of BSON", () => {
  it("is refused: half a character in the database of a DBRef, and a subtype of more than a byte", () => {
    const a = new Driver.DBRef("b", new Driver.ObjectId(), "c\ud83d")
    expect(stored({ a })).toMatchObject(refusal("`a.db` is a value whose text"))
    expect(searched({ a })).toMatchObject(refusal("`a.db` is a value whose text"))
    for (const subtype of [300, -1, 1.5]) {
      // Older versions of the driver take it from the constructor.
      const a = Object.assign(new Driver.Binary(new Uint8Array(2)), { sub_type: subtype })
      expect(stored({ a })).toMatchObject(refusal("`a` is a Binary whose subtype"))
    }
    for (const subtype of [0, 4, 128, 255]) {
      expect(searched({ a: new Driver.Binary(new Uint8Array(16), subtype) })).toBeGreaterThan(0)
    }
  })
})

describe("functions", () => {
  const call = () => 1

  it("are taken in filters, updates and pipelines where code is asked for", () => {
    const filter = { call }
    const given = { values: [filter], parts: [{ filter, update: { $set: filter } }], pipeline: [{ $match: filter }] }
    expect(weightOf(given, "find", "a.b", true)).toBeGreaterThan(0)
    expect(weightOf(given, "find", "a.b")).toBeInstanceOf(MongoError)
  })
})

describe("what a view and a validator say", () => {
  it("is looked into", () => {
    const of = (options: object) => weightOf({ options }, "createCollection", "a.b")
    expect(of({ pipeline: [{ $match: { a: () => 1 } }] })).toMatchObject(refusal("`pipeline.0.$match.a` is a function"))
    expect(of({ pipeline: [{ $match: { a: undefined } }] })).toMatchObject(
      refusal("`pipeline.0.$match.a` is undefined")
    )
    expect(of({ validator: { a: { $gt: undefined } } })).toMatchObject(refusal("`validator.a.$gt` is undefined"))
    expect(of({ viewOn: "a", pipeline: [{ $match: {} }], validator: { a: 1 } })).toBeGreaterThan(0)
  })
})

describe("what else is sent of options", () => {
  const names = ["projection", "hint", "collation", "sort", "min", "max", "let", "key", "weights", "wildcardProjection"]

  it.each(names)("is looked into: %s", (name) => {
    const ways = [
      (of: object) => weightOf({ options: of }, "find", "a.b"),
      (of: object) => weightOf({ parts: [{ filter: {}, ...documentsIn(of) }] }, "bulkWrite", "a.b"),
      (of: object) => weightOf({ values: [undefined, [documentsIn(of)]] }, "createIndexes", "a.b")
    ]
    for (const way of ways) {
      expect(way({ [name]: { a: () => 1 } })).toMatchObject(refusal(`${name}.a\` is a function`))
      expect(way({ [name]: { a: undefined } })).toMatchObject(refusal(`${name}.a\` is undefined`))
      expect(way({ [name]: { a: { toBSON: () => undefined } } })).toMatchObject(refusal(`${name}.a\` is undefined`))
      expect(way({ [name]: { a: 1 }, other: () => 1 })).toBeGreaterThan(0)
      expect(way({ [name]: undefined })).toBeGreaterThanOrEqual(0)
    }
  })
})

describe("what is no document at all", () => {
  it.each([undefined, null, "x", 1, 1n, true, Symbol("a"), () => 1])("is refused with what to give: %s", (value) => {
    expect(stored(value)).toMatchObject(refusal("give an object of fields"))
  })
})

describe("the fields of a reference", () => {
  it.each([{ $ref: "fs.files", $id: 1 }, { $ref: "fs.files", $id: 1, $db: "other" }])(
    "are refused where the driver would read another one: %o",
    (of) => {
      const why = "is a reference whose collection has a dot"
      expect(stored({ a: [{ of }] })).toMatchObject(refusal(`\`a.0.of.$ref\` ${why}`))
      expect(updated({ $pull: { of }, $set: { of } })).toMatchObject(refusal(`\`$set.of.$ref\` ${why}`))
      expect(updated([{ $set: { of: { $literal: of } } }])).toMatchObject(refusal(`\`0.$set.of.$literal.$ref\` ${why}`))
      expect(updated({ $push: { a: { $each: [of] } } })).toMatchObject(refusal(`\`$push.a.$each.0.$ref\` ${why}`))
      expect(updated({ $setOnInsert: { "a.b": of } })).toMatchObject(refusal(`\`$setOnInsert.a.b.$ref\` ${why}`))
    }
  )

  it.each([{ $ref: "files", $id: 1 }, { $ref: "a.b.c", $id: 1 }, { $ref: "fs.files" }, {
    $ref: "fs.files",
    $id: null
  }])(
    "are a document otherwise: %o",
    (of) => expect(stored({ of })).toMatchObject({ document: { of } })
  )

  it("can be searched for, and pulled from a list", () => {
    const of = { $ref: "fs.files", $id: 1 }
    expect(searched({ of })).toBeGreaterThan(0)
    expect(updated({ $pull: { of } })).toBeGreaterThan(0)
    expect(updated({ $set: { a: 1 }, $pullAll: { of: [of] } })).toBeGreaterThan(0)
  })
})
