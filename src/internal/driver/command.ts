/**
 * Commands that the library itself sends to the database `admin`.
 */
import type * as Driver from "mongodb"
import { endImplicit, openAs } from "./privates.js"
import { asReplies } from "./readOptions.js"

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
    return await client.db("admin").command(command, {
      ...asReplies,
      useBigInt64: false,
      // Leaves the `lsid` out.
      ignoreUndefined: true,
      session,
      signal
    })
  } finally {
    endImplicit(session)
  }
}
