/**
 * The metrics of operations and connections: those that OpenTelemetry's conventions for databases have names for.
 */
import type * as Metric from "effect/Metric"
import { conventional, counter, seconds, upDownCounter } from "./metrics.js"

/**
 * How long operations took, waiting included, with the attributes of OpenTelemetry's conventions: `db.system.name`,
 * `db.namespace`, `db.collection.name`, `db.operation.name` and, if they failed, `error.type`.
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
 * @since 0.1.0
 * @category models
 */
export const connectionUseTime: Metric.Metric.Histogram<number> = seconds(
  "db.client.connection.use_time",
  conventional,
  "How long operations had a connection"
)
