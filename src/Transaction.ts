/**
 * Transactions that compose: separate effects become one unit, which commits or rolls back as a whole.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Option from "effect/Option"
import type * as Schedule from "effect/Schedule"
import * as DriverTransaction from "./internal/driver/transaction.js"
import type * as MongoClient from "./internal/session/client.js"
import { type AsGiven, clientOf } from "./internal/session/client.js"
import { key } from "./internal/session/gate.js"
import { stepOut, Transaction } from "./internal/session/turn.js"
import * as Backoff from "./internal/transaction/backoff.js"
import * as Contention from "./internal/transaction/contention.js"
import * as Control from "./internal/transaction/control.js"
import * as Hooks from "./internal/transaction/hooks.js"
import {
  decodeEnd,
  type EndOptions,
  type Options,
  type Propagation,
  type SandboxOptions
} from "./internal/transaction/options.js"
import * as Parts from "./internal/transaction/part.js"
import { Report } from "./internal/transaction/report.js"
import * as Run from "./internal/transaction/run.js"
import { alone, ensureSupported, type Inside, resolve, timeoutOf } from "./internal/transaction/start.js"
import * as Session from "./Session.js"
import type { SessionMisconfigured, TransactionEnded, TransactionUnsupported } from "./SessionErrors.js"
import {
  type InvalidInTransaction,
  type ManualError,
  type SandboxError,
  type TransactionDoomed,
  type TransactionError
} from "./SessionErrors.js"
import * as TransactionOptions from "./TransactionOptions.js"

export type {
  /** The state of a session's transaction. @since 0.1.0 @category models */
  State
} from "./internal/driver/transaction.js"
export {
  /**
   * The transaction that an effect runs in: in the requirements of an effect, it must run inside one, which the compiler
   * checks.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import { Collection, Transaction } from "effect-mongo-session"
   *
   * const Audit = Collection.make("audit")
   *
   * // It compiles only inside of a transaction.
   * export const log = (what: string) => Effect.zipRight(Transaction.Transaction, Audit.insertOne({ what }))
   * export const program = log("started").pipe(Transaction.run())
   * ```
   *
   * @since 0.1.0
   * @category tags
   */
  Transaction
} from "./internal/session/turn.js"
export type {
  /** The transaction that an effect runs in. @since 0.1.0 @category models */
  Service
} from "./internal/session/turn.js"
export type {
  /** How to end a transaction by hand. @since 0.1.0 @category options */
  EndOptions,
  /** How to run a transaction. @since 0.1.0 @category options */
  Options,
  /** What `run` does with regard to a transaction around it. @since 0.1.0 @category options */
  Propagation,
  /** How to run a sandbox. @since 0.1.0 @category options */
  SandboxOptions
} from "./internal/transaction/options.js"
export type {
  /** What transactions have fought for. @since 0.1.0 @category models */
  HotKey,
  /**
   * The hottest keys of a client. As text, it is a table.
   *
   * @example
   * ```ts
   * import { Transaction } from "effect-mongo-session"
   *
   * export const hottest = ({ keys }: Transaction.Report) => keys[0]?.namespace
   * ```
   *
   * @since 0.1.0
   * @category models
   */
  Report
} from "./internal/transaction/report.js"
export type {
  /** What a sandbox has made of an effect. @since 0.1.0 @category models */
  Sandboxed
} from "./internal/transaction/run.js"
export type {
  /** What manual control of a transaction can fail with, whatever it does. @since 0.1.0 @category errors */
  ManualError
} from "./SessionErrors.js"

/**
 * The delays that the specification asks for: before the run number n of a body, counted from 0, a random part of the
 * lesser of 5 ms · 1.5ⁿ and 500 ms. Endless; combine it with `Schedule.recurs` to limit the attempts.
 *
 * See the specification "Convenient API for Transactions".
 *
 * @example
 * ```ts
 * import { Schedule } from "effect"
 * import { Collection, Transaction } from "effect-mongo-session"
 *
 * const Users = Collection.make("users")
 *
 * export const atMostFiveTimes = Users.deleteMany({}).pipe(
 *   Transaction.run({ retry: Schedule.intersect(Transaction.backoff, Schedule.recurs(4)) })
 * )
 * ```
 *
 * @since 0.1.0
 * @category options
 */
