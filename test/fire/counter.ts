/**
 * Counters that are written in causal sessions and read at secondaries by whoever has the token.
 */
import * as Effect from "effect/Effect"
import type * as Driver from "mongodb"
import type * as CausalToken from "../../src/CausalToken.js"
import * as MongoClient from "../../src/MongoClient.js"
import * as Session from "../../src/Session.js"
import { appName } from "./set.js"

/** How the clients of a storm are connected. */
export const driverOptions: Driver.MongoClientOptions = {
  appName,
  monitorCommands: true,
  // So that a member that hangs is soon noticed.
  heartbeatFrequencyMS: 500,
  connectTimeoutMS: 2000,
  serverSelectionTimeoutMS: 10_000
}

interface Counter {
  readonly _id: string
  readonly n: number
}

const counters = (database: string) =>
  Effect.map(MongoClient.MongoClient, ({ driver }) => driver.db(database).collection<Counter>("counters"))

/** Counts on, and gives the new count with a token of it. */
export const increment = (database: string, key: string) =>
  Session.scoped(
    Effect.gen(function*() {
      const counter = yield* counters(database)
      const found = yield* Session.use((session) =>
        counter.findOneAndUpdate({ _id: key }, { $inc: { n: 1 } }, {
          session,
          upsert: true,
          returnDocument: "after",
          writeConcern: { w: "majority" }
        })
      )
      const session = yield* Session.Session
      return { n: found?.n ?? 0, token: yield* session.causalToken }
    }),
    { timeout: "15 seconds" }
  )

/** Reads at a secondary, so many times in one session, what has been there at a token. */
export const readAfter = (token: CausalToken.CausalToken, database: string, key: string, times: number) =>
  Session.scoped(
    Effect.gen(function*() {
      const counter = yield* counters(database)
      const session = yield* Session.Session
      yield* session.advanceTo(token)
      const read = Session.use((session) =>
        counter.findOne({ _id: key }, { session, readPreference: "secondary", readConcern: { level: "majority" } })
      )
      const found = yield* Effect.replicateEffect(read, times)
      return { counts: found.map((one) => one?.n ?? 0), token: yield* session.causalToken }
    }),
    { timeout: "15 seconds" }
  )
