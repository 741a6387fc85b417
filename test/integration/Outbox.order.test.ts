import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Outbox from "../../src/Outbox.js"
import * as Transaction from "../../src/Transaction.js"
import { on } from "../support/data/collections.js"
import { committed } from "../support/data/committed.js"
import { publishing } from "../support/data/publishers.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("50 who publish at once", () => {
    for (const [name, isThere] of [["that is there", true], ["that is started when all is done", false]] as const) {
      it.effect(`have their messages delivered in the order of the oplog, by a relay ${name}`, () =>
        Monitor.withClient({ driver: { maxPoolSize: 60 } }, (watched) =>
          on(watched)(Effect.gen(function*() {
            const database = yield* TestServer.database
            const { driver } = watched.client
            const Letters = Outbox.make("letters", { database })
            // What is made together with its first document is made in a transaction of its own.
            yield* Effect.promise(() => driver.db(database).createCollection("effects"))
            yield* Transaction.run(Letters.publish({}))
            const delivered: Array<string> = []
            const relaying = Effect.forkScoped(Stream.runDrain(
              Letters.relay(({ id }) => Effect.sync(() => void delivered.push(id)), { batch: 20 })
            ))
            if (isThere) yield* relaying
            yield* publishing(driver, database, "letters", 300)
            if (!isThere) yield* relaying
            yield* Monitor.until(Effect.sync(() => delivered.length), (count) => count >= 301, "30 seconds")
            expect(delivered).toEqual(yield* committed(driver, database, "letters"))
            // They were in each other's way nowhere.
            const aborts = yield* watched.monitor.named("abortTransaction")
            expect(aborts).toEqual([])
          }))))
    }
  })
})
