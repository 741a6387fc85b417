import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Transaction from "../../src/Transaction.js"
import * as TestServer from "../support/server/testServer.js"
import { inPlace } from "../support/transactions/transactions.js"
import * as Monitor from "../support/watch/monitor.js"

// One connection, for which nobody waits long.
const crowded = { driver: { maxPoolSize: 1, waitQueueTimeoutMS: 100 } }

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("an abort", () => {
    // The storm with seed 101: a transaction stayed open on the server, and so did its locks, until the server gave up on it.
    it.effect("that found no connection is sent when there is one", () =>
      inPlace(({ client, failing, insert, monitor, stored, wire }) =>
        Effect.gen(function*() {
          yield* failing({ failCommands: ["ping"], blockFor: "1 second" })
          const ping = Effect.promise(() => client.driver.db("admin").command({ ping: 1 }))
          const holding = Effect.gen(function*() {
            const fiber = yield* Effect.forkDaemon(ping)
            yield* Monitor.until(monitor.named("ping"), ({ length }) => length === 1)
            return fiber
          })
          let held: Fiber.Fiber<unknown> | undefined
          const body = Effect.gen(function*() {
            yield* insert(1)
            held = yield* holding
            return yield* Effect.fail("enough")
          })
          expect(yield* Effect.flip(Transaction.run(body))).toBe("enough")
          expect(yield* wire).toEqual(["1 insert start"])
          if (held !== undefined) yield* Fiber.join(held)
          yield* Monitor.until(wire, ({ length }) => length > 1)
          expect(yield* wire).toEqual(["1 insert start", "1 abortTransaction w:majority"])
          expect(yield* stored).toEqual([])
        }), crowded))
  })
})
