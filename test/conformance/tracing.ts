/**
 * The spans of a client, and whether they are what a test expects.
 *
 * See the specification "Unified Test Format", section "expectedTracingMessages".
 */
import * as Option from "effect/Option"
import type * as Tracer from "effect/Tracer"
import { Binary } from "mongodb"
import { tracerTo } from "../support/watch/spans.js"
import type { ExpectedSpan, ExpectedTracing } from "./format.js"
import { mismatch, type Names } from "./matching.js"
import { ensure, ensureNone } from "./verdict.js"

/** A span, and the spans below it, in the order in which they began. */
interface Observed {
  readonly name: string
  readonly attributes: Record<string, unknown>
  readonly nested: Array<Observed>
}

/** The tracer of a client. */
export interface Tracing {
  readonly tracer: Tracer.Tracer
  /** Those that are below no other. */
  readonly spans: ReadonlyArray<Observed>
}

/** A tracer that keeps its spans. */
export const record = (): Tracing => {
  const spans: Array<Observed> = []
  const known = new Map<string, Observed>()
  const tracer = tracerTo(({ name, parent, spanId }, attributes) => {
    const one: Observed = { name, attributes, nested: [] }
    const around = Option.flatMapNullable(parent, ({ spanId }) => known.get(spanId))
    Option.match(around, { onNone: () => spans, onSome: ({ nested }) => nested }).push(one)
    known.set(spanId, one)
    return {
      attribute: (key, value) => void (one.attributes[key] = value),
      event: () => undefined,
      end: () => undefined
    }
  })
  return { spans, tracer }
}

/** Throws where the spans of a client are not those that are expected. */
export const ensureSpans = (expected: ExpectedTracing, { spans }: Tracing, names: Names): void =>
  ensureBelow(expected.client, expected.spans, spans, expected.ignoreExtraSpans, names)

const ensureBelow = (
  where: string,
  expected: ReadonlyArray<ExpectedSpan>,
  found: ReadonlyArray<Observed>,
  ignoreExtra: boolean,
  names: Names
): void => {
  const seen = `found ${found.map(({ name }) => name).join(", ") || "none"}`
  ensure(ignoreExtra || found.length === expected.length, `${where}: expected ${expected.length} spans, ${seen}`)
  let from = 0
  for (const [index, one] of expected.entries()) {
    const at = ignoreExtra ? found.findIndex(({ name }, place) => place >= from && name === one.name) : index
    const actual = found[at]
    ensure(actual?.name === one.name, `${where}: expected the span ${one.name}, ${seen}`)
    from = at + 1
    const here = `${where} > ${one.name}`
    ensureNone(mismatch(one.attributes, withLsid(actual.attributes), names, "root"), here)
    ensureBelow(here, one.nested, actual.nested, ignoreExtra, names)
  }
}

// The format compares a session's id as a command has it, while it is a text in a span.
const withLsid = (attributes: Observed["attributes"]): Observed["attributes"] => {
  const { "db.mongodb.lsid": lsid } = attributes
  return typeof lsid === "string"
    ? { ...attributes, "db.mongodb.lsid": { id: new Binary(Buffer.from(lsid.replaceAll("-", ""), "hex"), 4) } }
    : attributes
}
