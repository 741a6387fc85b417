// The customers' money. It knows nothing of stock and orders, nor of who calls it.
import { Effect, Option } from "effect"
import { Collection, MongoClient, Transaction } from "effect-mongo-session"
import { NotFound, PaymentDeclined } from "./errors.js"
import { StoredCustomer, StoredPayment } from "./model.js"

export const Customers = Collection.make("customers", { schema: StoredCustomer })
export const Paid = Collection.make("payments", { schema: StoredPayment })

const Shown = Customers.withOptions({ readPreference: "secondaryPreferred", readConcern: "majority" })

export class Payments extends Effect.Service<Payments>()("backend/Payments", {
  effect: Effect.map(MongoClient.MongoClient, (client) => {
    const here = Effect.provideService(MongoClient.MongoClient, client)
    return {
      /** Takes money from a customer. A transaction when it is called alone, else a part of the caller's. */
      charge: (payment: typeof StoredPayment.Type) =>
        Effect.gen(function*() {
          const { amount, customer } = payment
          const { modifiedCount } = yield* Customers.updateOne(
            { _id: customer, balance: { $gte: amount } },
            { $inc: { balance: -amount } }
          )
          if (modifiedCount === 0) {
            return yield* (yield* Customers.exists(customer))
              ? new PaymentDeclined({ customer })
              : new NotFound({ what: "customer", id: customer })
          }
          yield* Paid.insertOne(payment)
        }).pipe(Transaction.run(), here),

      /** A customer with the present balance. */
      customer: (id: string) =>
        Shown.findById(id).pipe(
          Effect.flatMap(Option.match({
            onNone: () => new NotFound({ what: "customer", id }),
            onSome: Effect.succeed
          })),
          here
        )
    }
  })
}) {}