export const backoff: Schedule.Schedule<number> = Backoff.specification

/**
 * {@link backoff}, for what others do. A body that loses a conflict to another transaction of the same client waits for that
 * one instead, and for those that were there before: first come, first served for each document. So they do not fight. The
 * default of `retry`.
 *
 * A document is known by the filter of `updateOne`, `findOneAndUpdate` and the like: by its `_id`, or by the values of other
 * fields. Nobody waits who has something open on the server, nor for longer than 5 seconds at a time, and where there are no
 * conflicts, nothing is kept. Transactions inside of others do not wait. Used inside of another schedule, this is
 * {@link backoff}.
 *
 * See the manual, "In-progress Transactions and Write Conflicts".
 *
 * @example
 * ```ts
 * import * as Transaction from "effect-mongo-session/Transaction"
 * import * as Effect from "effect/Effect"
 *
 * declare const transfer: Effect.Effect<void>
 *
 * const waiting = Transaction.run(transfer, { retry: Transaction.queued })
 * // As the specification says, also where all conflicts are this client's own.
 * const fighting = Transaction.run(transfer, { retry: Transaction.backoff })
 *
 * export const both = Effect.all([waiting, fighting])
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const queued: Schedule.Schedule<number> = Backoff.queued

type Chosen<P extends Propagation | undefined> = P extends Propagation ? P : "required"

// What an effect still needs: where it may run without a transaction, what it needs of one stays.
type Remaining<R, P extends Propagation | undefined> = "never" extends P ? Exclude<R, Session.Session> : Inside<R>

interface Fixed<P extends Propagation> {
  readonly propagation: P
}

/**
 * Runs an effect in a transaction of the ambient session, or of a session that is opened for it: everything that the
 * effect does in that session takes effect together when the effect succeeds, or not at all.
 *
 * The effect is the body of the transaction. `run` retries the body from its beginning after a transient failure, such as a
 * write conflict or a lost primary, also when the body has wrapped, mapped or swallowed the failure. Other side effects of the
 * body must therefore be repeatable, or belong in {@link onCommit}. The body's own failures roll back and are passed on
 * unchanged. An interruption waits for the running operation, and rolls back.
 *
 * A failed operation ends the transaction on the server. Later operations of the same attempt are refused before they are sent:
 * with `TransactionDoomed`, or with the failure itself when `run` retries the body for it.
 *
 * Operations of the body run one at a time, from however many fibers; operations of others in the session wait until the
 * transaction is over. A fiber that is still running after the body has ended finds the transaction closed
 * (`TransactionEnded`); where it ran a part of the transaction that has begun an operation, the transaction is rolled back
 * (`TransactionDoomed`).
 *
 * Fails with `SessionMisconfigured`, `ForeignSession` or `TransactionEnded` before anything is sent. A run that starts a
 * transaction also fails with `TransactionUnsupported`; with every error of opening and using a session; with
 * `TransactionAborted` when attempts or time ran out; with `TransactionDoomed` when the body succeeded although an operation in
 * it had failed; with `CommitUnknown` when the result of the commit is not known; and with `MongoError` when the server refused
 * the commit. `IncompatibleJoin`, `TransactionRequired` and `TransactionForbidden` depend on the {@link Propagation}; the type
 * contains only the errors of the given one.
 *
 * See the specifications "Transactions" and "Convenient API for Transactions".
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Collection, Transaction } from "effect-mongo-session"
 *
 * const Accounts = Collection.make("accounts")
 * const add = (_id: string, cents: number) => Accounts.updateOne({ _id }, { $inc: { cents } })
 *
 * export const transfer = (from: string, to: string, cents: number) =>
 *   Effect.zipRight(add(from, -cents), add(to, cents)).pipe(Transaction.run({ timeout: "10 seconds" }))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
// Of four forms that a call does not fit the compiler tells what is wrong with the last only, and of fewer it tells of
// all, at the call: hence the order, and the forms for two propagations that the last one has, too.
export const run: {
  <A, E, R, Client = MongoClient.MongoClient, VR = never, OR = never, P extends Propagation | undefined = "required">(
    effect: Effect.Effect<A, E, R>,
    options?: Options<Client, VR, OR, P>
  ): Effect.Effect<A, E | TransactionError<Chosen<P>>, AsGiven<Client | VR | OR> | Remaining<R, P>>
  <Client = MongoClient.MongoClient, VR = never, OR = never>(
    options: Options<Client, VR, OR> & Fixed<"never">
  ): <A, E, R>(
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | TransactionError<"never">, AsGiven<Client | VR | OR> | Exclude<R, Session.Session>>
  <Client = MongoClient.MongoClient, VR = never, OR = never>(
    options: Options<Client, VR, OR> & Fixed<"mandatory">
  ): <A, E, R>(
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | TransactionError<"mandatory">, AsGiven<Client | VR | OR> | Inside<R>>
  <Client = MongoClient.MongoClient, VR = never, OR = never, P extends Propagation | undefined = "required">(
    options?: Options<Client, VR, OR, P>
  ): <A, E, R>(
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | TransactionError<Chosen<P>>, AsGiven<Client | VR | OR> | Remaining<R, P>>
} = dual((args) => Effect.isEffect(args[0]), Run.run)

/**
 * Runs an effect in a transaction that is always rolled back: for tests that leave nothing behind. All is real but the
 * commit: operations, retries, `beforeCommit`. Nothing of it is seen outside, and nothing outside sees it.
 *
 * Inside another transaction it opens a session of its own. What would be a transaction of its own inside of it
 * (`requiresNew`) joins it; `Transaction.commit` is refused with `InvalidInTransaction`. {@link outside} steps out of it.
 *
 * Fails as {@link run} does.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Collection, Transaction } from "effect-mongo-session"
 *
 * const Users = Collection.make("users")
 *
 * // The count includes what was inserted; the database has nothing of it afterwards.
 * export const test = Effect.zipRight(Users.insertOne({ name: "Ada" }), Users.countDocuments()).pipe(
 *   Transaction.sandbox()
 * )
 * ```
 *
 * @since 0.1.0
 * @category testing
 */
