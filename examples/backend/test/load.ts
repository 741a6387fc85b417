// The load: clients that order, look at what they have ordered, and send things twice, as clients do.
import { Effect, Option, Random, Schema } from "effect"
import { randomUUID } from "node:crypto"
import { type Cart, Order } from "../app/model.js"
import * as Http from "./http.js"
import * as Shop from "./shop.js"

/** An order that a client wanted, and all answers that were final. They must be one and the same. */
export interface Wanted {
  readonly key: string
  readonly cart: Cart
  readonly answers: Array<Http.Answer | undefined>
}

/** What all clients have seen. */
export class Ledger {
  readonly wanted: Array<Wanted> = []
  /** Why requests were sent again, and how often. */
  readonly retries = new Map<string, number>()
  /** Times at which orders were answered with 201. */
  readonly placedAt: Array<number> = []
  readonly latencies: Array<number> = []
  readOwn = 0
  /** Reads that did not find what the client had written before. */
  readonly missed: Array<string> = []
  misuses = 0
  /** Misuses that were not answered as they should be. */
  readonly wrong: Array<string> = []

  readonly retried = (why: string): void => void this.retries.set(why, (this.retries.get(why) ?? 0) + 1)
}

const parseOrder = Schema.decodeOption(Schema.parseJson(Order))

export const orderOf = (answer: Http.Answer | undefined) =>
  answer?.status === 201 ? parseOrder(answer.text) : Option.none()

const cart: Effect.Effect<Cart> = Effect.all({
  customer: Effect.map(Random.choice(Shop.customers), ({ id }) => id),
  product: Effect.flatMap(
    Random.next,
    (random) => Effect.map(Random.choice(random < 0.1 ? Shop.scarce : Shop.products), ({ id }) => id)
  ),
  quantity: Random.nextIntBetween(1, 4)
}).pipe(Effect.orDie)

/** One order, as a client places it. */
const visit = (url: string, ledger: Ledger) =>
  Effect.gen(function*() {
    const wanted: Wanted = { key: randomUUID(), cart: yield* cart, answers: [] }
    ledger.wanted.push(wanted)
    const place = Http.insist(Http.order(url, wanted.key, wanted.cart), ledger.retried).pipe(
      Effect.map(Option.getOrUndefined),
      Effect.tap((answer) => wanted.answers.push(answer))
    )
    // Of twenty orders in a row there are some of each kind.
    const kind = ledger.wanted.length % 20
    const began = performance.now()
    // Some click twice.
    const answer = kind < 3
      ? yield* Effect.map(Effect.all([place, place], { concurrency: "unbounded" }), ([first]) => first)
      : yield* place
    ledger.latencies.push(performance.now() - began)
    if (answer === undefined) return
    if (answer.status === 201) ledger.placedAt.push(performance.now())
    // Some have lost the answer, and ask again.
    if (kind >= 3 && kind < 6) yield* place
    if (kind === 6) yield* misuse(url, ledger, wanted)

    const order = orderOf(answer)
    if (Option.isNone(order)) return
    const { id } = order.value
    const found = yield* Http.insist(Http.get(url, `/orders/${id}`, answer.token), ledger.retried)
    ledger.readOwn++
    if (Option.isNone(found) || found.value.text !== answer.text) ledger.missed.push(id)
  })

/** Whoever uses a key for something else, or none, is told so. */
const misuse = (url: string, ledger: Ledger, { cart, key }: Wanted) =>
  Effect.gen(function*() {
    const other = { ...cart, quantity: cart.quantity + 1 }
    const reused = yield* Http.insist(Http.order(url, key, other), ledger.retried)
    const missing = yield* Http.insist(Http.order(url, undefined, cart), ledger.retried)
    const statuses = [reused, missing].map(Option.map(({ status }) => status)).map(Option.getOrUndefined)
    ledger.misuses++
    if (statuses[0] !== 422 || statuses[1] !== 400) ledger.wrong.push(`${statuses[0]} and ${statuses[1]}`)
  })

/** Lets clients order until the time is over, and each of them has its answers. */
export const run = (url: string, ledger: Ledger, { clients, seconds }: Shop.Size) =>
  Effect.suspend(() => {
    const until = performance.now() + seconds * 1000
    const client = Effect.repeat(visit(url, ledger), { while: () => performance.now() < until })
    return Effect.all(Array.from({ length: clients }, () => client), { concurrency: "unbounded", discard: true })
  })
