// What was ordered. It knows nothing of stock and payments, nor of who calls it.
import { Chunk, Effect, Option, Stream } from "effect"
import { Collection, MongoClient, Transaction } from "effect-mongo-session"
import { NotFound } from "./errors.js"
import { type Order, StoredOrder } from "./model.js"

export const Placed = Collection.make("orders", { schema: StoredOrder })

const Shown = Placed.withOptions({ readPreference: "secondaryPreferred", readConcern: "majority" })

export class Orders extends Effect.Service<Orders>()("backend/Orders", {
  effect: Effect.map(MongoClient.MongoClient, (client) => {
    const here = Effect.provideService(MongoClient.MongoClient, client)
    return {
      /** Writes an order. Never alone: it needs a transaction around it, or the program does not compile. */
      write: (order: Order) => Effect.zipRight(Transaction.Transaction, Placed.insertOne(order)).pipe(here),

      /** An order. */
      get: (id: string) =>
        Shown.findById(id).pipe(
          Effect.flatMap(Option.match({ onNone: () => new NotFound({ what: "order", id }), onSome: Effect.succeed })),
          here
        ),

      /** The last orders of a customer. */
      of: (customer: string) =>
        Shown.find({ customer }, { sort: { at: -1 }, limit: 50 }).pipe(
          Stream.runCollect,
          Effect.map(Chunk.toReadonlyArray),
          here
        )
    }
  })
}) {}
