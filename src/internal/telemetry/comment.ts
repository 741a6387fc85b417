/**
 * The comment by which a server shows where in the program an operation is.
 */
import * as Option from "effect/Option"
import type * as Tracer from "effect/Tracer"
import { spans } from "../../Telemetry.js"
import type { TopologyWatch } from "../driver/topology.js"
import type { RunningFiber } from "../time/fiber.js"

/** A span, as an operation carries it to the server. */
export interface Comment {
  /** The span's name; none where the span is another process's. */
  readonly span?: string
  /** Its ids, in the form of W3C's "Trace Context". */
  readonly traceparent: string
}

/** How many characters of a name are sent at most. */
const longest = 200

// MongoDB 4.4. Before it, most commands know no comment, and refuse what they do not know.
const commentingWireVersion = 9

/** Tells the span that a fiber is in, the nearest one that the program has made, where the servers take comments. */
export const commenting = ({ known }: Pick<TopologyWatch, "known">) => (fiber: RunningFiber): Comment | undefined =>
  Option.exists(known(), ({ maxWireVersion }) => maxWireVersion >= commentingWireVersion)
    ? commentOf(fiber)
    : undefined

const commentOf = ({ currentSpan }: RunningFiber): Comment | undefined => {
  const span = madeByProgram(currentSpan) ?? currentSpan
  if (span === undefined) return undefined
  const traceparent = `00-${span.traceId}-${span.spanId}-${span.sampled ? "01" : "00"}`
  return span._tag === "Span" ? { span: span.name.slice(0, longest), traceparent } : { traceparent }
}

// The library's own is around whole transactions.
const madeByProgram = (span: Tracer.AnySpan | undefined): Tracer.AnySpan | undefined => {
  let found = span
  while (found?._tag === "Span" && found.name === spans.transaction) {
    found = found.parent._tag === "Some" ? found.parent.value : undefined
  }
  return found
}
