/**
 * Makes metrics with a unit, which exporters take from the tag `unit`.
 */
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import * as MetricKey from "effect/MetricKey"
import type * as MetricKeyType from "effect/MetricKeyType"

// A tag of the key costs nothing; one of the metric is looked up each time.
const inUnits = <Type extends MetricKeyType.MetricKeyType.Untyped>(key: MetricKey.MetricKey<Type>, unit: string) =>
  Metric.fromMetricKey(MetricKey.tagged(key, "unit", unit))

/** A number that goes up and down and is set, or changed by so much. */
export const gauge = (name: string, unit: string, description: string): Metric.Metric.Gauge<number> =>
  inUnits(MetricKey.gauge(name, { description }), unit)

/** A number that only grows. */
export const counter = (name: string, unit: string, description: string): Metric.Metric.Counter<number> =>
  inUnits(MetricKey.counter(name, { description, incremental: true }), unit)

/** A sum that goes up and down. */
export const upDownCounter = (name: string, unit: string, description: string): Metric.Metric.Counter<number> =>
  inUnits(MetricKey.counter(name, { description }), unit)

/** Times in seconds, in buckets. */
export const seconds = (
  name: string,
  buckets: ReadonlyArray<number>,
  description: string
): Metric.Metric.Histogram<number> =>
  inUnits(MetricKey.histogram(name, MetricBoundaries.fromIterable(buckets), description), "s")

/** The buckets that OpenTelemetry's conventions ask for. */
export const conventional = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10]
