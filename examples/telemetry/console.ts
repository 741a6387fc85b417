// Exporters that print a line for each span, and for each series of a metric.
import { AggregationTemporality, type PushMetricExporter, type ResourceMetrics } from "@opentelemetry/sdk-metrics"
import type { ReadableSpan, SpanExporter } from "@opentelemetry/sdk-trace-base"

type Done = Parameters<SpanExporter["export"]>[1]

const succeeded = { code: 0 }

export class SpanLines implements SpanExporter {
  export(spans: ReadonlyArray<ReadableSpan>, done: Done): void {
    for (const { attributes, duration: [seconds, nanos], events, name, parentSpanContext, status } of spans) {
      const millis = (seconds * 1e3 + nanos / 1e6).toFixed(1)
      const more = [
        status.code === 2 ? `failed: ${attributes["error.type"]}` : "",
        ...events.map((event) => event.name),
        attributes["db.mongodb.txn_number"] === undefined ? "" : `number ${attributes["db.mongodb.txn_number"]}`
      ].filter((text) => text !== "")
      console.log(`span   ${parentSpanContext === undefined ? "" : "  "}${name}, ${millis} ms`, ...more)
    }
    done(succeeded)
  }
  shutdown(): Promise<void> {
    return Promise.resolve()
  }
}

export class MetricLines implements PushMetricExporter {
  export({ scopeMetrics }: ResourceMetrics, done: Done): void {
    for (const { dataPoints, descriptor: { name } } of scopeMetrics.flatMap(({ metrics }) => metrics)) {
      // Effect has metrics of its own, too.
      if (!/^(db|mongo)\./.test(name)) continue
      for (const { attributes: { unit, ...tags }, value } of dataPoints) {
        console.log(`metric ${[name, ...Object.values(tags)].join(" ")}: ${textOf(value, String(unit))}`)
      }
    }
    done(succeeded)
  }
  selectAggregationTemporality(): AggregationTemporality {
    return AggregationTemporality.CUMULATIVE
  }
  forceFlush(): Promise<void> {
    return Promise.resolve()
  }
  shutdown(): Promise<void> {
    return Promise.resolve()
  }
}

type Value = ResourceMetrics["scopeMetrics"][number]["metrics"][number]["dataPoints"][number]["value"]

const textOf = (value: Value, unit: string): string =>
  typeof value === "number"
    ? `${value} ${unit}`
    : `${value.count} times, ${(value.sum ?? 0).toFixed(4)} ${unit} in all`
