import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Outbox from "../../src/Outbox.js"
import * as MongoServer from "../../src/testing/MongoServer.js"
import * as Transaction from "../../src/Transaction.js"
import * as Crashes from "../support/crashes.js"
import { numbers, on } from "../support/data.js"
import * as Monitor from "../support/monitor.js"
import * as TestServer from "../support/TestServer.js"

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("a relay that is killed again and again", () => {
    it.effect(
      `has delivered each message, in order, and twice only with the same id (seed ${Crashes.seed})`,
      () =>
        Effect.scoped(Effect.gen(function*() {
          const { url } = yield* MongoServer.MongoServer
          const watched = yield* Monitor.connect()
          const database = yield* TestServer.database
          const Letters = Outbox.make("letters", { database })
          const count = 300
          const publishing = Effect.forEach(
            numbers(count / 20),
            (block) => Transaction.run(Letters.publishAll(numbers(20).map((n) => ({ n: block * 20 + n })))),
            { discard: true }
          )
          yield* on(watched)(publishing)
          const collection = watched.client.driver.db(database).collection("deliveries")
          const progress = Effect.promise(() => collection.countDocuments())
          const reached = yield* Crashes.crashing(
            new URL("../support/fixtures/relay.ts", import.meta.url),
            [url, database],
            {
              total: count,
              progress,
              done: Monitor.until(on(watched)(Letters.pending), (left) => left === 0, "60 seconds")
            }
          )
          const deliveries = yield* Effect.promise(() => collection.find().sort({ _id: 1 }).toArray())
          // Its repetition comes right after it, with the same id; and each crash has caused one at most.
          const first = deliveries.filter(({ id }, index) => id !== deliveries[index - 1]?.["id"])
          expect(first.map(({ letter }) => letter).findIndex((letter, index) => letter !== index)).toBe(-1)
          expect(first.length).toBe(count)
          expect(new Set(first.map(({ id }) => id)).size).toBe(count)
          expect(first.findIndex(({ sequence }, index) => sequence !== index + 1)).toBe(-1)
          expect(deliveries.length - count).toBeLessThanOrEqual(Crashes.count)
          expect(reached.every((now, index) => now > (reached[index - 1] ?? 0) && now < count)).toBe(true)
        })),
      600_000
    )
  })
})
