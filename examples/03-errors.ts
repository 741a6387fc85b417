// Every failure is a tagged error: what a program can put right, it catches; the rest says what to do in its hint.
import { Effect } from "effect"
import { MongoClient, Session } from "effect-mongo-session"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"

const register = (_id: string) =>
  Effect.flatMap(MongoClient.MongoClient, ({ driver }) => {
    const users = driver.db().collection<{ _id: string }>("names")
    return Session.use((session) => users.insertOne({ _id }, { session }))
  }).pipe(
    Effect.as(`${_id} is registered`),
    // One error for all that the driver or the server may say: its reason tells what it was.
    Effect.catchIf(
      (error) => error._tag === "MongoError" && error.reason === "DuplicateKey",
      () => Effect.succeed(`${_id} had been registered before`)
    )
  )

const program = Effect.gen(function*() {
  yield* Effect.log(yield* register("ada"))
  yield* Effect.log(yield* register("ada"))
}).pipe(
  // After half an hour without use the session would have lapsed: the next operation then gets a new one.
  Session.scoped({ keepAlive: false, onLapse: "renew" }),
  Effect.tapErrorTag("SessionsUnsupported", ({ hint }) => Effect.logError(hint)),
  Effect.tapErrorTag("SessionMisconfigured", ({ issues }) => Effect.logError("invalid options", issues))
)

await Effect.runPromise(program.pipe(Effect.provide(MongoServer.layerClient())))
