// A session takes one operation at a time, from however many fibers they come. The driver does not see to that: writes
// of one session overtake each other, and the server refuses those that come too late.
import { Array, Effect } from "effect"
import { MongoClient, Session } from "effect-mongo-session"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"

/** Inserts 300 documents from 20 fibers; gives why inserts failed, and what was stored. */
const insertAll = <A, E, R>(insert: (number: number) => Effect.Effect<A, E, R>) =>
  Effect.partition(Array.range(1, 300), insert, { concurrency: 20 })

const program = Effect.gen(function*() {
  const { driver } = yield* MongoClient.MongoClient
  const numbers = driver.db().collection("numbers")

  const [refused, stored] = yield* Effect.acquireUseRelease(
    Effect.sync(() => driver.startSession()),
    (session) => insertAll((number) => Effect.tryPromise(() => numbers.insertOne({ number }, { session }))),
    (session) => Effect.promise(() => session.endSession())
  )
  yield* Effect.log(`a session of the driver: ${stored.length} stored, ${refused.length} refused`)
  // e.g. "Retryable write with txnNumber 3 is prohibited on session … because a newer retryable write … has already
  // started on this session."
  yield* Effect.forEach(refused.slice(0, 1), ({ error }) => Effect.log(String(error)))

  const ours = yield* insertAll((number) => Session.use((session) => numbers.insertOne({ number }, { session }))).pipe(
    Session.scoped()
  )
  yield* Effect.log(`a session of this library: ${ours[1].length} stored, ${ours[0].length} refused`)
})

await Effect.runPromise(program.pipe(Effect.provide(MongoServer.layerClient())))
