/** Step 3: reads a write in another client, which learns of it by a token in a header. */
import { CausalToken, MongoClient, Session } from "effect-mongo-session"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Driver from "mongodb"
import { Reader } from "./clients.js"
import * as Monitor from "./Monitor.js"
import * as Screen from "./Screen.js"

export const readYourWrite = (session: Session.Service) =>
  Effect.gen(function*() {
    yield* Screen.heading("3. Another client reads what this one wrote")
    const order = { _id: 42, state: "paid" }
    const header = yield* writeOrder(order).pipe(Session.provide(session))
    const writtenAt = Option.getOrUndefined(yield* session.operationTime)
    const { result, sent } = yield* Monitor.during(
      readOrder(order._id, header).pipe(Session.scoped({ client: Reader }))
    )
    const waitedFor = sent.find(({ name }) => name === "find")?.afterClusterTime

    yield* Screen.fact("writer", `${JSON.stringify(order)}, written at the time ${show(writtenAt)}`)
    yield* Screen.fact(
      "header",
      `causal-token: ${header.slice(0, 24)}...${header.slice(-8)} (${header.length} characters)`
    )
    yield* Screen.fact("reader", `${JSON.stringify(result)}, asked for data not older than ${show(waitedFor)}`)
    yield* Screen.aside("With one server any read would find it; with a secondary only one that waits until that time.")
    yield* Screen.check("the reader found it", result !== null && result.state === order.state)
    yield* Screen.check(
      "the read waited for the time of the write",
      writtenAt !== undefined && waitedFor !== undefined && waitedFor.greaterThanOrEqual(writtenAt)
    )
  })

interface Order {
  readonly _id: number
  readonly state: string
}

/** In one process: writes, and tells what the session has seen by then. */
const writeOrder = (order: Order) =>
  Effect.gen(function*() {
    const { driver, database } = yield* MongoClient.MongoClient
    const session = yield* Session.Session
    yield* session.use((session) => driver.db(database).collection<Order>("paid").insertOne(order, { session }))
    return CausalToken.encode(yield* session.causalToken)
  })

/** In another: goes on from there. */
const readOrder = (_id: number, header: string) =>
  Effect.gen(function*() {
    const { driver, database } = yield* Reader
    const session = yield* Session.Session
    yield* session.advanceTo(yield* CausalToken.decode(header))
    return yield* session.use((session, signal) =>
      driver.db(database).collection<Order>("paid").findOne({ _id }, { session, signal })
    )
  })

/** Seconds since 1970, and a counter within the second. */
const show = (time: Driver.Timestamp | undefined): string => time === undefined ? "no time" : `${time.t}.${time.i}`
