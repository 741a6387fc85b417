/** Parts 3 and 4: what happened, and the proof that nothing was lost, written twice or left half-way. */
import { MongoClient, Telemetry } from "effect-mongo-session"
import * as Array from "effect/Array"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type { Product } from "./Inventory.js"
import { Mailbox } from "./Mailbox.js"
import * as Monitor from "./Monitor.js"
import type { Order } from "./Orders.js"
import type { Payment, Wallet } from "./Payments.js"
import { lostAnswers } from "./rush.js"
import * as Screen from "./Screen.js"
import * as Shop from "./shop.js"
import { Tally } from "./Tally.js"

/** Everything that is in the database. */
const read = Effect.gen(function*() {
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

/** Tells what happened. */
export const tell = (time: Duration.Duration) =>
  Effect.gen(function*() {
    yield* Screen.heading("3. What happened")
    const { ends, retries, verified } = yield* Effect.flatMap(Tally, ({ now }) => now)
    const { orders } = yield* read
    const commands = yield* Monitor.commands
    const rate = (number: number) => Screen.count(Math.round(number / Duration.toSeconds(time)))
    const retried = (step: Telemetry.Retry["step"]) => {
      const ofStep = retries.filter((retry) => retry.step === step)
      const reasons = Object.entries(Array.groupBy(ofStep, ({ reason }) => reason))
      const why = reasons.map(([reason, { length }]) => `${Screen.count(length)} ${reason}`).join(", ")
      return `${Screen.count(ofStep.length)}${why === "" ? "" : ` (${why})`}`
    }

    yield* Screen.fact("ends", [...ends].map(([how, number]) => `${Screen.count(number)} ${how}`).join(", "))
    yield* Screen.fact("retries", `whole transactions: ${retried("body")}`)
    yield* Screen.fact("", `commits alone: ${retried("commit")}; asked verifyCommit: ${verified}`)
    yield* Screen.fact("attempts", `${Math.max(...orders.map(({ attempt }) => attempt))} for one order, at most`)
    yield* Screen.fact(
      "speed",
      `${rate(Shop.checkouts)} checkouts and ${rate(commands.length)} commands a second, for ${
        Math.round(Duration.toSeconds(time))
      } s`
    )
  })

/** Checks the books. */
export const audit = Effect.gen(function*() {
  yield* Screen.heading("4. The books")
  const { orders, payments, products, wallets } = yield* read
  const { done, ends } = yield* Effect.flatMap(Tally, ({ now }) => now)
  const mails = yield* Effect.flatMap(Mailbox, ({ sent }) => sent)
  const placed = ends.get("ordered") ?? 0
  const rolledBack = (ends.get("OutOfStock") ?? 0) + (ends.get("PaymentDeclined") ?? 0)
  const ordersById = byId(orders)
  const paymentsById = byId(payments)

  yield* Screen.check(
    `${Screen.count(done)} checkouts: ${Screen.count(placed)} orders, ${rolledBack} rolled back, and no other end`,
    done === Shop.checkouts && placed > 0 && placed + rolledBack === done
  )
  yield* Screen.check(
    "some were out of stock, some could not pay after the stock was taken",
    ends.has("OutOfStock") && ends.has("PaymentDeclined")
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
  yield* checkLostAnswers(ordersById, mails)
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

/** For each commit whose answer was lost, the order that it was about must be there, once, with one e-mail. */
const checkLostAnswers = (orders: ReadonlyMap<string, Order>, mails: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const expected = yield* lostAnswers
    if (expected === 0) return
    const commands = yield* Monitor.commands
    const lost = commands.filter(({ name, problem }) => name === "commitTransaction" && problem !== undefined)
    const transactions = new Set(lost.map(({ transaction }) => transaction))
    const about = commands
      .filter(({ name, transaction }) => name === "insert" && transactions.has(transaction))
      .flatMap(({ inserted }) => inserted.map(String))
    const ids = new Set(about)
    yield* Screen.check(
      `lost answers: ${lost.length}, to commits of ${ids.size} orders; all are there, each with one e-mail`,
      lost.length === expected && ids.size === transactions.size &&
        [...ids].every((id) => orders.has(id) && mails.filter((mail) => mail === id).length === 1)
    )
  })

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
