/**
 * What tests of `Once` write, and what they look at.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { Document } from "mongodb"
import type * as MongoClient from "../../../src/MongoClient.js"
import * as Session from "../../../src/Session.js"
import type { UseError } from "../../../src/SessionErrors.js"
import type * as FailPoint from "../../../src/testing/FailPoint.js"
import type * as MongoServer from "../../../src/testing/MongoServer.js"
import { on } from "../data/collections.js"
import * as TestServer from "../server/testServer.js"
import * as Monitor from "../watch/monitor.js"

/** A failure that counts as done. */
export class OutOfStock extends Schema.TaggedError<OutOfStock>()("OutOfStock", { item: Schema.String }) {}

/** What a test of `Once` has. */
export interface Place extends Monitor.Watched {
  readonly database: string
  /** Writes a document with this number, in the ambient session. */
  readonly insert: (n: number) => Effect.Effect<void, UseError, Session.Session>
  /** The numbers that are stored. */
  readonly stored: Effect.Effect<ReadonlyArray<number>>
  readonly keys: Effect.Effect<ReadonlyArray<Document>>
  readonly indexes: Effect.Effect<ReadonlyArray<Document>>
  /** The commands that an effect sends. */
  readonly sent: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<ReadonlyArray<string>, E, R>
  /** Runs an effect on another client. */
  readonly onOther: <A, E, R>(
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E, Exclude<R, MongoClient.MongoClient>>
  readonly failing: (
    options: FailPoint.Options
  ) => Effect.Effect<void, FailPoint.FailPointFailed, MongoServer.MongoServer | Scope.Scope>
}

/** Runs a test on a client and in a database of its own. */
export const onKeys = <A, E, R>(test: (place: Place) => Effect.Effect<A, E, R>) =>
  Monitor.withClient({}, (watched) =>
    Effect.gen(function*() {
      const database = yield* TestServer.database
      const other = yield* Monitor.connect()
      const items = (client: MongoClient.Service) => client.driver.db(database).collection<{ _id: number }>("items")
      const keys = other.client.driver.db(database).collection("effect_mongo_session.once")
      return yield* test({
        ...watched,
        database,
        insert: (n) =>
          Effect.flatMap(Session.Session, ({ client, use }) =>
            Effect.asVoid(use((session) => items(client).insertOne({ _id: n }, { session })))),
        stored: Effect.promise(() =>
          items(other.client).find().sort({ _id: 1 }).map(({ _id }) => _id).toArray()
        ),
        keys: Effect.promise(() => keys.find().sort({ at: 1 }).toArray()),
        indexes: Effect.promise(() => keys.indexes()),
        sent: (effect) =>
          watched.monitor.clear.pipe(
            Effect.zipRight(effect),
            Effect.zipRight(watched.monitor.commands),
            Effect.map((commands) => commands.map(({ name }) => name))
          ),
        onOther: on(other),
        failing: (options) => Monitor.fail(watched, options)
      }).pipe(on(watched))
    }))

/** What is known of a stored key. */
export const Keys = {
  marked: (name: string, key: string) => ({ _id: `effect_mongo_session/${name}/${key}`, effect_mongo_session: 1 })
}
