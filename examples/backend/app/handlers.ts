// What the server does for each endpoint of the API.
import { HttpApiBuilder } from "@effect/platform"
import { Effect, Layer } from "effect"
import { Api, Refusal } from "./Api.js"
import { answered } from "./errors.js"
import * as Idempotency from "./idempotency.js"
import { Order } from "./model.js"
import { Orders } from "./Orders.js"
import { Payments } from "./Payments.js"
import { placeOrder } from "./placeOrder.js"
import { RequestSessionLive } from "./RequestSession.js"
import { Stock } from "./Stock.js"

const ShopLive = HttpApiBuilder.group(Api, "shop", (handlers) =>
  Effect.gen(function*() {
    const stock = yield* Stock
    const payments = yield* Payments
    const orders = yield* Orders
    return handlers
      .handle("placeOrder", ({ headers, payload }) =>
        placeOrder(payload).pipe(
          Idempotency.once(
            { key: headers["idempotency-key"], asked: ["POST /orders", payload] },
            { success: Order, failure: Refusal }
          ),
          answered
        ))
      .handle("order", ({ path }) => answered(orders.get(path.id)))
      .handle("orders", ({ path }) => answered(orders.of(path.id)))
      .handle("customer", ({ path }) => answered(payments.customer(path.id)))
      .handle("products", () => answered(stock.list))
  }))

export const ApiLive = HttpApiBuilder.api(Api).pipe(
  Layer.provide(ShopLive),
  Layer.provide([Stock.Default, Payments.Default, Orders.Default, RequestSessionLive])
)
