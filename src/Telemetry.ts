/**
 * The names of everything that this library reports about itself, and the metrics behind them.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"

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
