import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { Timestamp } from "mongodb"
import * as ChangeStream from "../../src/ChangeStream.js"
import * as Collection from "../../src/Collection.js"
import * as Session from "../../src/Session.js"
import * as Transaction from "../../src/Transaction.js"
import { onClient } from "../support/data/collections.js"
import { consuming, untilEffects } from "../support/data/consumers.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("a consumer in an ambient session", () => {
    it.effect("runs in a session of its own, and leaves that one open and idle", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { changes, effects, handler, put, start } = yield* consuming(watched)
          const session = yield* Monitor.session(watched)
          const fiber = yield* start(Session.provide(ChangeStream.consume(changes, "consumer", handler), session))
          yield* put(1)
          yield* untilEffects(effects, 1)
          yield* Fiber.interrupt(fiber)
          expect(yield* session.state).toBe("idle")
          const commits = yield* watched.monitor.named("commitTransaction")
          expect(commits).toHaveLength(1)
          expect(commits.map(({ lsid }) => lsid)).not.toContain(session.id.hex)
          expect(yield* watched.monitor.overlaps).toEqual([])
        })
      ))

    it.effect("joins no transaction that somebody else begins there by hand, and loses nothing with it", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { changes, checkpoint, effects, handler, put, start } = yield* consuming(watched)
          const session = yield* Monitor.session(watched)
          const failing = (event: ChangeStream.Event<unknown>) => Effect.zipRight(handler(event), Effect.fail("no"))
          const here = <A, E, R>(effect: Effect.Effect<A, E, R>) => Session.provide(effect, session)
          const fiber = yield* start(here(ChangeStream.consume(changes, "consumer", handler)))
          const failed = yield* start(here(ChangeStream.consume(changes, "failing", failing)), "failing")
          yield* here(Effect.gen(function*() {
            yield* Transaction.start()
            yield* put(1)
            expect(yield* untilEffects(effects, 1)).toEqual([1])
            expect(yield* Effect.flip(Fiber.join(failed))).toMatchObject({ _tag: "HandlingFailed", attempts: 1 })
            yield* Transaction.abort
          }))
          yield* Fiber.interrupt(fiber)
          expect(yield* effects).toEqual([1])
          expect((yield* checkpoint())?.["token"]).toBeDefined()
          expect((yield* checkpoint("failing"))?.["failed"]).toMatchObject({ attempts: 1 })
        })
      ))

    it.effect("has its transaction options, and sees what it has seen", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { changes, effects, handler, put, start } = yield* consuming(watched)
          const session = yield* Monitor.session(watched, { defaultTransactionOptions: { readConcern: "snapshot" } })
          yield* Session.provide(
            Session.use((own) => watched.client.driver.db().collection("seen").findOne({}, { session: own })),
            session
          )
          yield* start(Session.provide(ChangeStream.consume(changes, "consumer", handler), session))
          yield* put(1)
          yield* untilEffects(effects, 1)
          const begun = (yield* watched.monitor.commands).filter(({ command }) => command["startTransaction"] === true)
          expect(begun.map(({ command }) => command["readConcern"])).toEqual([
            { level: "snapshot", afterClusterTime: expect.any(Timestamp) }
          ])
        })
      ))

    it.effect("fails with SessionEnded when that one has ended", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { calls, changes, handler, put, start } = yield* consuming(watched)
          const scope = yield* Scope.make()
          const session = yield* Scope.extend(Monitor.session(watched), scope)
          const fiber = yield* start(Session.provide(ChangeStream.consume(changes, "consumer", handler), session))
          yield* Scope.close(scope, Exit.void)
          yield* put(1)
          expect(yield* Effect.flip(Fiber.join(fiber))).toMatchObject({ _tag: "SessionEnded" })
          expect(calls).toEqual([])
        })
      ))

    it.effect("copies what is there after it has noted where it goes on, also if that one is not causal", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { changes, database, handler, put } = yield* consuming(watched)
          yield* ChangeStream.checkpoints({ database }).set("consumer", new Timestamp({ t: 1_700_000_000, i: 1 }))
          yield* put(1)
          yield* Monitor.fail(watched, { failCommands: ["aggregate"], errorCode: 286, mode: { times: 1 } })
          const session = yield* Monitor.session(watched, { causalConsistency: false })
          const onLost = Collection.make("things", { database, readPreference: "secondaryPreferred" }).countDocuments()
          const consumer = ChangeStream.consume(changes, "consumer", handler, { onLost: Effect.asVoid(onLost) })
          yield* watched.monitor.clear
          yield* Effect.forkScoped(Session.provide(consumer, session))
          const [, copy] = yield* Monitor.until(
            watched.monitor.named("aggregate"),
            ({ length }) => length >= 2
          )
          expect(copy?.command["readConcern"]).toEqual({ afterClusterTime: expect.any(Timestamp) })
        })
      ))
  })
})
