import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import { Timestamp } from "mongodb"
import * as ChangeStream from "../../src/ChangeStream.js"
import { raw } from "../../src/Codec.js"
import * as Telemetry from "../../src/Telemetry.js"
import { onClient } from "../support/data/collections.js"
import { consuming, untilEffects } from "../support/data/consumers.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  /** A consumer whose checkpoint lies before what the oplog has, as the server says so many times. */
  const lost = (watched: Monitor.Watched, times: number) =>
    Effect.gen(function*() {
      const consumed = yield* consuming(watched)
      yield* ChangeStream.checkpoints({ database: consumed.database })
        .set("consumer", new Timestamp({ t: 1_700_000_000, i: 1 }))
      yield* consumed.put(1)
      yield* Monitor.fail(watched, { failCommands: ["aggregate"], errorCode: 286, mode: { times } })
      return consumed
    })

  describe("a consumer whose history is lost", () => {
    it.effect("fails each time that it is started, and says how to go on", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { changes, handler } = yield* lost(watched, 2)
          for (const _ of [1, 2]) {
            const error = yield* Effect.flip(ChangeStream.consume(changes, "consumer", handler))
            expect(error).toMatchObject({ _tag: "MongoError", reason: "ChangeStreamLost" })
            expect("hint" in error && error.hint).toMatch(/onLost/)
          }
        })
      ))

    it.effect("goes on from now, if that is asked for", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { changes, effects, handler, put, start } = yield* lost(watched, 1)
          const consumer = ChangeStream.consume(changes, "consumer", handler, { onLost: "now" })
          const fiber = yield* Effect.forkScoped(consumer)
          yield* watched.monitor.awaitStarted("getMore")
          yield* put(2)
          expect(yield* untilEffects(effects, 1)).toEqual([2])
          yield* Fiber.interrupt(fiber)
          yield* put(3)
          yield* start(ChangeStream.consume(changes, "consumer", handler))
          expect(yield* untilEffects(effects, 2)).toEqual([2, 3])
        })
      ))

    it.effect("goes on after a copy of what is there, and misses nothing that happens while it is made", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { changes, db, effects, handler, put } = yield* lost(watched, 2)
          let copies = 0
          const copied: Array<number> = []
          const copy = Effect.gen(function*() {
            copies++
            const found = yield* Effect.promise(() => db.collection<{ _id: number }>("things").find().toArray())
            copied.push(...found.map(({ _id }) => _id))
            yield* put(copies * 10)
            if (copies === 1) return yield* Effect.fail("not copied" as const)
          })
          const consumer = ChangeStream.consume(changes, "consumer", handler, { onLost: copy })
          // One that has failed is made again.
          expect(yield* Effect.flip(consumer)).toBe("not copied")
          const fiber = yield* Effect.forkScoped(consumer)
          expect(yield* untilEffects(effects, 1)).toEqual([20])
          expect(copied).toEqual([1, 1, 10])
          yield* Fiber.interrupt(fiber)
          // It is not lost any more.
          yield* put(30)
          yield* Effect.forkScoped(consumer)
          expect(yield* untilEffects(effects, 2)).toEqual([20, 30])
          expect(copies).toBe(2)
        })
      ))
  })

  describe("a consumer that falls behind the oplog while it runs", () => {
    const overtaken = { failCommands: ["getMore"], errorCode: 136, mode: { times: 1 } } as const

    it.effect("fails with ChangeStreamLost, and says how to go on", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { changes, handler, start } = yield* consuming(watched)
          const fiber = yield* start(ChangeStream.consume(changes, "consumer", handler))
          yield* Monitor.fail(watched, overtaken)
          const error = yield* Effect.flip(Fiber.join(fiber))
          expect(error).toMatchObject({ _tag: "MongoError", reason: "ChangeStreamLost", code: 136 })
          expect("hint" in error && error.hint).toMatch(/onLost/)
          expect("cause" in error && error.cause).toBeInstanceOf(Error)
        })
      ))

    it.effect("goes on after a copy, if that is asked for", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { changes, effects, handler, put, start } = yield* consuming(watched)
          let copies = 0
          const copy = Effect.sync(() => ++copies)
          yield* start(ChangeStream.consume(changes, "consumer", handler, { onLost: copy }))
          yield* Monitor.fail(watched, overtaken)
          yield* Monitor.until(Effect.sync(() => copies), (made) => made === 1)
          yield* put(1)
          expect(yield* untilEffects(effects, 1)).toEqual([1])
          expect(copies).toBe(1)
        })
      ))
  })

  describe("a consumer whose pipeline changes the place of its events", () => {
    it.effect("has lost no history: it fails each time, says why, and swallows nothing", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { changes, effects, handler, put, start, target } = yield* consuming(watched)
          let copies = 0
          const wrong = ChangeStream.watch(target, raw, [{ $addFields: { _id: { _data: "82" } } }])
          const consumers = (["now", Effect.sync(() => ++copies)] as const).map((onLost) =>
            ChangeStream.consume(wrong, "consumer", handler, { onLost })
          )
          const fiber = yield* start(consumers[0]!)
          yield* put(1, 2)
          // In an answer that it has waited for; and then at once.
          for (const failing of [Fiber.join(fiber), ...consumers]) {
            const error = yield* Effect.flip(failing)
            expect(error).toMatchObject({ _tag: "MongoError", reason: "ChangeStreamLost", code: 280 })
            expect("hint" in error && error.hint).toMatch(/_id/)
          }
          expect(copies).toBe(0)
          // Mended, it has missed nothing.
          yield* start(ChangeStream.consume(changes, "consumer", handler))
          expect(yield* untilEffects(effects, 2)).toEqual([1, 2])
        })
      ))
  })

  describe("checkpoints", () => {
    it.effect("are listed, set to an event or a time, and reset; a consumer that runs is told so", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { changes, database, effects, handler, put, start } = yield* consuming(watched)
          const checkpoints = ChangeStream.checkpoints({ database })
          const consumer = ChangeStream.consume(changes, "consumer", handler)
          expect(yield* checkpoints.list).toEqual([])
          const first = yield* start(consumer)
          yield* put(1, 2, 3)
          yield* untilEffects(effects, 3)
          const noted = Effect.map(checkpoints.list, ([found]) => Option.getOrThrow(found!.position))
          const third = yield* noted
          const [state] = yield* checkpoints.list
          expect(state).toMatchObject({ name: "consumer", attempts: 0 })
          expect(Option.isSome(state!.updatedAt) && Option.isSome(state!.claimedAt)).toBe(true)

          yield* checkpoints.set("consumer", third)
          expect(yield* Effect.flip(Fiber.join(first))).toMatchObject({ _tag: "ConsumerReplaced" })
          yield* put(4)
          const second = yield* start(consumer)
          expect(yield* untilEffects(effects, 4)).toEqual([1, 2, 3, 4])
          yield* Fiber.interrupt(second)
          yield* checkpoints.set("consumer", third)
          const again = yield* start(consumer)
          expect(yield* untilEffects(effects, 5)).toEqual([1, 2, 3, 4, 4])
          yield* Fiber.interrupt(again)

          yield* checkpoints.reset("consumer")
          expect((yield* checkpoints.list)[0]?.position).toEqual(Option.none())
          yield* put(5)
          yield* start(consumer)
          yield* put(6)
          expect(yield* untilEffects(effects, 6)).toEqual([1, 2, 3, 4, 4, 6])
        })
      ))

    it.effect("tell of a consumer that is started with another pipeline, which is logged, once", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { effects, handler, put, start, target } = yield* consuming(watched)
          const messages: Array<string> = []
          const logger = Logger.make(({ message }) => void messages.push(String(message)))
          const opened = watched.monitor.named("aggregate")
          const run = (pipeline: ReadonlyArray<object>) =>
            Effect.gen(function*() {
              const { length: before } = yield* opened
              const fiber = yield* start(
                ChangeStream.consume(ChangeStream.watch(target, raw, [...pipeline]), "consumer", handler)
              )
              // What it has to say of its pipeline, it has said when it opens the stream.
              yield* Monitor.until(opened, ({ length }) => length > before)
              yield* Fiber.interrupt(fiber)
            }).pipe(Effect.provide(Logger.replace(Logger.defaultLogger, logger)))
          const warnings = () => messages.filter((message) => message === Telemetry.messages.streamChanged).length
          yield* run([])
          yield* run([])
          expect(warnings()).toBe(0)
          yield* run([{ $match: { operationType: "insert" } }])
          yield* run([{ $match: { operationType: "insert" } }])
          expect(warnings()).toBe(1)
          yield* put(1)
          expect(yield* effects).toEqual([])
        })
      ))
  })
})
