/**
 * Many who publish in one outbox at once, and the order in which the server has committed what they did.
 */
import * as Effect from "effect/Effect"
import type { Document, MongoClient as Driver } from "mongodb"
import * as Outbox from "../../../src/Outbox.js"
import * as Session from "../../../src/Session.js"
import * as Transaction from "../../../src/Transaction.js"
import { numbers } from "./collections.js"

/** The ids of the messages of an outbox in the order of their commits, as the oplog of the primary has it. */
export const committed = (driver: Driver, database: string, outbox: string): Effect.Effect<ReadonlyArray<string>> =>
  Effect.promise(async () => {
    const ns = `${database}.effect_mongo_session.outbox.${outbox}`
    const entries = await driver.db("local").collection("oplog.rs")
      .find({ $or: [{ ns, op: "i" }, { "o.applyOps.ns": ns }] }, { readPreference: "primary" })
      .sort({ $natural: 1 })
      .toArray()
    return entries
      .flatMap((entry): ReadonlyArray<Document> => entry["op"] === "i" ? [entry] : entry["o"].applyOps)
      .filter((operation) => operation["op"] === "i" && operation["ns"] === ns)
      .map(({ o }) => String(o._id).replace("effect_mongo_session/", ""))
  })

/**
 * Publishes so many messages, 50 at once, each in a transaction that writes something else, too, and lasts for a while. What
 * cannot be committed is left out.
 */
export const publishing = (driver: Driver, database: string, outbox: string, count: number) => {
  const Letters = Outbox.make(outbox, { database })
  const effects = driver.db(database).collection<{ _id: number }>("effects")
  return Effect.forEach(
    numbers(count),
    (n) =>
      Effect.exit(Transaction.run(Effect.gen(function*() {
        yield* Letters.publish({ n })
        yield* Session.use((session) => effects.insertOne({ _id: n }, { session }))
        yield* Effect.sleep(`${(n * 7) % 20} millis`)
      }))),
    { concurrency: 50, discard: true }
  )
}

/** The first delivery of each message, in order. */
export const firsts = (ids: ReadonlyArray<string>): ReadonlyArray<string> => [...new Set(ids)]
