/**
 * What is run once while a primary steps down, and another dies where CRASHES is set: each key takes effect once, and all callers have the same answer.
 */
import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Collection from "../../../src/Collection.js"
import * as Once from "../../../src/Once.js"
import * as MongoServer from "../../../src/testing/MongoServer.js"
import { numbers, on } from "../../support/data/collections.js"
import * as TestServer from "../../support/server/testServer.js"
import * as Monitor from "../../support/watch/monitor.js"

// An election after a death takes ten seconds and more: CRASHES adds one.
const isLong = process.env["CRASHES"] !== undefined
const count = isLong ? 60 : 16

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("two instances that do each key while primaries change", () => {
    it.effect("have done it once, with one answer for both", () =>
      Effect.scoped(Effect.gen(function*() {
        const { primary, stepDown } = yield* MongoServer.MongoServer
        const instances = yield* Effect.all([Monitor.connect(), Monitor.connect()])
        const database = yield* TestServer.database
        const Doing = Once.make("doing", { database, result: Schema.String, wait: "1 second" })
        const Effects = Collection.make("effects", { database })
        const db = instances[0].client.driver.db(database)
        yield* Effect.promise(() => db.createCollection("effects"))
        const answers: Array<readonly [key: number, token: string]> = []
        const ask = (key: number) =>
          Effect.suspend(() => {
            const token = globalThis.crypto.randomUUID()
            return Doing.run(String(key), Effect.as(Effects.insertOne({ key, token }), token), { timeout: "5 seconds" })
          }).pipe(
            // Whatever it was, it asks again.
            Effect.retry(Schedule.spaced("10 millis")),
            Effect.map((token) => void answers.push([key, token]))
          )
        const asking = yield* Effect.forkScoped(Effect.forEach(
          instances,
          (watched) => on(watched)(Effect.forEach(numbers(count), ask, { concurrency: 2, discard: true })),
          { concurrency: 2, discard: true }
        ))
        const reached = (share: number) =>
          Monitor.until(
            Effect.sync(() => answers.length),
            (now) => now >= 2 * count * share,
            "60 seconds"
          )
        yield* reached(0.2)
        yield* Effect.scoped(stepDown)
        yield* reached(0.4)
        if (isLong) yield* Effect.scoped(Effect.flatMap(primary, ({ kill }) => Effect.zipRight(kill, reached(0.6))))
        yield* Fiber.join(asking)
        const effects = yield* Effect.promise(() => db.collection("effects").find().sort({ key: 1 }).toArray())
        expect(effects.map(({ key }) => key)).toEqual(numbers(count))
        const tokens = new Map(effects.map(({ key, token }) => [key, token]))
        expect(answers).toHaveLength(2 * count)
        expect(answers.filter(([key, token]) => tokens.get(key) !== token)).toEqual([])
      })), 120_000)
  })
})
