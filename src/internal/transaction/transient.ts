/**
 * Classifies failures: those that a retry of the transaction, or of its commit, may overcome.
 */
import * as Cause from "effect/Cause"
import { Label, MongoError } from "../../MongoError.js"
import { CommitUnknown, TransactionAborted } from "../../TransactionErrors.js"
import { maxTimeMSExpired } from "../driver/deadline.js"
import { chainOf } from "../driver/errors.js"
import { isUnmet } from "../driver/transactionEnd.js"
import { isOfReply } from "../driver/understood.js"

/**
 * Whether the whole transaction may be run again after a failure. The driver puts no label on failures that come before
 * an operation is sent, though the specification says that they are as transient.
 */
export const isTransient = (error: MongoError): boolean =>
  error.hasLabel(Label.TransientTransactionError) ||
  error.reason === "ServerSelectionFailed" ||
  error.reason === "PoolFailure"

/** Whether an operation has lost a conflict: a document, or a lock that it did not get in time (LockTimeout). */
export const isConflict = ({ code, reason }: MongoError): boolean => reason === "WriteConflict" || code === lockTimeout

const lockTimeout = 24

/** The first failure in a cause for which the whole transaction may be run again, however deep it is wrapped. */
export const transientOf = (cause: Cause.Cause<unknown>): MongoError | undefined => {
  for (const failure of Cause.failures(cause)) {
    const found = transientIn(failure)
    if (found !== undefined) return found
  }
  return undefined
}

const transientIn = (failure: unknown): MongoError | undefined => {
  for (const found of chainOf("transaction", failure)) {
    // Another transaction's, which was run again for as long as it may be.
    if (found instanceof TransactionAborted || found instanceof CommitUnknown) return undefined
    if (found instanceof MongoError && isTransient(found)) return found
  }
  return undefined
}

/**
 * What tells one failure from another: a driver's error that a program has wrapped becomes a new MongoError each time that it
 * is looked at.
 */
export const originOf = (error: MongoError): unknown => error.cause ?? error

/**
 * Whether a connection broke. Of several connections that break together the driver labels only the first: by then it has
 * cleared the pool of the others.
 */
export const isLostConnection = (failure: unknown): failure is MongoError =>
  failure instanceof MongoError && failure.reason === "NetworkError"

/** Whether a failure comes from the server, or from the way to it, and not from the driver alone. */
export const isOfServer = (failure: unknown): boolean =>
  failure instanceof MongoError &&
  // A bulk that ends half-way may have sent what came before.
  (failure.code !== undefined || failure.details?._tag === "BulkWrite" || !refusals.has(failure.reason))

/** Whether a failure is no more than that a reply could not be read. */
export const isUnread = (failure: unknown): boolean => failure instanceof MongoError && isOfReply(failure.cause)

const refusals: ReadonlySet<MongoError["reason"]> = new Set<MongoError["reason"]>([
  "EncodingFailed",
  "InvalidArgument",
  "InvalidOptions",
  "SessionExpired",
  "TransactionMisuse"
])

/** Whether the server says of a transaction that it has none, or has ended it. */
export const isEndOfTransaction = ({ reason }: MongoError): boolean => ends.has(reason)

const ends: ReadonlySet<MongoError["reason"]> = new Set<MongoError["reason"]>([
  "NoSuchTransaction",
  "TransactionTooOld",
  "TransactionTooLarge",
  "TransactionExpired"
])

/**
 * Whether a transaction whose abort has failed is over all the same: the server has none, or has ended it, or has aborted it and
 * not replicated that in time.
 */
export const isAborted = (error: MongoError): boolean =>
  isEndOfTransaction(error) || error.reason === "TransactionCommitted" || error.reason === "WriteConcernFailed"

/** Whether it is not known, after a failed commit, if it happened. */
export const isCommitUnknown = (error: MongoError): boolean =>
  error.hasLabel(Label.UnknownTransactionCommitResult) || isCommitAnswered(error) || isUnanswered(error)

/**
 * Whether a command, or its answer, was lost on the way, or its answer was not understood. Of a commit, the driver labels only
 * some of these failures.
 */
export const isUnanswered = (error: MongoError): boolean => lostOnTheWay.has(error.reason) || isUnanswerable(error)

const lostOnTheWay: ReadonlySet<MongoError["reason"]> = new Set<MongoError["reason"]>([
  "NetworkError",
  "ServerSelectionFailed",
  "PoolFailure"
])

/**
 * Whether a command was not answered, and would not be if it were sent again: its client is closed, or its answer cannot be
 * understood.
 */
export const isUnanswerable = (error: MongoError): boolean =>
  error.code === undefined && unanswerable.has(error.reason) && !error.hasLabel(Label.TransientTransactionError)

const unanswerable: ReadonlySet<MongoError["reason"]> = new Set<MongoError["reason"]>([
  "ConnectionClosed",
  "EncodingFailed",
  "UnexpectedReply",
  "Other"
])

/**
 * Whether a failed commit had an answer that another would only repeat: its own time limit ran out (MaxTimeMSExpired), or
 * its write concern cannot be met, though it is written (UnknownReplWriteConcern, UnsatisfiableWriteConcern).
 */
export const isCommitAnswered = (error: MongoError): boolean =>
  error.code === maxTimeMSExpired || isUnmet(error) || hasExpired(error.cause)

const hasExpired = (cause: unknown): boolean =>
  typeof cause === "object" && cause !== null && "writeConcernError" in cause &&
  typeof cause.writeConcernError === "object" && cause.writeConcernError !== null &&
  "code" in cause.writeConcernError && cause.writeConcernError.code === maxTimeMSExpired
