// The proof: what the database holds, against what the clients were told. Nothing is lost, and nothing is there twice.
import { Array as Arr, Chunk, Effect, Option, Stream } from "effect"
import { Collection } from "effect-mongo-session"
import { Mails } from "../app/mails.js"
import { Sent } from "../app/MailService.js"
import type { Order } from "../app/model.js"
import { Placed } from "../app/Orders.js"
import { Customers, Paid } from "../app/Payments.js"
import { Products } from "../app/Stock.js"
import { type Ledger, orderOf } from "./load.js"
import { claim, fact } from "./report.js"
import * as Shop from "./shop.js"
import { until } from "./until.js"

const Keys = Collection.make("idempotency_keys")

const all = <A, E, R>(stream: Stream.Stream<A, E, R>) => Effect.map(Stream.runCollect(stream), Chunk.toReadonlyArray)

const byId = <A extends { readonly id: string }>(rows: ReadonlyArray<A>) => new Map(rows.map((row) => [row.id, row]))

const sum = <A>(rows: Iterable<A>, of: (row: A) => number) => [...rows].reduce((total, row) => total + of(row), 0)

const same = (left: Order, right: Order | undefined) => JSON.stringify(left) === JSON.stringify(right)

/** Holds the database to what everybody was told. */
export const audit = (ledger: Ledger) =>
  Effect.gen(function*() {
    yield* until(Effect.map(Mails.pending, (pending) => pending === 0), "all mails to be sent")
    const orders = byId(yield* all(Placed.find()))
    const payments = byId(yield* all(Paid.find()))
    const mails = yield* all(Sent.find())
    const keys = yield* all(Keys.find())
    const products = byId(yield* all(Products.find()))
    const customers = byId(yield* all(Customers.find()))

    const { wanted } = ledger
    const answered = wanted.filter(({ answers }) =>
      answers.length > 0 && answers.every((answer) => answer !== undefined)
    )
    yield* claim(`each of ${wanted.length} wanted orders got a final answer`, answered.length === wanted.length)

    const repeated = wanted.filter(({ answers }) => answers.length > 1)
    const unequal = repeated.filter(({ answers: [first, ...others] }) =>
      others.some((other) => other?.status !== first?.status || other?.text !== first?.text)
    )
    yield* claim(
      `${repeated.length} were sent more than once on purpose, and got the same answer each time`,
      repeated.length > 0 && unequal.length === 0
    )

    const told = wanted.flatMap(({ answers: [first] }) => Option.toArray(orderOf(first)))
    const lost = told.filter((order) => !same(order, orders.get(order.id)))
    yield* claim(
      `${told.length} answers of 201: each of these orders is in the database, as it was told`,
      told.length > 0 && lost.length === 0
    )
    yield* claim(
      `the database has ${orders.size} orders: nobody has one that was told of no order`,
      orders.size === told.length && new Set(told.map(({ id }) => id)).size === told.length
    )
    const done = keys.filter((key) => key["state"] === "succeeded")
    yield* claim(
      `${done.length} keys have an order, each its own; ${keys.length - done.length} have a refusal`,
      keys.length === wanted.length && done.length === orders.size &&
        new Set(done.map((key) => key["value"].id)).size === done.length
    )

    const unpaid = [...orders.values()].filter(({ amount, customer, id, product, quantity }) => {
      const payment = payments.get(id)
      return payment?.amount !== amount || payment.customer !== customer ||
        amount !== quantity * (products.get(product)?.price ?? Number.NaN)
    })
    yield* claim(
      `${payments.size} payments: one for each order, of its amount`,
      payments.size === orders.size && unpaid.length === 0
    )
    const thanked = new Set(mails.map(({ order }) => order))
    yield* claim(
      `${mails.length} mails: one for each order`,
      mails.length === orders.size && thanked.size === mails.length && mails.every(({ order }) => orders.has(order))
    )

    const left = (id: string) => products.get(id)?.stock ?? Number.NaN
    const sold = sum(orders.values(), ({ quantity }) => quantity)
    const wrongStock = Shop.products.filter(({ id, stock }) => {
      const gone = sum([...orders.values()].filter(({ product }) => product === id), ({ quantity }) => quantity)
      return left(id) !== stock - gone || left(id) < 0
    })
    yield* claim(`${sold} items are sold, and each product has what is left of it`, wrongStock.length === 0)
    const balance = (id: string) => customers.get(id)?.balance ?? Number.NaN
    const wrongMoney = Shop.customers.filter((customer) => {
      const spent = sum(
        [...payments.values()].filter((payment) => payment.customer === customer.id),
        ({ amount }) => amount
      )
      return balance(customer.id) !== customer.balance - spent || balance(customer.id) < 0
    })
    yield* claim(
      `${
        (sum(payments.values(), ({ amount }) => amount) / 100).toFixed(2)
      } EUR are paid, and each customer has the rest`,
      wrongMoney.length === 0
    )

    yield* claim(
      `${ledger.readOwn} times somebody read an order right after placing it, mostly from another instance: ` +
        `${ledger.missed.length} times in vain`,
      ledger.readOwn > 0 && ledger.missed.length === 0
    )
    yield* claim(
      `${ledger.misuses} times a key was used for something else (422) or left out (400): ${ledger.wrong.length} wrong answers`,
      ledger.misuses > 0 && ledger.wrong.length === 0
    )
    const early = ledger.retries.get("409 KeyInProgress") ?? 0
    yield* claim(`${early} requests came while the first one with their key was at work (409)`, early > 0)
    const statuses = Object.entries(Arr.groupBy(wanted, ({ answers: [first] }) => String(first?.status)))
    yield* fact(`answers: ${statuses.map(([status, { length }]) => `${length} × ${status}`).join(", ")}`)
    const retries = [...ledger.retries].map(([why, count]) => `${count} × ${why}`)
    yield* fact(`sent again: ${retries.length === 0 ? "nothing" : retries.join(", ")}`)
    const sorted = ledger.latencies.toSorted((a, b) => a - b)
    const at = (part: number) => `${sorted[Math.floor(sorted.length * part)]?.toFixed(0)} ms`
    yield* fact(`an order took ${at(0.5)} at the median, ${at(0.95)} for 95 %, ${sorted.at(-1)?.toFixed(0)} ms at most`)
  })
