/**
 * The errors of transactions: their outcomes and their misuse. Also exported by `SessionErrors`.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import { type Conflict, describedView, toldOf } from "./internal/values/conflicts.js"
import { render } from "./internal/values/render.js"
import { MongoError, type Reason } from "./MongoError.js"

/**
 * The transaction was given up: attempts or time ran out. Nothing was committed.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Collection, Transaction } from "effect-mongo-session"
 *
 * // Nothing is committed: the whole may be tried again later.
 * export const program = Collection.make("users").deleteMany({}).pipe(
 *   Transaction.run({ timeout: "5 seconds" }),
 *   Effect.tapErrorTag("TransactionAborted", ({ attempts, reasons }) => Effect.logWarning(attempts, reasons))
 * )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class TransactionAborted extends Data.TaggedError("TransactionAborted")<{
  /** How many times the body was run. */
  readonly attempts: number
  /** The time since the first attempt began. */
  readonly elapsed: Duration.Duration
  /** The failure for which the last attempt was to be run again. */
  readonly last: unknown
  /** The reasons for which attempts were given up, the last one included, and how often each was. Default: not known. */
  readonly reasons?: ReadonlyArray<{ readonly reason: Reason; readonly count: number }> | undefined
  /** Whether it ran inside another transaction (`propagation: "requiresNew"`). Default `false`. */
  readonly nested?: boolean | undefined
  /** What is known of the conflict that the last attempt has lost. Default: it has lost none. */
  readonly conflict?: Conflict | undefined
}> {
  /** The failure of the last attempt, where loggers look for it. */
  override get cause(): unknown {
    return this.last
  }
  /** The labels of the last failure. */
  get labels(): ReadonlyArray<string> {
    return this.last instanceof MongoError ? this.last.labels : []
  }
  /** The operation that has failed last. */
  get operation(): string | undefined {
    return this.last instanceof MongoError ? this.last.operation : undefined
  }
  /** What that operation worked on. */
  get namespace(): string | undefined {
    return this.last instanceof MongoError ? this.last.namespace : undefined
  }
  override get message(): string {
    return `the transaction was given up after ${tried(this)}${counted(this.reasons)}: ${describe(this.last)}${
      describedView(this.conflict?.server)
    }`
  }
  get hint(): string {
    if (isEndedBefore(this.last)) {
      return "The server had ended the transaction before its commit. If the body swallows the failure of an operation " +
        "in the promise of a `use`, let it reject: a failed operation ends the transaction."
    }
    const hint = "Nothing was committed, so it may be run again; shorten the body, or raise `timeout` or `retry`."
    return this.nested === true
      ? `${hint} If the transaction around it had written the same documents, it could never have succeeded: that one ` +
        "waits for it. Let it join (\"required\"), or write those documents in one of the two only."
      : hint
  }
  override toJSON(): object {
    return render(this, {
      attempts: this.attempts,
      elapsed: this.elapsed,
      reasons: this.reasons,
      last: describe(this.last),
      conflict: toldOf(this.conflict)
    })
  }
}

/**
 * The answer to the commit was lost, so the transaction may or may not have happened.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Collection, Transaction } from "effect-mongo-session"
 *
 * const Orders = Collection.make("orders")
 *
 * // The id was chosen beforehand, so that the program can look whether the order is there.
 * export const order = (_id: string) =>
 *   Orders.insertOne({ _id }).pipe(
 *     Transaction.run(),
 *     Effect.catchTag("CommitUnknown", () => Orders.exists(_id))
 *   )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class CommitUnknown extends Data.TaggedError("CommitUnknown")<{
  /** How many times the body was run. */
  readonly attempts: number
  /** The time since the first attempt began. */
  readonly elapsed: Duration.Duration
  /** The failure of the last commit. */
  readonly last: MongoError
  /** Whether it may be run again all the same, as what is run once with its key. Default `false`. */
  readonly isRepeatable?: boolean | undefined
}> {
  /** The failure of the last commit, where loggers look for it. */
  override get cause(): unknown {
    return this.last
  }
  /** The labels of the last failure. */
  get labels(): ReadonlyArray<string> {
    return this.last.labels
  }
  override get message(): string {
    return `it is unknown whether the transaction was committed, after ${tried(this)}: ${this.last.message}`
  }
  get hint(): string {
    return this.isRepeatable === true
      ? "Run it again with the same key: that tells what happened, and does nothing twice."
      : "Do not simply run it again: give `verifyCommit` an effect that finds out whether it happened."
  }
  override toJSON(): object {
    return render(this, { attempts: this.attempts, elapsed: this.elapsed, last: this.last })
  }
}

