/** The client of the shop, watched. */
import { MongoClient } from "effect-mongo-session"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Monitor from "./Monitor.js"

export const appName = "effect-mongo-session-demo"

export const layer = Layer.unwrapEffect(Effect.map(MongoServer.MongoServer, ({ url }) =>
  MongoClient.layer({
    url: Redacted.make(url),
    database: appName,
    driver: { appName, monitorCommands: true }
  }))).pipe(
    Layer.tap((context) => Monitor.watch(Context.get(context, MongoClient.MongoClient)))
  )
