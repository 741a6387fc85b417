// Opens a session, writes and reads in it, and ends it. Starts a server of its own, so that it runs as it is.
import { Effect } from "effect"
import { MongoClient, Session } from "effect-mongo-session"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"

const program = Effect.gen(function*() {
  const users = (yield* MongoClient.MongoClient).driver.db().collection("users")
  yield* Session.use((session) => users.insertOne({ name: "Ada" }, { session }))
  const found = yield* Session.use((session, signal) => users.findOne({ name: "Ada" }, { session, signal }))
  yield* Effect.log("found", yield* Effect.fromNullable(found?.["name"]))
}).pipe(Session.scoped())

await Effect.runPromise(program.pipe(Effect.provide(MongoServer.layerClient())))
