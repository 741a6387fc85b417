/** The first of the shop's services: what is in stock. It knows nothing of the others, nor of who calls it. */
import { MongoClient, Session, Transaction } from "effect-mongo-session"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"

export interface Product {
  readonly _id: string
  /** In cents, as all money here. */
  readonly price: number
  readonly stock: number
}

class OutOfStock extends Data.TaggedError("OutOfStock")<{ readonly product: string }> {}

export class Inventory extends Effect.Service<Inventory>()("demo/Inventory", {
  effect: Effect.map(MongoClient.MongoClient, ({ database, driver }) => {
    const products = driver.db(database).collection<Product>("products")
    return {
      /** Takes items out of the stock and tells what one costs. A transaction by itself, or a part of the caller's. */
      take: (product: string, quantity: number) =>
        Effect.gen(function*() {
          const left = yield* Session.use((session) =>
            products.findOneAndUpdate(
              { _id: product },
              { $inc: { stock: -quantity } },
              { session, returnDocument: "after" }
            ), { operation: "take" })
          // It takes first and looks afterwards: there is a rollback to put everything back.
          if (left === null || left.stock < 0) return yield* new OutOfStock({ product })
          return left.price
        }).pipe(Transaction.run())
    }
  })
}) {}
