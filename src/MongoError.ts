/**
 * The one error for failures of the driver or the server.
 *
 * What failed is a closed union of reasons, found by {@link classify} from facts that are stable between
 * versions (labels, server codes, class names), never from a message.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import { type Conflict, described, toldOf } from "./internal/values/conflicts.js"
import { type Details, detailsOf } from "./internal/values/details.js"
import { type Reason, reasonOfClass, reasonOfCode, reasonOfCodeName, wording } from "./internal/values/reasons.js"

export type {
  /** What is known of a write conflict. @since 0.1.0 @category models */
  Conflict,
  /** A transaction that was open on the server. @since 0.1.0 @category models */
  OpenTransaction,
  /** Another transaction of the same client that had written the same. @since 0.1.0 @category models */
  Rival,
  /** What the server told of open transactions. @since 0.1.0 @category models */
  ServerView
} from "./internal/values/conflicts.js"
export type {
  /** What a bulk has done before it failed. @since 0.1.0 @category models */
  BulkWrite,
  /** What is known of a failure besides its reason. @since 0.1.0 @category models */
  Details,
  /** What the collection's validator missed in a document. @since 0.1.0 @category models */
  DocumentInvalid,
  /** The key that a unique index holds already. @since 0.1.0 @category models */
  DuplicateKey,
  /** One write of a bulk that failed. @since 0.1.0 @category models */
  WriteFailure
} from "./internal/values/details.js"
export type {
  /** Why an operation failed. @since 0.1.0 @category errors */
  Reason
}

/**
 * The error labels that MongoDB's servers and drivers put on errors. Labels are open strings: an error may
 * carry others.
 *
 * @example
 * ```ts
 * import type { MongoError } from "effect-mongo-session"
 * import { MongoError as Errors } from "effect-mongo-session"
 *
 * export const mayBeRepeated = (error: MongoError.MongoError) =>
 *   error.labels.includes(Errors.Label.TransientTransactionError)
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export const Label = {
  /** The whole transaction may be run again. */
  TransientTransactionError: "TransientTransactionError",
  /** The commit may or may not have happened; it may be sent again. */
  UnknownTransactionCommitResult: "UnknownTransactionCommitResult",
  /** A write with a transaction number may be sent again. */
  RetryableWriteError: "RetryableWriteError",
  /** The server executed nothing of this attempt; any command may be sent again. */
  RetryableError: "RetryableError",
  /** No write of this command, nor of its earlier attempts, was performed. */
  NoWritesPerformed: "NoWritesPerformed",
  /** The server, or the way to it, refused work to protect itself. */
  SystemOverloadedError: "SystemOverloadedError",
  /** The change stream may be resumed. */
  ResumableChangeStreamError: "ResumableChangeStreamError",
  /** The connection failed while it was being set up. */
  HandshakeError: "HandshakeError",
  /** Set by the driver's pool: try again. Nothing was sent, unless the reason is `NetworkError`. */
  PoolRequestedRetry: "PoolRequestedRetry",
  /** Set by the driver for itself: clear the server's pool. */
  ResetPool: "ResetPool",
  /** Set by the driver for itself: close connections in use. */
  InterruptInUseConnections: "InterruptInUseConnections"
} as const

/**
 * What {@link classify} looks at: the stable parts of a driver's or server's error.
 *
 * @since 0.1.0
 * @category models
 */
export interface Facts {
  /** The error's labels. */
  readonly labels: ReadonlyArray<string>
  /** The server's error code. The driver's own codes, which are strings, do not belong here. */
  readonly code?: number | undefined
  /** The server's name for the code. */
  readonly codeName?: string | undefined
  /** The `name` of the error's class. */
  readonly name?: string | undefined
  /** Whether this program had aborted the operation. Default `false`. */
  readonly aborted?: boolean | undefined
}

