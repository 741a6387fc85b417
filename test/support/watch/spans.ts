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

/** A tracer, and the spans that it was given, in the order in which they began. */
export const recorder = (): { readonly spans: ReadonlyArray<Recorded>; readonly tracer: Tracer.Tracer } => {
  const spans: Array<Mutable> = []
  const tracer = Tracer.make({
    span: (name, parent, context, links, startTime, kind, options) => {
      const from = Option.getOrUndefined(parent)
      const one: Mutable = {
        name,
        kind,
        parent: from?._tag === "Span" ? from.name : undefined,
        attributes: { ...options?.attributes },
        events: [],
        ended: "open"
      }
      spans.push(one)
      return {
        _tag: "Span",
        name,
        spanId: String(spans.length),
        traceId: "trace",
        parent,
        context,
        links,
        kind,
        sampled: true,
        attributes: new Map(),
        status: { _tag: "Started", startTime },
        addLinks: () => undefined,
        attribute: (key, value) => void (one.attributes[key] = value),
        end: (_, exit) => {
          one.ended = Exit.isSuccess(exit) ? "success" : Exit.isInterrupted(exit) ? "interrupted" : "failure"
        },
        event: (event, _, attributes = {}) => void one.events.push({ name: event, attributes })
      }
    },
    context: (f) => f()
  })
  return { spans, tracer }
}
