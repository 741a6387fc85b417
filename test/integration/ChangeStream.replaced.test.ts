import { describe, expect, layer } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as ChangeStream from "../../src/ChangeStream.js"
import { raw } from "../../src/Codec.js"
import * as Session from "../../src/Session.js"
import { onClient } from "../support/data/collections.js"
import { consuming, untilEffects } from "../support/data/consumers.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("of two consumers of one name", () => {
    it.effect("the one that was started last goes on, and the other fails before it commits anything more", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { changes, effects, handler, put, start } = yield* consuming(watched)
          const first = yield* start(ChangeStream.consume(changes, "consumer", handler))
          yield* put(1)
          yield* untilEffects(effects, 1)
          yield* start(ChangeStream.consume(changes, "consumer", handler))
          yield* put(2, 3)
          expect(yield* Effect.flip(Fiber.join(first))).toMatchObject({
            _tag: "ConsumerReplaced",
            consumer: "consumer"
          })
          expect(yield* untilEffects(effects, 3)).toEqual([1, 2, 3])
        })
      ))

    it.effect("the other is not started again by whoever does so after all other failures", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { changes, handler, start } = yield* consuming(watched)
          let starts = 0
          const supervised = Effect.retry(
            Effect.suspend(() => {
              starts++
              return ChangeStream.consume(changes, "consumer", handler)
            }),
            { until: ({ _tag }) => _tag === "ConsumerReplaced" }
          )
          const first = yield* start(supervised)
          const second = yield* start(supervised)
          yield* start(supervised)
          for (const replaced of [first, second]) {
            expect(yield* Effect.flip(Fiber.join(replaced))).toMatchObject({ _tag: "ConsumerReplaced" })
          }
          expect(starts).toBe(3)
        })
      ))

    it.effect("the other is told so at once while it waits, in whichever session, and does not run on", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { database, target } = yield* consuming(watched)
          const session = yield* Monitor.session(watched)
          const changes = ChangeStream.watch(target, raw, [], { maxAwaitTime: "20 seconds" })
          const consumer = ChangeStream.consume(changes, "waiting", () => Effect.void, { database })
          for (const first of [consumer, Session.provide(consumer, session)]) {
            yield* watched.monitor.clear
            const fiber = yield* Effect.forkScoped(first)
            yield* watched.monitor.awaitStarted("getMore")
            yield* Effect.forkScoped(consumer)
            const [time, error] = yield* Effect.timed(Effect.flip(Fiber.join(fiber)))
            expect(error).toMatchObject({ _tag: "ConsumerReplaced" })
            expect(Duration.toMillis(time)).toBeLessThan(5000)
          }
        })
      ))

    it.effect("the other's handler, if it runs at that moment, is rolled back", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { changes, effects, handler, put, start } = yield* consuming(watched)
          let isFirst = true
          // As late as can be: when the handler is done, somebody else starts.
          const first = yield* start(ChangeStream.consume(changes, "consumer", (event) =>
            Effect.gen(function*() {
              yield* handler(event)
              if (isFirst) yield* Effect.never
            })))
          yield* put(1)
          yield* watched.monitor.awaitStarted("insert", 2)
          isFirst = false
          yield* Effect.forkScoped(ChangeStream.consume(changes, "consumer", handler))
          expect(yield* untilEffects(effects, 1)).toEqual([1])
          yield* Fiber.interrupt(first)
          expect(yield* effects).toEqual([1])
        })
      ))

    it.effect("the later one kills what the session of the other has open that was the consumer's own", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { changes, checkpoint, handler, start } = yield* consuming(watched)
          const session = yield* Monitor.session(watched)
          const consumer = ChangeStream.consume(changes, "consumer", handler)
          const kills = Effect.map(watched.monitor.named("killSessions"), (commands) =>
            commands.map(({ command }) => Buffer.from(command["killSessions"][0].id.buffer).toString("hex")))
          yield* start(consumer)
          const own = Effect.map(checkpoint(), (found) =>
            String(found?.["session"]).replaceAll("-", ""))
          const first = yield* own
          expect(yield* kills).toEqual([])
          yield* start(Session.provide(consumer, session))
          expect(yield* kills).toEqual([first])
          // Of the consumer in an ambient session, that is what its stream runs in.
          const second = yield* own
          yield* start(consumer)
          expect(yield* kills).toEqual([first, second])
          expect([first, second]).not.toContain(session.id.hex)
        })
      ))

    it.effect("both go on if they have different names", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { changes, effects, handler, put, start } = yield* consuming(watched)
          yield* start(ChangeStream.consume(changes, "one", handler), "one")
          yield* start(ChangeStream.consume(changes, "other", handler), "other")
          yield* put(1, 2)
          expect([...yield* untilEffects(effects, 4)].sort()).toEqual([1, 1, 2, 2])
        })
      ))
  })
})
