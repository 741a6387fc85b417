// What may go away is tried again: the body is run from its beginning, though its error was wrapped.
import { Array, Data, Effect, Ref, Schedule } from "effect"
import { MongoClient, Session, Transaction } from "effect-mongo-session"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"

class CounterFailed extends Data.TaggedError("CounterFailed")<{ readonly cause: unknown }> {}

const _id = "visits"
const counters = Effect.map(
  MongoClient.MongoClient,
  ({ driver }) => driver.db().collection<{ _id: string; count: number }>("counters")
)

/** Reads, and writes what it has read and one more. Two at once are in conflict. */
const increment = Effect.gen(function*() {
  const collection = yield* counters
  const found = yield* Session.use((session) => collection.findOne({ _id }, { session }))
  const count = (found?.count ?? 0) + 1
  yield* Session.use((session) => collection.updateOne({ _id }, { $set: { count } }, { session }))
}).pipe(Effect.mapError((cause) => new CounterFailed({ cause })))

const program = Effect.gen(function*() {
  const collection = yield* counters
  yield* Effect.promise(() => collection.updateOne({ _id }, { $set: { count: 0 } }, { upsert: true }))

  const retries = yield* Ref.make(0)
  const onRetry = () => Ref.update(retries, (number) => number + 1)
  yield* Effect.forEach(Array.range(1, 50), () => Transaction.run(increment, { onRetry }), { concurrency: 5 })
  const found = yield* Effect.promise(() => collection.findOne({ _id }))
  yield* Effect.log(`50 increments make ${found?.count}, after ${yield* Ref.get(retries)} retries`)

  // This conflict never goes away: the inner one wants to write what the outer one has written, and that one can't end
  // before it.
  const hopeless = Transaction.run(increment, {
    propagation: "requiresNew",
    retry: Schedule.intersect(Transaction.backoff, Schedule.recurs(3))
  })
  yield* Effect.zipRight(increment, hopeless).pipe(
    Transaction.run(),
    Effect.catchTag("TransactionAborted", ({ hint, message }) => Effect.log(`${message}\n${hint}`))
  )
})

await Effect.runPromise(program.pipe(Effect.provide(MongoServer.layerClient())))
