import { expect, layer } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Stream from "effect/Stream"
import type * as Driver from "mongodb"
import * as Collection from "../../src/Collection.js"
import * as Cursor from "../../src/Cursor.js"
import * as Database from "../../src/Database.js"
import * as Session from "../../src/Session.js"
import { on, things } from "../support/data/collections.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

/** The time limits that the server was told with the commands of a name. */
const limits = ({ monitor }: Monitor.Watched, name: string) =>
  Effect.map(monitor.named(name), (seen) => seen.map(({ command }): unknown => command["maxTimeMS"]))

const between = (least: number, most: number) => expect.toSatisfy((found) => found > least && found <= most)

const refused = { _tag: "MongoError", reason: "InvalidOptions" }

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  it.effect("the nearest timeout counts: the operation's, the collection's, the database's, the session's, the client's", () =>
    Monitor.withClient({ timeout: "50 seconds" }, (watched) =>
      on(watched)(Effect.gen(function*() {
        const { database } = yield* things(watched, 1)
        const Shop = Database.make(database, { timeout: "30 seconds" })
        const Things = Shop.collection("things", { timeout: "20 seconds" })
        const Bare = Collection.make("things", { database })
        const session = yield* Session.make({ timeout: "40 seconds" })
        const inBoth = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
          Effect.zipRight(effect, Session.provide(effect, session))
        yield* inBoth(Things.findOne({}, { timeout: "10 seconds" }))
        yield* inBoth(Things.findOne())
        yield* inBoth(Shop.collection("things").findOne())
        yield* inBoth(Bare.findOne())
        const ten = between(9_000, 10_000)
        const twenty = between(19_000, 20_000)
        const thirty = between(29_000, 30_000)
        expect(yield* limits(watched, "find"))
          .toEqual([ten, ten, twenty, twenty, thirty, thirty, between(49_000, 50_000), between(39_000, 40_000)])
      }))))

  it.effect("an infinite timeout lifts those around it", () =>
    Monitor.withClient({ timeout: "50 seconds" }, (watched) =>
      on(watched)(Effect.gen(function*() {
        const { database } = yield* things(watched, 1)
        const Patient = Collection.make("things", { database, timeout: Duration.infinity })
        yield* Patient.findOne()
        yield* Session.scoped(Patient.findOne())
        yield* Stream.runDrain(Patient.find())
        yield* Patient.findOne({}, { timeout: "10 seconds" })
        expect(yield* limits(watched, "find")).toEqual([undefined, undefined, undefined, between(9_000, 10_000)])
      }))))

  it.effect("an operation that takes longer than its own fails in time, in a session or none", () =>
    Monitor.withClient({}, (watched) =>
      on(watched)(Effect.gen(function*() {
        const { Things } = yield* things(watched, 1)
        yield* Monitor.block(watched, ["find"], "1 second")
        const late = Effect.flip(Things.findOne({}, { timeout: "100 millis" }))
        for (const one of [late, Session.scoped(late)]) {
          const [time, error] = yield* Effect.timed(one)
          expect(error).toMatchObject({ _tag: "MongoError", reason: "TimedOut" })
          expect(Duration.toMillis(time)).toBeLessThan(900)
        }
      }))))

  it.effect("the driver's own limits do not count beside it: socketTimeoutMS and the client's wTimeoutMS", () =>
    Monitor.withClient(
      { driver: { socketTimeoutMS: 100, wtimeoutMS: 1_000 } },
      (watched) =>
        on(watched)(Effect.gen(function*() {
          const { Things } = yield* things(watched, 1)
          yield* Monitor.block(watched, ["find"], "300 millis")
          const find = (options: object) => Things.findOne({ _id: 0 }, options)
          expect(yield* Effect.flip(find({}))).toMatchObject({ _tag: "MongoError", reason: "NetworkError" })
          const limited = Effect.gen(function*() {
            yield* find({ timeout: "20 seconds" })
            yield* Database.make("admin").command({ ping: 1 }, { timeout: "20 seconds" })
            yield* Stream.runDrain(Things.find({ _id: 0 }, { timeout: "20 seconds" }))
            yield* Things.updateOne({ _id: 0 }, { $set: { n: "1" } }, { timeout: "20 seconds" })
            yield* Things.updateOne({ _id: 0 }, { $set: { n: "2" } })
          })
          yield* limited
          yield* Session.scoped(limited)
          expect((yield* watched.monitor.named("update")).map(({ command }) => command["writeConcern"]))
            .toEqual([undefined, { wtimeout: 1_000 }, undefined, { wtimeout: 1_000 }])
        }))
    ))

  it.effect("a collection is made in a time, with a session and without one", () =>
    Monitor.withClient({ timeout: "10 seconds" }, (watched) =>
      on(watched)(Effect.gen(function*() {
        const { database } = yield* things(watched, 0)
        const Shop = Database.make(database)
        yield* Shop.createCollection("one")
        yield* Session.scoped(Shop.createCollection("two"))
        const made = between(0, 10_000)
        expect(yield* limits(watched, "create")).toEqual([made, made])
      }))))

  it.effect("a collection is made in its own time, whatever the client's socketTimeoutMS is", () =>
    Effect.gen(function*() {
      const made = (socketTimeoutMS: number, blockFor: Duration.DurationInput, timeout?: Duration.DurationInput) =>
        Monitor.withClient({ driver: { socketTimeoutMS } }, (watched) =>
          on(watched)(Effect.gen(function*() {
            const { database } = yield* things(watched, 0)
            yield* Monitor.block(watched, ["create"], blockFor)
            const create = (name: string) => Effect.either(Database.make(database).createCollection(name, { timeout }))
            return [yield* create("one"), yield* Session.scoped(create("two"))]
          })))
      const failed = (reason: string) => Either.left(expect.objectContaining({ reason }))
      expect((yield* made(100, "300 millis"))[0]).toEqual(failed("NetworkError"))
      expect(yield* made(100, "300 millis", "20 seconds")).toEqual([Either.void, Either.void])
      expect(yield* made(20_000, "1 second", "100 millis")).toEqual([failed("TimedOut"), failed("TimedOut")])
      expect(yield* made(50, "1 second", "200 millis")).toEqual([failed("TimedOut"), failed("TimedOut")])
    }))

  it.effect("a bad one is refused before anything is sent, wherever it is", () =>
    Monitor.withClient({}, (watched) =>
      on(watched)(Effect.gen(function*() {
        const { Things, database } = yield* things(watched, 1)
        const before = (yield* watched.monitor.named("find")).length
        for (const timeout of [0, -1, "0.5 millis", Number.NaN] as ReadonlyArray<Duration.DurationInput>) {
          expect(yield* Effect.flip(Things.findOne({}, { timeout }))).toMatchObject(refused)
          const Bad = Collection.make("things", { database, timeout })
          expect(yield* Effect.flip(Bad.findOne())).toMatchObject(refused)
          expect(yield* Effect.flip(Stream.runDrain(Bad.find()))).toMatchObject(refused)
          expect(yield* Effect.flip(Stream.runDrain(Bad.watch()))).toMatchObject(refused)
        }
        expect(yield* watched.monitor.named("find")).toHaveLength(before)
        expect(yield* watched.monitor.named("aggregate")).toEqual([])
      }))))

  it.effect("a mode that a cursor cannot have is refused before anything is sent", () =>
    Monitor.withClient({}, (watched) =>
      on(watched)(Effect.gen(function*() {
        const { Things } = yield* things(watched, 1)
        const timeout = "1 second"
        const refuses = <A, E, R>(rows: Stream.Stream<A, E, R>) =>
          Effect.map(Effect.flip(Stream.runDrain(rows)), (error) => expect(error).toMatchObject(refused))
        yield* refuses(Things.find({}, { timeoutMode: "iteration" }))
        yield* refuses(Things.find({}, { timeoutMode: "cursorLifetime", tailable: true, timeout }))
        yield* refuses(Things.find({}, { tailable: true, awaitData: true, maxAwaitTimeMS: 1000, timeout }))
        yield* refuses(Things.aggregate([{ $out: "others" }], { timeoutMode: "iteration", timeout }))
        const opened = (given: Driver.FindOptions, options: Cursor.Options) =>
          Cursor.stream((added, db) => db.collection("things").find({}, { ...added, ...given }), options)
        yield* refuses(opened({}, { timeoutMode: "iteration" }))
        yield* refuses(opened({ tailable: true }, { timeoutMode: "cursorLifetime", timeout }))
        yield* refuses(opened({ tailable: true, awaitData: true, maxAwaitTimeMS: 1000 }, { timeout }))
        expect(yield* watched.monitor.named("find")).toEqual([])
        expect(yield* Effect.flip(Stream.runDrain(Things.watch([], { timeout, maxAwaitTime: timeout }))))
          .toMatchObject(refused)
        expect(yield* watched.monitor.named("aggregate")).toEqual([])
      }))))
})
