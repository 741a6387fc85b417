/** The mongods that the demo has started, asked one by one. */
import { MongoClient } from "effect-mongo-session"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Driver from "mongodb"
import { appName } from "./client.js"

/** One of them, as long as it runs. */
export interface Running {
  readonly host: string
  readonly pid: number
  /** Where its data are. */
  readonly folder: string
}

/** Asks each of them; there are none where the server is not the demo's own. */
const each = <A>(ask: (driver: Driver.MongoClient, host: string) => Promise<A>) =>
  Effect.flatMap(
    MongoServer.MongoServer,
    ({ members }) =>
      Effect.forEach(members, ({ address }) =>
        MongoClient.make({ url: Redacted.make(`mongodb://${address}/?directConnection=true`) }).pipe(
          Effect.flatMap(({ driver }) =>
            Effect.tryPromise(() => ask(driver, address))
          ),
          Effect.scoped
        ))
  )

/** Those that run. */
export const running = each(async (driver, host): Promise<Running> => {
  const admin = driver.db("admin")
  const { pid } = await admin.command({ serverStatus: 1 })
  const { parsed } = await admin.command({ getCmdLineOpts: 1 })
  return { host, pid: Number(pid), folder: parsed.storage.dbPath }
})

/** For each member, a digest of all that it has in the shop's database. */
export const digests = each(async (driver) => {
  const { md5 } = await driver.db(appName).command({ dbHash: 1 })
  return String(md5)
})

/** How many cursors and transactions of the shop they have open. */
export const openWork = Effect.map(
  each((driver) =>
    driver.db("admin").aggregate([
      { $currentOp: { allUsers: true, idleCursors: true, idleSessions: true } },
      { $match: { $or: [{ ns: { $regex: `^${appName}\\.` } }, { transaction: { $exists: true } }] } }
    ]).toArray()
  ),
  (work) => work.flat().length
)
