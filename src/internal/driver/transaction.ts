/**
 * The transaction of a driver session, from its start until it is ended: its state, and its first command, where the driver's faults
 * are worked around.
 */
import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import type * as Driver from "mongodb"
import { Label, type MongoError } from "../../MongoError.js"
import type * as TransactionOptions from "../../TransactionOptions.js"
import { isBsonError, toCause } from "./errors.js"
import { markDirty } from "./pool.js"
import { ofSession } from "./privates.js"
import * as DriverSession from "./session.js"
import { onceBegun, watchAnswer } from "./watch.js"

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

/** The state of a driver session's transaction. */
export const stateOf = (session: Driver.ClientSession): State =>
  states[ofSession(session).transaction.state] ?? (session.inTransaction() ? "inProgress" : "none")

/** The read preference of a driver session's transaction: its own, else the session's, else the client's. */
export const readPreferenceOf = (session: Driver.ClientSession): Driver.ReadPreferenceLike | undefined =>
  ofSession(session).transaction.options.readPreference

/**
 * Whether the server may have begun a transaction that the driver considers unsent: its first command was sent, but not
 * answered.
 */
export const mayBeBegun = (session: Driver.ClientSession): boolean =>
  stateOf(session) === "starting" && ofSession(session).txnNumberIncrement === 0

/** Whether the session has sent no command of its latest transaction. */
export const isUnsent = (session: Driver.ClientSession): boolean => ofSession(session).txnNumberIncrement > 0

/** The number of a driver session's transaction, sent or unsent. */
export const transactionNumberOf = (session: Driver.ClientSession): number =>
  session.serverSession.txnNumber + ofSession(session).txnNumberIncrement

/** Whether a commit or abort sends no command, because the transaction has sent none. */
export const sendsNothing = (session: Driver.ClientSession): boolean =>
  isUnsent(session) || stateOf(session) === "starting"

/**
 * Runs an operation. If it is the first of a transaction and cannot be encoded, the transaction stays unsent.
 *
 * The driver marks a transaction as begun when its first command fails, even if nothing was sent. The next command then
 * does not begin it, and the server knows no such transaction. A reply that cannot be decoded fails with the same error, but
 * then the server has answered.
 */
export const keepStarting = <A, X>(
  session: Driver.ClientSession,
  evaluate: (session: Driver.ClientSession, x: X) => PromiseLike<A>,
  x: X
): PromiseLike<A> =>
  ofSession(session).transaction.state === "STARTING_TRANSACTION" ? watched(session, evaluate, x) : evaluate(session, x)

const watched = async <A, X>(
  session: Driver.ClientSession,
  evaluate: (session: Driver.ClientSession, x: X) => PromiseLike<A>,
  x: X
): Promise<A> => {
  const server = session.serverSession
  const { transaction } = ofSession(session)
  // Each command that gets the session's id notes the time in whole milliseconds; this stays until the second does.
  let mark: number | undefined
  const unwatch = onceBegun(transaction, () => mark = server.lastUse -= 0.5)
  const hasAnswer = watchAnswer(session)
  try {
    return await evaluate(session, x)
  } catch (error) {
    if (
      mark === server.lastUse && stateOf(session) === "inProgress" && !hasAnswer() &&
      isBsonError(error)
    ) {
      transaction.state = "STARTING_TRANSACTION"
    }
    throw error
  } finally {
    hasAnswer()
    unwatch()
  }
}

/**
 * Does what the driver does when a connection breaks: the server session is not lent again, and what failed in a transaction is
 * labelled as transient.
 */
export const broken = (session: Driver.ClientSession, error: Driver.MongoNetworkError): void => {
  markDirty(session)
  if (session.inTransaction()) error.addErrorLabel(Label.TransientTransactionError)
}

/** Starts a transaction of the driver; nothing is sent. */
export const start = (
  session: Driver.ClientSession,
  options: TransactionOptions.Decoded
): Exit.Exit<void, MongoError> => {
  try {
    session.startTransaction(DriverSession.transactionOptions(options))
    return Exit.void
  } catch (error) {
    return Exit.failCause(toCause({ operation: "startTransaction" }, error))
  }
}

/** Sets the write concern of a transaction that was started without one. */
export const setWriteConcern = (
  session: Driver.ClientSession,
  writeConcern: NonNullable<TransactionOptions.Decoded["writeConcern"]>
): void => {
  ofSession(session).transaction.options.writeConcern = DriverSession.toWriteConcern(writeConcern)
}

/**
 * Fills in the client's defaults, so that two sets of options can be compared. The driver would write the session's causal
 * time into the client's own read concern; these options keep it from that, too.
 */
export const withClientDefaults = (
  options: TransactionOptions.Resolved,
  client: Driver.MongoClient,
  timeout = options.timeout
): TransactionOptions.Resolved => {
  const { readConcern, readPreference, writeConcern } = client.options
  const level = readConcern?.level
  return {
    maxCommitTime: options.maxCommitTime,
    timeout,
    warnings: options.warnings,
    // Also a level that no transaction allows: the server refuses it, and the client's own object stays as it is.
    readConcern: options.readConcern ??
      (level === undefined ? undefined : { level: level as NonNullable<typeof options.readConcern>["level"] }),
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
