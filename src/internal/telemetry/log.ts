/**
 * Log messages and the counters that go with them. None of it can fail, and nothing depends on it.
 */
import * as Arr from "effect/Array"
import type * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import type * as Metric from "effect/Metric"
import * as MetricLabel from "effect/MetricLabel"
import type * as Tracer from "effect/Tracer"
import type { Reason } from "../../MongoError.js"
import * as Telemetry from "../../Telemetry.js"
import type { RunningFiber } from "../time/fiber.js"
import { type Conflict, safeName, type ServerView } from "../values/conflicts.js"
import { type OperationName, operationOf } from "./names.js"
import * as Spans from "./spans.js"

/** Tags of a metric. Passing the same object each time avoids a lookup. */
export type Labels = ReadonlyArray<MetricLabel.MetricLabel>

/** Tags of a metric, to be kept. */
export const labels = (tags: Readonly<Record<string, string>>): Labels =>
  Object.entries(tags).map(([name, value]) => MetricLabel.make(name, value))

const none: Labels = []

/** Updates a metric, with the tags that a fiber gives to all of its metrics. */
export const update = <Type>(
  fiber: RunningFiber,
  metric: Metric.Metric<Type, number, unknown>,
  value: number,
  own: Labels = none
): void => {
  const around = fiber.getFiberRef(FiberRef.currentMetricLabels)
  metric.unsafeUpdate(value, around.length === 0 ? own : Arr.appendAll(own, around))
}

const count = <Type>(metric: Metric.Metric<Type, number, unknown>, value = 1, own?: Labels): Effect.Effect<void> =>
  Effect.withFiberRuntime((fiber) => {
    update(fiber, metric, value, own)
    return Effect.void
  })

/** Counts a session that opens or closes, wherever it does, so that the sum is right. */
export const sessionsOpen = (change: 1 | -1): void => void Telemetry.sessionsOpen.unsafeModify(change, none)

/** Counts and logs an operation that had not settled within `settleTimeout` after its interruption. */
export const unsettled = (
  { operation, settleTimeout: waited }: { readonly operation: string; readonly settleTimeout: Duration.Duration }
): Effect.Effect<void> =>
  Effect.zipRight(
    count(Telemetry.operationsUnsettled),
    Effect.annotateLogs(Effect.logError(Telemetry.messages.unsettled), { operation, waited: Duration.format(waited) })
  )

/** Counts sessions that were refreshed. */
export const refreshed = (sessions: number): Effect.Effect<void> => count(Telemetry.sessionsRefreshed, sessions)

/** Counts and logs sessions that were idle for longer than the server keeps them. */
export const lapsed = (sessions: number, timeout: Duration.Duration): Effect.Effect<void> =>
  Effect.zipRight(
    count(Telemetry.sessionsLapsed, sessions),
    Effect.annotateLogs(Effect.logWarning(Telemetry.messages.lapsed), { sessions, timeout: Duration.format(timeout) })
  )

/** Counts and logs a failed refresh of so many sessions. */
export const refreshFailed = (sessions: number, reason: string): Effect.Effect<void> =>
  Effect.zipRight(
    count(Telemetry.refreshFailures),
    Effect.annotateLogs(Effect.logWarning(Telemetry.messages.refreshFailed), { sessions, reason })
  )

/** Logs that the span of a command could not be made or ended. What was thrown may quote the command. */
export const untraced = (error: unknown): Effect.Effect<void> =>
  Effect.annotateLogs(Effect.logWarning(Telemetry.messages.untraced), {
    error: error instanceof Error ? error.name : typeof error
  })

/** A session that was still open when its client closed, and the span that had opened it. */
export interface Leak {
  readonly id: string
  readonly span?: string | undefined
  readonly traceId?: string | undefined
  readonly spanId?: string | undefined
}

/** Counts and logs sessions that were still open when their client closed, if there are any. */
export const leaked = (open: ReadonlyArray<Leak>): Effect.Effect<void> =>
  open.length === 0 ? Effect.void : Effect.zipRight(
    count(Telemetry.sessionsLeaked, open.length),
    Effect.annotateLogs(Effect.logWarning(Telemetry.messages.leaked), { sessions: open.length, open })
  )

