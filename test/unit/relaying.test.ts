import { describe, expect, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { Timestamp } from "mongodb"
import * as MongoClient from "../../src/MongoClient.js"
import * as Outbox from "../../src/Outbox.js"
import { connected } from "../support/server/connected.js"
import type * as Responder from "../support/server/responder.js"

const box = Outbox.make("letters", { database: "shop" })
const operationTime = new Timestamp({ t: 1700000000, i: 3 })

const found = (firstBatch: ReadonlyArray<object>): Responder.Reply => ({
  cursor: { id: 0n, ns: "shop.any", firstBatch }
})

const stored = (n: number) => `effect_mongo_session/letter ${n}`
const waiting = [1, 2].map((n) => ({ _id: stored(n), at: operationTime, message: { n }, publishedAt: new Date(0) }))
const events = [2, 1].map((n) => ({
  _id: { _data: `8${n}` },
  operationType: "insert",
  ns: { db: "shop", coll: "effect_mongo_session.outbox.letters" },
  documentKey: { _id: stored(n) }
}))
const changes = (batch: object): Responder.Reply => ({
  operationTime,
  cursor: { id: 7n, ns: "shop.any", postBatchResumeToken: { _data: "89" }, ...batch }
})

describe("a relay", () => {
  it.scopedLive("delivers in the order of its change stream, and notes it with no operator that MongoDB 4.4 refuses", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected({
        handlers: {
          find: (command) => found(command["filter"]?._id?.$in === undefined ? [] : waiting),
          findAndModify: { value: { _id: "letters/relay" }, operationTime },
          update: { n: 1, nModified: 1, operationTime },
          aggregate: changes({ firstBatch: events }),
          getMore: changes({ nextBatch: [] }),
          killCursors: { ok: 1 },
          delete: { n: 2 }
        }
      })
      const delivered = yield* Stream.runCollect(box.relay(() => Effect.void, { poll: Schedule.stop })).pipe(
        Effect.provideService(MongoClient.MongoClient, client)
      )
      expect(Chunk.toReadonlyArray(delivered).map(({ id }) => id)).toEqual(["letter 2", "letter 1"])
      const [aggregate] = yield* server.named("aggregate")
      expect(aggregate?.command["pipeline"][0]).toEqual({
        $changeStream: { startAtOperationTime: expect.any(Timestamp) }
      })
      const updates = (yield* server.named("update")).flatMap(({ command }) => command["updates"])
      const always = { $currentDate: { updatedAt: true }, $inc: { effect_mongo_session: 1 } }
      // Who it is, where it begins, the claim before anything is delivered, and the note of both deliveries.
      expect(updates.map(({ u }) => u)).toEqual([
        always,
        { $set: { time: expect.any(Timestamp) }, $unset: { token: "" }, ...always },
        always,
        { $set: { token: expect.stringMatching(/^rt1\./), delivered: [stored(2), stored(1)] }, ...always }
      ])
    }))
})
