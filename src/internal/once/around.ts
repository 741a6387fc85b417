/**
 * What a run has to know of the transaction that it is in.
 */
import * as Effect from "effect/Effect"
import { TransactionDoomed, TransactionEnded } from "../../TransactionErrors.js"
import type { Attempt } from "../transaction/attempt.js"
import type { Part } from "../transaction/part.js"

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

/**
 * Looks at the transaction of a run that begins. Whoever asks later is told why the transaction does not keep what the run has
 * written: the effect has ended it by hand, or has asked for a rollback. A transaction around the run gives its own result after
 * the latter, and so does a sandbox.
 */
export const watch = ({ of, within }: Part): () => TransactionEnded | TransactionDoomed | undefined => {
  const began = of.ended
  const past = of.past.length
  return () => {
    const isLost = [...of.past.slice(past), of].some(({ ended }) => ended !== "no" && ended !== "committed")
    // Whoever runs it behind the end of a transaction has none.
    if (isLost && began === "no") return new TransactionEnded({ operation: "Once.run" })
    const isUndone = of.isRollbackOnly && of.ended === "no" && within === undefined && !of.isSandbox
    return isUndone ? new TransactionDoomed({ first: undefined, isRollbackOnly: true }) : undefined
  }
}
