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
import { logged } from "../support/server/connected.js"
import * as TestServer from "../support/server/testServer.js"
import type * as Monitor from "../support/watch/monitor.js"

const ended = { poll: Schedule.stop }

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  /** An outbox of three messages, and a delivery of the second that waits, and then fails. */
  const blocked = (watched: Monitor.Watched) =>
    Effect.gen(function*() {
      const database = yield* TestServer.database
      const Numbers = Outbox.make("numbers", { database, schema: Schema.Struct({ n: Schema.Number }) })
      yield* Transaction.run(Numbers.publishAll([1, 2, 3].map((n) => ({ n }))))
      const begun = yield* Deferred.make<void>()
      const mayFail = yield* Deferred.make<void>()
      const late: Array<number> = []
      const delivered: Array<number> = []
      return {
        Numbers,
        begun,
        mayFail,
        late,
        delivered,
        messages: watched.client.driver.db(database).collection<{ message: { n: number } }>(
          "effect_mongo_session.outbox.numbers"
        ),
        failing: ({ message: { n } }: Outbox.Delivery<{ readonly n: number }>) =>
          Effect.gen(function*() {
            late.push(n)
            if (n !== 2) return
            yield* Deferred.succeed(begun, undefined)
            yield* Deferred.await(mayFail)
            yield* Effect.fail("no")
          }),
        deliver: ({ message: { n } }: Outbox.Delivery<{ readonly n: number }>) =>
          Effect.sync(() => void delivered.push(n))
      }
    })

  describe("a relay whose delivery fails after another one has taken over and delivered everything", () => {
    const cases: ReadonlyArray<readonly [string, Outbox.RelayOptions<unknown>]> = [
      ["does not stop at a message that is delivered", {}],
      ["does not try again for ever", { retry: Schedule.spaced("10 millis") }],
      ["sets nothing aside that was delivered", { onPoison: "setAside" }],
      ["leaves nothing out that was delivered", { onPoison: "skip" }]
    ]
    for (const [name, options] of cases) {
      it.effect(`${name}, but fails with ConsumerReplaced`, () =>
        onClient((watched) =>
          logged((entries) =>
            Effect.gen(function*() {
              const { Numbers, begun, deliver, delivered, failing, late, mayFail } = yield* blocked(watched)
              const first = yield* Effect.forkScoped(Stream.runDrain(Numbers.relay(failing, options)))
              yield* Deferred.await(begun)
              yield* Stream.runDrain(Numbers.relay(deliver, ended))
              yield* Deferred.succeed(mayFail, undefined)
              expect(yield* Effect.flip(Fiber.join(first))).toMatchObject({ _tag: "ConsumerReplaced" })
              expect(delivered).toEqual([1, 2, 3])
              expect(late).toEqual([1, 2])
              expect(yield* Stream.runCollect(Numbers.deadLetters.list)).toHaveLength(0)
              expect(entries).toEqual([])
            })
          )
        ))
    }
  })

  describe("a relay whose message is taken out of the outbox by hand while it can't be delivered", () => {
    const cases: ReadonlyArray<readonly [string, Outbox.RelayOptions<unknown>]> = [
      ["and tried again", { retry: Schedule.spaced("10 millis") }],
      ["and to be set aside", { onPoison: "setAside" }],
      ["and would stop it", {}]
    ]
    for (const [name, options] of cases) {
      it.effect(`${name} goes on with the next, and sets nothing aside`, () =>
        onClient((watched) =>
          Effect.gen(function*() {
            const { Numbers, begun, failing, late, mayFail, messages } = yield* blocked(watched)
            const relay = yield* Effect.forkScoped(Stream.runDrain(Numbers.relay(failing, { ...ended, ...options })))
            yield* Deferred.await(begun)
            yield* Effect.promise(() => messages.deleteOne({ "message.n": 2 }))
            yield* Deferred.succeed(mayFail, undefined)
            yield* Fiber.join(relay)
            expect(late).toEqual([1, 2, 3])
            expect(yield* Stream.runCollect(Numbers.deadLetters.list)).toHaveLength(0)
          })
        ))
    }
  })
})
