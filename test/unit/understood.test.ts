import { afterEach, describe, expect, it } from "@effect/vitest"
import * as Driver from "mongodb"
import { hintOf } from "../../src/internal/driver/hints.js"
import { isOfReply, marked, readable } from "../../src/internal/driver/understood.js"

const traces = Error.stackTraceLimit

afterEach(() => {
  Error.stackTraceLimit = traces
})

// The driver reads a field of nothing, as it does where a reply lacks what it should have.
const misread = async (): Promise<unknown> => Driver.ReadPreference.translate(null as never)

const failureOf = async (evaluate: () => PromiseLike<unknown>): Promise<unknown> => {
  try {
    return await evaluate()
  } catch (error) {
    return marked(error)
  }
}

describe("a TypeError that the driver throws", () => {
  it.each([traces, 0])("is its error for unexpected replies (%d frames of a stack)", async (limit) => {
    Error.stackTraceLimit = limit
    const error = await failureOf(misread)
    expect(error).toBeInstanceOf(Driver.MongoUnexpectedServerResponseError)
    expect(error).toHaveProperty("cause", expect.any(TypeError))
  })
})

describe("an error that the program throws", () => {
  it("stays as it is", async () => {
    const bug = new TypeError("a listener's own")
    expect(await failureOf(() => Promise.reject(bug))).toBe(bug)
    const other = new RangeError("a listener's own")
    Error.stackTraceLimit = 0
    expect(await failureOf(() => Promise.reject(other))).toBe(other)
  })
})

describe("a stored regular expression that JavaScript cannot parse", () => {
  const { BSON, BSONRegExp } = Driver
  const parse = (pattern: string) => async (): Promise<unknown> =>
    BSON.deserialize(BSON.serialize({ a: [{ expression: new BSONRegExp(pattern) }] }))

  it.each([
    "(?i)foo",
    "(",
    "(\n    at elsewhere (/elsewhere.js:1:1)",
    "(\n    at new RegExp (<anonymous>)"
  ])("is a failure of BSON: %j", async (pattern) => {
    const error = await failureOf(parse(pattern))
    expect(error).toBeInstanceOf(SyntaxError)
    const found = readable(error) as Error
    expect(BSON.BSONError.isBSONError(found)).toBe(true)
    expect(found.cause).toBe(error)
    expect(hintOf(found, undefined, undefined)).toContain("bsonRegExp")
    expect(found.message).not.toContain(pattern)
  })

  it("is one also where errors have no stacks", async () => {
    Error.stackTraceLimit = 0
    expect(BSON.BSONError.isBSONError(await failureOf(parse("(?i)foo")) as Error)).toBe(true)
  })

  it("is told from what the program itself cannot parse", async () => {
    const bugs = [() => new RegExp(["(?i)foo"].join("")), () => JSON.parse("{") as unknown]
    for (const bug of bugs) {
      const error = await failureOf(() => Promise.resolve().then(bug))
      expect(readable(error)).toBe(error)
      expect(error).toBeInstanceOf(SyntaxError)
    }
    const other = new TypeError()
    expect(readable(other)).toBe(other)
    expect(readable(undefined)).toBe(undefined)
  })
})

describe("an error of BSON", () => {
  const { BSON } = Driver
  const thrownBy = (evaluate: () => unknown): unknown => {
    try {
      return evaluate()
    } catch (error) {
      return error
    }
  }
  const cyclic: { [key: string]: unknown } = {}
  cyclic["itself"] = cyclic
  const deep = (levels: number, inner: object): object => levels === 0 ? inner : { a: deep(levels - 1, inner) }

  it.each([
    ["a circle", () => BSON.serialize(cyclic)],
    ["a key that cannot be", () => BSON.serialize({ a: { "b\0": 1 } })],
    ["a circle far down", () => BSON.serialize(deep(50, cyclic))],
    ["a value of another version", () => BSON.serialize({ a: { _bsontype: "Long" } })],
    ["an id that is none", () => new BSON.ObjectId("none")],
    ["a number that is none", () => BSON.Decimal128.fromString("none")],
    ["a message that quotes", () => {
      throw new BSON.BSONError("no text:\n    at deserializeObject (bson.cjs:1:1)")
    }]
  ])("is about a request: %s", (_, evaluate) => {
    const error = thrownBy(evaluate)
    expect(BSON.BSONError.isBSONError(error)).toBe(true)
    expect(isOfReply(error)).toBe(false)
  })

  it.each([
    ["too short", () => BSON.deserialize(new Uint8Array([5, 0]))],
    ["no text", () => BSON.deserialize(new Uint8Array([14, 0, 0, 0, 2, 97, 0, 2, 0, 0, 0, 255, 0, 0]))],
    ["of elements that cannot be", () => BSON.onDemand.parseToElements(new Uint8Array([5, 0]))],
    [
      "a regular expression that is none",
      () => {
        throw readable(thrownBy(() => BSON.deserialize(BSON.serialize({ a: new BSON.BSONRegExp("(") }))))
      }
    ]
  ])("is about a reply: %s", (_, evaluate) => {
    const error = thrownBy(evaluate)
    expect(BSON.BSONError.isBSONError(error)).toBe(true)
    expect(isOfReply(error)).toBe(true)
  })

  it("is about a request where nothing tells", () => {
    Error.stackTraceLimit = 0
    expect(isOfReply(thrownBy(() => BSON.deserialize(new Uint8Array([5, 0]))))).toBe(false)
    expect(isOfReply(new Error("another"))).toBe(false)
  })
})
