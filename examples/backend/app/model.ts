// What the shop is about. Each thing has a schema for HTTP, and one for its document where that is stored otherwise: both
// have the same type in the program.
import { Schema } from "effect"

/** The name of a document: `_id` in the database, `id` everywhere else. */
const id = Schema.propertySignature(Schema.String).pipe(Schema.fromKey("_id"))

/** Money, in cents. */
const Cents = Schema.Int

export const Product = Schema.Struct({ id: Schema.String, name: Schema.String, price: Cents, stock: Schema.Int })
export type Product = typeof Product.Type
export const StoredProduct = Schema.Struct({ ...Product.fields, id })

export const Customer = Schema.Struct({ id: Schema.String, name: Schema.String, balance: Cents })
export type Customer = typeof Customer.Type
export const StoredCustomer = Schema.Struct({ ...Customer.fields, id })

/** What a customer wants. */
export const Cart = Schema.Struct({
  customer: Schema.NonEmptyString,
  product: Schema.NonEmptyString,
  quantity: Schema.Int.pipe(Schema.between(1, 100))
})
export type Cart = typeof Cart.Type

export const Order = Schema.Struct({ id: Schema.String, ...Cart.fields, amount: Cents, at: Schema.Date })
export type Order = typeof Order.Type
export const StoredOrder = Schema.Struct({ ...Order.fields, id, at: Schema.DateFromSelf })

/** What was paid for an order, whose id it has: nothing is paid twice. */
export const StoredPayment = Schema.Struct({ id, customer: Schema.String, amount: Cents })

/** A mail to a customer. */
export const Mail = Schema.Struct({ to: Schema.String, order: Schema.String, text: Schema.String })
export type Mail = typeof Mail.Type
