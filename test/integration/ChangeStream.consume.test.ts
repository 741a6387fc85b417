import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { Timestamp } from "mongodb"
import * as ChangeStream from "../../src/ChangeStream.js"
import { fromSchema, raw } from "../../src/Codec.js"
import * as Outbox from "../../src/Outbox.js"
import * as FailPoint from "../../src/testing/FailPoint.js"
import * as Transaction from "../../src/Transaction.js"
import { idOf } from "../support/data/changes.js"
import { numbers, on, onClient, sent } from "../support/data/collections.js"
import { consuming, untilEffects } from "../support/data/consumers.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("consuming", () => {
    it.effect("refuses batches that are none, before anything is sent", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { changes, handler } = yield* consuming(watched)
          for (const batch of [0, -1, 1.5, Number.NaN]) {
            expect(yield* Effect.flip(ChangeStream.consume(changes, "consumer", handler, { batch })))
              .toMatchObject({ _tag: "SessionMisconfigured", issues: [{ path: ["batch"] }] })
          }
          expect(yield* sent(watched)).toEqual([])
        })
      ))

    it.effect("refuses names that are none, or that would be stored as others are, before anything is sent", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { changes, database, handler } = yield* consuming(watched)
          const { reset, set } = ChangeStream.checkpoints({ database })
          for (const name of ["", "a".repeat(1025), "a\ud800"]) {
            const dead = ChangeStream.deadLetters(changes, name)
            for (
              const refused of [
                ChangeStream.consume(changes, name, handler),
                set(name, new Timestamp({ t: 1, i: 1 })),
                reset(name),
                Stream.runDrain(dead.list),
                dead.drop("id"),
                dead.retry("id", handler)
              ]
            ) {
              expect(yield* Effect.flip(Effect.asVoid(refused)))
                .toMatchObject({ _tag: "SessionMisconfigured", issues: [{ path: ["name"] }] })
            }
          }
          expect(yield* sent(watched)).toEqual([])
        })
      ))

    it.effect("refuses options that there are none of, all of them told at once, before anything is sent", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { changes, handler } = yield* consuming(watched)
          const misspelled: object = {
            batchSize: 2,
            idleCheckpoint: "soon",
            transaction: { timeuot: "1 second", readConcern: "available" }
          }
          const error = yield* Effect.flip(ChangeStream.consume(changes, "consumer", handler, misspelled))
          expect("issues" in error && error.issues.map(({ path }) => path.join(".")).sort()).toEqual([
            "batchSize",
            "idleCheckpoint",
            "transaction.readConcern",
            "transaction.timeuot"
          ])
          expect(yield* sent(watched)).toEqual([])
        })
      ))

    it.effect("is refused in a transaction, before anything is sent", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { changes, handler } = yield* consuming(watched)
          expect(yield* Effect.flip(Transaction.run(ChangeStream.consume(changes, "consumer", handler))))
            .toMatchObject({ _tag: "InvalidInTransaction" })
          expect(yield* sent(watched)).toEqual([])
        })
      ))

    it.effect("fails with DecodeFailed when its checkpoint was damaged", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { changes, checkpoints, handler } = yield* consuming(watched)
          for (const token of ["rt1.AAAA", 5, { _data: "82" }]) {
            yield* Effect.promise(() =>
              checkpoints.updateOne({ _id: "consumer" }, { $set: { token } }, { upsert: true })
            )
            expect(yield* Effect.flip(ChangeStream.consume(changes, "consumer", handler)))
              .toMatchObject({ _tag: "DecodeFailed" })
          }
          expect(yield* watched.monitor.named("aggregate")).toEqual([])
        })
      ))

    it.effect("fails with what its handler fails with, rolls that back, and goes on there when it is run again", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { calls, changes, effects, handler, put, start } = yield* consuming(watched)
          const failing = ChangeStream.consume(changes, "consumer", (event) =>
            Effect.zipRight(
              handler(event),
              idOf(event) === 2 ? Effect.fail({ _tag: "NoTwo" as const }) : Effect.void
            ))
          const fiber = yield* start(failing)
          yield* put(1, 2, 3)
          expect(yield* Effect.flip(Fiber.join(fiber))).toMatchObject({
            _tag: "HandlingFailed",
            kind: "consumer",
            of: "consumer",
            attempts: 1,
            error: { _tag: "NoTwo" }
          })
          expect(yield* effects).toEqual([1])
          yield* Effect.forkScoped(ChangeStream.consume(changes, "consumer", handler))
          expect(yield* untilEffects(effects, 3)).toEqual([1, 2, 3])
          expect(calls).toEqual([1, 2, 2, 3])
        })
      ))

    it.effect("fails at an event that can't be decoded each time that it is run, and never leaves it out", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { db, effects, handler, start, target } = yield* consuming(watched)
          const Thing = fromSchema(Schema.Struct({ _id: Schema.Number, n: Schema.Number }))
          const consumer = ChangeStream.consume(ChangeStream.watch(target, Thing), "consumer", handler, {
            idleCheckpoint: "1 millis"
          })
          const fiber = yield* start(consumer)
          yield* Effect.promise(() =>
            db.collection<{ _id: number; n: unknown }>("things")
              .insertMany([{ _id: 1, n: 1 }, { _id: 2, n: "two" }, { _id: 3, n: 3 }])
          )
          const error = { _tag: "DecodeFailed", documentId: "2", path: ["n"] }
          const failure = { _tag: "HandlingFailed", error }
          expect(yield* Effect.flip(Fiber.join(fiber))).toMatchObject({ ...failure, attempts: 1 })
          expect(yield* Effect.flip(consumer)).toMatchObject({ ...failure, attempts: 2 })
          expect(yield* Effect.flip(consumer)).toMatchObject({ ...failure, attempts: 3 })
          expect(yield* effects).toEqual([1])
        })
      ))
  })

  describe("an event takes effect once", () => {
    const cases: ReadonlyArray<readonly [string, Partial<FailPoint.Options>, number]> = [
      // The handler has done what can't be committed, and does it again.
      ["if its commit was lost on the way", { errorCode: 50 }, 2],
      [
        "if its commit has to be repeated as a whole",
        { errorCode: 112, errorLabels: ["TransientTransactionError"] },
        2
      ],
      ["if its commit was done, and the answer to it lost", { writeConcernError: { code: 100, errmsg: "lost" } }, 1]
    ]
    for (const [name, failPoint, runs] of cases) {
      it.effect(name, () =>
        onClient((watched) =>
          Effect.gen(function*() {
            const { calls, changes, effects, handler, put, start } = yield* consuming(watched)
            const admin = yield* TestServer.driver()
            yield* start(ChangeStream.consume(changes, "consumer", handler))
            yield* FailPoint.failCommand(admin, {
              failCommands: ["commitTransaction"],
              appName: watched.appName,
              ...failPoint
            })
            yield* put(1, 2)
            expect(yield* untilEffects(effects, 2)).toEqual([1, 2])
            expect(calls.filter((id) => id === 1)).toHaveLength(runs)
            expect(calls.filter((id) => id === 2)).toHaveLength(1)
          })
        ))
    }

    it.effect("though nothing happened yet when its consumer was stopped, and it was not there when it happened", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { changes, effects, handler, put, start } = yield* consuming(watched)
          const consumer = changes.pipe(ChangeStream.consume("consumer", handler))
          yield* Effect.flatMap(start(consumer), Fiber.interrupt)
          yield* put(1, 2)
          yield* Effect.flatMap(start(consumer), (fiber) =>
            Effect.zipRight(untilEffects(effects, 2), Fiber.interrupt(fiber)))
          yield* put(3)
          yield* start(consumer)
          expect(yield* untilEffects(effects, 3)).toEqual([1, 2, 3])
        })
      ))

    it.effect("with several events in one transaction, but no more than were asked for", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { changes, effects, handler, put, start } = yield* consuming(watched)
          const consumer = ChangeStream.consume(changes, "consumer", handler, { batch: 4 })
          yield* Effect.flatMap(start(consumer), Fiber.interrupt)
          yield* put(...numbers(10))
          yield* watched.monitor.clear
          yield* start(consumer)
          expect(yield* untilEffects(effects, 10)).toEqual(numbers(10))
          expect(yield* watched.monitor.named("commitTransaction")).toHaveLength(3)
        })
      ))

    it.effect("in a whole database, of which the checkpoints are no part", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { calls, database, db, start } = yield* consuming(watched)
          yield* start(ChangeStream.consume(ChangeStream.watch({ database }, raw), "consumer", (event) =>
            Effect.sync(() =>
              void calls.push(idOf(event))
            )))
          for (const _id of [1, 2, 3]) {
            yield* Effect.promise(() =>
              db.collection<{ _id: number }>("things").insertOne({ _id })
            )
          }
          yield* Monitor.until(Effect.sync(() => calls.length), (count) => count >= 3)
          // Each checkpoint would have been an event by now.
          yield* Effect.sleep("300 millis")
          expect(calls).toEqual([1, 2, 3])
        })
      ))

    it.effect.each(["local", "available", "linearizable"] as const)(
      "whatever read concern the client prefers (%s), and so is a message delivered",
      (readConcernLevel) =>
        Monitor.withClient({ driver: { readConcernLevel } }, (watched) =>
          on(watched)(Effect.gen(function*() {
            const { changes, database, effects, handler, put, start } = yield* consuming(watched)
            // A transaction does not take every level.
            const transaction = { readConcern: "local" } as const
            yield* start(ChangeStream.consume(changes, "consumer", handler, { transaction }))
            yield* put(1)
            expect(yield* untilEffects(effects, 1)).toEqual([1])
            const Letters = Outbox.make("letters", { database })
            yield* Transaction.run(Letters.publish({ n: 1 }), transaction)
            const options = { poll: Schedule.stop, onPoison: "setAside" } as const
            yield* Stream.runDrain(Letters.relay(() => Effect.fail("no"), options))
            expect(yield* Stream.runCollect(Letters.deadLetters.list)).toHaveLength(1)
            expect(yield* Letters.pending).toBe(0)
          })))
    )

    it.effect("and its place is stored now and then while there is nothing to do", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { checkpoint, database, db, handler, start } = yield* consuming(watched)
          const changes = ChangeStream.watch(
            { database, collection: "things" },
            raw,
            [{ $match: { operationType: "delete" } }],
            { maxAwaitTime: "10 millis" }
          )
          yield* start(ChangeStream.consume(changes, "consumer", handler, { idleCheckpoint: "20 millis" }))
          const first = (yield* checkpoint())?.["token"]
          yield* Effect.promise(() => db.collection("things").insertOne({}))
          yield* Monitor.until(checkpoint(), (found) => found?.["token"] !== first)
        })
      ))
  })
})
