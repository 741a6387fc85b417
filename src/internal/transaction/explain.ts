/**
 * Explains a lost conflict by what one client knows of its transactions, and counts it.
 */
import * as Duration from "effect/Duration"
import type * as Tracer from "effect/Tracer"
import type { MongoError } from "../../MongoError.js"
import type { Description } from "../session/turn.js"
import { clockOf } from "../time/clock.js"
import type { RunningFiber } from "../time/fiber.js"
import type { Conflict, Rival } from "../values/conflicts.js"
import { soughtBy, targetOf } from "../values/ids.js"
import type { HotKeys } from "./hotKeys.js"
import type { Writer, Writers } from "./writers.js"

/** What is known of a conflict that a writer has lost, by an operation if that is known. */
export const explain = (
  by: Writer,
  { hotKeys, writers }: { readonly hotKeys: HotKeys; readonly writers: Writers },
  fiber: RunningFiber,
  keepsValues: boolean,
  error: MongoError,
  description: Description | undefined
): Conflict => {
  const { operation } = error
  const namespace = error.namespace ?? description?.namespace
  const target = namespace === undefined ? undefined : targetOf(namespace, description?.filter)
  if (namespace === undefined || target === undefined) {
    hotKeys.countUnknown()
    return { operation, namespace, fields: [], rivals: [] }
  }
  const now = clockOf(fiber).unsafeCurrentTimeNanos()
  const rivals = writers.of(target, namespace, by).map(([{ began = now, span }, { operation }]): Rival => ({
    operation,
    age: Duration.millis(Math.round(Number(now - began) / 1e6)),
    span: namedOf(span)
  }))
  const sought = soughtBy(description?.filter)
  const fields = sought.map(({ name }) => name)
  const values = keepsValues ? Object.fromEntries(sought.map(({ name, value }) => [name, value])) : undefined
  const document = hotKeys.count(target, {
    operation,
    namespace,
    fields,
    values,
    isToKnown: rivals.length > 0,
    spans: [namedOf(by.span), ...rivals.map(({ span }) => span)].flatMap((span) => span === undefined ? [] : span.name),
    at: clockOf(fiber).unsafeCurrentTimeMillis()
  })
  return { operation, namespace, fields, document, ...(values !== undefined && { values }), rivals }
}

const namedOf = (span: Tracer.AnySpan | undefined): Rival["span"] =>
  span?._tag === "Span" ? { name: span.name, traceId: span.traceId, spanId: span.spanId } : undefined
