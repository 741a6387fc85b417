import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Driver from "mongodb"
import { Long } from "mongodb"
import * as MongoClient from "../../src/MongoClient.js"
import { on } from "../support/data/collections.js"
import { connected } from "../support/server/connected.js"

const writes: ReadonlyArray<MongoClient.BulkWriteModel> = [
  { namespace: "shop.orders", name: "insertOne", document: { _id: 1 } },
  { namespace: "shop.orders", name: "insertOne", document: { _id: 2 } }
]

/** The answer of a server of version 8 to these writes. */
const reply = (firstBatch: ReadonlyArray<Driver.Document>, rest: Driver.Document = {}) => ({
  cursor: { id: Long.ZERO, ns: "admin.$cmd.bulkWrite", firstBatch },
  nErrors: firstBatch.filter(({ ok }) => ok === 0).length,
  nInserted: firstBatch.filter(({ ok }) => ok === 1).length,
  nMatched: 0,
  nModified: 0,
  nUpserted: 0,
  nDeleted: 0,
  ...rest
})

const done = (idx: number) => ({ ok: 1, idx, n: 1 })

describe("a bulk of a client", () => {
  const options: ReadonlyArray<Driver.BSONSerializeOptions> = [
    {},
    { promoteValues: false },
    { promoteLongs: false },
    { useBigInt64: true }
  ]
  for (const driver of options) {
    const bulk = (answer: Driver.Document, ordered: boolean) =>
      Effect.flatMap(
        connected({ handlers: { bulkWrite: answer } }, { driver }),
        (place) => on(place)(MongoClient.bulkWrite(writes, { ordered }))
      )

    for (const ordered of [true, false]) {
      const about = `${ordered ? "ordered" : "not ordered"}, with ${JSON.stringify(driver)}`

      it.scopedLive(`is done where all of its writes are: ${about}`, () =>
        Effect.gen(function*() {
          expect(yield* bulk(reply([done(0), done(1)]), ordered)).toMatchObject({ insertedCount: 2 })
        }))

      it.scopedLive(`fails for the reason of the write that has failed: ${about}`, () =>
        Effect.gen(function*() {
          const failed = { ok: 0, idx: 1, n: 0, code: 11_000, errmsg: "E11000" }
          expect(yield* Effect.flip(bulk(reply([done(0), failed]), ordered))).toMatchObject({
            reason: "DuplicateKey",
            code: 11_000,
            details: { insertedCount: 1, writeErrors: [{ index: 1, code: 11_000, reason: "DuplicateKey" }] }
          })
        }))

      it.scopedLive(`fails for its write concern where that was not satisfied: ${about}`, () =>
        Effect.gen(function*() {
          const writeConcernError = { code: 64, codeName: "WriteConcernFailed", errmsg: "timed out", errInfo: {} }
          const answer = reply([done(0), done(1)], { writeConcernError })
          expect(yield* Effect.flip(bulk(answer, ordered))).toMatchObject({
            reason: "WriteConcernFailed",
            code: 64,
            details: { _tag: "BulkWrite", writeErrors: [] }
          })
        }))
    }
  }
})
