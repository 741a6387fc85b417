import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Driver from "mongodb"
import { formsOf } from "../../src/internal/driver/bson.js"

const { BSON, BSONRegExp, Double, Int32, Long } = Driver

const numbers = FastCheck.oneof(
  FastCheck.double(),
  FastCheck.maxSafeInteger(),
  FastCheck.integer(),
  FastCheck.constantFrom(
    0,
    -0,
    NaN,
    2 ** 31 - 1,
    2 ** 31,
    -(2 ** 31),
    -(2 ** 31) - 1,
    2 ** 32,
    2 ** 53,
    -(2 ** 53),
    1e20
  )
)

const int64s = FastCheck.oneof(
  FastCheck.bigInt(-(2n ** 63n), 2n ** 63n - 1n),
  FastCheck.bigInt(-(2n ** 32n), 2n ** 32n),
  FastCheck.constantFrom(2n ** 31n, -(2n ** 31n), -(2n ** 31n) - 1n, 2n ** 53n, 2n ** 53n + 1n)
)

/** How a client may read a value of BSON, by its options. */
const ways: ReadonlyArray<Driver.BSONSerializeOptions> = [
  {},
  { promoteLongs: false },
  { promoteValues: false },
  { useBigInt64: true }
]

const read = (value: unknown, options: Driver.BSONSerializeOptions): unknown =>
  BSON.deserialize(BSON.serialize({ value }), options)["value"]

/** What a form stands for. */
const meaning = (form: unknown): number | bigint =>
  typeof form === "bigint" ? form : form instanceof Long ? form.toBigInt() : Number(form)

const isSame = (one: number | bigint, other: number | bigint): boolean =>
  typeof one === typeof other ? Object.is(one, other) : isSameInteger(one, other)

// No bigint has the sign of -0.
const isSameInteger = (one: number | bigint, other: number | bigint): boolean =>
  [one, other].every((n) => typeof n === "bigint" || Number.isInteger(n) && !Object.is(n, -0)) &&
  BigInt(one) === BigInt(other)

describe("the forms of a number", () => {
  const check = (value: unknown): void => {
    for (const options of ways) {
      const found = read(value, options)
      const forms = formsOf(found)
      for (const form of forms) {
        const isNearest = typeof form === "number" && typeof meaning(found) === "bigint" && !Number.isSafeInteger(form)
        const about = `${String(form)} of ${String(found)} with ${JSON.stringify(options)}`
        expect(isNearest || isSame(meaning(form), meaning(found)), about).toBe(true)
      }
      const isInt32 = Number(meaning(found)) === (Number(meaning(found)) | 0) && !Object.is(meaning(found), -0)
      expect([found, ...forms].some((form) => form instanceof Int32), JSON.stringify(options)).toBe(isInt32)
    }
  }

  it("are all the same value, whatever the client's options are", () => {
    FastCheck.assert(FastCheck.property(numbers, (n) => check(new Double(n))))
    FastCheck.assert(FastCheck.property(int64s, (n) => check(Long.fromBigInt(n))))
    FastCheck.assert(FastCheck.property(FastCheck.integer(), (n) => check(new Int32(n))))
  })
})

describe("the forms of a regular expression", () => {
  it("keep every option, and are none where there is no such flag", () => {
    const cases: ReadonlyArray<readonly [options: string, flags: string | undefined]> = [
      ["", ""],
      ["i", "i"],
      ["m", "m"],
      ["s", "s"],
      ["ims", "ims"],
      ["x", undefined],
      ["l", undefined],
      ["u", undefined],
      ["ilmsux", undefined],
      ["ii", undefined]
    ]
    for (const [options, flags] of cases) {
      const forms = formsOf(new BSONRegExp("a.b", options))
      expect(forms.map((form) => form instanceof RegExp && [form.source, form.flags]), options).toEqual(
        flags === undefined ? [] : [["a.b", flags]]
      )
    }
  })

  it("are none of JavaScript's where that cannot parse it", () => {
    expect(formsOf(new BSONRegExp("(?i)foo"))).toEqual([])
  })

  it("have the option `s` where the driver has read it as `g`", () => {
    const promoted = read(new BSONRegExp("a", "ims"), {})
    expect(promoted).toEqual(/a/gim)
    expect(formsOf(promoted)).toEqual([new BSONRegExp("a", "ims")])
    for (const flag of ["d", "y", "u", "v"]) {
      expect(formsOf(new RegExp("a", `i${flag}`)), flag).toEqual([new BSONRegExp("a", "i")])
    }
    expect(formsOf(new RegExp(`a${String.fromCharCode(0)}b`))).toEqual([])
  })
})

describe("the forms of bytes", () => {
  it("are a Uint8Array of its own, and a Buffer", () => {
    const [bytes, buffer] = formsOf(new Driver.Binary(new Uint8Array([1, 2])))
    expect(bytes).toEqual(new Uint8Array([1, 2]))
    expect(Buffer.isBuffer(bytes)).toBe(false)
    expect(buffer).toEqual(Buffer.from([1, 2]))
  })
})

describe("the forms of a reference", () => {
  it("are the document that was stored", () => {
    const oid = new Driver.ObjectId()
    for (const stored of [{ $ref: "a", $id: oid }, { $ref: "a", $id: oid, $db: "b", more: 1 }]) {
      const found = read(stored, {})
      expect(found).toBeInstanceOf(Driver.DBRef)
      expect(formsOf(found)).toEqual([stored])
    }
  })
})
