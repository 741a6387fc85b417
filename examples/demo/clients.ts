/** The demo's three clients, all of them watched. */
import { MongoClient } from "effect-mongo-session"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Monitor from "./Monitor.js"

/** A client of another process, so to speak. */
export class Reader extends MongoClient.Tag("Reader")<Reader>() {}

/** The client that keeps a thousand sessions alive. */
export class Crowd extends MongoClient.Tag("Crowd")<Crowd>() {}

const options = Effect.map(MongoServer.MongoServer, ({ url }): MongoClient.Options => ({
  url: Redacted.make(url),
  database: "effect-mongo-session-demo",
  driver: { monitorCommands: true }
}))

/** How long a session must have been idle to be kept alive: less than the second between two looks. */
export const idleFor = Duration.millis(300)

const everySecond: MongoClient.CommonOptions = {
  keepAlive: { schedule: Schedule.spaced("1 second"), idleFor }
}

export const layer = Layer.unwrapEffect(Effect.map(options, (options) =>
  Layer.mergeAll(
    watched(MongoClient.MongoClient, MongoClient.layer(options)),
    watched(Reader, Reader.layer(options)),
    watched(Crowd, Crowd.layer({ ...options, ...everySecond }))
  )))

/** All three. */
export const all = Effect.all([MongoClient.MongoClient, Reader, Crowd])

const watched = <Id, E>(tag: Context.Tag<Id, MongoClient.Service>, layer: Layer.Layer<Id, E>) =>
  Layer.tap(layer, (context) => Monitor.watch(Context.get(context, tag)))