/**
 * The body of the transaction succeeded although an operation in it had failed on the server, or a joined part
 * had failed after writing. Nothing was committed.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Collection, Transaction } from "effect-mongo-session"
 *
 * const Users = Collection.make("users")
 *
 * // A failure that the body ignores ends the transaction all the same.
 * export const program = Effect.ignore(Users.insertOne({ _id: 1 })).pipe(
 *   Transaction.run(),
 *   Effect.catchTag("TransactionDoomed", ({ first }) => Effect.logError("nothing is committed:", first))
 * )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class TransactionDoomed extends Data.TaggedError("TransactionDoomed")<{
  /** The failure that doomed the transaction. */
  readonly first: unknown
  /** Whether there was none: a part has asked for a rollback, and then the transaction was to be committed by hand or by `Once`. */
  readonly isRollbackOnly?: boolean | undefined
}> {
  /** The failure that doomed the transaction, where loggers look for it. */
  override get cause(): unknown {
    return this.first
  }
  override get message(): string {
    const what = this.isRollbackOnly === true ? "had asked for a rollback" : `had failed: ${describe(this.first)}`
    return `the transaction could not be committed, for a part of it ${what}`
  }
  get hint(): string {
    return this.isRollbackOnly === true
      ? "Where a part asks for a rollback, abort the transaction, or leave it to `Transaction.run`. The effect of a `Once` fails " +
        "with an error of its own instead."
      : "Let the failure leave the transaction's body: a failed operation has ended the transaction on the " +
        "server, and the writes of a failed part cannot be undone alone."
  }
  override toJSON(): object {
    return render(this, { first: describe(this.first) })
  }
}

/**
 * An operation that must run inside a transaction was run outside (`propagation: "mandatory"`).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Collection, Transaction } from "effect-mongo-session"
 *
 * // A part that makes no sense alone.
 * export const part = Collection.make("stock").updateOne({ _id: "tea" }, { $inc: { left: -1 } }).pipe(
 *   Transaction.run({ propagation: "mandatory" }),
 *   Effect.catchTag("TransactionRequired", (error) => Effect.dieMessage(error.hint))
 * )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class TransactionRequired extends Data.TaggedError("TransactionRequired")<{
  /** What was attempted. */
  readonly operation: string
}> {
  override get message(): string {
    return `${this.operation}: must run inside a transaction`
  }
  get hint(): string {
    return "Wrap the caller in `Transaction.run`, or use the propagation \"required\"."
  }
  override toJSON(): object {
    return render(this, { operation: this.operation })
  }
}

/**
 * An operation that must not run inside a transaction was run in one (`propagation: "never"`).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Transaction } from "effect-mongo-session"
 *
 * declare const sendMail: Effect.Effect<void>
 *
 * // What cannot be rolled back refuses to run in a transaction.
 * export const mail = sendMail.pipe(
 *   Transaction.run({ propagation: "never" }),
 *   Effect.catchTag("TransactionForbidden", (error) => Effect.dieMessage(error.hint))
 * )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class TransactionForbidden extends Data.TaggedError("TransactionForbidden")<{
  /** What was attempted. */
  readonly operation: string
}> {
  override get message(): string {
    return `${this.operation}: must not run inside a transaction`
  }
  get hint(): string {
    return "Move it out of the transaction, or step out of it with `Transaction.outside`."
  }
  override toJSON(): object {
    return render(this, { operation: this.operation })
  }
}

