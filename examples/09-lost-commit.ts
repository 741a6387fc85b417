// The answer to a commit is lost: did it happen? An id that was chosen beforehand is what one can look for.
import { Effect } from "effect"
import { MongoClient, Session, Transaction } from "effect-mongo-session"
import * as FailPoint from "effect-mongo-session/testing/FailPoint"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"

const payments = Effect.map(
  MongoClient.MongoClient,
  ({ driver }) => driver.db().collection<{ _id: string; amount: number }>("paid")
)

const insert = (_id: string, amount: number) =>
  Effect.flatMap(payments, (payments) => Session.use((session) => payments.insertOne({ _id, amount }, { session })))

const isPaid = (_id: string) =>
  Effect.flatMap(
    payments,
    (payments) => Session.use((session) => payments.findOne({ _id }, { session, readConcern: { level: "majority" } }))
  ).pipe(
    Effect.map((payment) => payment !== null),
    Session.scoped()
  )

/** The next commit is executed, but the answer says that this is not certain and that asking again is of no use. */
const losingTheAnswer = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(MongoClient.MongoClient, ({ driver }) =>
    FailPoint.during(driver, {
      failCommands: ["commitTransaction"],
      writeConcernError: { code: 100, codeName: "UnsatisfiableWriteConcern", errmsg: "not enough members" }
    })(effect))

const program = Effect.gen(function*() {
  const collection = yield* payments
  yield* Effect.promise(() => collection.deleteMany({}))

  const first = insert("payment-1", 30)
  const error = yield* losingTheAnswer(Effect.flip(Transaction.run(first)))
  yield* Effect.log(`${error._tag}: ${error.message}`)
  // Run again with the same id, it can't be paid twice.
  const again = yield* Effect.flip(Transaction.run(first))
  yield* Effect.log(again._tag === "MongoError" ? again.reason : again._tag)

  const second = Transaction.run(insert("payment-2", 30), { verifyCommit: isPaid("payment-2") })
  yield* losingTheAnswer(second)
  yield* Effect.log("paid, as verifyCommit found out")
})

await Effect.runPromise(program.pipe(Effect.provide(MongoServer.layerClient())))
