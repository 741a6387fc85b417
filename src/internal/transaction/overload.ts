/**
 * How long a transaction waits before it is run again by a server that protects itself from overload, and how often.
 *
 * See the specification "Client Backpressure".
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type * as Driver from "mongodb"
import { Label, type MongoError } from "../../MongoError.js"

const initial = 100
const growth = 2
const longest = 10_000
const mostRetries = 2

/** Whether a server has refused an operation to protect itself. */
export const isOverload = (error: MongoError): boolean => error.hasLabel(Label.SystemOverloadedError)

/** How often an operation may be repeated for it: as often as the driver does. */
export const limitOf = ({ options }: Driver.MongoClient): number => options.maxAdaptiveRetries ?? mostRetries

/** A random part of the lesser of 100 ms · 2ⁿ and 10 s before the retry n, counted from 1; or of what the server asks for. */
export const delayBefore = (error: MongoError, retry: number): Effect.Effect<Duration.Duration> =>
  Effect.map(Random.next, (random) => Duration.millis(random * Math.min(longest, baseOf(error) * growth ** retry)))

// The server sends it as an int64; 0 says that it asks for nothing.
const baseOf = ({ cause }: MongoError): number => {
  const reply = hasField(cause, "errorResponse") ? cause.errorResponse : undefined
  const base = hasField(reply, "baseBackoffMS") ? Number(reply.baseBackoffMS) : Number.NaN
  return Number.isFinite(base) && base > 0 ? base : initial
}

const hasField = <Name extends string>(value: unknown, name: Name): value is { readonly [_ in Name]: unknown } =>
  typeof value === "object" && value !== null && name in value
