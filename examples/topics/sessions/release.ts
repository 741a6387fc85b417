// A session ends with its scope, also by interruption; the write that was on its way is waited for, and nothing is left.
import { Effect, Fiber } from "effect"
import { MongoClient, Session } from "effect-mongo-session"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"

const write = Effect.flatMap(
  MongoClient.MongoClient,
  ({ driver }) => Session.use((session) => driver.db().collection("writes").insertOne({}, { session }))
)

const program = Effect.gen(function*() {
  const { driver, openSessions } = yield* MongoClient.MongoClient
  const writes = driver.db().collection("writes")
  yield* Effect.promise(() => writes.deleteMany({}))

  const writer = yield* Effect.forever(write).pipe(Session.scoped(), Effect.fork)
  yield* Effect.sleep("300 millis")
  yield* Effect.log("open sessions", yield* openSessions)

  // Resumes when the write has settled and the session has ended.
  yield* Fiber.interrupt(writer)
  const written = yield* Effect.promise(() => writes.countDocuments())
  yield* Effect.log("open sessions", yield* openSessions, "after", written, "writes")
})

await Effect.runPromise(program.pipe(Effect.provide(MongoServer.layerClient())))
