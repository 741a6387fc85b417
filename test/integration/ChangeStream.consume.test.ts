import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import { MongoClient as DriverClient } from "mongodb"
import type { Document } from "mongodb"
import * as ChangeStream from "../../src/ChangeStream.js"
import { fromSchema, raw } from "../../src/Codec.js"
import * as Session from "../../src/Session.js"
import * as FailPoint from "../../src/testing/FailPoint.js"
import * as MongoServer from "../../src/testing/MongoServer.js"
import * as Transaction from "../../src/Transaction.js"
import { idOf } from "../support/changes.js"
import * as Crashes from "../support/crashes.js"
import { numbers, on, sent } from "../support/data.js"
import * as Monitor from "../support/monitor.js"
import * as TestServer from "../support/TestServer.js"

interface Checkpoint extends Document {
  readonly _id: string
}

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  const onClient = <A, E, R>(test: (watched: Monitor.Watched) => Effect.Effect<A, E, R>) =>
    Monitor.withClient({}, (watched) => on(watched)(test(watched)))

  /** A collection to be consumed, a handler that writes down what it was given, and what has become of it. */
  const consuming = ({ client, monitor }: Monitor.Watched) =>
    Effect.gen(function*() {
      const database = yield* TestServer.database
      const db = client.driver.db(database)
      for (const name of ["things", "effects"]) yield* Effect.promise(() => db.createCollection(name))
      yield* monitor.clear
      const things = db.collection<{ _id: number; n?: unknown }>("things")
      const checkpoints = db.collection<Checkpoint>("effect_mongo_session.checkpoints")
      const checkpoint = (name = "consumer") => Effect.promise(() => checkpoints.findOne({ _id: name }))
      const calls: Array<unknown> = []
      const target = { database, collection: "things" }
      return {
        database,
        db,
        target,
        calls,
        checkpoints,
        checkpoint,
        changes: ChangeStream.watch(target, raw),
        put: (...ids: ReadonlyArray<number>) => Effect.promise(() => things.insertMany(ids.map((_id) => ({ _id })))),
        /** Writes the effect of an event. */
        handler: (event: ChangeStream.Event<unknown>) =>
          Effect.suspend(() => {
            calls.push(idOf(event))
            return Session.use((session) => db.collection("effects").insertOne({ of: idOf(event) }, { session }))
          }),
        effects: Effect.promise(() => db.collection("effects").find().sort({ _id: 1 }).map(({ of }) => of).toArray()),
        /** Runs a consumer, which has stored where it begins when this is done. */
        start: <A, E, R>(consumer: Effect.Effect<A, E, R>, name?: string) =>
          Effect.gen(function*() {
            const before = (yield* checkpoint(name))?.["owner"]
            const fiber = yield* Effect.forkScoped(consumer)
            yield* Monitor.until(
              checkpoint(name),
              (found) => found !== null && found["owner"] !== before && (found["token"] ?? found["time"]) !== undefined
            )
            return fiber
          })
      }
    })

  const untilEffects = <E, R>(effects: Effect.Effect<ReadonlyArray<unknown>, E, R>, count: number) =>
    Monitor.until(effects, ({ length }) => length >= count, "30 seconds")

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
          expect(yield* Effect.flip(Fiber.join(fiber))).toEqual({ _tag: "NoTwo" })
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
          const failure = { _tag: "DecodeFailed", documentId: "2", path: ["n"] }
          expect(yield* Effect.flip(Fiber.join(fiber))).toMatchObject(failure)
          expect(yield* Effect.flip(consumer)).toMatchObject(failure)
          expect(yield* Effect.flip(consumer)).toMatchObject(failure)
          expect(yield* effects).toEqual([1])
        })
      ))
  })

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

    it.effect("the later one kills what the session of the other has open, if that was the consumer's own", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { changes, checkpoint, handler, start } = yield* consuming(watched)
          const session = yield* Monitor.session(watched)
          const consumer = ChangeStream.consume(changes, "consumer", handler)
          const kills = Effect.map(watched.monitor.named("killSessions"), (commands) =>
            commands.map(({ command }) => Buffer.from(command["killSessions"][0].id.buffer).toString("hex")))
          yield* start(consumer)
          const own = String((yield* checkpoint())?.["session"]).replaceAll("-", "")
          expect(yield* kills).toEqual([])
          yield* start(Session.provide(consumer, session))
          expect(yield* kills).toEqual([own])
          yield* start(consumer)
          expect(yield* kills).toEqual([own])
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
      it.effect(name, (context) =>
        onClient((watched) =>
          Effect.gen(function*() {
            yield* TestServer.needs(context, "failCommand")
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

    it.effect("in the ambient session, which it leaves open", () =>
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
          expect(commits.map(({ lsid }) => lsid)).toEqual([session.id.hex])
          expect(yield* watched.monitor.overlaps).toEqual([])
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

  describe("a consumer that is killed a dozen times", () => {
    for (const batch of [1, 5]) {
      it.effect(
        `has handled each event once, and in order, with batches of ${batch} (seed ${Crashes.seed})`,
        (context) =>
          Effect.scoped(Effect.gen(function*() {
            yield* TestServer.needs(context, "transactions")
            const { url } = yield* MongoServer.MongoServer
            const database = yield* TestServer.database
            const driver = yield* Effect.acquireRelease(
              Effect.promise(() => new DriverClient(url).connect()),
              (client) => Effect.promise(() => client.close())
            )
            const db = driver.db(database)
            const things = db.collection<{ _id: number }>("things")
            const counters = db.collection<{ _id: string; n: number }>("counters")
            const count = 400 * batch
            yield* Effect.promise(() => things.insertOne({ _id: -1 }))
            yield* Effect.promise(() => counters.insertOne({ _id: "counter", n: 0 }))
            yield* Effect.promise(() => db.createCollection("effects"))
            // Begun where nothing was written yet.
            const program = new URL("../support/fixtures/consumer.ts", import.meta.url)
            const args = [url, database, String(batch)]
            const progress = Effect.promise(() => db.collection("effects").countDocuments())
            const writing = yield* Effect.forkScoped(
              Effect.zipRight(
                Monitor.until(
                  Effect.promise(() => db.collection<Checkpoint>("effect_mongo_session.checkpoints").findOne()),
                  (found) => found !== null && (found["token"] ?? found["time"]) !== undefined,
                  "30 seconds"
                ),
                Effect.promise(() => things.insertMany(numbers(count).map((_id) => ({ _id }))))
              )
            )
            const reached = yield* Crashes.crashing(program, args, {
              crashes: 12,
              longest: 250,
              progress,
              done: Monitor.until(progress, (done) => done >= count, "60 seconds")
            })
            yield* Fiber.join(writing)
            const effects = yield* Effect.promise(() => db.collection("effects").find().sort({ n: 1 }).toArray())
            expect(effects.length).toBe(count)
            expect(effects.findIndex(({ n, of }, index) => of !== index || n !== index + 1)).toBe(-1)
            expect((yield* Effect.promise(() => counters.findOne()))?.n).toBe(count)
            // It was in the middle of its work each time.
            expect(reached.every((now, index) => now > (reached[index - 1] ?? 0) && now < count)).toBe(true)
          })),
        240_000
      )
    }
  })
})
