// The end of an instance: it is asked to go (SIGTERM) while requests are in flight, and a page is open on it.
import { Effect, Fiber, Option } from "effect"
import { MongoClient } from "effect-mongo-session"
import * as FailPoint from "effect-mongo-session/testing/FailPoint"
import { randomUUID } from "node:crypto"
import { get, request } from "node:http"
import { connect } from "node:net"
import { unled } from "../app/mails.js"
import { Sent } from "../app/MailService.js"
import type { Cart } from "../app/model.js"
import { Placed } from "../app/Orders.js"
import { Products } from "../app/Stock.js"
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

/** One that begins to send an order, and goes away. */
const goAway = (url: string) =>
  Effect.async<void>((resume) => {
    const upload = request(`${url}/orders`, {
      method: "POST",
      headers: { "idempotency-key": randomUUID(), "content-type": "application/json", "content-length": 1000 }
    })
    upload.on("error", () => resume(Effect.void))
    // The server has begun to read when it says so.
    upload.on("continue", () => upload.destroy(new Error("gone")))
    upload.setHeader("expect", "100-continue")
    upload.flushHeaders()
  })

const large = 4_000_000

/** A reader of the page who sleeps, and for whom more has come than a system keeps for a connection. */
const fallAsleep = (url: string) =>
  Effect.gen(function*() {
    const { hostname, port } = new URL(url)
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        const socket = connect(Number(port), hostname).pause().on("error", () => undefined)
        socket.write("GET /live HTTP/1.1\r\nhost: shop\r\n\r\n")
        return socket
      }),
      (socket) => Effect.sync(() => socket.destroy())
    )
    let bytes = 0
    // Another one is awake, and has seen what was sent to both.
    yield* Effect.acquireRelease(
      Effect.sync(() =>
        get(`${url}/live`, (answer) => answer.on("data", (data: Buffer) => bytes += data.length))
          .on("error", () => undefined)
      ),
      (reader) => Effect.sync(() => reader.destroy())
    )
    const id = "large"
    yield* Products.insertOne({ id, name: "", price: 1, stock: -1 })
    for (let state = 1; state <= 5; state++) {
      const seen = bytes + large
      yield* Products.updateOne({ _id: id }, { $set: { name: "z".repeat(large), stock: -state } })
      yield* until(Effect.sync(() => bytes >= seen), "a reader to see the shop")
    }
    yield* Products.deleteOne({ _id: id })
  })

/** Ends one instance, and sees what becomes of those that it serves, and of the work that only it has done. */
export const check = (leaving: Instance, staying: string, log: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const { driver } = yield* MongoClient.MongoClient
    // Nobody orders now, so that the next one is that which applies for sending mails.
    yield* FailPoint.failCommand(driver, {
      failCommands: ["findAndModify"],
      mode: { times: 1 },
      errorCode: 13,
      appName: "shop"
    })
    yield* until(Effect.sync(() => log.some((line) => line.includes(unled))), "an instance to be refused")
    const before = log.length
    yield* goAway(leaving.url)
    yield* fallAsleep(leaving.url)
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
    const warnings = log.slice(before).filter((line) => /^first: .*\b(WARN|ERROR)\b/.test(line))
    yield* claim(
      `a client that went away and a reader that was asleep were in nobody's way: ${warnings.length} warnings`,
      warnings.length === 0
    )
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
