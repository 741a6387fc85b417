import { describe, expect, layer } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Collection from "../../src/Collection.js"
import * as Outbox from "../../src/Outbox.js"
import * as Transaction from "../../src/Transaction.js"
import { numbers, on } from "../support/data/collections.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

const publishers = 50
const perRound = 400
// The best of these count. More of them are for a machine that is busy with other things.
const rounds = { atLeast: 3, atMost: 20 }
const enough = 0.75

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("50 who publish at once", () => {
    it.effect("commit as many transactions in a second as if they inserted the same in a collection", () =>
      Monitor.withClient(
        { driver: { maxPoolSize: 60, monitorCommands: false } },
        (watched) =>
          on(watched)(Effect.gen(function*() {
            const database = yield* TestServer.database
            const Letters = Outbox.make("letters", { database })
            const Orders = Collection.make("orders", { database })
            const Plain = Collection.make("plain", { database })
            let bodies = 0
            const round = <E, R>(second: (n: number) => Effect.Effect<unknown, E, R>) =>
              Effect.forEach(numbers(perRound), (n) =>
                Transaction.run(Effect.gen(function*() {
                  bodies++
                  yield* Orders.insertOne({ n })
                  yield* second(n)
                })), { concurrency: publishers, discard: true }).pipe(
                  Effect.timed,
                  Effect.map(([time]) => Duration.toMillis(time))
                )
            const plain = round((n) => Plain.insertOne({ n, text: "a letter", publishedAt: new Date() }))
            const publishing = round((n) => Letters.publish({ n, text: "a letter" }))
            // What makes the collections.
            yield* Transaction.run(Effect.zipRight(Orders.insertOne({}), Plain.insertOne({})))
            yield* Transaction.run(Letters.publish({}))
            yield* Effect.zipRight(plain, publishing)
            bodies = 0
            const times: Array<readonly [number, number]> = []
            const best = (of: 0 | 1) => Math.min(...times.map((time) => time[of]))
            const rate = (of: 0 | 1) => Math.round(perRound / best(of) * 1000)
            const ratio = () => rate(1) / rate(0)
            while (times.length < rounds.atLeast || times.length < rounds.atMost && ratio() <= enough) {
              times.push(yield* Effect.all([plain, publishing]))
            }
            expect(ratio(), `transactions a second: ${rate(1)}, with plain inserts ${rate(0)}`).toBeGreaterThan(enough)
            // Nobody has been in the way of anybody.
            expect(bodies).toBe(2 * times.length * perRound)
          }))
      ))
  })
})
