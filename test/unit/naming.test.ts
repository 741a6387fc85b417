import { describe, expect, it } from "@effect/vitest"
import type * as Driver from "mongodb"
import { naming } from "../../src/internal/driver/bson.js"

/** What a broken socket may say: no error of the driver. */
const broken = Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" })

/** A collection whose cursors fail. */
const failing = { find: () => ({ toArray: () => Promise.reject(broken) }) } as unknown as Driver.Collection

describe("an operation that fails with a foreign error", () => {
  it("fails with that error, also where it asks something of what the driver's collection gives", async () => {
    const found = naming(failing, {}, (collection, options) => collection.find({ _id: 1 as never }, options).toArray())
    await expect(found).rejects.toBe(broken)
  })

  it("fails with that error, also where it adds to the options, in which the session is", async () => {
    const session: Record<string, unknown> = {}
    // Like a session, it cannot be encoded.
    session["itself"] = session
    const options = { session: session as unknown as Driver.ClientSession }
    const found = naming(
      failing,
      options,
      (collection, given) => collection.find({}, { ...given, batchSize: 1 }).toArray()
    )
    await expect(found).rejects.toBe(broken)
  })

  it("fails with a BSON error when a value in it cannot be encoded", async () => {
    const value = {
      toBSON: () => {
        throw new Error("not encodable")
      }
    }
    const found = naming(failing, {}, (collection, options) => collection.find({ value }, options).toArray())
    await expect(found).rejects.toMatchObject({ name: "BSONError", cause: broken })
  })
})
