// Finds out why a transaction is given up: which document it has lost, and to whom.
import { Deferred, Effect, Fiber, Schedule } from "effect"
import { Collection, Transaction } from "effect-mongo-session"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"

const Stock = Collection.make("conflicts_stock")

const take = (_id: string) => Stock.updateOne({ _id }, { $inc: { left: -1 } })

/** Holds a document until it is told to let go. */
const count = (_id: string, isHeld: Deferred.Deferred<void>, letGo: Deferred.Deferred<void>) =>
  take(_id).pipe(
    Effect.zipRight(Deferred.succeed(isHeld, void 0)),
    Effect.zipRight(Deferred.await(letGo)),
    Transaction.run(),
    Effect.withSpan("stock-taking")
  )

/** Gives up after three attempts. */
const checkout = (_id: string) =>
  take(_id).pipe(
    Transaction.run({ retry: Schedule.intersect(Transaction.backoff, Schedule.recurs(2)) }),
    Effect.withSpan("checkout")
  )

const program = Effect.gen(function*() {
  yield* Stock.deleteMany({})
  yield* Stock.insertMany([{ _id: "tea", left: 10 }, { _id: "milk", left: 10 }])

  const isHeld = yield* Deferred.make<void>()
  const letGo = yield* Deferred.make<void>()
  const counting = yield* Effect.fork(count("tea", isHeld, letGo))
  yield* Deferred.await(isHeld)

  yield* Effect.catchTag(checkout("tea"), "TransactionAborted", ({ conflict, message }) =>
    Effect.all([
      Effect.logWarning(message),
      Effect.log("written here by", conflict?.rivals.map(({ span }) => span?.name)),
      Effect.log("open on the server", conflict?.server?.transactions.map(({ appName }) => appName))
    ], { discard: true }))

  yield* Deferred.succeed(letGo, void 0)
  yield* Fiber.join(counting)
  yield* checkout("tea")
  yield* Effect.log(`\n${yield* Transaction.report()}`)
})

const ClientLive = MongoServer.layerClient({ client: { driver: { appName: "shop" } } })

await Effect.runPromise(Effect.provide(program, ClientLive))
