// Begins and ends transactions by hand: for what does not fit into one effect. Nothing is run again by itself.
import { Effect } from "effect"
import { MongoClient, Session, Transaction } from "effect-mongo-session"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"

const program = Effect.gen(function*() {
  const { driver } = yield* MongoClient.MongoClient
  const steps = driver.db().collection<{ _id: string }>("steps")
  const insert = (_id: string) => Session.use((session) => steps.insertOne({ _id }, { session }))
  yield* Effect.promise(() => steps.deleteMany({}))

  yield* Transaction.start({ readConcern: "snapshot", writeConcern: "majority" })
  yield* insert("first")
  yield* Effect.log(yield* Transaction.state)
  // What would be a transaction by itself joins the one in progress.
  yield* Transaction.run(insert("second"))
  yield* Transaction.commit
  yield* Effect.log(yield* Transaction.state)

  yield* Transaction.start()
  yield* insert("third")
  yield* Transaction.abort
  const misuse = yield* Effect.flip(Transaction.commit)
  yield* Effect.log(misuse.message)

  yield* Effect.log(yield* Effect.promise(() => steps.find().toArray()))
}).pipe(Session.scoped())

await Effect.runPromise(program.pipe(Effect.provide(MongoServer.layerClient())))
