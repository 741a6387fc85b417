/**
 * Consumers of change streams, which write down what they were given.
 */
import * as Effect from "effect/Effect"
import type { Document } from "mongodb"
import * as ChangeStream from "../../../src/ChangeStream.js"
import { raw } from "../../../src/Codec.js"
import * as Session from "../../../src/Session.js"
import * as TestServer from "../server/testServer.js"
import * as Monitor from "../watch/monitor.js"
import { idOf } from "./changes.js"

/** Where a consumer has come to. */
export interface Checkpoint extends Document {
  readonly _id: string
}

/** A collection to be consumed, a handler that writes down what it was given, and what has become of it. */
export const consuming = ({ client, monitor }: Monitor.Watched) =>
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

/** Waits until there are so many effects. */
export const untilEffects = <E, R>(effects: Effect.Effect<ReadonlyArray<unknown>, E, R>, count: number) =>
  Monitor.until(effects, ({ length }) => length >= count, "30 seconds")
