/**
 * The names of everything that this library reports about itself, and the metrics behind them.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Tracer from "effect/Tracer"
import { MongoError, type Reason } from "./MongoError.js"

/**
 * Sessions open at this moment, over all clients of the process.
 *
 * @since 0.1.0
 * @category models
 */
export const sessionsOpen = Metric.gauge("mongo.session.open", { description: "Sessions open at this moment" })

/**
 * Sessions refreshed by the keep-alive.
 *
 * @since 0.1.0
 * @category models
 */
export const sessionsRefreshed = Metric.counter("mongo.session.refreshed", {
  description: "Sessions refreshed by the keep-alive",
  incremental: true
})

/**
 * `refreshSessions` commands of the keep-alive that failed.
 *
 * @since 0.1.0
 * @category models
 */
export const refreshFailures = Metric.counter("mongo.session.refresh.failures", {
  description: "refreshSessions commands that failed",
  incremental: true
})

/**
 * Sessions that were idle for longer than the server keeps them.
 *
 * @since 0.1.0
 * @category models
 */
export const sessionsLapsed = Metric.counter("mongo.session.lapsed", {
  description: "Sessions idle for longer than the server keeps them",
  incremental: true
})

/**
 * Operations that had not settled in time after they were interrupted.
 *
 * @since 0.1.0
 * @category models
 */
export const operationsUnsettled = Metric.counter("mongo.session.unsettled", {
  description: "Interrupted operations that had not settled in time",
  incremental: true
})

/**
 * Counts and logs an operation that had not settled within the given time after its interruption.
 *
 * @since 0.1.0
 * @category combinators
 */
export const unsettled = (operation: string, waited: Duration.Duration): Effect.Effect<void> =>
  Effect.zipRight(
    Metric.increment(operationsUnsettled),
    Effect.annotateLogs(
      Effect.logError("an interrupted operation has not settled in time; if it ran in a session, that is broken"),
      {
        operation,
        waited: Duration.format(waited)
      }
    )
  )

/**
 * Counts and logs sessions that were idle for longer than the server keeps them.
 *
 * @since 0.1.0
 * @category combinators
 */
export const lapsed = (count: number, timeout: Duration.Duration): Effect.Effect<void> =>
  Effect.zipRight(
    Metric.incrementBy(sessionsLapsed, count),
    Effect.annotateLogs(Effect.logWarning("sessions were idle for longer than the server keeps them"), {
      sessions: count,
      timeout: Duration.format(timeout)
    })
  )

/**
 * Counts and logs a failed refresh of so many sessions.
 *
 * @since 0.1.0
 * @category combinators
 */
export const refreshFailed = (sessions: number, reason: string): Effect.Effect<void> =>
  Effect.zipRight(
    Metric.increment(refreshFailures),
    Effect.annotateLogs(Effect.logWarning("sessions could not be refreshed"), { sessions, reason })
  )

/**
 * Logs a step of closing that failed or took too long. Closing goes on; nothing of it is lost in silence.
 *
 * @since 0.1.0
 * @category combinators
 */
export const closingFailed = (step: string, problem: string): Effect.Effect<void> =>
  Effect.annotateLogs(Effect.logWarning("a step of closing did not succeed"), { step, problem })

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
 * The outcome that each end of a transaction counts as.
 *
 * @internal
 */
export const outcomeOf = {
  committed: "committed",
  aborted: "rolledBack",
  refused: "rolledBack",
  unknown: "unknown"
} as const

/**
 * Transactions that have come to their end, by `outcome`. What ends by hand counts as it ended.
 *
 * @since 0.1.0
 * @category models
 */
export const transactions = Metric.counter("mongo.session.transactions", {
  description: "Transactions that have come to their end",
  incremental: true
})

/**
 * Runs of a transaction's body, or of its commit, that are repeated; by `label`, the error label that allows it, and
 * `step`, `body` or `commit`.
 *
 * @since 0.1.0
 * @category models
 */
export const transactionRetries = Metric.counter("mongo.session.transaction.retries", {
  description: "Repeated runs of a transaction's body or commit",
  incremental: true
})

/**
 * Hooks of transactions that failed.
 *
 * @since 0.1.0
 * @category models
 */
export const hookFailures = Metric.counter("mongo.session.transaction.hook.failures", {
  description: "Hooks of transactions that failed",
  incremental: true
})

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

// Of each step there is one label.
const retriesOf = {
  body: Metric.tagged(Metric.tagged(transactionRetries, "label", "TransientTransactionError"), "step", "body"),
  commit: Metric.tagged(Metric.tagged(transactionRetries, "label", "UnknownTransactionCommitResult"), "step", "commit")
} as const

/**
 * Counts and logs that a transaction, or its commit, is run again, and notes it in the transaction's span.
 *
 * @since 0.1.0
 * @category combinators
 */
export const retried = (retry: Retry): Effect.Effect<void> =>
  Effect.gen(function*() {
    const { attempt, label, reason, step } = retry
    yield* Metric.increment(retriesOf[step])
    yield* event("retry", { attempt, label, reason, step })
    yield* Effect.annotateLogs(Effect.logDebug("a transaction is run again"), {
      attempt,
      step,
      reason,
      label,
      delay: Duration.format(retry.delay)
    })
  })

