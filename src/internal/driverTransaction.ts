/**
 * The transaction of a driver session: what its typings keep to themselves of it, and what the driver cannot do.
 */
import * as Duration from "effect/Duration"
import type * as Driver from "mongodb"
import type * as TransactionOptions from "../TransactionOptions.js"
import * as Gate from "./driver.js"

/**
 * The state of a session's transaction. See the specification "Transactions", section "ClientSession".
 *
 * - `none`: no transaction was started since the last one ended
 * - `starting`: started, but nothing was sent
 * - `inProgress`: operations were sent
 * - `committed`, `aborted`: ended; the next operation leads back to `none`
 *
 * @since 0.1.0
 * @category models
 */
export type State = "none" | "starting" | "inProgress" | "committed" | "aborted"

const states: Readonly<Record<string, State>> = {
  NO_TRANSACTION: "none",
  STARTING_TRANSACTION: "starting",
  TRANSACTION_IN_PROGRESS: "inProgress",
  TRANSACTION_COMMITTED: "committed",
  TRANSACTION_COMMITTED_EMPTY: "committed",
  TRANSACTION_ABORTED: "aborted"
}

// What the driver's sessions have, but its typings keep to itself.
interface Hidden {
  readonly transaction?: { readonly state?: string }
  readonly txnNumberIncrement?: number
}

const hidden = (session: Driver.ClientSession): Hidden => session as Driver.ClientSession & Hidden

/** The state of a driver session's transaction. */
export const stateOf = (session: Driver.ClientSession): State =>
  states[hidden(session).transaction?.state ?? ""] ?? (session.inTransaction() ? "inProgress" : "none")

/**
 * Whether the server may have a transaction of which the driver thinks that it was never begun: its first command was
 * sent, and not answered.
 */
export const mayBeBegun = (session: Driver.ClientSession): boolean =>
  stateOf(session) === "starting" && hidden(session).txnNumberIncrement === 0

/** Starts a transaction of the driver. It may throw. */
export const start = (session: Driver.ClientSession, options: TransactionOptions.Decoded): void =>
  session.startTransaction(Gate.transactionOptions(options))

/**
 * Options with what they leave to the client filled in, so that two may be compared. Passed to the driver they also keep it
 * from using the client's own read concern, into which it would write the session's causal time.
 */
export const withClientDefaults = (
  options: TransactionOptions.Resolved,
  client: Driver.MongoClient
): TransactionOptions.Resolved => {
  const { readConcern, readPreference, writeConcern } = client.options
  const level = readConcern?.level
  return {
    ...options,
    readConcern: options.readConcern ??
      (level === "local" || level === "majority" || level === "snapshot" ? { level } : undefined),
    writeConcern: options.writeConcern ?? (writeConcern === undefined ? undefined : {
      w: writeConcern.w,
      journal: writeConcern.journal,
      wtimeout: writeConcern.wtimeoutMS === undefined ? undefined : Duration.millis(writeConcern.wtimeoutMS)
    }),
    readPreference: options.readPreference ?? {
      mode: readPreference.mode,
      tags: readPreference.tags,
      maxStalenessSeconds: readPreference.maxStalenessSeconds
    }
  }
}

/** Names a transaction of a session: what the server knows it by. */
export interface Name {
  readonly lsid: Driver.ServerSessionId
  readonly txnNumber: number
}

/** The name of the transaction that a session has just had. */
export const nameOf = (session: Driver.ClientSession): Name => ({
  lsid: session.serverSession.id,
  txnNumber: session.serverSession.txnNumber
})

/** Aborts a transaction that the driver has done with. */
export const abortByName = (
  client: Driver.MongoClient,
  name: Name,
  signal: AbortSignal
): Promise<Driver.Document> => Gate.adminCommand(client, { abortTransaction: 1 }, signal, name)
