/** Part 4: the proof that nothing was lost, written twice or left half-way. */
import { MongoClient, Telemetry } from "effect-mongo-session"
import * as Array from "effect/Array"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type { Product } from "./Inventory.js"
import { Mailbox } from "./Mailbox.js"
import * as Monitor from "./Monitor.js"
import type { Order } from "./Orders.js"
import type { Payment, Wallet } from "./Payments.js"
import * as Screen from "./Screen.js"
import * as Shop from "./shop.js"
import { Tally } from "./Tally.js"

/** Everything that is in the database. */
export const read = Effect.gen(function*() {
  const { database, driver } = yield* MongoClient.MongoClient
  const all = <A extends { readonly _id: string }>(name: string) =>
    Effect.tryPromise(async (): Promise<ReadonlyArray<A>> => {
      const rows = await driver.db(database).collection(name).find<A>({}).toArray()
      return rows
    })
  return yield* Effect.all({
    products: all<Product>("products"),
    wallets: all<Wallet>("wallets"),
    payments: all<Payment>("payments"),
    orders: all<Order>("orders")
  })
})

/** Checks the books. */
export const audit = Effect.gen(function*() {
  yield* Screen.heading("4. The books")
  const { orders, payments, products, wallets } = yield* read
  const { told } = yield* Effect.flatMap(Tally, ({ now }) => now)
  const mails = yield* Effect.flatMap(Mailbox, ({ sent }) => sent)
  const ends = Array.groupBy(told.values(), (how) => how)
  const numberOf = (how: string) => ends[how]?.length ?? 0
  const placed = numberOf("ordered")
  const rolledBack = numberOf("OutOfStock") + numberOf("PaymentDeclined")
  const ordersById = byId(orders)
  const paymentsById = byId(payments)

  yield* Screen.check(
    `${Screen.count(told.size)} checkouts: ${Screen.count(placed)} orders, ${rolledBack} rolled back, and no other end`,
    told.size === Shop.checkouts && placed > 0 && placed + rolledBack === told.size
  )
  yield* Screen.check(
    "some were out of stock, some could not pay after the stock was taken",
    numberOf("OutOfStock") > 0 && numberOf("PaymentDeclined") > 0
  )
  yield* Screen.check(
    "what each customer was told is so: the order is there, or nothing of it",
    [...told].every(([id, how]) => ordersById.has(id) === (how === "ordered"))
  )

  const sold = Array.groupBy(orders, ({ product }) => product)
  yield* Screen.check(
    `stock: ${Screen.count(Shop.total(Shop.products, "stock"))} items = ${Shop.total(products, "stock")} left + ` +
      `${Screen.count(Shop.total(orders, "quantity"))} sold; so it is for each product`,
    products.length === Shop.products.length && Shop.products.every(({ _id, stock }) => {
      const left = byId(products).get(_id)?.stock ?? -1
      return left >= 0 && left + Shop.total(sold[_id] ?? [], "quantity") === stock
    })
  )

  const paid = Array.groupBy(payments, ({ customer }) => customer)
  yield* Screen.check(
    `money: ${Shop.money(Shop.total(Shop.wallets, "balance"))} = ${
      Shop.money(Shop.total(wallets, "balance"))
    } left + ` +
      `${Shop.money(Shop.total(payments, "amount"))} paid; so it is for each customer`,
    wallets.length === Shop.wallets.length && Shop.wallets.every(({ _id, balance }) => {
      const left = byId(wallets).get(_id)?.balance ?? -1
      return left >= 0 && left + Shop.total(paid[_id] ?? [], "amount") === balance
    })
  )

  const halfWritten = [
    ...orders.filter(({ _id, amount, customer }) => {
      const payment = paymentsById.get(_id)
      return payment?.amount !== amount || payment.customer !== customer
    }),
    ...payments.filter(({ _id }) => !ordersById.has(_id))
  ]
  yield* Screen.check(
    `half-written orders: ${halfWritten.length}; ${Screen.count(orders.length)} orders and ` +
      `${Screen.count(payments.length)} payments match`,
    orders.length === placed && halfWritten.length === 0
  )
  yield* Screen.check(
    `e-mails: ${Screen.count(mails.length)}, one for each order`,
    mails.length === orders.length && new Set(mails).size === mails.length && mails.every((id) => ordersById.has(id))
  )

  yield* checkConflicts
  yield* checkSessions
  const [committed, undone] = yield* Effect.all([counted("committed"), counted("rolledBack")])
  yield* Screen.check(
    `the library's metrics agree: ${Screen.count(committed)} committed, ${undone} rolled back`,
    committed === placed && undone === rolledBack
  )
})

const checkConflicts = Effect.gen(function*() {
  const { retries } = yield* Effect.flatMap(Tally, ({ now }) => now)
  const refused = (yield* Monitor.commands).filter(({ problem }) => problem === writeConflict).length
  const again = retries.filter(({ reason, step }) => reason === "WriteConflict" && step === "body").length
  yield* Screen.check(
    `conflicts: ${Screen.count(refused)} writes were refused, and as often the whole was run again`,
    refused > 0 && again === refused
  )
})

const writeConflict = 112

const checkSessions = Effect.gen(function*() {
  const commands = (yield* Monitor.commands).filter(({ transaction }) => transaction !== undefined)
  const sessions = Object.values(Array.groupBy(commands, ({ lsid }) => lsid ?? ""))
  yield* Screen.check(
    `${sessions.length} sessions, and none of them ever had two commands on their way`,
    sessions.length === Shop.fibers && sessions.every(Monitor.areOneAtATime)
  )
})

const counted = (outcome: Telemetry.TransactionOutcome) =>
  Effect.map(Metric.value(Metric.tagged(Telemetry.transactions, "outcome", outcome)), ({ count }) => count)

const byId = <A extends { readonly _id: string }>(rows: ReadonlyArray<A>): ReadonlyMap<string, A> =>
  new Map(rows.map((row) => [row._id, row]))
