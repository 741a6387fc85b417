import { describe, expect, layer } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Collection from "../../src/Collection.js"
import * as Lease from "../../src/Lease.js"
import { live } from "../../src/testing/internal/live.js"
import * as Transaction from "../../src/Transaction.js"
import { on, onClient } from "../support/data/collections.js"
import * as Crashes from "../support/programs/crashes.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

/** How often the leader changes. Each run of the tests has other moments; more of them are for whoever asks. */
const changes = Number(process.env["LEASE_CHANGES"] ?? 20)

const Write = Schema.Struct({
  n: Schema.Number,
  token: Schema.Number,
  at: Schema.DateFromSelf,
  takenAt: Schema.DateFromSelf
})

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("three instances, of which some stop to renew and go on all the same", () => {
    it.effect(
      `never write at once (${changes} changes of leader, seed ${Crashes.seed})`,
      () =>
        onClient((watched) =>
          live(Effect.gen(function*() {
            const database = yield* TestServer.database
            const others = yield* Effect.replicateEffect(Monitor.connect(), 2)
            const Writes = Collection.make("writes", { database, schema: Write })
            const Counters = Collection.make("counters", { database })
            const Raw = Collection.make("writes", { database })
            const Leases = Collection.make("leases", { database })
            const kept = {
              database,
              collection: "leases",
              for: "60 millis",
              poll: Schedule.spaced("5 millis")
            } as const
            const renewed = Lease.make("lease", { ...kept, for: "2 seconds" })
            const frozen = Lease.make("lease", { ...kept, for: "60 millis", renew: Schedule.stop })
            const seen = { token: 0, lost: 0, released: 0 }

            // What is written first has a time of the server's. Then the instance may be away for longer than its lease lasts.
            const write = ({ guard, token }: Lease.Service, away: number) =>
              Transaction.run(Effect.gen(function*() {
                const _id = globalThis.crypto.randomUUID()
                yield* Raw.updateOne({ _id }, [{ $set: { token, at: "$$NOW" } }], { upsert: true })
                yield* Effect.sleep(away)
                yield* guard
                const lease = yield* Leases.findOne({ _id: "lease" })
                // In the order of the commits.
                const counter = yield* Counters.findOneAndUpdate({ _id: "n" }, { $inc: { n: 1 } }, {
                  upsert: true,
                  returnDocument: "after"
                })
                yield* Raw.updateOne({ _id }, {
                  $set: {
                    n: Option.getOrThrow(counter)["n"],
                    takenAt: Option.getOrThrow(lease)["takenAt"]
                  }
                })
              }))

            const term = Effect.gen(function*() {
              const isFrozen = yield* Random.nextBoolean
              // Nobody interrupts it: it goes on until a guard is in its way.
              const held = yield* (isFrozen ? frozen : renewed).acquire
              seen.token = Math.max(seen.token, held.token)
              if (isFrozen) {
                return yield* Effect.repeatN(
                  Effect.flatMap(Random.nextRange(0, 100), (away) => write(held, away)),
                  20
                )
              }
              yield* Effect.forEach([0, 5, 10], (away) => write(held, away))
              seen.released++
            }).pipe(
              Effect.scoped,
              Effect.catchTag("LeaseLost", () => Effect.sync(() => void seen.lost++))
            )
            const instance = Effect.repeat(term, { while: () => seen.token < changes })

            yield* Effect.forEach([watched, ...others], (client) => on(client)(instance), { concurrency: "unbounded" })

            const writes = Chunk.toReadonlyArray(yield* Stream.runCollect(Writes.find({}, { sort: { n: 1 } })))
            expect(seen.token).toBeGreaterThanOrEqual(changes)
            expect(Math.min(seen.lost, seen.released)).toBeGreaterThan(0)
            expect(writes.length).toBeGreaterThanOrEqual(3 * seen.released)
            for (const [index, later] of writes.entries()) {
              const before = writes[index - 1]
              expect(later.at.getTime()).toBeGreaterThanOrEqual(later.takenAt.getTime())
              if (before === undefined) continue
              expect(later.token).toBeGreaterThanOrEqual(before.token)
              if (later.token > before.token) {
                expect(later.takenAt.getTime()).toBeGreaterThanOrEqual(before.at.getTime())
              }
            }
          })).pipe(Effect.withRandom(Random.make(Crashes.seed)))
        ),
      900_000
    )
  })
})
