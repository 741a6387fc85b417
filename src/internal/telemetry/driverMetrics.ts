/**
 * The metrics of operations and connections: those that OpenTelemetry's conventions for databases have names for.
 */
import type * as Metric from "effect/Metric"
import { conventional, counter, seconds, upDownCounter } from "./metrics.js"

/**
 * How long operations took, waiting included, with the attributes of OpenTelemetry's conventions: `db.system.name`,
 * `db.namespace`, `db.collection.name`, `db.operation.name` and, if they failed, `error.type`.
 *
 * @example
 * ```ts
 * import { Effect, Metric } from "effect"
 * import { Telemetry } from "effect-mongo-session"
 *
 * // A series has all of its tags.
 * const finds = Telemetry.operationDuration.pipe(
 *   Metric.tagged(Telemetry.attributes.system, "mongodb"),
 *   Metric.tagged(Telemetry.attributes.namespace, "shop"),
 *   Metric.tagged(Telemetry.attributes.collection, "users"),
 *   Metric.tagged(Telemetry.attributes.operation, "find")
 * )
 *
 * export const slowest = Effect.map(Metric.value(finds), ({ max }) => max)
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export const operationDuration: Metric.Metric.Histogram<number> = seconds(
  "db.client.operation.duration",
  conventional,
  "Duration of database client operations"
)

/**
 * Connections of the driver's pools, by `db.client.connection.state`, `idle` or `used`, and `db.client.connection.pool.name`,
 * the server's address, as all that is told of connections.
 *
 * @example
 * ```ts
 * import { Effect, Metric } from "effect"
 * import { Telemetry } from "effect-mongo-session"
 *
 * const used = Telemetry.connectionCount.pipe(
 *   Metric.tagged("db.client.connection.pool.name", "localhost:27017"),
 *   Metric.tagged("db.client.connection.state", "used")
 * )
 *
 * export const busy = Effect.map(Metric.value(used), ({ count }) => count)
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export const connectionCount: Metric.Metric.Counter<number> = upDownCounter(
  "db.client.connection.count",
  "{connection}",
  "Connections, by state"
)

/**
 * The most connections that a pool may have; nothing where there is no limit.
 *
 * @example
 * ```ts
 * import { Effect, Metric } from "effect"
 * import { Telemetry } from "effect-mongo-session"
 *
 * const metric = Metric.tagged(Telemetry.connectionMax, "db.client.connection.pool.name", "localhost:27017")
 *
 * export const room = Effect.map(Metric.value(metric), ({ count }) => count)
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export const connectionMax: Metric.Metric.Counter<number> = upDownCounter(
  "db.client.connection.max",
  "{connection}",
  "The most connections that a pool may have"
)

/**
 * The least connections that a pool keeps open.
 *
 * @example
 * ```ts
 * import { Effect, Metric } from "effect"
 * import { Telemetry } from "effect-mongo-session"
 *
 * const metric = Metric.tagged(Telemetry.connectionIdleMin, "db.client.connection.pool.name", "localhost:27017")
 *
 * export const kept = Effect.map(Metric.value(metric), ({ count }) => count)
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export const connectionIdleMin: Metric.Metric.Counter<number> = upDownCounter(
  "db.client.connection.idle.min",
  "{connection}",
  "The least connections that a pool keeps open"
)

/**
 * Operations that wait for a connection.
 *
 * @example
 * ```ts
 * import { Effect, Metric } from "effect"
 * import { Telemetry } from "effect-mongo-session"
 *
 * // More than none for long: the pool is too small.
 * const metric = Metric.tagged(Telemetry.connectionPendingRequests, "db.client.connection.pool.name", "localhost:27017")
 *
 * export const waiting = Effect.map(Metric.value(metric), ({ count }) => count)
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export const connectionPendingRequests: Metric.Metric.Counter<number> = upDownCounter(
  "db.client.connection.pending_requests",
  "{request}",
  "Operations that wait for a connection"
)

/**
 * Operations that waited for a connection in vain until their time was over.
 *
 * @example
 * ```ts
 * import { Effect, Metric } from "effect"
 * import { Telemetry } from "effect-mongo-session"
 *
 * const metric = Metric.tagged(Telemetry.connectionTimeouts, "db.client.connection.pool.name", "localhost:27017")
 *
 * export const waitedInVain = Effect.map(Metric.value(metric), ({ count }) => count)
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export const connectionTimeouts: Metric.Metric.Counter<number> = counter(
  "db.client.connection.timeouts",
  "{timeout}",
  "Waits for a connection that timed out"
)

/**
 * How long it took to open a connection.
 *
 * @example
 * ```ts
 * import { Effect, Metric } from "effect"
 * import { Telemetry } from "effect-mongo-session"
 *
 * // How long a handshake takes at most, with TLS and authentication.
 * const metric = Metric.tagged(Telemetry.connectionCreateTime, "db.client.connection.pool.name", "localhost:27017")
 *
 * export const slowest = Effect.map(Metric.value(metric), ({ max }) => `${max} s`)
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export const connectionCreateTime: Metric.Metric.Histogram<number> = seconds(
  "db.client.connection.create_time",
  conventional,
  "How long it took to open a connection"
)

/**
 * How long operations waited for a connection.
 *
 * @example
 * ```ts
 * import { Effect, Metric } from "effect"
 * import { Telemetry } from "effect-mongo-session"
 *
 * const metric = Metric.tagged(Telemetry.connectionWaitTime, "db.client.connection.pool.name", "localhost:27017")
 *
 * export const meanWait = Effect.map(Metric.value(metric), ({ count, sum }) => sum / count)
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export const connectionWaitTime: Metric.Metric.Histogram<number> = seconds(
  "db.client.connection.wait_time",
  conventional,
  "How long operations waited for a connection"
)

/**
 * How long operations had a connection.
 *
 * @example
 * ```ts
 * import { Effect, Metric } from "effect"
 * import { Telemetry } from "effect-mongo-session"
 *
 * const metric = Metric.tagged(Telemetry.connectionUseTime, "db.client.connection.pool.name", "localhost:27017")
 *
 * export const meanUse = Effect.map(Metric.value(metric), ({ count, sum }) => sum / count)
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export const connectionUseTime: Metric.Metric.Histogram<number> = seconds(
  "db.client.connection.use_time",
  conventional,
  "How long operations had a connection"
)
