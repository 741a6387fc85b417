// Services that were written apart, and know nothing of each other, become parts of one transaction.
import { Data, Effect, Layer } from "effect"
import { MongoClient, Session, Transaction } from "effect-mongo-session"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"

class OutOfStock extends Data.TaggedError("OutOfStock")<{ readonly item: string }> {}

class Inventory extends Effect.Service<Inventory>()("Inventory", {
  effect: Effect.map(MongoClient.MongoClient, ({ driver }) => {
    const items = driver.db().collection<{ _id: string; count: number }>("items")
    return {
      fill: (_id: string, count: number) =>
        Session.use((session) => items.updateOne({ _id }, { $set: { count } }, { session, upsert: true })).pipe(
          Transaction.run()
        ),
      // Called alone it is a transaction; called inside of one it is a part of that.
      take: (item: string) =>
        Session.use((session) =>
          items.updateOne({ _id: item, count: { $gt: 0 } }, { $inc: { count: -1 } }, { session })
        ).pipe(
          Effect.filterOrFail(({ modifiedCount }) => modifiedCount === 1, () => new OutOfStock({ item })),
          Transaction.run()
        )
    }
  })
}) {}

class Orders extends Effect.Service<Orders>()("Orders", {
  effect: Effect.map(MongoClient.MongoClient, ({ driver }) => {
    const orders = driver.db().collection("bought")
    return {
      // Needs a transaction, and says so in its type: without one around it, the program does not compile.
      place: (items: ReadonlyArray<string>) =>
        Effect.zipRight(
          Transaction.Transaction,
          Session.use((session) => orders.insertOne({ items }, { session }))
        )
    }
  })
}) {}

class Journal extends Effect.Service<Journal>()("Journal", {
  effect: Effect.map(MongoClient.MongoClient, ({ driver }) => {
    const entries = driver.db().collection("journal")
    return {
      // A transaction of its own in any case: what is written here stays, whatever becomes of the rest.
      note: (text: string) =>
        Session.use((session) => entries.insertOne({ text }, { session })).pipe(
          Transaction.run({ propagation: "requiresNew" })
        )
    }
  })
}) {}

const buy = (...items: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    yield* (yield* Journal).note(`somebody wants ${items.join(" and ")}`)
    const inventory = yield* Inventory
    yield* Effect.forEach(items, inventory.take)
    yield* (yield* Orders).place(items)
    return "bought"
  }).pipe(
    Transaction.run(),
    Effect.catchTag("OutOfStock", ({ item }) => Effect.succeed(`no ${item}, so nothing was taken`))
  )

const program = Effect.gen(function*() {
  const inventory = yield* Inventory
  yield* inventory.fill("pen", 2)
  yield* inventory.fill("ink", 1)
  yield* Effect.log(yield* buy("pen", "ink"))
  yield* Effect.log(yield* buy("pen", "ink"))
  yield* Effect.log(yield* buy("pen"))
})

const MainLive = Layer.mergeAll(Inventory.Default, Orders.Default, Journal.Default).pipe(
  Layer.provideMerge(MongoServer.layerClient())
)

await Effect.runPromise(Effect.provide(program, MainLive))
