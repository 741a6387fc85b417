import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Outbox from "../../src/Outbox.js"
import * as MongoServer from "../../src/testing/MongoServer.js"
import * as Transaction from "../../src/Transaction.js"
import { numbers, on } from "../support/data/collections.js"
import * as Crashes from "../support/programs/crashes.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("a relay that is killed again and again", () => {
    it.effect.each([1, 7])(
      `has delivered each message, in order, and again only what was not noted, %d at once (seed ${Crashes.seed})`,
      (batch) =>
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
            new URL("../support/programs/relay.ts", import.meta.url),
            [url, database, String(batch)],
            {
              total: count,
              progress,
              done: Monitor.until(on(watched)(Letters.pending), (left) => left === 0, "60 seconds")
            }
          )
          // As they were inserted: ids of several processes within a second are in no order.
          const deliveries = yield* Effect.promise(() => collection.find().sort({ $natural: 1 }).toArray())
          // Repetitions are of the batch that was not noted, in its order, and each crash has caused one at most.
          const first = deliveries.filter(({ id }, index) =>
            deliveries.findIndex((other) => other["id"] === id) === index
          )
          expect(first.map(({ letter }) => letter).findIndex((letter, index) => letter !== index)).toBe(-1)
          expect(first.length).toBe(count)
          const steps = deliveries.map(({ letter }, index) =>
            index === 0 ? 1 : letter - deliveries[index - 1]!["letter"]
          )
          const back = steps.filter((step) => step !== 1)
          expect(back.length).toBeLessThanOrEqual(Crashes.count)
          expect(back.every((step) => step <= 0 && step > -batch)).toBe(true)
          expect(reached.every((now, index) => now > (reached[index - 1] ?? 0) && now < count)).toBe(true)
        })),
      600_000
    )
  })
})
