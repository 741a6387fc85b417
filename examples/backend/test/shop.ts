// What the test puts into the shop before anybody orders: so little of some things that the last to ask get none.
import { Effect } from "effect"
import { Session } from "effect-mongo-session"
import type { Cart, Customer, Product } from "../app/model.js"
import { Customers } from "../app/Payments.js"
import { Products } from "../app/Stock.js"

export interface Size {
  readonly clients: number
  readonly seconds: number
}

const number = (index: number) => String(index).padStart(3, "0")

export const products: ReadonlyArray<Product> = Array.from({ length: 400 }, (_, index) => ({
  id: `product-${number(index)}`,
  // The page must show it as it is.
  name: index === 0 ? "<img src=x onerror=\"document.title='broken'\">" : `Product ${number(index)}`,
  price: 250 + 10 * index,
  stock: index < 5 ? 20 : 300 + index
}))

/** Those that everybody wants. */
export const scarce = products.slice(0, 5)

export const customers: ReadonlyArray<Customer> = Array.from({ length: 400 }, (_, index) => ({
  id: `customer-${number(index)}`,
  name: `Customer ${number(index)}`,
  balance: index < 40 ? 2_000 : 5_000_000
}))

/** Carts of which none has anything to do with another. */
export const carts = (count: number): ReadonlyArray<Cart> =>
  products.slice(-count).map(({ id }, index) => ({
    customer: customers.at(-1 - index)?.id ?? "",
    product: id,
    quantity: 1
  }))

export const fill = Effect.all([Products.insertMany(products), Customers.insertMany(customers)], { discard: true })
  .pipe(
    Session.scoped()
  )
