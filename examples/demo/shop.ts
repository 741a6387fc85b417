/** Part 1: the shop before it opens, with what is in stock and what the customers have. */
import { MongoClient } from "effect-mongo-session"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"
import * as Array from "effect/Array"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type { Cart } from "./checkout.js"
import type { Product } from "./Inventory.js"
import type { Wallet } from "./Payments.js"
import * as Screen from "./Screen.js"

export const fibers = 16
export const checkoutsEach = 100
export const checkouts = fibers * checkoutsEach

const named = (name: string, number: number) => `${name}-${String(number).padStart(3, "0")}`

/** So few of each that the last ones to ask get none. */
export const products: ReadonlyArray<Product> = Array.makeBy(50, (number) => ({
  _id: named("product", number),
  price: 250 + 40 * number,
  stock: 59
}))

/** Some have less than they are going to spend. */
export const wallets: ReadonlyArray<Wallet> = Array.makeBy(160, (number) => ({
  _id: named("customer", number),
  balance: 15_000 + 250 * number
}))

/** What the customers of each fiber want: the same in every run of the demo. */
export const carts: Effect.Effect<ReadonlyArray<ReadonlyArray<Cart>>> = Effect.forEach(
  Array.range(1, fibers),
  (fiber) =>
    Effect.forEach(Array.range(1, checkoutsEach), (number) =>
      Effect.all({
        order: Effect.succeed(named(named("order", fiber), number)),
        customer: Effect.map(Random.nextIntBetween(0, wallets.length), (index) => named("customer", index)),
        product: Effect.map(Random.nextIntBetween(0, products.length), (index) => named("product", index)),
        quantity: Random.nextIntBetween(1, 4)
      }))
).pipe(Effect.withRandom(Random.make("a busy day")))

/** Puts stock and money into a database. On a server that is not the demo's own it is dropped in the end. */
export const open = Effect.gen(function*() {
  yield* Screen.heading("1. A shop, made of three services")
  const { database, driver } = yield* MongoClient.MongoClient
  const shop = driver.db(database)
  const { members } = yield* MongoServer.MongoServer
  const drop = Effect.tryPromise(() => shop.dropDatabase())
  if (members.length === 0) yield* Effect.acquireRelease(drop, () => Effect.ignore(drop))
  yield* Effect.tryPromise(() =>
    Promise.all([
      shop.collection<Product>("products").insertMany([...products]),
      shop.collection<Wallet>("wallets").insertMany([...wallets]),
      shop.createCollection("payments"),
      shop.createCollection("orders")
    ])
  )
  yield* Screen.fact("services", "Inventory, Payments, Orders: Layers that know nothing of each other")
  yield* Screen.fact("checkout", "takes from the stock, charges the customer, writes the order; all")
  yield* Screen.fact("", "of it or nothing. An e-mail follows once it is committed.")
  yield* Screen.fact("stock", `${Screen.count(total(products, "stock"))} items of ${products.length} products`)
  yield* Screen.fact("money", `${money(total(wallets, "balance"))} in the wallets of ${wallets.length} customers`)
})

export const total = <Name extends string>(rows: ReadonlyArray<{ readonly [_ in Name]: number }>, name: Name) =>
  rows.reduce((sum, row) => sum + row[name], 0)

export const money = (cents: number): string => `$${(cents / 100).toLocaleString("en", { minimumFractionDigits: 2 })}`
