/** The third of the shop's services: what was ordered. It knows nothing of the others, nor of who calls it. */
import { MongoClient, Session, Transaction } from "effect-mongo-session"
import * as Effect from "effect/Effect"

export interface Order {
  /** Chosen by the customer's side: who asks again asks for the same order. */
  readonly _id: string
  readonly customer: string
  readonly product: string
  readonly quantity: number
  readonly amount: number
  /** The attempt of the transaction that wrote it. */
  readonly attempt: number
}

export class Orders extends Effect.Service<Orders>()("demo/Orders", {
  effect: Effect.map(MongoClient.MongoClient, ({ database, driver }) => {
    const orders = driver.db(database).collection<Order>("orders")
    return {
      /** Writes an order. Never alone: that it needs a transaction is in its type, so the compiler sees to it. */
      place: (order: Omit<Order, "attempt">) =>
        Effect.gen(function*() {
          const { attempt } = yield* Transaction.Transaction
          yield* Session.use((session) => orders.insertOne({ ...order, attempt }, { session }))
        }),

      /** Whether there is an order. */
      exists: (_id: string) =>
        Session.use((session) => orders.findOne({ _id }, { session, readConcern: { level: "majority" } })).pipe(
          Effect.map((order) => order !== null),
          Session.ensure()
        )
    }
  })
}) {}
