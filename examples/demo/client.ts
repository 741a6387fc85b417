/** The client of the shop, watched. */
import { MongoClient } from "effect-mongo-session"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import * as Monitor from "./Monitor.js"

export const appName = "effect-mongo-session-demo"

export const layer = MongoServer.clientOf({
  database: appName,
  // What most members have outlives the loss of one. It is the server's default from version 5 on.
  driver: { appName, monitorCommands: true, writeConcern: { w: "majority" } }
}).pipe(Layer.tap((context) => Monitor.watch(Context.get(context, MongoClient.MongoClient))))