/**
 * A part would join the transaction around it, and that does not give what the part asks for by its options.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Collection, Transaction } from "effect-mongo-session"
 *
 * // A part that needs more than the transaction around it gives.
 * export const part = Collection.make("stock").countDocuments().pipe(
 *   Transaction.run({ readConcern: "snapshot" }),
 *   Effect.tapErrorTag("IncompatibleJoin", ({ options }) => Effect.logError("set around it:", options))
 * )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class IncompatibleJoin extends Data.TaggedError("IncompatibleJoin")<{
  /** The names of the options that the transaction does not meet. */
  readonly options: ReadonlyArray<string>
  /** What the part asks for by each of them, and what the transaction has; absent: it was not set. */
  readonly conflicts?:
    | ReadonlyArray<{ readonly option: string; readonly wanted: unknown; readonly found?: unknown }>
    | undefined
}> {
  override get message(): string {
    const values = this.conflicts?.map(({ found, option, wanted }) =>
      `${option} (${shown(found)}, where the part asks for ${shown(wanted)})`
    )
    return `cannot join the running transaction: it was started with other values of ${
      (values ?? this.options).join(", ")
    }`
  }
  get hint(): string {
    return "Give the outermost transaction at least what its parts ask for, leave the options to it, or use the " +
      "propagation \"requiresNew\"."
  }
  override toJSON(): object {
    return render(this, { options: this.options, conflicts: this.conflicts })
  }
}

/**
 * An operation, or an option of it, is not allowed in a transaction. Found before any IO.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Collection, Transaction } from "effect-mongo-session"
 *
 * // MongoDB counts by metadata outside of transactions only.
 * export const program = Collection.make("users").estimatedDocumentCount().pipe(
 *   Transaction.run(),
 *   Effect.tapErrorTag("InvalidInTransaction", ({ operation, option }) => Effect.logError(operation, option))
 * )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidInTransaction extends Data.TaggedError("InvalidInTransaction")<{
  /** What was attempted. */
  readonly operation: string
  /**
   * The option that is not allowed; the operation's own name if it is not allowed at all. Of `Database.command` also the
   * command, if it would end the transaction of the session, such as `commitTransaction`.
   */
  readonly option: string
  /**
   * Where the option was set: on the collection, or on the transaction, which has it from its session or its client if not of
   * its own. Default: on the operation.
   */
  readonly source?: "collection" | "transaction" | undefined
  /** What does not allow it: any session, also without a transaction, or a sandbox. Default: a transaction. */
  readonly place?: "session" | "sandbox" | undefined
}> {
  override get message(): string {
    if (isEnding(this.option)) return `${this.operation}: ${this.option} is not allowed in a session`
    return this.option === this.operation
      ? `${this.operation} is not allowed in a ${this.place ?? "transaction"}`
      : `${this.operation}: ${refusals.get(this.option) ?? `${this.option} is not allowed in a transaction`}`
  }
  get hint(): string {
    if (this.source === "transaction") {
      return `The ${this.option} is that of the transaction, which has it from its session, or from its client and the URL ` +
        `of that. Set ${this.option}: "primary" on the transaction, or for all transactions of the client: ` +
        `MongoClient.layer({ transactions: { ${this.option}: "primary" } }).`
    }
    if (this.source === "collection") {
      return `The ${this.option} is that of the collection or database. Use one without it in transactions.`
    }
    if (isEnding(this.option)) return "End transactions by `Transaction.commit` and `Transaction.abort`."
    if (this.place === "session") return "Run it in no session, with `Session.detached`."
    if (this.place === "sandbox") {
      return "Leave it out: a sandbox is always rolled back. Test what commits by hand without one, on a database of its own."
    }
    if (this.option === "isolation") {
      return "Read the documents by `find`, `findOne` or `findById` of a collection, which are locked; step out with " +
        "`Transaction.outside`; or leave `isolation` out."
    }
    if (this.option === "readPreference") {
      return "Leave it out: a transaction reads from the primary only. Read from elsewhere before or after it, or step out of " +
        "it with `Transaction.outside`."
    }
    return this.option === this.operation || this.option.startsWith("$")
      ? "Run it before or after the transaction, or step out of it with `Transaction.outside`."
      : `Set ${this.option} on the transaction instead of the operation, or leave it out.`
  }
  override toJSON(): object {
    return render(this, { operation: this.operation, option: this.option, source: this.source, place: this.place })
  }
}

