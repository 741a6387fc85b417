/** The second of the shop's services: the customers' money. It knows nothing of the others, nor of who calls it. */
import { MongoClient, Session, Transaction } from "effect-mongo-session"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"

export interface Wallet {
  readonly _id: string
  readonly balance: number
}

export interface Payment {
  /** What is paid for: nothing is paid twice. */
  readonly _id: string
  readonly customer: string
  readonly amount: number
}

class PaymentDeclined extends Data.TaggedError("PaymentDeclined")<{ readonly customer: string }> {}

/** Its callers need not know where the money is kept. */
class PaymentFailed extends Data.TaggedError("PaymentFailed")<{ readonly cause: unknown }> {}

export class Payments extends Effect.Service<Payments>()("demo/Payments", {
  effect: Effect.map(MongoClient.MongoClient, ({ database, driver }) => {
    const wallets = driver.db(database).collection<Wallet>("wallets")
    const payments = driver.db(database).collection<Payment>("payments")
    return {
      /** Takes money from a customer. A transaction by itself, or a part of the caller's. */
      charge: ({ _id, amount, customer }: Payment) =>
        Effect.gen(function*() {
          const wallet = yield* Session.use((session) =>
            wallets.findOneAndUpdate(
              { _id: customer },
              { $inc: { balance: -amount } },
              { session, returnDocument: "after" }
            ), { operation: "charge" })
          // Half-way: the money is taken, and now it turns out that there was not enough of it.
          if (wallet === null || wallet.balance < 0) return yield* new PaymentDeclined({ customer })
          yield* Session.use((session) => payments.insertOne({ _id, customer, amount }, { session }))
        }).pipe(
          Transaction.run(),
          // A conflict is hidden in here, too. It is found, and the whole transaction is run again.
          Effect.mapError((error) => error._tag === "PaymentDeclined" ? error : new PaymentFailed({ cause: error }))
        )
    }
  })
}) {}
