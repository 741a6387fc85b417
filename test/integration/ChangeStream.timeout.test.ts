import { describe, expect, layer } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as ChangeStream from "../../src/ChangeStream.js"
import * as Session from "../../src/Session.js"
import { on, things } from "../support/data/collections.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

const timedOut = { _tag: "MongoError", reason: "TimedOut" }

/** How long an effect takes to fail, and what it fails with. */
const failure = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.timed(Effect.flip(effect)), ([time, error]) => ({ millis: Duration.toMillis(time), error }))

const limits = ({ monitor }: Monitor.Watched, name: string) =>
  Effect.map(monitor.named(name), (seen) => seen.map(({ command }): unknown => command["maxTimeMS"]))

const upTo = (millis: number) => expect.toSatisfy((found) => found > 0 && found <= millis)

// See the specification "Client Side Operations Timeout", section "Change Streams".
layer(TestServer.own(), { excludeTestServices: true })((it) => {
  describe("a change stream with a timeout", () => {
    for (
      const [where, ofClient, ofSession] of [
        ["the client", { timeout: "300 millis" }, undefined],
        ["the session, not the client", { timeout: "1 hour" }, { timeout: "300 millis" }]
      ] as const
    ) {
      it.effect(`has that of ${where}, anew for each answer, and tells the server when it opens only`, () =>
        Monitor.withClient(ofClient, (watched) =>
          on(watched)(Effect.gen(function*() {
            const { Things } = yield* things(watched, 1)
            const quiet = Stream.runDrain(Things.watch([], { maxAwaitTime: "10 millis" }))
            const test = Effect.gen(function*() {
              expect(yield* Effect.timeoutOption(quiet, "500 millis")).toMatchObject({ _tag: "None" })
              yield* Monitor.block(watched, ["getMore"], "1 second")
              const { error, millis } = yield* failure(quiet)
              expect(error).toMatchObject(timedOut)
              expect(millis).toBeLessThan(900)
            })
            yield* ofSession === undefined ? test : Session.scoped(test, ofSession)
            expect(yield* limits(watched, "aggregate")).toEqual([upTo(300), upTo(300)])
            expect(new Set(yield* limits(watched, "getMore"))).toEqual(new Set([10]))
          }))))
    }

    it.effect("has its own instead, which may be none", () =>
      Monitor.withClient({ timeout: "300 millis" }, (watched) =>
        on(watched)(Effect.gen(function*() {
          const { Things } = yield* things(watched, 1)
          const insert = Effect.delay(Things.insertOne({ _id: 5, n: 5 }), "900 millis")
          const patient = Things.watch([], { timeout: Duration.infinity })
          yield* Effect.scoped(Effect.gen(function*() {
            const changes = yield* ChangeStream.opened(patient)
            const [events] = yield* Effect.all([Stream.runCollect(Stream.take(changes, 1)), insert], {
              concurrency: "unbounded"
            })
            expect([...events]).toMatchObject([{ _tag: "insert", documentKey: { _id: 5 } }])
          }))
          expect(yield* limits(watched, "aggregate")).toEqual([undefined])
        }))))

    it.effect("that is not more than `maxAwaitTime` is refused before anything is sent, also if it is inherited", () =>
      Monitor.withClient({ timeout: "300 millis" }, (watched) =>
        on(watched)(Effect.gen(function*() {
          const { Things } = yield* things(watched, 1)
          const error = yield* Effect.flip(Stream.runDrain(Things.watch([], { maxAwaitTime: "300 millis" })))
          expect(error).toMatchObject({ _tag: "MongoError", reason: "InvalidOptions" })
          expect(yield* watched.monitor.named("aggregate")).toEqual([])
        }))))

    it.effect("has it once for an answer and all that is sent to resume", () =>
      Monitor.withClient({ timeout: "400 millis" }, (watched) =>
        on(watched)(Effect.gen(function*() {
          const { Things } = yield* things(watched, 1)
          yield* Effect.scoped(Effect.gen(function*() {
            const changes = yield* ChangeStream.opened(Things.watch([], { maxAwaitTime: "10 millis" }))
            yield* Monitor.fail(watched, {
              failCommands: ["getMore", "aggregate"],
              mode: "alwaysOn",
              blockFor: "250 millis",
              errorCode: 7,
              errorLabels: ["ResumableChangeStreamError"]
            })
            const { error, millis } = yield* failure(Stream.runDrain(changes))
            expect(error).toMatchObject(timedOut)
            expect(millis).toBeLessThan(600)
          }))
          expect(yield* limits(watched, "aggregate")).toEqual([upTo(400), upTo(160)])
        }))))

    it.effect("goes on where it stood when it is run again after a time-out", () =>
      Monitor.withClient({ timeout: "300 millis" }, (watched) =>
        on(watched)(Effect.gen(function*() {
          const { Things, raw } = yield* things(watched, 1)
          yield* Effect.scoped(Effect.gen(function*() {
            const changes = yield* ChangeStream.opened(Things.watch([], { maxAwaitTime: "10 millis" }))
            for (const _id of [5, 6]) {
              const { error } = yield* Effect.scoped(
                Effect.zipRight(Monitor.block(watched, ["getMore"], "800 millis"), failure(Stream.runDrain(changes)))
              )
              expect(error).toMatchObject(timedOut)
              yield* Effect.promise(() => raw.insertOne({ _id, n: "5" }))
              const events = yield* Stream.runCollect(Stream.take(changes, 1))
              expect([...events]).toMatchObject([{ _tag: "insert", documentKey: { _id } }])
            }
          }))
          expect(yield* watched.monitor.named("aggregate")).toHaveLength(3)
        }))))

    it.effect("of the client does not end a consumer, which asks again by itself", () =>
      Monitor.withClient({ timeout: "300 millis" }, (watched) =>
        on(watched)(Effect.gen(function*() {
          const { Things } = yield* things(watched, 1)
          const seen = yield* Deferred.make<unknown>()
          const consumer = ChangeStream.consume(Things.watch(), "patient", (event) => Deferred.succeed(seen, event))
          const running = yield* Effect.fork(consumer)
          yield* watched.monitor.awaitStarted("getMore")
          yield* Effect.delay(Things.insertOne({ _id: 5, n: 5 }), "700 millis")
          expect(yield* Deferred.await(seen)).toMatchObject({ _tag: "insert", documentKey: { _id: 5 } })
          yield* Fiber.interrupt(running)
          expect(yield* watched.monitor.named("aggregate")).toHaveLength(1)
        }))))
  })
})
