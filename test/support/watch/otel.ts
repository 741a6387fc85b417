/**
 * Collects the spans and metrics that OpenTelemetry exports.
 */
import * as NodeSdk from "@effect/opentelemetry/NodeSdk"
import { InMemorySpanExporter, type ReadableSpan, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base"
import * as Effect from "effect/Effect"

/** A span, as it was exported. */
export interface Exported {
  readonly name: string
  readonly kind: "internal" | "server" | "client" | "producer" | "consumer"
  /** The name of the span that it is a part of. */
  readonly parent: string | undefined
  readonly status: "unset" | "ok" | "error"
  readonly attributes: Readonly<Record<string, unknown>>
  readonly events: ReadonlyArray<{ readonly name: string; readonly attributes: unknown }>
}

const kinds = ["internal", "server", "client", "producer", "consumer"] as const
const statuses = ["unset", "ok", "error"] as const

/** Runs an effect with a tracer that exports to memory, and gives what it has exported, in the order of beginning. */
export const exported = <A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<{ readonly value: A; readonly spans: ReadonlyArray<Exported> }, E, R> =>
  Effect.suspend(() => {
    const exporter = new InMemorySpanExporter()
    const layer = NodeSdk.layer(() => ({
      resource: { serviceName: "test" },
      spanProcessor: new SimpleSpanProcessor(exporter)
    }))
    return Effect.map(
      // What was exported is forgotten when the exporter is shut down.
      Effect.provide(Effect.zip(effect, Effect.sync(() => exporter.getFinishedSpans().slice())), layer),
      ([value, spans]) => ({ value, spans: inOrder(spans) })
    )
  })

const inOrder = (spans: ReadonlyArray<ReadableSpan>): ReadonlyArray<Exported> => {
  const names = new Map(spans.map((span) => [span.spanContext().spanId, span.name]))
  const time = ({ startTime: [seconds, nanos] }: ReadableSpan) => seconds * 1e9 + nanos
  return [...spans].sort((a, b) => time(a) - time(b)).map((span) => ({
    name: span.name,
    kind: kinds[span.kind],
    parent: names.get(span.parentSpanContext?.spanId ?? ""),
    status: statuses[span.status.code],
    attributes: span.attributes,
    events: span.events.map(({ attributes, name }) => ({ name, attributes }))
  }))
}
