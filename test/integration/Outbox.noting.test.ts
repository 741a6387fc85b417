import { describe, expect, layer } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Outbox from "../../src/Outbox.js"
import * as Transaction from "../../src/Transaction.js"
import { onClient } from "../support/data/collections.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  /** A relay of three messages, of which one waits until it may end. */
  const waiting = (number: number) =>
    Effect.gen(function*() {
      const database = yield* TestServer.database
      const Numbers = Outbox.make("numbers", { database, schema: Schema.Struct({ n: Schema.Number }) })
      yield* Transaction.run(Numbers.publishAll([1, 2, 3].map((n) => ({ n }))))
      const [begun, mayEnd] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      const delivered: Array<number> = []
      const relay = Numbers.relay(({ message: { n } }) =>
        Effect.gen(function*() {
          delivered.push(n)
          if (n !== number) return
          yield* Deferred.succeed(begun, undefined)
          yield* Deferred.await(mayEnd)
        }), { poll: Schedule.stop })
      const fiber = yield* Effect.forkScoped(Stream.runDrain(relay))
      yield* Deferred.await(begun)
      return { Numbers, delivered, fiber, mayEnd }
    })

  describe("while a delivery takes long", () => {
    it.effect("what was delivered before it in its batch is noted, and would not be delivered again after a crash", () =>
      onClient(() =>
        Effect.gen(function*() {
          const { Numbers, delivered, fiber, mayEnd } = yield* waiting(3)
          yield* Monitor.until(Numbers.pending, (pending) => pending === 1)
          expect(delivered).toEqual([1, 2, 3])
          yield* Deferred.succeed(mayEnd, undefined)
          yield* Fiber.join(fiber)
          expect(yield* Numbers.pending).toBe(0)
          expect(delivered).toEqual([1, 2, 3])
        })
      ))

    it.effect("a relay that was replaced learns of it by its notes, and begins no other delivery", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Numbers, delivered, fiber, mayEnd } = yield* waiting(2)
          const [own] = yield* watched.monitor.named("find")
          const notes = Effect.map(watched.monitor.named("update"), (updates) =>
            updates.filter(({ lsid, outcome }) => lsid === own?.lsid && outcome === "succeeded").length)
          const before = yield* notes
          yield* Stream.runDrain(Numbers.relay(() =>
            Effect.void, { poll: Schedule.stop }))
          yield* Monitor.until(notes, (count) => count > before)
          // What its answer leads to.
          yield* Effect.repeatN(Effect.yieldNow(), 50)
          yield* Deferred.succeed(mayEnd, undefined)
          expect(yield* Effect.flip(Fiber.join(fiber))).toMatchObject({ _tag: "ConsumerReplaced" })
          expect(delivered).toEqual([1, 2])
        })
      ))
  })
})
