import { describe, expect, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as MongoClient from "../../src/MongoClient.js"
import * as Outbox from "../../src/Outbox.js"
import { connected } from "../support/connected.js"
import type * as Responder from "../support/Responder.js"

const box = Outbox.make("letters", { database: "shop" })

const found = (firstBatch: ReadonlyArray<object>): Responder.Reply => ({
  cursor: { id: 0n, ns: "shop.any", firstBatch }
})

const waiting = [1, 2].map((n) => ({ _id: n, id: `letter ${n}`, message: { n }, publishedAt: new Date(0) }))

describe("a relay", () => {
  it.scopedLive("sends no operator with nothing in it, which MongoDB 4.4 refuses", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected({
        handlers: {
          find: (command, { count }) => found(command["sort"] !== undefined && count < 2 ? waiting : []),
          findAndModify: { value: { _id: "letters/relay" } },
          update: { n: 1, nModified: 1 },
          delete: { n: 2 }
        }
      })
      const delivered = yield* Stream.runCollect(box.relay(() => Effect.void, { poll: Schedule.stop })).pipe(
        Effect.provideService(MongoClient.MongoClient, client)
      )
      expect(Chunk.toReadonlyArray(delivered).map(({ sequence }) => sequence)).toEqual([1, 2])
      const updates = (yield* server.named("update")).flatMap(({ command }) => command["updates"])
      // The claim before anything is delivered, and the note of each delivery.
      expect(updates.map(({ u }) => u)).toEqual([
        { $currentDate: { updatedAt: true } },
        { $set: { delivered: 1 }, $currentDate: { updatedAt: true } },
        { $set: { delivered: 2 }, $currentDate: { updatedAt: true } }
      ])
    }))
})
