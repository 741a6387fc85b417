// An e-mail can't be rolled back: it is sent when the transaction is committed, however often the body had to run.
import { Effect, Layer } from "effect"
import { MongoClient, Session, Transaction } from "effect-mongo-session"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"

class Outbox extends Effect.Service<Outbox>()("Outbox", {
  effect: Effect.map(MongoClient.MongoClient, ({ driver }) => {
    const outbox = driver.db().collection<{ _id: string }>("outbox")
    /** Sends what is in the outbox. A program does this when it starts, too, so that no mail is lost when it dies. */
    const flush = Effect.gen(function*() {
      const mails = yield* Effect.promise(() => outbox.find().toArray())
      yield* Effect.forEach(
        mails,
        ({ _id }) => Effect.zipRight(Effect.log("sent:", _id), Effect.promise(() => outbox.deleteOne({ _id })))
      )
    })
    return {
      post: (mail: string) =>
        Effect.gen(function*() {
          // Written with the rest, just before the commit; sent after it.
          yield* Transaction.beforeCommit(Session.use((session) => outbox.insertOne({ _id: mail }, { session })))
          yield* Transaction.onCommit(flush)
          yield* Transaction.onRollback(Effect.log("not sent:", mail))
        })
    }
  })
}) {}

const register = (name: string, isAllowed: boolean) =>
  Effect.gen(function*() {
    const { driver } = yield* MongoClient.MongoClient
    yield* (yield* Outbox).post(`Welcome, ${name}`)
    yield* Session.use((session) => driver.db().collection("members").insertOne({ name }, { session }))
    if (!isAllowed) yield* Transaction.rollbackOnly
  }).pipe(Transaction.run())

const program = Effect.gen(function*() {
  yield* register("Ada", true)
  yield* register("Bob", false)
})

const MainLive = Layer.provideMerge(Outbox.Default, MongoServer.layerClient())

await Effect.runPromise(Effect.provide(program, MainLive))
