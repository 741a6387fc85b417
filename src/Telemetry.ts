/**
 * The names of everything that this library reports about itself, and the metrics behind them. The page
 * `docs/telemetry.md` explains each of them.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Metric from "effect/Metric"
import { conventional, counter, gauge, seconds } from "./internal/telemetry/metrics.js"
import type { Reason } from "./MongoError.js"

export * from "./internal/telemetry/driverMetrics.js"

/**
 * Sessions open at this moment, over all clients of the process.
 *
 * @example
 * ```ts
 * import { Effect, Metric } from "effect"
 * import { Telemetry } from "effect-mongo-session"
 *
 * export const program = Effect.flatMap(
 *   Metric.value(Telemetry.sessionsOpen),
 *   ({ value }) => Effect.log(`${value} sessions are open`)
 * )
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export const sessionsOpen: Metric.Metric.Gauge<number> = gauge(
  "mongo.session.open",
  "{session}",
  "Sessions open at this moment"
)

/**
 * Sessions refreshed by the keep-alive.
 *
 * @example
 * ```ts
 * import { Effect, Metric } from "effect"
 * import { Telemetry } from "effect-mongo-session"
 *
 * export const refreshed = Effect.map(Metric.value(Telemetry.sessionsRefreshed), ({ count }) => count)
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export const sessionsRefreshed: Metric.Metric.Counter<number> = counter(
  "mongo.session.refreshed",
  "{session}",
  "Sessions refreshed by the keep-alive"
)

/**
 * `refreshSessions` commands of the keep-alive that failed.
 *
 * @example
 * ```ts
 * import { Effect, Metric } from "effect"
 * import { Telemetry } from "effect-mongo-session"
 *
 * export const isHealthy = Effect.map(Metric.value(Telemetry.refreshFailures), ({ count }) => count === 0)
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export const refreshFailures: Metric.Metric.Counter<number> = counter(
  "mongo.session.refresh.failures",
  "{command}",
  "refreshSessions commands that failed"
)

/**
 * Sessions that were idle for longer than the server keeps them.
 *
 * @example
 * ```ts
 * import { Effect, Metric } from "effect"
 * import { Telemetry } from "effect-mongo-session"
 *
 * // More than none: a session is held for longer than the server keeps it.
 * export const lapsed = Effect.map(Metric.value(Telemetry.sessionsLapsed), ({ count }) => count)
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export const sessionsLapsed: Metric.Metric.Counter<number> = counter(
  "mongo.session.lapsed",
  "{session}",
  "Sessions idle for longer than the server keeps them"
)

/**
 * Sessions that were still open when their client closed.
 *
 * @example
 * ```ts
 * import { Effect, Metric } from "effect"
 * import { Telemetry } from "effect-mongo-session"
 *
 * // At the end of a test, when its client is closed.
 * export const noneIsLeft = Effect.map(Metric.value(Telemetry.sessionsLeaked), ({ count }) => count === 0)
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export const sessionsLeaked: Metric.Metric.Counter<number> = counter(
  "mongo.session.leaked",
  "{session}",
  "Sessions still open when their client closed"
)

/**
 * Operations that had not settled in time after they were interrupted.
 *
 * @example
 * ```ts
 * import { Effect, Metric } from "effect"
 * import { Telemetry } from "effect-mongo-session"
 *
 * export const alarm = Effect.flatMap(
 *   Metric.value(Telemetry.operationsUnsettled),
 *   ({ count }) => count > 0 ? Effect.logWarning("the network holds operations back") : Effect.void
 * )
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export const operationsUnsettled: Metric.Metric.Counter<number> = counter(
  "mongo.session.unsettled",
  "{operation}",
  "Interrupted operations that had not settled in time"
)

/**
 * How long operations waited for their turn in a session or transaction, whether it came or they gave up. Those whose turn it
 * was at once are not in it.
 *
 * @example
 * ```ts
 * import { Effect, Metric } from "effect"
 * import { Telemetry } from "effect-mongo-session"
 *
 * // Long waits: too much shares one session.
 * export const meanWait = Effect.map(Metric.value(Telemetry.laneWait), ({ count, sum }) => sum / count)
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export const laneWait: Metric.Metric.Histogram<number> = seconds(
  "mongo.session.lane.wait",
  conventional,
  "Waits of operations for their turn"
)

/**
 * Transactions that have ended, by `outcome`. What ends by hand counts as it ended.
 *
 * @example
 * ```ts
 * import { Effect, Metric } from "effect"
 * import { Telemetry } from "effect-mongo-session"
 *
 * const outcome: Telemetry.TransactionOutcome = "unknown"
 *
 * export const unknown = Effect.map(
 *   Metric.value(Metric.tagged(Telemetry.transactions, "outcome", outcome)),
 *   ({ count }) => count
 * )
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export const transactions: Metric.Metric.Counter<number> = counter(
  "mongo.session.transactions",
  "{transaction}",
  "Transactions that have come to their end"
)

/**
 * How long transactions were open on the server, by `outcome`: each attempt from its start to the end of its commit or
 * abort. An attempt after which the body is run again has the outcome `retried`.
 *
 * The server gives a transaction up after 60 seconds (its parameter `transactionLifetimeLimitSeconds`).
 *
 * @example
 * ```ts
 * import { Effect, Metric } from "effect"
 * import { Telemetry } from "effect-mongo-session"
 *
 * const committed = Metric.tagged(Telemetry.transactionDuration, "outcome", "committed")
 *
 * export const longest = Effect.map(Metric.value(committed), ({ max }) => `${max} s`)
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export const transactionDuration: Metric.Metric.Histogram<number> = seconds(
  "mongo.session.transaction.duration",
  [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 120],
  "How long transactions were open"
)

/**
 * Transactions that were open for long: for half of the time that the server gives them, or for as long as the option
 * `warnings.age` says. With `false` there, they do not count.
 *
 * @example
 * ```ts
 * import { Effect, Metric } from "effect"
 * import { Telemetry } from "effect-mongo-session"
 *
 * export const areShort = Effect.map(Metric.value(Telemetry.longTransactions), ({ count }) => count === 0)
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export const longTransactions: Metric.Metric.Counter<number> = counter(
  "mongo.session.transaction.long",
  "{transaction}",
  "Transactions open for long"
)

/**
 * Runs of a transaction's body, or of its commit, that are repeated; by `label`, the error label that allows it, and
 * `step`, `body` or `commit`.
 *
 * @example
 * ```ts
 * import { Effect, Metric } from "effect"
 * import { Telemetry } from "effect-mongo-session"
 *
 * // What contention costs.
 * const retries = Telemetry.transactionRetries.pipe(
 *   Metric.tagged("label", "TransientTransactionError"),
 *   Metric.tagged("step", "body")
 * )
 *
 * export const bodies = Effect.map(Metric.value(retries), ({ count }) => count)
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export const transactionRetries: Metric.Metric.Counter<number> = counter(
  "mongo.session.transaction.retries",
  "{retry}",
  "Repeated runs of a transaction's body or commit"
)

/**
 * Conflicts that transactions have lost, by what they were about: database, collection and operation. Each that is lost
 * counts, whether the body is run again or not.
 *
 * @example
 * ```ts
 * import { Effect, Metric } from "effect"
 * import { Telemetry } from "effect-mongo-session"
 *
 * const stock = Telemetry.transactionConflicts.pipe(
 *   Metric.tagged("db.namespace", "shop"),
 *   Metric.tagged("db.collection.name", "stock"),
 *   Metric.tagged("db.operation.name", "update")
 * )
 *
 * export const lost = Effect.map(Metric.value(stock), ({ count }) => count)
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export const transactionConflicts: Metric.Metric.Counter<number> = counter(
  "mongo.session.transaction.conflicts",
  "{conflict}",
  "Conflicts that transactions have lost"
)

/**
 * Hooks of transactions that failed, by `moment`.
 *
 * @example
 * ```ts
 * import { Effect, Metric } from "effect"
 * import { Telemetry } from "effect-mongo-session"
 *
 * // A hook that fails undoes nothing: it is seen here and in the log only.
 * const ofCommits = Metric.tagged(Telemetry.hookFailures, "moment", "onCommit")
 *
 * export const failures = Effect.map(Metric.value(ofCommits), ({ count }) => count)
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export const hookFailures: Metric.Metric.Counter<number> = counter(
  "mongo.session.transaction.hook.failures",
  "{hook}",
  "Hooks of transactions that failed"
)

/**
 * Change streams that were resumed after a failure, by its `reason`.
 *
 * @example
 * ```ts
 * import { Effect, Metric } from "effect"
 * import { Telemetry } from "effect-mongo-session"
 *
 * const lost = Metric.tagged(Telemetry.streamsResumed, "reason", "NetworkError")
 *
 * export const resumed = Effect.map(Metric.value(lost), ({ count }) => count)
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export const streamsResumed: Metric.Metric.Counter<number> = counter(
  "mongo.session.changestream.resumed",
  "{stream}",
  "Change streams that were resumed after a failure"
)

/**
 * How a transaction ended, as the tag `outcome` of {@link transactions}.
 *
 * - `committed`
 * - `rolledBack`: the body failed, was interrupted, or asked for it
 * - `aborted`: given up, for attempts or time ran out
 * - `doomed`: the body succeeded although a part of it had failed
 * - `unknown`: it may have been committed
 *
 * @since 0.1.0
 * @category models
 */
