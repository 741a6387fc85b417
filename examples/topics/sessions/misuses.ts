// What a session is not made for is refused before anything is sent, and the error says what to do instead.
import { Console, Effect } from "effect"
import { MongoClient, Session, type SessionErrors } from "effect-mongo-session"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"

const insert = (writeConcern = {}) =>
  Effect.flatMap(
    MongoClient.MongoClient,
    ({ driver }) =>
      Session.use((session) => driver.db().collection("misuses").insertOne({}, { session, writeConcern }), {
        operation: "insert"
      })
  )

type Misuse = SessionErrors.AcquireError | SessionErrors.UseError

const misuses: Record<string, Effect.Effect<unknown, Misuse, MongoClient.MongoClient>> = {
  "options that are wrong, or exclude each other": Effect.scoped(
    Session.make({ snapshot: true, causalConsistency: true, settleTimeout: 0 })
  ),
  "a session that has left its scope": Effect.flatMap(
    Effect.scoped(Session.make()),
    (session) => insert().pipe(Session.provide(session))
  ),
  "two operations at once, where one was to fail": Effect.all([insert(), insert()], { concurrency: 2 }).pipe(
    Session.scoped({ onBusy: "fail" })
  ),
  "a write that nobody acknowledges": insert({ w: 0 }).pipe(Session.scoped())
}

const program = Effect.forEach(
  Object.entries(misuses),
  ([what, misuse]) =>
    Effect.flatMap(
      Effect.flip(Effect.asVoid(misuse)),
      (error) =>
        Console.log(`${what}: ${error._tag}\n  ${error.message}\n  ${"hint" in error ? error.hint : error.reason}`)
    )
)

await Effect.runPromise(program.pipe(Effect.provide(MongoServer.layerClient())))
