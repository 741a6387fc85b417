// The API as a value: the server implements it, the page of its documentation and the clients are made of it.
import { HttpApi, HttpApiEndpoint, HttpApiGroup, OpenApi } from "@effect/platform"
import { Schema } from "effect"
import * as Errors from "./errors.js"
import { Headers, IdempotencyKey } from "./IdempotencyKey.js"
import { Cart, Customer, Order, Product } from "./model.js"
import { RequestSession } from "./RequestSession.js"

const id = Schema.Struct({ id: Schema.String })

class Shop extends HttpApiGroup.make("shop")
  .add(
    HttpApiEndpoint.post("placeOrder", "/orders")
      .setHeaders(Headers)
      .setPayload(Cart)
      .addSuccess(Order, { status: 201 })
      .addError(Errors.Refusal)
      .addError(Errors.KeyInProgress)
      .addError(Errors.KeyReused)
      .middleware(IdempotencyKey)
      .annotate(OpenApi.Summary, "Place an order")
      .annotate(
        OpenApi.Description,
        "Takes from the stock, charges the customer, writes the order and sends a mail: all of it or nothing. Send it as " +
          "often as you like with one Idempotency-Key: it happens once, and you get the same answer."
      )
  )
  .add(
    HttpApiEndpoint.get("order", "/orders/:id").setPath(id).addSuccess(Order).addError(Errors.NotFound)
      .annotate(OpenApi.Summary, "An order")
  )
  .add(
    HttpApiEndpoint.get("orders", "/customers/:id/orders").setPath(id).addSuccess(Schema.Array(Order))
      .annotate(OpenApi.Summary, "The last orders of a customer")
  )
  .add(
    HttpApiEndpoint.get("customer", "/customers/:id").setPath(id).addSuccess(Customer).addError(Errors.NotFound)
      .annotate(OpenApi.Summary, "A customer and the present balance")
  )
  .add(
    HttpApiEndpoint.get("products", "/products").addSuccess(Schema.Array(Product))
      .annotate(OpenApi.Summary, "All products and what is left of them")
  )
  .addError(Errors.Unavailable)
  .addError(Errors.OutcomeUnknown)
  .middleware(RequestSession)
{}

export class Api extends HttpApi.make("backend").add(Shop)
  .annotate(OpenApi.Title, "A shop")
  .annotate(OpenApi.Description, "An example of effect-mongo-session.")
{}
