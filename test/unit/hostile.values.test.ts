import { describe, expect, it } from "@effect/vitest"
import * as Driver from "mongodb"
import { storable, type Stored, weightOf } from "../../src/internal/data/values.js"
import { MongoError } from "../../src/MongoError.js"
import { build, type Described, described, everyLeaf, holds } from "../support/hostile/hostile.js"

const encoded = (value: unknown): Uint8Array | undefined => {
  try {
    return Driver.BSON.serialize({ value })
  } catch {
    return undefined
  }
}

// What is shared takes a second each time, and has a test of its own.
const quick = everyLeaf.filter((one) => !("leaf" in one) || !one.leaf.startsWith("objects shared"))

describe("values of strangers", () => {
  const isStoredOrRefused = (given: Described): void => {
    const found = storable(build({ fields: [["_id", { given: 1 }], ["value", given]] }) as object, "insertOne", "a.b")
    if (found instanceof MongoError) {
      expect(["EncodingFailed", "DocumentTooLarge"]).toContain(found.reason)
      expect(found.message.length).toBeLessThan(1000)
      expect(String(found.hint).length).toBeLessThan(2000)
    }
  }
  const isAskedOrRefused = (given: Described): void => {
    const value = () => build({ fields: [["value", given]] }) as object
    const refused = [
      weightOf({ values: [value()] }, "find", "a.b"),
      weightOf({ updates: [{ $set: value() }] }, "updateOne", "a.b"),
      weightOf({ pipeline: [{ $match: value() }] }, "aggregate", "a.b"),
      weightOf({ options: { arrayFilters: [value()], let: value() } }, "updateOne", "a.b")
    ]
    for (const one of refused) if (typeof one !== "number") expect(one).toBeInstanceOf(MongoError)
  }

  it("are stored or refused", () => {
    quick.forEach(isStoredOrRefused)
    holds(described(["_id", "a", "b"], [], quick), isStoredOrRefused)
  })

  it("are asked for or refused", () => {
    quick.forEach(isAskedOrRefused)
    holds(described(["$ne", "a", "b"], [], quick), isAskedOrRefused)
  })

  it("that are nested more deeply than the server takes are refused with a hint, and those that are as deep are not", () => {
    const nested = (levels: number): object => levels === 0 ? {} : { a: nested(levels - 1) }
    expect(storable(nested(150), "insertOne", "a.b")).not.toBeInstanceOf(MongoError)
    for (const deep of [nested(400), build({ leaf: "objects in 100,000 levels" }), build({ leaf: "a cycle" })]) {
      const found = storable(deep as object, "insertOne", "a.b")
      expect(found).toBeInstanceOf(MongoError)
      expect(found).toMatchObject({ reason: "EncodingFailed" })
      expect(String((found as MongoError).hint)).toContain("nested")
      expect(String((found as MongoError).hint).length).toBeLessThan(1000)
    }
  })

  it("that share one object at each level are counted as what they would be sent as", () => {
    const started = performance.now()
    const found = storable(build({ leaf: "objects shared at each of 60 levels" }) as object, "insertOne", "a.b")
    expect(found).toMatchObject({ reason: "DocumentTooLarge" })
    expect(performance.now() - started).toBeLessThan(20_000)
  })

  it("keep a field named __proto__ as a field, wherever something beside it is left out", () => {
    const given = JSON.parse("{\"_id\":1,\"a\":{\"__proto__\":{\"polluted\":true},\"b\":1}}") as {
      a: Record<string, unknown>
    }
    given.a["c"] = undefined
    const { document: stored } = storable(given, "insertOne", "a.b") as Stored<typeof given>
    expect(Object.keys(stored.a)).toEqual(["__proto__", "b"])
    expect(Object.getPrototypeOf(stored.a)).toBe(Object.prototype)
    expect(encoded(stored)).toBeDefined()
  })
})
