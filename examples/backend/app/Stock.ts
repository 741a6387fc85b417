// What the shop has in stock. It knows nothing of orders and payments, nor of who calls it.
import { Chunk, Effect, Option, Stream } from "effect"
import { Collection, MongoClient, Transaction } from "effect-mongo-session"
import { NotFound, OutOfStock } from "./errors.js"
import { StoredProduct } from "./model.js"

export const Products = Collection.make("products", { schema: StoredProduct })

/** Reads that need not be of this very moment leave the primary alone. */
const Shown = Products.withOptions({ readPreference: "secondaryPreferred", readConcern: "majority" })

export class Stock extends Effect.Service<Stock>()("backend/Stock", {
  effect: Effect.map(MongoClient.MongoClient, (client) => {
    const here = Effect.provideService(MongoClient.MongoClient, client)
    return {
      /** Takes items, and tells what one of them costs. A transaction when it is called alone, else a part of the caller's. */
      take: (product: string, quantity: number) =>
        Effect.gen(function*() {
          const taken = yield* Products.findOneAndUpdate(
            { _id: product, stock: { $gte: quantity } },
            { $inc: { stock: -quantity } }
          )
          if (Option.isSome(taken)) return taken.value.price
          return yield* (yield* Products.exists(product))
            ? new OutOfStock({ product })
            : new NotFound({ what: "product", id: product })
        }).pipe(Transaction.run(), here),

      /** All products, by name. */
      list: Shown.find({}, { sort: { name: 1 } }).pipe(
        Stream.runCollect,
        Effect.map(Chunk.toReadonlyArray),
        here
      )
    }
  })
}) {}