/** Logs a step of closing that failed or took too long. Closing goes on; nothing of it is lost in silence. */
export const closingFailed = (step: string, problem: string): Effect.Effect<void> =>
  Effect.annotateLogs(Effect.logWarning(Telemetry.messages.closingFailed), { step, problem })

/** Logs that an effect opens a session of its own inside a transaction. */
export const leftTransaction = (operation: string): Effect.Effect<void> =>
  Effect.annotateLogs(Effect.logWarning(Telemetry.messages.leftTransaction), {
    operation,
    hint:
      "What runs in that session takes effect by itself, whatever becomes of the transaction. Use `Session.ensure`, " +
      "which runs in the ambient session; or say that it is meant, by `Transaction.outside` around it."
  })

/** Logs that a `use` has never looked at the session that it was given. */
export const unused = (operation: string): Effect.Effect<void> =>
  Effect.annotateLogs(Effect.logWarning(Telemetry.messages.unused), {
    operation,
    hint: "Pass the session to the driver's operation, as in `(session) => users.insertOne(user, { session })`; of " +
      "a collection, pass on what is added, as in `(users, added) => users.insertOne(user, { ...added })`. Without " +
      "it, the operation is not in the session, nor in its transaction."
  })

/** The outcome that each end of a transaction counts as. */
export const outcomeOf = {
  committed: "committed",
  aborted: "rolledBack",
  refused: "rolledBack",
  unknown: "unknown"
} as const

// One label for each step.
const ofStep = {
  body: labels({ label: "TransientTransactionError", step: "body" }),
  commit: labels({ label: "UnknownTransactionCommitResult", step: "commit" })
} as const

/** Counts and logs that a transaction, or its commit, is run again, and notes it in the transaction's span. */
export const retried = ({ attempt, delay, label, reason, step }: Telemetry.Retry): Effect.Effect<void> =>
  Effect.withFiberRuntime((fiber) => {
    update(fiber, Telemetry.transactionRetries, 1, ofStep[step])
    const facts = { attempt, label, reason, step }
    Spans.event(fiber, Telemetry.events.retry, facts)
    return Effect.annotateLogs(Effect.logDebug(Telemetry.messages.retried), { ...facts, delay: Duration.format(delay) })
  })

/** The tags of each outcome of a transaction. */
export const ofOutcome = {
  committed: labels({ outcome: "committed" }),
  rolledBack: labels({ outcome: "rolledBack" }),
  aborted: labels({ outcome: "aborted" }),
  doomed: labels({ outcome: "doomed" }),
  unknown: labels({ outcome: "unknown" }),
  retried: labels({ outcome: "retried" })
} as const

/** Counts how a transaction ended, and notes it in its span, or in that of a fiber. */
export const ended = (fiber: RunningFiber, outcome: Telemetry.TransactionOutcome, span?: Tracer.Span): void => {
  update(fiber, Telemetry.transactions, 1, ofOutcome[outcome])
  Spans.event(fiber, outcome, {}, span)
}

/** The tags of a conflict, by the operation that has lost it. It may be known to none of the database. */
export const tagsOfConflict = ({ collection, database, name }: OperationName): Readonly<Record<string, string>> => ({
  ...(database === "" ? {} : { [Telemetry.attributes.namespace]: database }),
  ...(collection === undefined ? {} : { [Telemetry.attributes.collection]: collection }),
  [Telemetry.attributes.operation]: operationOf(name)
})