/**
 * The deployment, or the session, cannot have transactions.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Collection, Transaction } from "effect-mongo-session"
 *
 * const insert = Collection.make("users").insertOne({ name: "Ada" })
 *
 * // A standalone server on a developer's machine.
 * export const program = Transaction.run(insert).pipe(
 *   Effect.catchTag("TransactionUnsupported", ({ reason }) => Effect.zipRight(Effect.logWarning(reason), insert))
 * )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class TransactionUnsupported extends Data.TaggedError("TransactionUnsupported")<{
  /** What stands in the way. */
  readonly reason: "Standalone" | "SnapshotSession"
}> {
  override get message(): string {
    return this.reason === "Standalone"
      ? "a standalone server has no transactions"
      : "transactions are not supported in snapshot sessions"
  }
  get hint(): string {
    return this.reason === "Standalone"
      ? "Run the server as a replica set (one member is enough)."
      : "Open a session without `snapshot`, and set the transaction's read concern to \"snapshot\" if need be."
  }
  override toJSON(): object {
    return render(this, { reason: this.reason })
  }
}

/**
 * A fiber forked inside a transaction's attempt used it after the attempt was over.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Collection, Transaction } from "effect-mongo-session"
 *
 * const Users = Collection.make("users")
 *
 * // A fiber that goes on after the body has ended finds the transaction closed.
 * export const program = Effect.forkDaemon(
 *   Effect.delay(Users.insertOne({ name: "Ada" }), "1 second").pipe(
 *     Effect.catchTag("TransactionEnded", ({ operation }) => Effect.logError(`${operation} is too late`))
 *   )
 * ).pipe(Transaction.run())
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class TransactionEnded extends Data.TaggedError("TransactionEnded")<{
  /** What was attempted. */
  readonly operation: string
}> {
  override get message(): string {
    return `${this.operation}: the attempt of the transaction it belongs to is over`
  }
  get hint(): string {
    return "Join fibers before the body of the transaction ends, or run them with `Transaction.outside`."
  }
  override toJSON(): object {
    return render(this, { operation: this.operation })
  }
}

const shown = (value: unknown): string =>
  value === undefined
    ? "none"
    : Duration.isDuration(value)
    ? Duration.format(value)
    : typeof value === "object" && value !== null
    ? `{ ${
      Object.entries(value).flatMap(([key, one]) => one === undefined ? [] : [`${key}: ${shown(one)}`]).join(", ")
    } }`
    : JSON.stringify(value)

// In the words of the specification "Transactions".
const refusals: ReadonlyMap<string, string> = new Map([
  ["readConcern", "cannot set read concern after starting a transaction"],
  ["writeConcern", "cannot set write concern after starting a transaction"],
  ["readPreference", "read preference in a transaction must be primary"],
  ["isolation", "what it reads cannot be locked, as the isolation \"serializable\" of its transaction asks for"]
])

// The names of the commands that end transactions, and of no option.
const isEnding = (option: string): boolean => option.endsWith("Transaction")

const tried = (error: { readonly attempts: number; readonly elapsed: Duration.Duration }): string =>
  `${error.attempts} attempt${error.attempts === 1 ? "" : "s"} in ${
    Duration.format(Duration.millis(Math.round(Duration.toMillis(error.elapsed))))
  }`

const counted = (reasons: TransactionAborted["reasons"] = []): string =>
  reasons.length < 2 ? "" : ` (${reasons.map(({ count, reason }) => `${reason} ${count}`).join(", ")})`

const isEndedBefore = (last: unknown): boolean =>
  last instanceof MongoError && last.reason === "NoSuchTransaction" && last.operation === "commitTransaction"

// a failure of the program's own may hold anything, so only what it is called is told
const describe = (failure: unknown): string => {
  if (failure instanceof MongoError) return failure.message
  if (typeof failure !== "object" || failure === null) return "a failure of the program"
  const name = "_tag" in failure ? failure._tag : failure instanceof Error ? failure.name : undefined
  return typeof name === "string" && /^[\w$/-]{1,64}$/.test(name) ? name : "a failure of the program"
}
