import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Lease from "../../src/Lease.js"
import { live } from "../../src/testing/internal/live.js"
import * as Transaction from "../../src/Transaction.js"
import { onKeys, type Place } from "../support/once/keys.js"
import * as TestServer from "../support/server/testServer.js"
import { until } from "../support/watch/until.js"

interface Stored {
  readonly _id: string
  readonly expiresAt: Date
  /** How often it was written. */
  readonly effect_mongo_session: number
}

const storedIn = ({ client, database }: Place) =>
  client.driver.db(database).collection<Stored>("effect_mongo_session.leases")

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("a lease that is held for longer than a renewal says", () => {
    it.effect("is not shortened: neither by a renewal nor by a guard", () =>
      onKeys((place) =>
        live(Effect.gen(function*() {
          const found = Effect.promise(() => storedIn(place).findOne())
          // As a renewal that has come before one that had to wait, or the clock of another primary.
          const expiresAt = new Date(Date.now() + 3_600_000)
          const prolonged = Effect.map(
            Effect.promise(() =>
              storedIn(place).findOneAndUpdate({}, { $set: { expiresAt } }, { returnDocument: "after" })
            ),
            (now) => now?.effect_mongo_session ?? 0
          )
          const renewing = Lease.make("lease", { database: place.database, for: "10 seconds", renew: "20 millis" })
          yield* renewing.run(Effect.gen(function*() {
            const before = yield* prolonged
            const now = yield* until(found, (now) => (now?.effect_mongo_session ?? 0) > before + 2)
            expect(now?.expiresAt).toEqual(expiresAt)
          }))
          const guarding = Lease.make("lease", { database: place.database, for: "10 seconds" })
          yield* guarding.run(Effect.gen(function*() {
            const before = yield* prolonged
            yield* Transaction.run(Lease.guard)
            expect(yield* found).toMatchObject({ expiresAt, effect_mongo_session: before + 1 })
          }))
        }))
      ))
  })
})
