// Three services that were written apart, and know nothing of each other, become one transaction.
import { Data, Effect, Layer } from "effect"
import { Collection, Transaction } from "effect-mongo-session"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"

class OutOfStock extends Data.TaggedError("OutOfStock")<{ readonly item: string }> {}

const Accounts = Collection.make("customers")
const Items = Collection.make("items")
const Placed = Collection.make("placed")

class Payments extends Effect.Service<Payments>()("Payments", {
  succeed: { charge: (_id: string, euros: number) => Accounts.updateOne({ _id }, { $inc: { euros: -euros } }) }
}) {}

class Inventory extends Effect.Service<Inventory>()("Inventory", {
  succeed: {
    // Called alone it is a transaction. Called inside of one it is a part of that.
    take: (item: string) =>
      Items.updateOne({ _id: item, left: { $gt: 0 } }, { $inc: { left: -1 } }).pipe(
        Effect.filterOrFail(({ modifiedCount }) => modifiedCount === 1, () => new OutOfStock({ item })),
        Transaction.run()
      )
  }
}) {}

class Orders extends Effect.Service<Orders>()("Orders", {
  // Needs a transaction, and says so in its type: without one around it, the program does not compile.
  succeed: { place: (item: string) => Effect.zipRight(Transaction.Transaction, Placed.insertOne({ item })) }
}) {}

const buy = (customer: string, item: string) =>
  Effect.gen(function*() {
    yield* (yield* Payments).charge(customer, 3)
    yield* (yield* Inventory).take(item)
    yield* (yield* Orders).place(item)
    return "bought"
  }).pipe(
    Transaction.run(),
    Effect.catchTag("OutOfStock", () => Effect.succeed(`no ${item}, so nothing was charged`))
  )

const program = Effect.gen(function*() {
  yield* Accounts.updateOne({ _id: "ada" }, { $set: { euros: 10 } }, { upsert: true })
  yield* Items.updateOne({ _id: "pen" }, { $set: { left: 1 } }, { upsert: true })
  yield* Effect.log(yield* buy("ada", "pen"))
  yield* Effect.log(yield* buy("ada", "pen"))
  const ada = yield* Effect.flatten(Accounts.findOne({ _id: "ada" }))
  yield* Effect.log(`Ada has ${ada["euros"]} euros left`)
})

const Services = Layer.mergeAll(Payments.Default, Inventory.Default, Orders.Default)

await Effect.runPromise(program.pipe(Effect.provide(Services), Effect.provide(MongoServer.layerClient())))