const by = (outcome: TransactionOutcome) => Metric.tagged(transactions, "outcome", outcome)

// Made once: a tagged metric is dear to make.
const byOutcome = {
  committed: by("committed"),
  rolledBack: by("rolledBack"),
  aborted: by("aborted"),
  doomed: by("doomed"),
  unknown: by("unknown")
} as const

/**
 * Counts how a transaction ended, and notes it in its span.
 *
 * @since 0.1.0
 * @category combinators
 */
export const ended = (outcome: TransactionOutcome): Effect.Effect<void> =>
  Effect.zipRight(
    Metric.increment(byOutcome[outcome]),
    event(outcome, {})
  )

/**
 * Counts and logs a hook that failed. What the transaction did stays as it is.
 *
 * @since 0.1.0
 * @category combinators
 */
export const hookFailed = (moment: string, cause: Cause.Cause<unknown>): Effect.Effect<void> =>
  Effect.zipRight(
    Metric.increment(Metric.tagged(hookFailures, "moment", moment)),
    Effect.annotateLogs(Effect.logError("a hook of a transaction failed", cause), { moment })
  )

/**
 * Logs that it could not be found out whether a commit had happened.
 *
 * @since 0.1.0
 * @category combinators
 */
export const verificationFailed = (cause: Cause.Cause<unknown>): Effect.Effect<void> =>
  Effect.logError("it could not be verified whether a transaction was committed", cause)

/**
 * Logs that a transaction could not be aborted; the server does so by itself, after a minute.
 *
 * @since 0.1.0
 * @category combinators
 */
export const abortFailed = (problem: string): Effect.Effect<void> =>
  Effect.annotateLogs(Effect.logWarning("a transaction could not be aborted"), { problem })

const event = (name: string, attributes: Record<string, unknown>): Effect.Effect<void> =>
  whenTraced(
    Effect.flatMap(Effect.option(Effect.currentSpan), (span) =>
      Option.isNone(span)
        ? Effect.void
        : Effect.map(Clock.currentTimeNanos, (now) => span.value.event(name, now, attributes))),
    Effect.void
  )

/**
 * Whether anybody looks at the spans of a fiber. One that nobody looks at costs as much as a command of the driver.
 *
 * @internal
 */
export const isTraced = ({ currentTracer }: Pick<Fiber.RuntimeFiber<unknown, unknown>, "currentTracer">): boolean =>
  currentTracer !== defaultTracer

const whenTraced = <A, E, R>(traced: Effect.Effect<A, E, R>, untraced: Effect.Effect<A, E, R>) =>
  Effect.withFiberRuntime<A, E, R>((fiber) => isTraced(fiber) ? traced : untraced)

const defaultTracer = Context.get(DefaultServices.liveServices, Tracer.Tracer)

/**
 * The span around a transaction, with all its attempts. None is made with Effect's default tracer, which keeps nothing.
 *
 * @since 0.1.0
 * @category combinators
 */
export const transaction = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  whenTraced(
    Effect.useSpan(
      "transaction",
      { attributes: { "db.system.name": "mongodb" }, captureStackTrace: false },
      (span) => Effect.withParentSpan(effect, span)
    ),
    effect
  )

/**
 * The span around one operation of data access, with the names of OpenTelemetry's conventions for databases. Documents
 * and filters are never in it.
 *
 * @since 0.1.0
 * @category combinators
 */
export const operation = <A, E, R>(
  { collection, database, name }: {
    readonly name: string
    readonly database: string
    readonly collection?: string | undefined
  },
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.useSpan(
    collection === undefined ? `${name} ${database}` : `${name} ${collection}`,
    {
      kind: "client",
      captureStackTrace: false,
      attributes: {
        "db.system.name": "mongodb",
        "db.namespace": database,
        "db.operation.name": name,
        ...(collection === undefined ? {} : { "db.collection.name": collection })
      }
    },
    (span) =>
      Effect.tapError(Effect.withParentSpan(effect, span), (error) =>
        Effect.sync(() => {
          if (error instanceof MongoError) {
            span.attribute("error.type", error.reason)
            if (error.code !== undefined) span.attribute("db.response.status_code", String(error.code))
          } else if (Predicate.hasProperty(error, "_tag")) {
            span.attribute("error.type", error._tag)
          }
        }))
  )

/**
 * Change streams that were resumed after a failure, by its `reason`.
 *
 * @since 0.1.0
 * @category models
 */
export const streamsResumed = Metric.counter("mongo.session.changestream.resumed", {
  description: "Change streams that were resumed after a failure",
  incremental: true
})

/**
 * Counts and logs that a change stream is about to be resumed.
 *
 * @since 0.1.0
 * @category combinators
 */
export const streamResumed = (reason: Reason, delay: Duration.Duration): Effect.Effect<void> =>
  Effect.zipRight(
    Metric.increment(Metric.tagged(streamsResumed, "reason", reason)),
    Effect.annotateLogs(Effect.logDebug("a change stream is resumed"), { reason, delay: Duration.format(delay) })
  )
