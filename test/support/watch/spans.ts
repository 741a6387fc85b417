/**
 * A tracer that keeps its spans in memory.
 */
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"

/** A span. */
export interface Recorded {
  readonly name: string
  readonly kind: Tracer.SpanKind
  /** The name of the span that it is a part of. */
  readonly parent: string | undefined
  readonly attributes: Readonly<Record<string, unknown>>
  readonly events: ReadonlyArray<{ readonly name: string; readonly attributes: unknown }>
  /** How it ended; `open` while it has not. */
  readonly ended: "open" | "success" | "failure" | "interrupted"
}

interface Mutable extends Recorded {
  attributes: Record<string, unknown>
  readonly events: Array<Recorded["events"][number]>
  ended: Recorded["ended"]
}

/** What a span is told after it has begun. */
interface Sink {
  readonly attribute: (key: string, value: unknown) => void
  readonly event: (name: string, attributes: unknown) => void
  readonly end: (exit: Exit.Exit<unknown, unknown>) => void
}

/** A tracer that keeps what it is told in the sinks of its spans. */
export const tracerTo = (
  begin: (span: Pick<Tracer.Span, "name" | "spanId" | "parent" | "kind">, attributes: Record<string, unknown>) => Sink
): Tracer.Tracer => {
  let count = 0
  return Tracer.make({
    span: (name, parent, context, links, startTime, kind, options) => {
      const spanId = String(++count)
      const sink = begin({ name, spanId, parent, kind }, { ...options?.attributes })
      return {
        _tag: "Span",
        name,
        spanId,
        traceId: "trace",
        parent,
        context,
        links,
        kind,
        sampled: true,
        attributes: new Map(),
        status: { _tag: "Started", startTime },
        addLinks: () => undefined,
        attribute: sink.attribute,
        end: (_, exit) => sink.end(exit),
        event: (name, _, attributes = {}) => sink.event(name, attributes)
      }
    },
    context: (f) => f()
  })
}

/** A tracer, and the spans that it was given, in the order in which they began. */
export const recorder = (): { readonly spans: ReadonlyArray<Recorded>; readonly tracer: Tracer.Tracer } => {
  const spans: Array<Mutable> = []
  const tracer = tracerTo(({ kind, name, parent }, attributes) => {
    const from = Option.getOrUndefined(parent)
    const one: Mutable = {
      name,
      kind,
      parent: from?._tag === "Span" ? from.name : undefined,
      attributes,
      events: [],
      ended: "open"
    }
    spans.push(one)
    return {
      attribute: (key, value) => void (one.attributes[key] = value),
      event: (name, attributes) => void one.events.push({ name, attributes }),
      end: (exit) => {
        one.ended = Exit.isSuccess(exit) ? "success" : Exit.isInterrupted(exit) ? "interrupted" : "failure"
      }
    }
  })
  return { spans, tracer }
}
