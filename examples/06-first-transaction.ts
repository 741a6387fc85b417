// Moves money from one account to another: both writes happen, or none.
import { Data, Effect } from "effect"
import { MongoClient, Session, Transaction } from "effect-mongo-session"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"

class NotEnough extends Data.TaggedError("NotEnough")<{ readonly missing: number }> {}

const accounts = Effect.map(
  MongoClient.MongoClient,
  ({ driver }) => driver.db().collection<{ _id: string; balance: number }>("accounts")
)

const add = (_id: string, amount: number) =>
  Effect.flatMap(
    accounts,
    (accounts) =>
      Session.use((session) =>
        accounts.findOneAndUpdate({ _id }, { $inc: { balance: amount } }, { session, returnDocument: "after" })
      )
  ).pipe(Effect.flatMap(Effect.fromNullable))

const transfer = (from: string, to: string, amount: number) =>
  Effect.gen(function*() {
    yield* add(to, amount)
    const { balance } = yield* add(from, -amount)
    if (balance < 0) return yield* new NotEnough({ missing: -balance })
  }).pipe(Transaction.run())

const program = Effect.gen(function*() {
  const collection = yield* accounts
  yield* Effect.promise(() => collection.deleteMany({}))
  yield* Effect.promise(() => collection.insertMany([{ _id: "ada", balance: 50 }, { _id: "bob", balance: 0 }]))

  yield* transfer("ada", "bob", 30)
  const second = yield* transfer("ada", "bob", 30).pipe(
    Effect.as("moved"),
    Effect.catchTag("NotEnough", ({ missing }) => Effect.succeed(`${missing} were missing, and nothing was moved`))
  )
  const rows = yield* Effect.promise(() => collection.find().toArray())
  yield* Effect.log(`the second time, ${second}`, rows)
})

await Effect.runPromise(program.pipe(Effect.provide(MongoServer.layerClient())))
