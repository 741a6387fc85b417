/**
 * Reads and controls the transaction of a driver session, and works around the driver's faults in it.
 */
import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import type * as Driver from "mongodb"
import { MongoNetworkError, MongoServerError } from "mongodb"
import { Label, type MongoError } from "../../MongoError.js"
import type * as TransactionOptions from "../../TransactionOptions.js"
import * as Command from "./command.js"
import { isBsonError, isDriverFailure, isMongoError, toCause } from "./errors.js"
import { markDirty } from "./pool.js"
import { ofSession } from "./privates.js"
import * as DriverSession from "./session.js"
import { onceBegun, watchAnswer, watchRepetition } from "./watch.js"

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

/** Commits the transaction of a driver session, with the write concern that it was started with. */
export const commit = (session: Driver.ClientSession): Promise<void> =>
  // Where the commit is repeated, the driver's time limit is the specification's.
  session.inTransaction() || hasDeadline(session)
    ? asStarted(session, () => sendCommit(session))
    : sendCommit(session)

// Where the connection breaks while the commit is written, the driver takes the socket's error for one of its own, fails to
// read its labels, and rejects with a TypeError. Where the session is ended meanwhile, the driver notes an abort, and rejects
// for that whatever the server has answered. In both cases it is not known whether the transaction was committed.
const sendCommit = (session: Driver.ClientSession): Promise<void> => {
  const isSent = !sendsNothing(session) && stateOf(session) !== "aborted"
  const isRepeated = watchRepetition(session)
  return session.commitTransaction().catch((error: unknown) => {
    const isEnded = isSent && stateOf(session) === "aborted"
    if (isDriverFailure(error) && !isEnded) throw labelled(error, isRepeated())
    markDirty(session)
    const what = isEnded ? "the session was ended" : "the connection broke"
    throw new MongoNetworkError(`${what} while the commit was in flight`, { cause: error as Error })
  }).finally(isRepeated)
}

// The refusal of a repeated commit does not tell what became of the first; that nothing was committed the server says by a label.
// Where it may send no more, because the server is overloaded, the driver throws before it puts the specification's label.
const labelled = (error: Error, isRepeated: boolean): Error => {
  if (!isMongoError(error) || error.hasErrorLabel(Label.TransientTransactionError) || isUnmet(error)) return error
  if (isRepeated || error.hasErrorLabel(Label.RetryableWriteError) || error.name === "MongoWriteConcernError") {
    error.addErrorLabel(Label.UnknownTransactionCommitResult)
  }
  return error
}

/**
 * Whether a commit has failed with UnknownReplWriteConcern or UnsatisfiableWriteConcern: it is written, and another would only
 * meet the same.
 */
export const isUnmet = ({ code }: { readonly code?: unknown }): boolean => code === 79 || code === 100

/** Aborts the transaction of a driver session, with the write concern that it was started with. */
export const abort = (session: Driver.ClientSession): Promise<void> =>
  asStarted(session, () => session.abortTransaction())

const hasDeadline = (session: Driver.ClientSession): boolean => ofSession(session).timeoutContext !== null

// To a write concern without them the driver adds `w: "majority"` and a time limit of 10 s, but not to fields that are there
// and undefined. It makes the first command at once; that of its own second try, where the limit is the specification's,
// later. With a deadline, that is the only limit, and the driver leaves a repeated commit to say `majority` to its concern.
const asStarted = <A>(session: Driver.ClientSession, send: () => Promise<A>): Promise<A> => {
  const { options } = ofSession(session).transaction
  const concern = options.writeConcern
  if (concern === undefined) return send()
  const isLimited = hasDeadline(session)
  const once: { w: unknown; wtimeoutMS?: number | undefined } = {
    ...concern,
    w: session.inTransaction() ? concern.w : "majority",
    wtimeoutMS: isLimited ? undefined : concern.wtimeoutMS,
    // The driver takes one of two fields, and one of them a time limit, for one that it may leave out.
    ...(isLimited ? { wtimeout: undefined } : {})
  }
  options.writeConcern = once as Driver.WriteConcern
  const sent = send()
  options.writeConcern = concern
  if (once.wtimeoutMS === undefined && !isLimited) delete once.wtimeoutMS
  return sent
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

/** Names a transaction of a session: what the server knows it by. */
export interface TransactionName {
  readonly lsid: Driver.ServerSessionId
  readonly txnNumber: number
  /** Whether its commit was sent, or may have been. */
  readonly hasCommit: boolean
  /** What a router has told of it, by which another one finds out what became of it. */
  readonly recoveryToken: Driver.Document | undefined
}

/** The name of the transaction that a session has just had, and of which a commit was sent or not. */
export const nameOf = (session: Driver.ClientSession, hasCommit = false): TransactionName => ({
  lsid: session.serverSession.id,
  txnNumber: session.serverSession.txnNumber,
  hasCommit,
  recoveryToken: ofSession(session).transaction.recoveryToken
})

/** Commits or aborts a transaction by its name, with majority, after the driver has ended its own record of it. */
export const endByName = async (
  client: Driver.MongoClient,
  operation: "commitTransaction" | "abortTransaction",
  name: TransactionName,
  signal: AbortSignal
): Promise<void> => {
  const { recoveryToken } = name
  const command = { [operation]: 1, writeConcern: { w: "majority" }, ...(recoveryToken && { recoveryToken }) }
  const reply = await Command.adminCommand(client, command, signal, name)
  const { writeConcernError } = reply
  if (writeConcernError !== undefined) throw new MongoServerError(writeConcernError)
}
