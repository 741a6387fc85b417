/**
 * The commit and the abort of a driver session's transaction, without the driver's faults, and of one that is only known by its name.
 */
import type * as Driver from "mongodb"
import { MongoNetworkError, MongoServerError } from "mongodb"
import { Label } from "../../MongoError.js"
import * as Command from "./command.js"
import { isDriverFailure, isMongoError } from "./errors.js"
import { markDirty } from "./pool.js"
import { ofSession } from "./privates.js"
import { sendsNothing, stateOf } from "./transaction.js"
import { watchRepetition } from "./watch.js"

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
