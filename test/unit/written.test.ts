import { describe, expect, it } from "@effect/vitest"
import { Int32, Long } from "mongodb"
import { writtenIn, writtenOneIn } from "../../src/internal/driver/written.js"

const bulk = { insertedCount: 1, modifiedCount: 2, upsertedCount: 3, deletedCount: 4 }

const throwing = {
  get acknowledged(): boolean {
    throw new Error("no")
  }
}

describe("how many documents were written", () => {
  it.each<readonly [string, unknown, number]>([
    ["an insert", { acknowledged: true, insertedId: 7 }, 1],
    ["an insert of many", { acknowledged: true, insertedCount: 3, insertedIds: {} }, 3],
    ["an update", { acknowledged: true, matchedCount: 5, modifiedCount: 2, upsertedCount: 0, upsertedId: null }, 2],
    ["an update that inserts", { acknowledged: true, matchedCount: 0, modifiedCount: 0, upsertedCount: 1 }, 1],
    ["a deletion", { acknowledged: true, deletedCount: 4 }, 4],
    ["a bulk", bulk, 10],
    ["numbers of 64 bits", { acknowledged: true, modifiedCount: 2n, upsertedCount: Long.ZERO }, 2],
    ["numbers of BSON", { acknowledged: true, deletedCount: new Int32(5) }, 5],
    ["a document with such a field", { insertedCount: 3 }, 0],
    ["what was not acknowledged", { acknowledged: false, insertedId: 7 }, 0],
    ["a text where a number belongs", { acknowledged: true, deletedCount: "4" }, 0],
    ["nothing", undefined, 0],
    ["a list", [bulk], 0],
    ["what cannot be read", throwing, 0]
  ])("is read from the driver's result: %s", (_, result, count) => {
    expect(writtenIn(result)).toBe(count)
  })

  it.each<readonly [string, Parameters<typeof writtenOneIn>[0], unknown, number]>([
    ["a document", {}, { _id: 1 }, 1],
    ["none", {}, null, 0],
    ["none, for it was inserted", { upsert: true }, null, 1],
    ["a document with its metadata", { includeResultMetadata: true }, { value: {}, lastErrorObject: { n: 1 } }, 1],
    ["metadata of none", { includeResultMetadata: true, upsert: true }, { value: null, lastErrorObject: { n: 0 } }, 0],
    ["metadata that are none", { includeResultMetadata: true }, null, 0]
  ])("is read from what a write of one document has found: %s", (_, options, result, count) => {
    expect(writtenOneIn(options)(result)).toBe(count)
  })
})
