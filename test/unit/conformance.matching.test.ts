import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { Binary, BSON, Decimal128, Double, Int32, Long, ObjectId, Timestamp, UUID } from "mongodb"
import { type Level, mismatch, type Names } from "../conformance/matching.js"
import { copyOf, sameValue } from "../conformance/values.js"

const lsid = new UUID()

const names: Names = {
  value: (name) => name === "saved" ? { t: 1 } : undefined,
  lsid: (name) => name === "session0" ? lsid.buffer : undefined
}

const problem = (expected: unknown, actual: unknown, level?: Level) => mismatch(expected, actual, names, level)

const accepts = (expected: unknown, actual: unknown, level?: Level) =>
  expect(problem(expected, actual, level)).toBeUndefined()

const refuses = (expected: unknown, actual: unknown, level?: Level) =>
  expect(problem(expected, actual, level)).toBeTypeOf("string")

describe("a document that is expected", () => {
  it("may have extra keys at the root, and nowhere else", () => {
    accepts({ x: 1 }, { x: 1, y: 1 }, "root")
    refuses({ x: 1 }, { x: 1, y: 1 })
    refuses({ x: { y: 1 } }, { x: { y: 1, z: 1 } }, "root")
    refuses({ writeConcern: { w: 1 } }, { writeConcern: { w: 1, wtimeout: 10_000 } }, "root")
    refuses([{ x: 1 }], [{ x: 1, y: 1 }])
    refuses({ x: [{ y: 1 }] }, { x: [{ y: 1, z: 1 }] }, "root")
  })

  it("may have extra keys in each of the documents that are read, but not within", () => {
    accepts([{ x: 1 }, { x: 2 }], [{ x: 1, y: 1 }, { x: 2, y: 2 }], "roots")
    refuses([{ x: { y: 1 } }], [{ x: { y: 1, z: 1 } }], "roots")
  })

  it("needs all of its keys, in any order", () => {
    accepts({ a: 1, b: 2 }, { b: 2, a: 1 })
    refuses({ a: 1, b: 2 }, { a: 1 }, "root")
    refuses({ a: null }, {}, "root")
    refuses({ a: 1 }, null, "root")
    refuses({ a: 1 }, [1], "root")
    refuses({}, "text", "root")
  })

  it("is refused with the place where it differs", () => {
    expect(problem({ a: [{ b: 1 }] }, { a: [{ b: 2 }] }, "root")).toMatch(/^a\.0\.b: /)
  })
})

describe("an array that is expected", () => {
  it("needs just as many elements", () => {
    accepts([1, 2], [1, 2])
    refuses([1, 2], [1, 2, 3])
    refuses([1, 2], [1])
    refuses([1, 2], [2, 1])
    refuses([], {})
  })
})

describe("a value that is expected", () => {
  it("is equal to a number of another type, but for Decimal128", () => {
    for (const one of [1, 1n, new Int32(1), new Double(1), Long.fromNumber(1)]) {
      accepts(1, one)
      accepts(one, 1)
      refuses(2, one)
      refuses("1", one)
      refuses(Decimal128.fromString("1"), one)
    }
    refuses(1, 1.5)
    refuses(1, true)
    refuses(0, null)
    refuses(0, false)
    accepts(Long.fromString("9007199254740993"), 9007199254740993n)
    refuses(Long.fromString("9007199254740993"), Long.fromString("9007199254740992"))
  })

  it("is of the same type", () => {
    const id = new ObjectId()
    accepts(id, new ObjectId(id.toHexString()))
    refuses(id, id.toHexString())
    refuses(id, new ObjectId())
    refuses(new Timestamp({ t: 1, i: 1 }), new Timestamp({ t: 1, i: 2 }))
    refuses(null, undefined)
    refuses("a", null)
    accepts(new Date(1), new Date(1))
    refuses(new Date(1), 1)
    refuses(new Binary(new Uint8Array([1]), 0), new Binary(new Uint8Array([1]), 4))
  })

  it("is the same as itself, whatever it is", () => {
    const value = FastCheck.letrec((tie) => ({
      value: FastCheck.oneof(
        { maxDepth: 3 },
        FastCheck.string(),
        FastCheck.integer(),
        FastCheck.double({ noNaN: true }),
        FastCheck.boolean(),
        FastCheck.constant(null),
        FastCheck.array(tie("value")),
        FastCheck.dictionary(FastCheck.stringMatching(/^[a-z]{1,5}$/), tie("value"))
      )
    })).value
    FastCheck.assert(FastCheck.property(value, (one) => {
      accepts(one, BSON.deserialize(BSON.serialize({ one }))["one"])
      expect(sameValue(one, copyOf(one))).toBe(true)
    }))
  })
})

