// What the server does for each endpoint of the API.
import { HttpApiBuilder } from "@effect/platform"
import { Effect, Layer } from "effect"
import { Api } from "./Api.js"
import { answered } from "./errors.js"
import { IdempotencyKeyLive, once } from "./IdempotencyKey.js"
import { Orders } from "./Orders.js"
import { Payments } from "./Payments.js"
import { placeOrder, Placing } from "./placeOrder.js"
import { RequestSessionLive } from "./RequestSession.js"
import { Stock } from "./Stock.js"

const ShopLive = HttpApiBuilder.group(Api, "shop", (handlers) =>
  Effect.gen(function*() {
    const stock = yield* Stock
    const payments = yield* Payments
    const orders = yield* Orders
    return handlers
      .handle("placeOrder", ({ payload }) => placeOrder(payload).pipe(once(Placing), answered))
      .handle("order", ({ path }) => answered(orders.get(path.id)))
      .handle("orders", ({ path }) => answered(orders.of(path.id)))
      .handle("customer", ({ path }) => answered(payments.customer(path.id)))
      .handle("products", () => answered(stock.list))
  }))

export const ApiLive = HttpApiBuilder.api(Api).pipe(
  Layer.provide(ShopLive),
  Layer.provide([Stock.Default, Payments.Default, Orders.Default, RequestSessionLive, IdempotencyKeyLive])
)