export type TransactionOutcome = "committed" | "rolledBack" | "aborted" | "doomed" | "unknown"

/**
 * A transaction, or its commit, is about to be run again.
 *
 * @since 0.1.0
 * @category models
 */
export interface Retry {
  /** The attempt that has failed, counted from 1. */
  readonly attempt: number
  /** What is run again: the whole body, or the commit alone. */
  readonly step: "body" | "commit"
  /** Why it had failed. */
  readonly reason: Reason
  /** The error label that allows to run it again, be it the driver's or one that the specification asks for. */
  readonly label: "TransientTransactionError" | "UnknownTransactionCommitResult"
  /** The time until it is run again. */
  readonly delay: Duration.Duration
  /** The time since the first attempt began. */
  readonly elapsed: Duration.Duration
}

/**
 * The names of spans. Those of operations are made of the operation and what it works on: `find shop.users`. Those of
 * commands are the names of the commands.
 *
 * @example
 * ```ts
 * import { Telemetry } from "effect-mongo-session"
 *
 * // For a sampler that leaves out what nobody waits for.
 * export const isInBackground = (name: string) => name === Telemetry.spans.keepAlive
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export const spans = {
  transaction: "transaction",
  keepAlive: "keepAlive"
} as const

/**
 * The names of events in the span of a transaction: {@link TransactionOutcome} at its end, and these.
 *
 * @example
 * ```ts
 * import { Telemetry } from "effect-mongo-session"
 *
 * export const isRetried = (span: { readonly events: ReadonlyArray<{ readonly name: string }> }) =>
 *   span.events.some(({ name }) => name === Telemetry.events.retry)
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export const events = {
  retry: "retry",
  long: "long",
  manyDocuments: "manyDocuments",
  manyOperations: "manyOperations",
  manyBytes: "manyBytes",
  conflict: "conflict",
  others: "others"
} as const

/**
 * The names of attributes of spans, and of their events. Most are those of OpenTelemetry's conventions.
 *
 * @example
 * ```ts
 * import { Telemetry } from "effect-mongo-session"
 *
 * // For an exporter that must not tell the names of collections.
 * export const withoutCollection = ({ [Telemetry.attributes.collection]: _, ...rest }: Readonly<Record<string, unknown>>) =>
 *   rest
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export const attributes = {
  system: "db.system.name",
  namespace: "db.namespace",
  collection: "db.collection.name",
  operation: "db.operation.name",
  operationSummary: "db.operation.summary",
  command: "db.command.name",
  querySummary: "db.query.summary",
  queryText: "db.query.text",
  statusCode: "db.response.status_code",
  errorType: "error.type",
  exceptionType: "exception.type",
  exceptionMessage: "exception.message",
  exceptionStacktrace: "exception.stacktrace",
  transport: "network.transport",
  serverAddress: "server.address",
  serverPort: "server.port",
  serverType: "server.type",
  serverConnection: "db.mongodb.server_connection_id",
  driverConnection: "db.mongodb.driver_connection_id",
  cursor: "db.mongodb.cursor_id",
  lsid: "db.mongodb.lsid",
  txnNumber: "db.mongodb.txn_number",
  sessions: "mongo.session.count",
  attempt: "attempt",
  label: "label",
  reason: "reason",
  step: "step"
} as const

/**
 * The messages in the log.
 *
 * @example
 * ```ts
 * import { Logger } from "effect"
 * import { Telemetry } from "effect-mongo-session"
 *
 * // A logger for what should wake somebody up.
 * export const alarms = Logger.make(({ message }) => {
 *   const [text] = Array.isArray(message) ? message : [message]
 *   if (text === Telemetry.messages.historyLost) globalThis.console.error("alarm:", text)
 * })
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export const messages = {
  unsettled: "an interrupted operation has not settled in time; if it ran in a session, that is broken",
  lapsed: "sessions were idle for longer than the server keeps them",
  refreshFailed: "sessions could not be refreshed",
  leaked: "sessions were still open when their client closed",
  closingFailed: "a step of closing did not succeed",
  leftTransaction: "a session is opened inside a transaction: what runs in it is not part of the transaction",
  afterEnd: "an operation follows in a transaction that its body has ended by hand: it takes effect at once",
  outside: "an operation outside of an open transaction takes long, and the transaction waits for it",
  unused: "a use has not used its session",
  waiting: "waited more than 10s for the session; what runs inside the promise of a use of it waits for itself",
  retried: "a transaction is run again",
  long: "a transaction is open for long",
  manyDocuments: "a transaction writes many documents",
  manyOperations: "a transaction has many operations",
  manyBytes: "a transaction writes many bytes",
  hookFailed: "a hook of a transaction failed",
  verificationFailed: "it could not be verified whether a transaction was committed",
  commitUnknown: "a transaction was interrupted, and it is not known whether it was committed",
  abortFailed: "a transaction could not be aborted",
  streamResumed: "a change stream is resumed",
  skipped: "a message or an event that cannot be handled is left out",
  setAside: "a message or an event that cannot be handled is set aside",
  historyLost: "the oplog no longer reaches back to where a consumer or a relay was",
  untraced: "commands of a client could not be traced as they are",
  streamChanged: "a consumer goes on with another stream or pipeline than before",
  keysStay: "the keys of what is run once stay, for they have no index to expire by"
} as const