/**
 * A failure of the driver or the server in one operation.
 *
 * The message is built from the operation, the namespace, the reason and the code only: a driver's own message
 * may quote documents, hosts or credentials. It stays reachable in `cause`, which Effect's loggers print with an error that
 * is logged; log the `message` where none of that may get into a log.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Collection } from "effect-mongo-session"
 *
 * const Users = Collection.make("users")
 *
 * export const register = (_id: string) =>
 *   Users.insertOne({ _id }).pipe(
 *     Effect.catchTag("MongoError", (error) =>
 *       error.reason === "DuplicateKey" ? Effect.fail("the name is taken" as const) : Effect.die(error))
 *   )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class MongoError extends Data.TaggedError("MongoError")<{
  /** Why it failed. */
  readonly reason: Reason
  /** The command or method that failed, e.g. `insert`. */
  readonly operation: string
  /** Database and collection, e.g. `shop.users`. */
  readonly namespace?: string | undefined
  /** The server's error code, where the server answered. */
  readonly code?: number | undefined
  /** The server's name for the code. */
  readonly codeName?: string | undefined
  /** The error's labels, see {@link Label}. */
  readonly labels: ReadonlyArray<string>
  /** The driver's own error. Its message may quote documents and hosts. */
  readonly cause?: unknown
  /** How to put it right, where more is known than the reason says: of a cursor that is lost, that its session had lapsed. */
  readonly hint?: string | undefined
  /** What is known of the conflict that an operation of a transaction has lost. Default: it was none. */
  readonly conflict?: Conflict | undefined
}> {
  /** What failed and why, without the driver's words. */
  override get message(): string {
    const where = this.namespace === undefined ? "" : ` on ${this.namespace}`
    const numbers = this.code === undefined ? "" : `, code ${this.code}`
    const name = this.codeName !== undefined && isCodeName(this.codeName) ? ` ${this.codeName}` : ""
    const conflict = this.conflict === undefined ? "" : described(this.conflict)
    return `${this.operation}${where} failed: ${wording[this.reason]} (${this.reason}${numbers}${name})${conflict}`
  }

  /**
   * What is known besides the reason, by kind: the key that is taken (`DuplicateKey`), what a validator missed
   * (`DocumentInvalid`), what a bulk or `insertMany` has done, with each write that failed (`BulkWrite`, whatever the
   * reason). Found in `cause` when it is asked for. It quotes documents, and so is in neither `message` nor JSON.
   */
  get details(): Details | undefined {
    return detailsOf(this.cause)
  }

  /** Whether the error carries the label. */
  hasLabel(label: string): boolean {
    return this.labels.includes(label)
  }

  /**
   * Whether another attempt may succeed without anything being changed: by label first, then by the codes and
   * reasons of the specification "Retryable Reads", plus lost conflicts, failed selection, failed checkout and
   * overload. What was written, but failed its write concern, is no case for another attempt, unless it was a commit.
   *
   * It does not say that the first attempt had no effect. Outside a transaction a write after `NetworkError` or
   * `TimedOut` may have happened; repeat it only if it is idempotent, or has {@link Label.NoWritesPerformed}.
   */
  get isRetryable(): boolean {
    if (this.reason === "WriteConcernFailed") return this.labels.some((label) => commitLabels.has(label))
    return this.labels.some((label) => retryLabels.has(label)) ||
      (this.code !== undefined && retryCodes.has(this.code)) ||
      retryReasons.has(this.reason)
  }

  /** The error without its cause and its details. */
  override toJSON(): object {
    return {
      _tag: this._tag,
      message: this.message,
      reason: this.reason,
      operation: this.operation,
      namespace: this.namespace,
      code: this.code,
      codeName: this.codeName,
      labels: this.labels,
      hint: this.hint,
      conflict: toldOf(this.conflict),
      isRetryable: this.isRetryable
    }
  }
}

/**
 * The reason for a failure, from stable facts: first a name of a code that is not known by its number, then the class of a
 * failed write concern, whatever its code, then labels, then the server's code, then whether this program aborted the
 * operation, then the class of the driver's error. Total: what is not known is `Other`.
 *
 * Codes are those of the server's `error_codes.yml`; groups follow the specifications "Retryable Reads",
 * "Server Discovery And Monitoring" and "Transactions".
 *
 * @example
 * ```ts
 * import { MongoError } from "effect-mongo-session"
 *
 * export const reason = MongoError.classify({ labels: [], code: 112 }) // "WriteConflict"
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const classify = (facts: Facts): Reason => {
  const byCodeName = facts.codeName === undefined ? undefined : reasonOfCodeName.get(facts.codeName)
  if (byCodeName !== undefined) return byCodeName
  const byClass = facts.name === undefined ? undefined : reasonOfClass.get(facts.name)
  // Its code says what ended the wait for the other members. The write was done before.
  if (byClass === "WriteConcernFailed") return byClass
  // The driver puts this label on every connection that it cannot set up, whatever it was that prevented it.
  if (facts.labels.includes(Label.SystemOverloadedError) && byClass !== "NetworkError") return "Overloaded"
  // The driver puts that label also on what was in flight when it gave a hanging server up; that was sent.
  if (facts.labels.includes(Label.PoolRequestedRetry) && byClass !== "NetworkError") return "PoolFailure"
  const byCode = facts.code === undefined ? undefined : reasonOfCode.get(facts.code)
  if (byCode !== undefined) return byCode
  if (facts.aborted === true) return "Interrupted"
  return byClass ?? "Other"
}

const isCodeName = (name: string): boolean => /^\w{1,64}$/.test(name)

const retryLabels: ReadonlySet<string> = new Set([
  Label.TransientTransactionError,
  Label.RetryableWriteError,
  Label.RetryableError,
  Label.UnknownTransactionCommitResult
])

// Of a write that is done, all others are for the driver, which repeats it with the number that it had.
const commitLabels: ReadonlySet<string> = new Set([
  Label.TransientTransactionError,
  Label.UnknownTransactionCommitResult
])

// ExceededTimeLimit and ReadConcernMajorityNotAvailableYet: retryable, though others of their reason are not
const retryCodes: ReadonlySet<number> = new Set([262, 134])

const retryReasons: ReadonlySet<Reason> = new Set<Reason>([
  "NetworkError",
  "ServerSelectionFailed",
  "PoolFailure",
  "NotPrimary",
  "StaleRouting",
  "WriteConflict",
  "Overloaded"
])
