/** What is told of a write that a server has done, or not, where its write concern has failed besides. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Collection from "../../src/Collection.js"
import * as Database from "../../src/Database.js"
import type * as MongoClient from "../../src/MongoClient.js"
import * as Session from "../../src/Session.js"
import { on } from "../support/data/collections.js"
import { connected } from "../support/server/connected.js"
import type { Reply } from "../support/server/responder.js"

const Things = Collection.make("things")

const failed = (code: number, codeName: string) => ({ writeConcernError: { code, codeName, errmsg: "no" } })
const late = failed(64, "WriteConcernFailed")
const taken = { code: 11_000, errmsg: "E11000 duplicate key", keyPattern: { _id: 1 }, keyValue: { _id: 7 } }
const key = { _tag: "DuplicateKey", keyPattern: { _id: 1 }, keyValue: { _id: 7 } }
const invalid = { code: 121, errmsg: "Document failed validation", errInfo: { failingDocumentId: 7 } }

/** What an operation fails with, on a server that answers its command so. */
const failing = <A, E>(name: string, reply: Reply, operation: Effect.Effect<A, E, MongoClient.MongoClient>) =>
  Effect.flatMap(connected({ handlers: { [name]: reply } }), (place) => Effect.flip(on(place)(operation)))

describe("a write whose write concern has failed", () => {
  const codes = [
    [50, "MaxTimeMSExpired"],
    [64, "WriteConcernFailed"],
    [91, "ShutdownInProgress"],
    [189, "PrimarySteppedDown"],
    [10_107, "NotWritablePrimary"],
    [11_600, "InterruptedAtShutdown"],
    [11_601, "Interrupted"],
    [11_602, "InterruptedDueToReplStateChange"]
  ] as const

  for (const [code, codeName] of codes) {
    it.scopedLive(`is told as written, and not to be repeated: ${codeName}`, () =>
      Effect.gen(function*() {
        const written = { reason: "WriteConcernFailed", code, isRetryable: false }
        const concern = failed(code, codeName)
        const many = Things.updateMany({}, { $inc: { n: 1 } })
        expect(yield* failing("update", { n: 5, nModified: 5, ...concern }, many)).toMatchObject(written)
        expect(yield* failing("update", { n: 5, nModified: 5, ...concern }, Session.scoped(many)))
          .toMatchObject(written)
        // The driver repeats it once more, by its number.
        const labelled = { n: 1, ...concern, errorLabels: ["RetryableWriteError"] }
        expect(yield* failing("insert", labelled, Things.insertOne({ n: 1 }))).toMatchObject(written)
        const bulk = yield* failing("insert", { n: 2, ...concern }, Things.insertMany([{ _id: 1 }, { _id: 2 }]))
        expect(bulk).toMatchObject({
          ...written,
          details: { _tag: "BulkWrite", writeErrors: [], insertedCount: 2, insertedIds: { 0: 1, 1: 2 } }
        })
      }))
  }
})

describe("a write that has failed, and its write concern, too", () => {
  it.scopedLive("is told as not written, with what is known of it", () =>
    Effect.gen(function*() {
      const duplicate = { reason: "DuplicateKey", code: 11_000, labels: [], details: key }
      const reply = { n: 0, nModified: 0, writeErrors: [{ index: 0, ...taken }], ...late }
      expect(yield* failing("insert", reply, Things.insertOne({ _id: 7 }))).toMatchObject(duplicate)
      const update = Things.updateOne({ _id: 7 }, { $set: { u: 1 } })
      expect(yield* failing("update", reply, update)).toMatchObject(duplicate)
      expect(yield* failing("update", { ...reply, errorLabels: ["RetryableWriteError"] }, update))
        .toMatchObject(duplicate)
      const command = Database.make().command({ insert: "things", documents: [{ _id: 7 }] })
      expect(yield* failing("insert", reply, command)).toMatchObject(duplicate)
      const refused = { n: 0, writeErrors: [{ index: 0, ...invalid }], ...late }
      expect(yield* failing("insert", refused, Things.insertOne({ _id: 7 }))).toMatchObject({
        reason: "DocumentInvalid",
        code: 121,
        details: { _tag: "DocumentInvalid", errInfo: invalid.errInfo }
      })
    }))

  it.scopedLive("in a bulk is told with each write that has failed", () =>
    Effect.gen(function*() {
      const reply = { n: 1, writeErrors: [{ index: 1, ...taken }], ...late }
      const documents = [{ _id: 0 }, { _id: 7 }, { _id: 2 }]
      const details = { _tag: "BulkWrite", writeErrors: [{ index: 1, code: 11_000, reason: "DuplicateKey" }] }
      const ordered = yield* failing("insert", reply, Things.insertMany(documents))
      expect(ordered).toMatchObject({
        reason: "DuplicateKey",
        code: 11_000,
        details: { ...details, insertedCount: 1, insertedIds: { 0: 0 } }
      })
      const unordered = {
        ...reply,
        n: 2,
        writeErrors: [{ index: 1, ...invalid }],
        ...failed(189, "PrimarySteppedDown")
      }
      expect(yield* failing("insert", unordered, Things.insertMany(documents, { ordered: false }))).toMatchObject({
        reason: "DocumentInvalid",
        code: 121,
        details: {
          writeErrors: [{ index: 1, code: 121, reason: "DocumentInvalid", errInfo: invalid.errInfo }],
          insertedCount: 2,
          insertedIds: { 0: 0, 2: 2 }
        }
      })
    }))
})
