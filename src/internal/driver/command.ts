/**
 * Commands that the library itself sends, outside of the sessions of programs.
 */
import type * as Driver from "mongodb"
import { endImplicit, openAs } from "./privates.js"
import { asReplies } from "./readOptions.js"

/** What a command of the library's own is sent with. */
interface Sent {
  readonly signal: AbortSignal | undefined
  /** A transaction that the driver has done with. Default: none, and no session either. */
  readonly of?: { readonly lsid: Driver.ServerSessionId; readonly txnNumber: number } | undefined
  /** Default: the primary. */
  readonly readPreference?: Driver.ReadPreference | undefined
}

/**
 * Runs a command on a database without any session, or in a transaction that the driver has done with.
 *
 * The driver lends an implicit session to every command that comes without one. This one is given a driver session that
 * lends no server session, so that no `lsid` goes out and none is taken from the pool; or one that lends the id and the
 * transaction number that are named.
 */
export const run = async (
  client: Driver.MongoClient,
  database: string,
  command: Driver.Document,
  { of, readPreference, signal }: Sent
): Promise<Driver.Document> => {
  const session = openAs(client, of?.lsid, of?.txnNumber)
  try {
    return await client.db(database).command(command, {
      ...asReplies,
      useBigInt64: false,
      // Leaves the `lsid` out.
      ignoreUndefined: true,
      session,
      ...(signal && { signal }),
      ...(readPreference && { readPreference })
    })
  } finally {
    endImplicit(session)
  }
}

/** {@link run} on the database `admin`. */
export const adminCommand = (
  client: Driver.MongoClient,
  command: Driver.Document,
  signal: AbortSignal,
  of?: Sent["of"]
): Promise<Driver.Document> => run(client, "admin", command, { signal, of })