/** Counts a conflict that a transaction has lost, by what it was about, and notes it in the transaction's span. */
export const conflicted = (
  fiber: RunningFiber,
  { document, fields, namespace, operation, rivals }: Conflict,
  attempt: number,
  labelsOf: (operation: OperationName) => Labels,
  span?: Tracer.Span
): void => {
  // A collection may have points in its name, a database may not.
  const [database = "", ...collection] = namespace?.split(".") ?? []
  const name = { name: operation, database, collection: collection.length === 0 ? undefined : collection.join(".") }
  update(fiber, Telemetry.transactionConflicts, 1, labelsOf(name))
  Spans.event(fiber, Telemetry.events.conflict, {
    ...tagsOfConflict(name),
    attempt,
    ...(document === undefined ? {} : { document, fields: fields.map(safeName).join(",") }),
    rivals: rivals.length,
    ...(rivals.length === 0 ? {} : {
      "rivals.spans": rivals.flatMap(({ span }) => span === undefined ? [] : span.name).join(","),
      "rivals.age": Duration.format(rivals.reduce((oldest, { age }) => Duration.max(oldest, age), Duration.zero))
    })
  }, span)
}

/** Notes in the span of a transaction which others were open when it was given up. */
export const toldOf = (
  fiber: RunningFiber,
  { seen, transactions }: ServerView,
  attempt: number,
  span?: Tracer.Span
): void =>
  Spans.event(fiber, Telemetry.events.others, {
    attempt,
    seen,
    transactions: transactions.length,
    apps: [...new Set(transactions.flatMap(({ appName }) => appName ?? []))].join(","),
    ...(transactions[0] === undefined ? {} : { oldest: Duration.format(transactions[0].age) })
  }, span)

/** Counts and logs a hook that failed. What the transaction did stays as it is. */
export const hookFailed = (moment: string, cause: Cause.Cause<unknown>): Effect.Effect<void> =>
  Effect.zipRight(
    count(Telemetry.hookFailures, 1, labels({ moment })),
    Effect.annotateLogs(Effect.logError(Telemetry.messages.hookFailed, cause), { moment })
  )

/** Logs that nobody could tell whether a commit had happened. */
export const verificationFailed = (cause: Cause.Cause<unknown>): Effect.Effect<void> =>
  Effect.logError(Telemetry.messages.verificationFailed, cause)

/** Logs that a commit has an unknown result, for its caller was interrupted and does not learn it. */
export const commitUnknown = (problem: string): Effect.Effect<void> =>
  Effect.annotateLogs(Effect.logError(Telemetry.messages.commitUnknown), { problem })

/** Logs that an abort failed. The server aborts the transaction by itself, after a minute. */
export const abortFailed = (problem: string): Effect.Effect<void> =>
  Effect.annotateLogs(Effect.logWarning(Telemetry.messages.abortFailed), { problem })

/** Counts and logs that a change stream is about to be resumed. */
export const streamResumed = (reason: Reason, delay: Duration.Duration): Effect.Effect<void> =>
  Effect.zipRight(
    count(Telemetry.streamsResumed, 1, labels({ reason })),
    Effect.annotateLogs(Effect.logDebug(Telemetry.messages.streamResumed), { reason, delay: Duration.format(delay) })
  )

/** What could not be handled: a message of an outbox, or an event of a consumer. */
export interface Poison {
  readonly kind: string
  readonly of: string
  readonly attempts: number
  readonly id?: string
}

/** Logs that something could not be handled, and is not in the way of the rest any more. */
export const passedOver = (how: "skipped" | "setAside", poison: Poison): Effect.Effect<void> =>
  Effect.annotateLogs(Effect.logError(Telemetry.messages[how]), { ...poison })

/** Logs that a consumer or a relay has lost a part of its history, and how it goes on. */
export const historyLost = (of: string, goesOn: string): Effect.Effect<void> =>
  Effect.annotateLogs(Effect.logWarning(Telemetry.messages.historyLost), { of, goesOn })

/** Logs that a consumer of the name consumes something else than before. */
export const streamChanged = (of: string): Effect.Effect<void> =>
  Effect.annotateLogs(Effect.logWarning(Telemetry.messages.streamChanged), { of })

/** Logs that the keys of a collection are not removed by the server. */
export const keysStay = (collection: string, problem: string): Effect.Effect<void> =>
  Effect.annotateLogs(Effect.logWarning(Telemetry.messages.keysStay), { collection, problem })
