/**
 * Commands that the library itself sends to the database `admin`.
 */
import type * as Driver from "mongodb"
import { endImplicit, openAs } from "./privates.js"

// This library reads replies in this form, whatever the client's options. `ignoreUndefined` leaves the `lsid` out.
const replyOptions = {
  raw: false,
  promoteValues: true,
  promoteLongs: true,
  promoteBuffers: false,
  // What others ask for may have expressions that JavaScript cannot parse.
  bsonRegExp: true,
  useBigInt64: false,
  ignoreUndefined: true
} as const

/**
 * Runs a command on the `admin` database without any session, or in a transaction that the driver has done with.
 *
 * The driver lends an implicit session to every command that comes without one. This one is given a driver session that
 * lends no server session, so that no `lsid` goes out and none is taken from the pool; or one that lends the id and the
 * transaction number that are named.
 */
export const adminCommand = async (
  client: Driver.MongoClient,
  command: Driver.Document,
  signal: AbortSignal,
  of?: { readonly lsid: Driver.ServerSessionId; readonly txnNumber: number }
): Promise<Driver.Document> => {
  const session = openAs(client, of?.lsid, of?.txnNumber)
  try {
    return await client.db("admin").command(command, { ...replyOptions, session, signal })
  } finally {
    endImplicit(session)
  }
}
