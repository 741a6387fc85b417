/**
 * What a run has to know of the transaction that it is in.
 */
import * as Effect from "effect/Effect"
import type { Attempt } from "../transaction/attempt.js"

/** The runs whose effects have not ended in a transaction, by the ids of their attempts. */
const running = new WeakMap<Attempt, Set<string>>()

/** See {@link whileRunning}. */
export const runningIn = (transaction: Attempt): ReadonlySet<string> | undefined => running.get(transaction)

/** Runs the effect of an attempt, which counts as running in the transaction until the effect has ended. */
export const whileRunning = <A, E, R>(
  transaction: Attempt,
  attempt: string,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const ids = running.get(transaction) ?? new Set()
    running.set(transaction, ids.add(attempt))
    return Effect.ensuring(effect, Effect.sync(() => ids.delete(attempt)))
  })
