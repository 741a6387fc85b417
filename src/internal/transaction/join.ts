/**
 * How a part joins the transaction that it is run in.
 */
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import { IncompatibleJoin } from "../../TransactionErrors.js"
import type * as TransactionOptions from "../../TransactionOptions.js"
import { Part } from "./part.js"

const names = ["readConcern", "writeConcern", "readPreference", "maxCommitTime", "timeout"] as const

/** The options of a part that differ from those of the transaction; what a part leaves out it takes as it is. */
const differing = (
  part: TransactionOptions.Decoded,
  transaction: TransactionOptions.Resolved
): ReadonlyArray<string> => names.filter((name) => part[name] !== undefined && !isSame(part[name], transaction[name]))

const isSame = (one: unknown, other: unknown): boolean =>
  isObject(one) && isObject(other) && !Equal.isEqual(one)
    ? [...new Set([...Object.keys(one), ...Object.keys(other)])].every((key) => isSame(one[key], other[key]))
    : Equal.equals(one, other)

const isObject = (value: unknown): value is { readonly [key: string]: unknown } =>
  typeof value === "object" && value !== null

/**
 * Runs an effect as a part of a transaction.
 *
 * MongoDB has no savepoints: when a part fails after it has begun to write, the whole can't be committed any more.
 */
export const join = <A, E, R>(body: (part: Part) => Effect.Effect<A, E, R>, within: Part): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const part = new Part(within.of, within)
    return Effect.onError(body(part), (cause) => Effect.sync(() => part.fail(cause)))
  })

/** Fails where the options of a part are not those of the transaction. */
export const ensureSame = (
  decoded: TransactionOptions.Decoded,
  within: Part
): Effect.Effect<void, IncompatibleJoin> => {
  const options = differing(decoded, within.options)
  return options.length === 0 ? Effect.void : Effect.fail(new IncompatibleJoin({ options }))
}
