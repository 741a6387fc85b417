import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { MongoClient as DriverClient } from "mongodb"
import * as MongoServer from "../../src/testing/MongoServer.js"
import { numbers } from "../support/data/collections.js"
import type { Checkpoint } from "../support/data/consumers.js"
import * as Crashes from "../support/programs/crashes.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("a consumer that is killed again and again", () => {
    for (const batch of [1, 5]) {
      it.effect(
        `has handled each event once, and in order, with batches of ${batch} (seed ${Crashes.seed})`,
        () =>
          Effect.scoped(Effect.gen(function*() {
            const { url } = yield* MongoServer.MongoServer
            const database = yield* TestServer.database
            const driver = yield* Effect.acquireRelease(
              Effect.promise(() => new DriverClient(url).connect()),
              (client) => Effect.promise(() => client.close())
            )
            const db = driver.db(database)
            const things = db.collection<{ _id: number }>("things")
            const counters = db.collection<{ _id: string; n: number }>("counters")
            const count = 200 * batch
            yield* Effect.promise(() => things.insertOne({ _id: -1 }))
            yield* Effect.promise(() => counters.insertOne({ _id: "counter", n: 0 }))
            yield* Effect.promise(() => db.createCollection("effects"))
            // Begun where nothing was written yet.
            const program = new URL("../support/programs/consumer.ts", import.meta.url)
            const args = [url, database, String(batch)]
            const progress = Effect.promise(() => db.collection("effects").countDocuments())
            const writing = yield* Effect.forkScoped(
              Effect.zipRight(
                Monitor.until(
                  Effect.promise(() => db.collection<Checkpoint>("effect_mongo_session.checkpoints").findOne()),
                  (found) => found !== null && (found["token"] ?? found["time"]) !== undefined,
                  "30 seconds"
                ),
                Effect.promise(() => things.insertMany(numbers(count).map((_id) => ({ _id }))))
              )
            )
            const reached = yield* Crashes.crashing(program, args, {
              total: count,
              progress,
              done: Monitor.until(progress, (done) => done >= count, "60 seconds")
            })
            yield* Fiber.join(writing)
            const effects = yield* Effect.promise(() => db.collection("effects").find().sort({ n: 1 }).toArray())
            expect(effects.length).toBe(count)
            expect(effects.findIndex(({ n, of }, index) => of !== index || n !== index + 1)).toBe(-1)
            expect((yield* Effect.promise(() => counters.findOne()))?.n).toBe(count)
            // It was in the middle of its work each time.
            expect(reached.every((now, index) => now > (reached[index - 1] ?? 0) && now < count)).toBe(true)
          })),
        600_000
      )
    }
  })
})
