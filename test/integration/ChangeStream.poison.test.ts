import { describe, expect, layer } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as ChangeStream from "../../src/ChangeStream.js"
import { fromSchema } from "../../src/Codec.js"
import * as Session from "../../src/Session.js"
import { idOf } from "../support/data/changes.js"
import { onClient } from "../support/data/collections.js"
import { consuming, untilEffects } from "../support/data/consumers.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  /** A consumer that writes an effect of each event, and then fails at number 3, for as long as that is broken. */
  const poisoned = (watched: Monitor.Watched) =>
    Effect.gen(function*() {
      const consumed = yield* consuming(watched)
      const broken = { is: true }
      const failing = (event: ChangeStream.Event<unknown>) =>
        Effect.zipRight(
          consumed.handler(event),
          idOf(event) === 3 && broken.is ? Effect.fail("no three" as const) : Effect.void
        )
      return { ...consumed, broken, failing }
    })

  const listed = <A, R>(letters: ChangeStream.DeadEvents<A, R>) =>
    Effect.map(Stream.runCollect(letters.list), Chunk.toReadonlyArray)

  describe("an event that cannot be handled", () => {
    for (const batch of [1, 10]) {
      it.effect(`is set aside, if that is asked for, and those around it are handled once (${batch} at once)`, () =>
        onClient((watched) =>
          Effect.gen(function*() {
            const { broken, changes, effects, failing, put, start } = yield* poisoned(watched)
            const options = { batch, onPoison: "setAside", retry: Schedule.recurs(1) } as const
            const fiber = yield* start(ChangeStream.consume(changes, "consumer", failing, options))
            yield* put(1, 2, 3, 4, 5)
            expect(yield* untilEffects(effects, 4)).toEqual([1, 2, 4, 5])
            yield* Fiber.interrupt(fiber)
            const letters = ChangeStream.deadLetters(changes, "consumer")
            expect(yield* listed(ChangeStream.deadLetters(changes, "other"))).toEqual([])
            const [letter, ...more] = yield* listed(letters)
            expect(more).toEqual([])
            expect(letter).toMatchObject({
              attempts: 2,
              document: { operationType: "insert", documentKey: { _id: 3 } }
            })
            expect(letter?.error).toContain("no three")
            // Again in vain, and then not.
            expect(yield* Effect.flip(letters.retry(letter!.id, failing))).toBe("no three")
            broken.is = false
            expect(yield* letters.retry(letter!.id, failing)).toBe(true)
            expect(yield* letters.retry(letter!.id, failing)).toBe(false)
            expect(yield* effects).toEqual([1, 2, 4, 5, 3])
            expect(yield* letters.drop(letter!.id)).toBe(false)
          })
        ))

      it.effect(`is left out, if that is asked for (${batch} at once)`, () =>
        onClient((watched) =>
          Effect.gen(function*() {
            const { changes, effects, failing, put, start } = yield* poisoned(watched)
            const consumer = ChangeStream.consume(changes, "consumer", failing, { batch, onPoison: "skip" })
            const fiber = yield* start(consumer)
            yield* put(1, 2, 3, 4)
            expect(yield* untilEffects(effects, 3)).toEqual([1, 2, 4])
            yield* Fiber.interrupt(fiber)
            yield* put(5)
            yield* Effect.forkScoped(consumer)
            expect(yield* untilEffects(effects, 4)).toEqual([1, 2, 4, 5])
          })
        ))
    }

    it.effect("for its handler has swallowed what dooms the transaction, is set aside, and those around it are handled", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { changes, db, effects, handler, put, start } = yield* consuming(watched)
          yield* Effect.promise(() => db.collection<{ _id: string }>("taken").insertOne({ _id: "taken" }))
          const swallowing = (event: ChangeStream.Event<unknown>) =>
            Effect.zipRight(
              handler(event),
              idOf(event) === 3
                ? Effect.ignore(Session.use((session) =>
                  db.collection<{ _id: string }>("taken").insertOne({ _id: "taken" }, { session })
                ))
                : Effect.void
            )
          yield* start(ChangeStream.consume(changes, "consumer", swallowing, { batch: 10, onPoison: "setAside" }))
          yield* put(1, 2, 3, 4, 5)
          expect(yield* untilEffects(effects, 4)).toEqual([1, 2, 4, 5])
          const [letter] = yield* listed(ChangeStream.deadLetters(changes, "consumer"))
          expect(letter).toMatchObject({ document: { documentKey: { _id: 3 } } })
          expect(letter?.error).toContain("TransactionDoomed")
        })
      ))

    it.effect("for one of the parts fails that its handler runs at once, is set aside with that failure", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { changes, effects, handler, put, start } = yield* consuming(watched)
          const parallel = (event: ChangeStream.Event<unknown>) =>
            Effect.zipRight(
              handler(event),
              Effect.all([
                idOf(event) === 2 ? Effect.fail("one part") : Effect.void,
                idOf(event) === 2 ? Effect.never : Effect.void
              ], { concurrency: 2 })
            )
          yield* start(ChangeStream.consume(changes, "consumer", parallel, { batch: 10, onPoison: "setAside" }))
          yield* put(1, 2, 3)
          expect(yield* untilEffects(effects, 2)).toEqual([1, 3])
          const [letter] = yield* listed(ChangeStream.deadLetters(changes, "consumer"))
          expect(letter).toMatchObject({ attempts: 1, document: { documentKey: { _id: 2 } } })
          expect(letter?.error).toContain("one part")
        })
      ))

    it.effect("and is too large to be kept is set aside with what it was about", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { changes, db, start } = yield* consuming(watched)
          const failing = () => Effect.fail("no" as const)
          yield* start(ChangeStream.consume(changes, "consumer", failing, { onPoison: "setAside" }))
          // The event has room for it, a dead letter with a text of what has failed has not.
          const text = "x".repeat(16 * 2 ** 20 - 600)
          yield* Effect.promise(() =>
            db.collection<{ _id: number; text: string }>("things").insertOne({ _id: 1, text })
          )
          const letters = ChangeStream.deadLetters(changes, "consumer")
          const [letter] = yield* Monitor.until(listed(letters), ({ length }) => length > 0, "60 seconds")
          expect(letter?.document).toMatchObject({ operationType: "insert", documentKey: { _id: 1 }, isTooLarge: true })
          expect(letter?.document).not.toHaveProperty("fullDocument")
        })
      ))

    it.effect("is tried again by a Schedule, and its attempts are counted across restarts", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { broken, changes, effects, failing, put, start } = yield* poisoned(watched)
          const fiber = yield* start(ChangeStream.consume(changes, "consumer", failing))
          yield* put(1, 2, 3, 4)
          expect(yield* Effect.flip(Fiber.join(fiber))).toMatchObject({ _tag: "HandlingFailed", attempts: 1 })
          const [state] = yield* ChangeStream.checkpoints({ database: (yield* databaseOf(changes)) }).list
          expect(state).toMatchObject({ name: "consumer", attempts: 1 })
          const again = ChangeStream.consume(changes, "consumer", failing, { retry: Schedule.recurs(2) })
          expect(yield* Effect.flip(again)).toMatchObject({ attempts: 4, error: "no three" })
          broken.is = false
          yield* Effect.forkScoped(again)
          expect(yield* untilEffects(effects, 4)).toEqual([1, 2, 3, 4])
        })
      ))

    it.effect("because its document does not fit the schema, is set aside, and handled when that is mended", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { db, effects, handler, start, target } = yield* consuming(watched)
          const Thing = fromSchema(Schema.Struct({ _id: Schema.Number, n: Schema.Number }))
          const strict = ChangeStream.watch(target, Thing)
          yield* start(ChangeStream.consume(strict, "consumer", handler, { onPoison: "setAside" }))
          yield* Effect.promise(() =>
            db.collection<{ _id: number; n: unknown }>("things")
              .insertMany([{ _id: 1, n: 1 }, { _id: 2, n: "two" }, { _id: 3, n: 3 }])
          )
          expect(yield* untilEffects(effects, 2)).toEqual([1, 3])
          const letters = ChangeStream.deadLetters(strict, "consumer")
          const [letter] = yield* listed(letters)
          expect(yield* Effect.flip(letters.retry(letter!.id, handler))).toMatchObject({ _tag: "DecodeFailed" })
          const skipping = ChangeStream.deadLetters(
            ChangeStream.watch(target, Thing, [], { onInvalid: "skip" }),
            "consumer"
          )
          expect(yield* Effect.flip(skipping.retry(letter!.id, handler))).toMatchObject({ _tag: "DecodeFailed" })
          expect(yield* listed(skipping)).toHaveLength(1)
          const Mended = fromSchema(Schema.Struct({ _id: Schema.Number, n: Schema.Unknown }))
          const mended = ChangeStream.deadLetters(ChangeStream.watch(target, Mended), "consumer")
          expect(yield* mended.retry(letter!.id, handler)).toBe(true)
          expect(yield* effects).toEqual([1, 3, 2])
        })
      ))
  })

  const databaseOf = <A, E, R>(changes: ChangeStream.ChangeStream<A, E, R>) =>
    Effect.sync(() => changes[ChangeStream.TypeId].watched.database)
})
