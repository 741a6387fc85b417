// The workflow: three services and a mail become one unit, which happens as a whole or not at all.
import { Clock, Effect } from "effect"
import { Once } from "effect-mongo-session"
import { randomUUID } from "node:crypto"
import { Refusal } from "./errors.js"
import { Mails } from "./mails.js"
import { type Cart, Order } from "./model.js"
import { Orders } from "./Orders.js"
import { Payments } from "./Payments.js"
import { Stock } from "./Stock.js"

/** Orders, each placed once for its key. Who comes while one is being placed need not wait: the client asks again. */
export const Placing = Once.make("placing", {
  collection: "idempotency_keys",
  result: Order,
  failure: Refusal,
  timeToLive: "1 day",
  wait: 0
})

/** Takes from the stock, charges the customer, writes the order, and leaves a mail in the outbox. */
export const placeOrder = (cart: Cart) =>
  Effect.gen(function*() {
    const stock = yield* Stock
    const payments = yield* Payments
    const orders = yield* Orders

    const id = randomUUID()
    const amount = cart.quantity * (yield* stock.take(cart.product, cart.quantity))
    yield* payments.charge({ id, customer: cart.customer, amount })
    const order: Order = { id, ...cart, amount, at: new Date(yield* Clock.currentTimeMillis) }
    yield* orders.write(order)
    yield* Mails.publish({ to: cart.customer, order: id, text: `Thank you for ${cart.quantity} × ${cart.product}.` })
    return order
  })
