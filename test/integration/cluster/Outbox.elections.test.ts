/**
 * An outbox while primaries die and step down: nothing that was committed is lost, and its order is that of the oplog.
 */
import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as Outbox from "../../../src/Outbox.js"
import * as MongoServer from "../../../src/testing/MongoServer.js"
import { on } from "../../support/data/collections.js"
import { committed, firsts } from "../../support/data/committed.js"
import { publishing } from "../../support/data/publishers.js"
import * as TestServer from "../../support/server/testServer.js"
import * as Monitor from "../../support/watch/monitor.js"

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("an outbox in which 50 publish while primaries change, and whose relay is started again and again", () => {
    it.effect("delivers all that was committed, in the order of the oplog", () =>
      Effect.scoped(Effect.gen(function*() {
        const { primary, stepDown } = yield* MongoServer.MongoServer
        const watched = yield* Monitor.connect({ driver: { maxPoolSize: 60 } })
        const database = yield* TestServer.database
        const { driver } = watched.client
        const Letters = Outbox.make("letters", { database })
        yield* Effect.promise(() => driver.db(database).createCollection("effects"))
        const delivered: Array<string> = []
        // It ends after each 40 messages, in the midst of a batch, and is started again.
        const relaying = Letters.relay(
          ({ id }) =>
            Effect.suspend(() => {
              delivered.push(id)
              return delivered.length % 40 === 0 ? Effect.fail("crashed" as const) : Effect.void
            }),
          { batch: 15 }
        ).pipe(Stream.runDrain, Effect.retry(Schedule.forever))
        const relay = yield* Effect.forkScoped(on(watched)(relaying))
        const publishers = yield* Effect.forkScoped(on(watched)(publishing(driver, database, "letters", 1500)))
        const reached = (count: number) =>
          Monitor.until(Effect.sync(() => delivered.length), (now) => now >= count, "60 seconds")
        yield* reached(150)
        yield* Effect.scoped(stepDown)
        yield* reached(400)
        yield* Effect.scoped(Effect.flatMap(primary, ({ kill }) => Effect.zipRight(kill, reached(700))))
        yield* Fiber.join(publishers)
        yield* Monitor.until(on(watched)(Letters.pending), (left) => left === 0, "60 seconds")
        yield* Fiber.interrupt(relay)
        const order = yield* committed(driver, database, "letters")
        expect(firsts(delivered)).toEqual(order)
        expect(order.length).toBeGreaterThan(1000)
        // What is delivered again had not been noted, and comes again in its order.
        expect(delivered.length).toBeGreaterThanOrEqual(order.length)
      })), 240_000)
  })
})