describe("the operator", () => {
  it("$$exists looks at the key, not at its value", () => {
    accepts({ a: { $$exists: true } }, { a: null })
    refuses({ a: { $$exists: true } }, {})
    accepts({ a: { $$exists: false } }, {})
    refuses({ a: { $$exists: false } }, { a: null }, "root")
  })

  it("$$unsetOrMatches accepts nothing, or what matches strictly", () => {
    accepts({ a: { $$unsetOrMatches: 1 } }, {})
    accepts({ a: { $$unsetOrMatches: { $$type: "int" } } }, { a: 5 })
    refuses({ a: { $$unsetOrMatches: 1 } }, { a: 2 })
    refuses({ a: { $$unsetOrMatches: 1 } }, { a: null })
    refuses({ a: { $$unsetOrMatches: { b: 1 } } }, { a: { b: 1, c: 1 } }, "root")
    accepts({ $$unsetOrMatches: { b: 1 } }, { b: 1, c: 1 }, "root")
    accepts({ $$unsetOrMatches: { b: 1 } }, undefined, "root")
  })

  it("$$type looks at the type alone", () => {
    accepts({ $$type: ["int", "long"] }, 5)
    accepts({ $$type: "long" }, Long.fromNumber(5))
    refuses({ $$type: "int" }, Long.fromNumber(5))
    refuses({ $$type: ["int", "long"] }, 1.5)
    accepts({ $$type: "double" }, 1.5)
    accepts({ $$type: "number" }, Decimal128.fromString("1"))
    accepts({ $$type: "binData" }, lsid)
    accepts({ $$type: "objectId" }, new ObjectId())
    accepts({ $$type: "array" }, [1])
    refuses({ $$type: "object" }, [1])
    accepts({ $$type: "timestamp" }, new Timestamp({ t: 1, i: 1 }))
    refuses({ $$type: "long" }, new Timestamp({ t: 1, i: 1 }))
    accepts({ $$type: "null" }, null)
    refuses({ a: { $$type: "null" } }, {})
    refuses({ $$type: "no such type" }, 1)
  })

  it("$$matchesEntity compares with a saved value, as strictly as in its place", () => {
    accepts({ a: { $$matchesEntity: "saved" } }, { a: { t: 1 } })
    refuses({ a: { $$matchesEntity: "saved" } }, { a: { t: 1, i: 1 } }, "root")
    accepts({ $$matchesEntity: "saved" }, { t: 1, i: 1 }, "root")
    refuses({ a: { $$matchesEntity: "other" } }, { a: 1 })
  })

  it("$$matchesHexBytes compares bytes, in whatever case they are written", () => {
    accepts({ $$matchesHexBytes: "12AB" }, new Uint8Array([0x12, 0xab]))
    accepts({ $$matchesHexBytes: "" }, new Uint8Array())
    accepts({ $$matchesHexBytes: "12ab" }, new Binary(new Uint8Array([0x12, 0xab])))
    refuses({ $$matchesHexBytes: "12AB" }, new Uint8Array([0x12]))
    refuses({ $$matchesHexBytes: "12A" }, new Uint8Array([0x12]))
    refuses({ $$matchesHexBytes: "12" }, 0x12)
  })

  it("$$sessionLsid compares with the id of a session", () => {
    accepts({ lsid: { $$sessionLsid: "session0" } }, { lsid: { id: lsid } }, "root")
    refuses({ lsid: { $$sessionLsid: "session0" } }, { lsid: { id: new UUID() } }, "root")
    refuses({ lsid: { $$sessionLsid: "session0" } }, { lsid: { id: lsid, uid: 1 } }, "root")
    refuses({ lsid: { $$sessionLsid: "session0" } }, {}, "root")
    refuses({ lsid: { $$sessionLsid: "session1" } }, { lsid: { id: lsid } }, "root")
  })

  it("$$lte compares numbers of any type", () => {
    accepts({ $$lte: 5 }, 5)
    accepts({ $$lte: 5 }, Long.fromNumber(-1))
    refuses({ $$lte: 5 }, 5.5)
    refuses({ $$lte: 5 }, "1")
    refuses({ a: { $$lte: 5 } }, {})
  })

  it("$$matchAsDocument reads a text, strictly unless $$matchAsRoot says otherwise", () => {
    accepts({ a: { $$matchAsDocument: { b: 1 } } }, { a: "{\"b\": 1}" })
    refuses({ a: { $$matchAsDocument: { b: 1 } } }, { a: "{\"b\": 1, \"c\": 1}" })
    accepts({ a: { $$matchAsDocument: { $$matchAsRoot: { b: 1 } } } }, { a: "{\"b\": 1, \"c\": 1}" })
    refuses({ a: { $$matchAsDocument: { b: 1 } } }, { a: "no document" })
    accepts({ a: { $$matchAsRoot: { b: 1 } } }, { a: { b: 1, c: 1 } })
  })

  it("that is not known is never met", () => {
    refuses({ a: { $$unknown: 1 } }, { a: 1 })
    refuses({ $$unknown: 1 }, { $$unknown: 1 })
  })
})
