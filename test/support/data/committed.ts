/**
 * What an outbox has delivered, and the order in which the server has committed it.
 */
import * as Effect from "effect/Effect"
import type { Document, MongoClient as Driver } from "mongodb"

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

/** The first delivery of each message, in order. */
export const firsts = (ids: ReadonlyArray<string>): ReadonlyArray<string> => [...new Set(ids)]
