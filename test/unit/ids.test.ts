import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { Binary, Decimal128, Double, Int32, Long, ObjectId, Timestamp, UUID } from "mongodb"
import { keyOf, targetOf } from "../../src/internal/values/ids.js"

const uuid = new UUID()
const oid = new ObjectId()

const equal: ReadonlyArray<ReadonlyArray<unknown>> = [
  [1, 1n, new Int32(1), new Double(1), Long.fromNumber(1)],
  [0, -0, 0n, new Double(-0)],
  [2 ** 53, 2n ** 53n, Long.fromBigInt(2n ** 53n)],
  [1.5, new Double(1.5)],
  [NaN, new Double(NaN)],
  [oid, new ObjectId(oid.toHexString())],
  [uuid, new UUID(uuid.toHexString()), new Binary(uuid.buffer, 4)],
  [new Uint8Array([1, 2]), Buffer.from([1, 2]), new Binary(new Uint8Array([1, 2]))],
  [{ a: 1, b: { c: "x" } }, { a: 1n, b: { c: "x" } }],
  [{ b: 1, a: 1 }],
  [{ a: 1, b: 1 }],
  ["1"],
  [true],
  ["true"],
  [null],
  ["null"],
  [new Date(5)],
  [new Timestamp({ t: 0, i: 5 })],
  [oid.toHexString()],
  [2n ** 53n + 1n],
  [new Binary(new Uint8Array([1, 2]), 128)]
]

describe("the target of a filter", () => {
  const of = (filter: unknown) => targetOf("shop.stock", filter)

  it("is its id, whatever else it asks for, and however the id is written", () => {
    const same = [{ _id: 1 }, { _id: { $eq: 1n } }, { amount: { $gte: 1 }, _id: new Int32(1) }, { a: 1, _id: 1 }]
    expect(new Set(same.map(of)).size).toBe(1)
    expect(of({ _id: 2 })).not.toBe(of({ _id: 1 }))
    expect(targetOf("shop.orders", { _id: 1 })).not.toBe(of({ _id: 1 }))
  })

  it("is what it asks for by value where it has no id", () => {
    expect(of({ sku: "a", amount: { $gte: 1 } })).toBe(of({ amount: { $lt: 9 }, sku: { $eq: "a" } }))
    expect(of({ a: 1, b: 2 })).toBe(of({ b: 2, a: 1 }))
    expect(of({ a: 1 })).not.toBe(of({ b: 1 }))
    // An id that nothing is known of does not make documents the same.
    expect(of({ _id: { $gt: 1 }, a: 1 })).toBe(of({ a: 1 }))
  })

  it("is none where nothing is asked for by value, or too much", () => {
    for (const filter of [undefined, null, {}, { $or: [{ a: 1 }] }, { a: { $gt: 1 } }, { _id: "x".repeat(2000) }]) {
      expect(of(filter)).toBeUndefined()
    }
  })
})

describe("the key of an id", () => {
  it("is the same for ids that are equal to the server, and for no others", () => {
    const keys = equal.map((ids) => new Set(ids.map(keyOf)))
    for (const [index, own] of keys.entries()) expect(own.size, `row ${index}`).toBe(1)
    expect(new Set(keys.flatMap((own) => [...own])).size).toBe(equal.length)
  })

  it("is none for what stands for something else in a list of ids, at every depth", () => {
    const others = [
      undefined,
      /a/,
      { $ne: null },
      { a: { $gt: "" } },
      [1],
      Decimal128.fromString("1"),
      new Map(),
      () => 1
    ]
    expect(others.map(keyOf)).toEqual(others.map(() => undefined))
  })

  it("tells any two texts apart, also within documents", () => {
    FastCheck.assert(FastCheck.property(FastCheck.string(), FastCheck.string(), FastCheck.string(), (a, b, c) => {
      expect(keyOf(a) === keyOf(b)).toBe(a === b)
      expect(keyOf({ [`x${a}`]: b }) === keyOf({ [`x${a}`]: c })).toBe(b === c)
    }))
  })
})
