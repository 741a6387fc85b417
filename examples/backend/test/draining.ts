// The end of an instance: it is asked to go (SIGTERM) while requests are in flight, and a page is open on it.
import { Effect, Fiber, Option } from "effect"
import { MongoClient } from "effect-mongo-session"
import * as FailPoint from "effect-mongo-session/testing/FailPoint"
import { randomUUID } from "node:crypto"
import { Sent } from "../app/MailService.js"
import type { Cart } from "../app/model.js"
import { Placed } from "../app/Orders.js"
import type { Instance } from "../local/instance.js"
import * as Http from "./http.js"
import { orderOf } from "./load.js"
import { claim } from "./report.js"
import * as Shop from "./shop.js"
import { until } from "./until.js"

const count = 16

const place = (url: string, cart: Cart) => Effect.suspend(() => Http.order(url, randomUUID(), cart))

const openTransactions = Effect.flatMap(MongoClient.MongoClient, ({ driver }) =>
  Effect.tryPromise(async () => {
    const { transactions } = await driver.db("admin").command({ serverStatus: 1 })
    return Number(transactions.currentOpen)
  }))

/** Ends one instance, and sees what becomes of those that it serves, and of the work that only it has done. */
export const check = (leaving: Instance, staying: string) =>
  Effect.gen(function*() {
    const { driver } = yield* MongoClient.MongoClient
    // The server holds the commits back, so that they are in flight for certain.
    yield* FailPoint.failCommand(driver, {
      failCommands: ["commitTransaction"],
      mode: { times: count },
      blockFor: "2 seconds",
      appName: "shop"
    })
    const page = yield* Effect.fork(Http.get(leaving.url, "/live"))
    const orders = yield* Effect.fork(
      Effect.forEach(Shop.carts(count), (cart) => Effect.either(place(leaving.url, cart)), { concurrency: "unbounded" })
    )
    yield* until(Effect.map(openTransactions, (open) => open >= count), "requests to be in flight")
    const code = yield* leaving.end

    const answers = (yield* Fiber.join(orders)).flatMap((answer) => Option.toArray(Option.getRight(answer)))
    const ids = answers.flatMap((answer) => Option.toArray(orderOf(answer))).map(({ id }) => id)
    const stored = yield* Placed.countDocuments({ _id: { $in: ids } })
    yield* claim(
      `SIGTERM with ${count} orders in flight: ${ids.length} are answered with 201, ${stored} are in the database`,
      ids.length === count && stored === count
    )
    const { status } = yield* Fiber.join(page)
    yield* claim("the page that was open on it ended in order", status === 200)
    yield* claim(`the process ended with exit code ${code}`, code === 0)
    yield* claim(
      "it takes no more connections",
      (yield* Effect.either(Http.get(leaving.url, "/health")))._tag === "Left"
    )

    const [cart] = Shop.carts(1)
    const later = Option.getOrThrow(orderOf(yield* place(staying, yield* Effect.fromNullable(cart))))
    const isSent = Effect.map(Sent.countDocuments({ order: later.id }), (sent) => sent === 1)
    yield* until(isSent, "the other instance to send mails")
    yield* claim("the other instance sends the mails now", yield* isSent)
  }).pipe(Effect.scoped)
