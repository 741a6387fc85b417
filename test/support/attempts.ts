/**
 * Attempts of transactions without a session, for tests of what an attempt knows and decides by itself.
 */
import * as Effect from "effect/Effect"
import * as Attempt from "../../src/internal/attempt.js"
import * as Lane from "../../src/internal/lane.js"
import { MongoError } from "../../src/MongoError.js"
import * as TransactionOptions from "../../src/TransactionOptions.js"

/** The options that a transaction has when none are given. */
export const defaults: TransactionOptions.Resolved = {
  readConcern: undefined,
  writeConcern: undefined,
  readPreference: undefined,
  maxCommitTime: undefined,
  timeout: TransactionOptions.defaultTimeout
}

/** A new attempt, in a session of its own unless told otherwise. */
export const attempt = (options: Partial<Parameters<typeof Attempt.make>[0]> = {}): Attempt.Part =>
  Attempt.make({
    number: 1,
    options: defaults,
    sessionLane: Lane.make(),
    lane: Lane.make(),
    outer: undefined,
    isSandbox: false,
    run: { isOver: false },
    ...options
  })

/** Runs an effect in a part of an attempt. */
export const inside = <A, E, R>(
  part: Attempt.Part,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E, Exclude<R, Attempt.Transaction>> => Effect.provideService(effect, Attempt.Transaction, part)

/** A failure that may go away when the whole is run again. */
export const conflict = new MongoError({
  reason: "WriteConflict",
  operation: "updateOne",
  code: 112,
  labels: ["TransientTransactionError"]
})

/** A failure of the server that stays. */
export const duplicate = new MongoError({ reason: "DuplicateKey", operation: "insertOne", code: 11_000, labels: [] })

/** Runs an operation of a part, which sees what it fails with. */
export const operate = <A, E, R>(part: Attempt.Part, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    Attempt.begin(part)
    return Effect.tapErrorCause(effect, (cause) => Effect.sync(() => Attempt.observe(part.of, cause)))
  })