// In four forms for the sake of what the compiler tells, as `run` is.
export const sandbox: {
  <A, E, R, OR = never>(
    effect: Effect.Effect<A, E, R>,
    options?: SandboxOptions<MongoClient.MongoClient, OR>
  ): Effect.Effect<Run.Sandboxed<A>, E | SandboxError, MongoClient.MongoClient | AsGiven<OR> | Inside<R>>
  <A, E, R, Client = MongoClient.MongoClient, OR = never>(
    effect: Effect.Effect<A, E, R>,
    options?: SandboxOptions<Client, OR>
  ): Effect.Effect<Run.Sandboxed<A>, E | SandboxError, AsGiven<Client | OR> | Inside<R>>
  <OR = never>(
    options?: SandboxOptions<MongoClient.MongoClient, OR>
  ): <A, E, R>(
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<Run.Sandboxed<A>, E | SandboxError, MongoClient.MongoClient | AsGiven<OR> | Inside<R>>
  <Client = MongoClient.MongoClient, OR = never>(
    options?: SandboxOptions<Client, OR>
  ): <A, E, R>(
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<Run.Sandboxed<A>, E | SandboxError, AsGiven<Client | OR> | Inside<R>>
} = dual((args) => Effect.isEffect(args[0]), Run.sandbox)

/**
 * Puts an effect off until the body has succeeded, just before the commit. It runs inside of the transaction and may
 * write. When it fails, nothing is committed and the run fails with `TransactionDoomed`, or is repeated when the failure
 * may go away. When the transaction's `timeout` expires in it, the run fails with `TransactionAborted`.
 *
 * Hooks run in the order in which they were registered, each once; those of an attempt that is run again are dropped, and
 * so are those of a joined part that has failed. Fails with `TransactionEnded` when the body has ended, and as soon as a commit
 * by hand has run the others, also while that waits for its turn.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Collection, Transaction } from "effect-mongo-session"
 *
 * const Orders = Collection.make("orders")
 * const Audit = Collection.make("audit")
 *
 * // The entry is written last, in the same transaction.
 * export const order = (sku: string) =>
 *   Transaction.beforeCommit(Audit.insertOne({ ordered: sku })).pipe(
 *     Effect.zipRight(Orders.insertOne({ sku })),
 *     Transaction.run()
 *   )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const beforeCommit = <A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<void, TransactionEnded, Transaction | R> =>
  Effect.flatMap(part, (part) => Hooks.register(part, "beforeCommit", effect))

/**
 * Puts an effect off until the transaction is committed. It runs outside of the transaction when the session is free
 * again, so that it may use the session, and can't be interrupted: an interruption
 * waits for it, for at most the session's `settleTimeout`; then it goes on by itself. When it fails, that is logged and counted; the
 * transaction stays committed.
 *
 * Hooks run in the order in which they were registered, each once; those of an attempt that is run again are dropped, and
 * so are those of a joined part that has failed. None runs when it is not known whether the transaction was committed.
 * Fails with `TransactionEnded` when the body has ended.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Collection, Transaction } from "effect-mongo-session"
 *
 * const Users = Collection.make("users")
 *
 * export const register = (name: string) =>
 *   Users.insertOne({ name }).pipe(
 *     Effect.zipLeft(Transaction.onCommit(Effect.log(`welcome, ${name}`))),
 *     Transaction.run()
 *   )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const onCommit = <A, E, R>(
  effect: [Transaction] extends [R] ? never : Effect.Effect<A, E, R>
): Effect.Effect<void, TransactionEnded, Transaction | R> =>
  Effect.flatMap(part, (part) => Hooks.register<A, E, R>(part, "onCommit", effect))

/**
 * Puts an effect off until the transaction is rolled back, for whatever reason; or until its outcome is known, if it was
 * registered by a joined part that has failed. It runs as one of {@link onCommit} does.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Collection, Transaction } from "effect-mongo-session"
 *
 * const Files = Collection.make("files")
 * declare const removeUpload: (path: string) => Effect.Effect<void>
 *
 * export const upload = (path: string) =>
 *   Transaction.onRollback(removeUpload(path)).pipe(
 *     Effect.zipRight(Files.insertOne({ path })),
 *     Transaction.run()
 *   )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const onRollback = <A, E, R>(
  effect: [Transaction] extends [R] ? never : Effect.Effect<A, E, R>
): Effect.Effect<void, TransactionEnded, Transaction | R> =>
  Effect.flatMap(part, (part) => Hooks.register<A, E, R>(part, "onRollback", effect))

/**
 * Asks for the transaction to be rolled back at its end, whatever its body's result, which is returned all the same.
 * Fails with `TransactionEnded` when the body has ended.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Collection, Transaction } from "effect-mongo-session"
 *
 * const Users = Collection.make("users")
 *
 * // How many it would delete.
 * export const dryRun = Users.deleteMany({ active: false }).pipe(
 *   Effect.zipLeft(Transaction.rollbackOnly),
 *   Transaction.run()
 * )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const rollbackOnly: Effect.Effect<void, TransactionEnded, Transaction> = Effect.suspend(() =>
  Effect.flatMap(part, (part) =>
    Effect.zipRight(
      Parts.ensureOpen(part, "Transaction.rollbackOnly"),
      Effect.sync(() => part.of.rollBack())
    ))
)

/**
 * Runs an effect outside of the transaction that it is in: it finds neither the transaction nor its session, so that its
 * operations take effect at once and stay, whatever becomes of the transaction. Without a transaction it changes nothing.
 *
 * The transaction stays open meanwhile and waits: an operation on a document that it has written would wait for it in turn,
 * until the server aborts the transaction. That is logged as a warning after 5 seconds. It holds for a transaction of its own
 * (`requiresNew`), too.
 *
 * A session that is passed along all the same is refused with `SessionBusy` while the transaction holds it. An effect that
 * needs the session or the transaction can't step out, so it does not type-check.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Collection, Transaction } from "effect-mongo-session"
 *
 * const Logins = Collection.make("logins")
 * const Attempts = Collection.make("attempts")
 *
 * // The attempt stays, also when the transaction is rolled back.
 * export const login = Effect.zipRight(
 *   Transaction.outside(Attempts.insertOne({ at: new Date() })),
 *   Logins.insertOne({ at: new Date() })
 * ).pipe(Transaction.run())
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const outside = <A, E, R>(
  effect: [Extract<R, Session.Session | Transaction>] extends [never] ? Effect.Effect<A, E, R> : never
): Effect.Effect<A, E, R> =>
  Effect.flatMap(Effect.serviceOption(Session.Session), (session) => {
    const gate = Option.getOrUndefined(session)?.[key]
    return Effect.flatMap(gate === undefined ? Effect.succeed(undefined) : Run.partIn(gate), (part) =>
      part === undefined
        ? Effect.mapInputContext<A, E, R, R>(effect, (context) => stepOut(context))
        : alone<A, E, R>(effect))
  })

/**
 * Starts a transaction in the ambient session by hand; every operation in the session then belongs to it, until
 * {@link commit} or {@link abort}. Nothing is sent. `timeout` limits the commit, and likewise the abort; the session's own
 * `timeout` limits the operations.
 *
 * {@link run} needs none of this, and retries. A run inside joins the transaction. When the session is released, an open
 * transaction is aborted.
 *
 * Fails with `SessionMisconfigured` and `TransactionUnsupported`, with what using a session can fail with, and with
 * `MongoError` (`TransactionMisuse`) when a transaction is in progress already.
 *
 * See the specification "Transactions", section "startTransaction".
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Collection, Session, Transaction } from "effect-mongo-session"
 *
 * const Users = Collection.make("users")
 *
 * export const program = Effect.gen(function*() {
 *   yield* Transaction.start({ readConcern: "snapshot" })
 *   yield* Users.insertOne({ name: "Ada" })
 *   yield* Transaction.commit
 * }).pipe(Session.scoped())
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const start = (
  options?: TransactionOptions.TransactionOptions
): Effect.Effect<void, ManualError | SessionMisconfigured | TransactionUnsupported, Session.Session> =>
  Effect.gen(function*() {
    const decoded = yield* TransactionOptions.decode(options)
    const session = yield* Session.Session
    yield* ensureSupported(session) ?? Effect.void
    const timeout = timeoutOf(decoded, session)
    yield* Control.start(session[key], session.client, resolve(decoded, session, timeout), timeout)
  })

/**
 * Commits the transaction of the ambient session by hand. When a failure has the label `UnknownTransactionCommitResult`,
 * it is not known whether it happened, and the program may commit again. In the body of {@link run}, the run then returns the
 * result of the body.
 *
 * Fails with what using a session can fail with; with `MongoError` (`TransactionMisuse`) when there is no transaction, or
 * it was aborted; with `TransactionDoomed` when a part of it had failed after writing or has asked for a rollback, when a hook has
 * failed, or when one could not run for a failure before; with `InvalidInTransaction` in a sandbox. Its hooks and its wait for the session can be interrupted; then it was not sent, and it
 * can be done again, with the hooks that have not run. An interruption waits for what it sends, for at
 * most 5 seconds: then the result is unknown.
 *
 * See the specification "Transactions", section "commitTransaction".
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Transaction } from "effect-mongo-session"
 *
 * // Once more, if the first answer was lost.
 * export const commit = Transaction.commit.pipe(
 *   Effect.retry({
 *     times: 1,
 *     while: (error) => error._tag === "MongoError" && error.labels.includes("UnknownTransactionCommitResult")
 *   })
 * )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const commit: Effect.Effect<
  void,
  ManualError | TransactionDoomed | InvalidInTransaction,
  Session.Session
> = Effect.flatMap(Session.Session, (session) => Control.commit(session[key], session.client))

/**
 * Aborts the transaction of the ambient session by hand. A failure of the server is ignored: what was lost or refused is sent again, if
 * need be in the background. In the body of {@link run}, the run then returns the result of the body; a part of it that is
 * still running finds it closed (`TransactionEnded`).
 *
 * Fails with what using a session can fail with, and with `MongoError` (`TransactionMisuse`) when there is no transaction,
 * or it has ended. An interruption waits for what it sends, for at most 5 seconds: then it goes on in the
 * background.
 *
 * See the specification "Transactions", section "abortTransaction".
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Collection, Transaction } from "effect-mongo-session"
 *
 * const Users = Collection.make("users")
 *
 * export const insertOrAbort = Transaction.start().pipe(
 *   Effect.zipRight(Users.insertOne({ name: "Ada" })),
 *   Effect.zipRight(Transaction.commit),
 *   Effect.tapError(() => Transaction.abort)
 * )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const abort: Effect.Effect<void, ManualError, Session.Session> = Effect.flatMap(
  Session.Session,
  (session) => Control.abort(session[key], session.client)
)

/**
 * {@link commit} with its own time limit, instead of the limit of the transaction or the session. A commit that takes longer fails
 * with `MongoError` (`TimedOut`) and the label `UnknownTransactionCommitResult`: its result is not known.
 *
 * Also fails with `SessionMisconfigured` for an invalid time or an unknown option, and with `InvalidInTransaction` in the body of
 * {@link run}, whose own limit is in force.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Transaction } from "effect-mongo-session"
 *
 * export const isCommitted = Transaction.commitWith({ timeout: "2 seconds" }).pipe(
 *   Effect.as(true),
 *   Effect.catchTag("MongoError", (error) => Effect.as(Effect.logWarning(error.message), false))
 * )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const commitWith = (options: EndOptions): Effect.Effect<
  void,
  ManualError | SessionMisconfigured | TransactionDoomed | InvalidInTransaction,
  Session.Session
> =>
  Effect.flatMap(
    Effect.zip(decodeEnd(options), Session.Session),
    ([{ timeout }, session]) => Control.commit(session[key], session.client, timeout)
  )

/**
 * {@link abort} with its own time limit, instead of the limit of the transaction or the session. An abort that takes longer
 * does not fail: it goes on in the background.
 *
 * Also fails with `SessionMisconfigured` for an invalid time or an unknown option, and with `InvalidInTransaction` in the body of
 * {@link run}, whose own limit is in force.
 *
 * @example
 * ```ts
 * import { Transaction } from "effect-mongo-session"
 *
 * // What is not aborted within the second is aborted in the background.
 * export const giveUp = Transaction.abortWith({ timeout: "1 second" })
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const abortWith = (options: EndOptions): Effect.Effect<
  void,
  ManualError | SessionMisconfigured | InvalidInTransaction,
  Session.Session
> =>
  Effect.flatMap(
    Effect.zip(decodeEnd(options), Session.Session),
    ([{ timeout }, session]) => Control.abortWithin(session[key], session.client, timeout)
  )

/**
 * The state of the ambient session's transaction.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Transaction } from "effect-mongo-session"
 *
 * export const isInProgress = Effect.map(Transaction.state, (state) => state === "inProgress")
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const state: Effect.Effect<DriverTransaction.State, never, Session.Session> = Effect.map(
  Session.Session,
  (session) => DriverTransaction.stateOf(session[key].session)
)

/**
 * The keys for which transactions of a client have lost the most conflicts: 256 at most, since the client was made. Printed
 * as text, the report is a table. It tells values only with the client's option `conflicts.values`.
 *
 * @example
 * ```ts
 * import { Effect, Schedule } from "effect"
 * import { Transaction } from "effect-mongo-session"
 *
 * // Every minute, what transactions fight for.
 * export const reporting = Effect.repeat(
 *   Effect.flatMap(Transaction.report(), (report) => Effect.logInfo(String(report))),
 *   Schedule.spaced("1 minute")
 * )
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const report = <Client = MongoClient.MongoClient>(
  options?: MongoClient.ClientOption<Client>
): Effect.Effect<Report, never, AsGiven<Client>> =>
  Effect.map(clientOf(options), ({ driver }) => new Report(Contention.of(driver).hotKeys))

const part: Effect.Effect<Parts.Part, never, Transaction> = Effect.flatMap(
  Transaction,
  (service) =>
    service instanceof Parts.Part
      ? Effect.succeed(service)
      : Effect.dieMessage("the service Transaction was not provided by Transaction.run")
)
