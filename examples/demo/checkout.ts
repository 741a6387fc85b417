/** The workflow: three services become one unit, which happens as a whole or not at all. */
import { Transaction } from "effect-mongo-session"
import * as Effect from "effect/Effect"
import { Inventory } from "./Inventory.js"
import { Mailbox } from "./Mailbox.js"
import { Orders } from "./Orders.js"
import { Payments } from "./Payments.js"
import { Tally } from "./Tally.js"

export interface Cart {
  readonly order: string
  readonly customer: string
  readonly product: string
  readonly quantity: number
}

export const checkout = ({ customer, order, product, quantity }: Cart) =>
  Effect.gen(function*() {
    const inventory = yield* Inventory
    const payments = yield* Payments
    const orders = yield* Orders
    const mailbox = yield* Mailbox
    const tally = yield* Tally

    const body = Effect.gen(function*() {
      const amount = quantity * (yield* inventory.take(product, quantity))
      yield* payments.charge({ _id: order, customer, amount })
      yield* orders.place({ _id: order, customer, product, quantity, amount })
      yield* Transaction.onCommit(mailbox.send(order))
    })

    yield* Transaction.run(body, {
      onRetry: tally.retried,
      // Asked when the answer to the commit was lost, and to ask for it again is of no use.
      verifyCommit: Effect.tap(orders.exists(order), tally.verified)
    })
  })
