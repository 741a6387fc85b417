import { describe, expect, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { BSONSerializeOptions } from "mongodb"
import { Binary, Double, Int32, Long } from "mongodb"
import * as Collection from "../../src/Collection.js"
import { on } from "../support/data/collections.js"
import { connected } from "../support/server/connected.js"

const document = () => ({
  _id: 1,
  binary: new Binary(new Uint8Array([1, 2])),
  double: new Double(1.5),
  int: new Int32(2),
  long: Long.fromNumber(3),
  nested: { regex: /a/i, list: [Long.fromNumber(4), "5"] },
  none: null
})

const settings: Readonly<Record<string, BSONSerializeOptions>> = {
  "none": {},
  "promoteValues": { promoteValues: false },
  "promoteLongs": { promoteLongs: false },
  "promoteBuffers": { promoteBuffers: true },
  "useBigInt64": { useBigInt64: true },
  "bsonRegExp": { bsonRegExp: true },
  "fieldsAsRaw": { fieldsAsRaw: { list: true } },
  "raw": { raw: true },
  "enableUtf8Validation": { enableUtf8Validation: false },
  "ignoreUndefined and serializeFunctions": { ignoreUndefined: true, serializeFunctions: true }
}

/** A client of a server that has two batches of two documents. */
const serving = (options: BSONSerializeOptions) =>
  connected({
    handlers: {
      find: { cursor: { firstBatch: [document(), document()], id: Long.ONE, ns: "test.things" } },
      getMore: { cursor: { nextBatch: [document(), document()], id: Long.ZERO, ns: "test.things" } }
    }
  }, { driver: options })

describe("a stream gives what the driver's own cursor gives", () => {
  for (const [name, options] of Object.entries(settings)) {
    it.scoped(`with these options of BSON: ${name}`, () =>
      Effect.gen(function*() {
        const all = yield* serving({})
        const things = Collection.make("things", { database: "test" })
        const driver = all.client.driver.db("test").collection("things")
        const rows = yield* on(all)(Effect.map(Stream.runCollect(things.find({}, options)), Chunk.toReadonlyArray))
        expect(rows).toHaveLength(4)
        expect(rows).toStrictEqual(yield* Effect.promise(() => driver.find({}, options).toArray()))
      }))

    it.scoped(`with these options of BSON at the client: ${name}`, () =>
      Effect.gen(function*() {
        const all = yield* serving(options)
        const things = Collection.make("things", { database: "test" })
        const driver = all.client.driver.db("test").collection("things")
        const rows = yield* on(all)(Effect.map(Stream.runCollect(things.find()), Chunk.toReadonlyArray))
        expect(rows).toHaveLength(4)
        expect(rows).toStrictEqual(yield* Effect.promise(() => driver.find().toArray()))
      }))
  }
})
