/**
 * Attempts of transactions without a session, for tests of what an attempt knows and decides by itself.
 */
import * as Effect from "effect/Effect"
import * as Lane from "../../../src/internal/session/lane.js"
import { contextOf, type Transaction } from "../../../src/internal/session/turn.js"
import { Lifetime } from "../../../src/internal/telemetry/lifetime.js"
import { Warnings } from "../../../src/internal/telemetry/warnings.js"
import { Attempt, type Options, Run } from "../../../src/internal/transaction/attempt.js"
import { Part } from "../../../src/internal/transaction/part.js"
import { MongoError } from "../../../src/MongoError.js"
import * as TransactionOptions from "../../../src/TransactionOptions.js"

/** The options that a transaction has when none are given. */
export const defaults: TransactionOptions.Resolved = {
  readConcern: undefined,
  writeConcern: undefined,
  readPreference: undefined,
  maxCommitTime: undefined,
  timeout: TransactionOptions.defaultTimeout,
  warnings: undefined
}

/** A new attempt, in a session of its own unless told otherwise. */
export const attempt = (options: Partial<Options> = {}): Part =>
  new Part(
    new Attempt({
      number: 1,
      options: defaults,
      sessionLane: Lane.make(),
      lane: Lane.make(),
      outer: undefined,
      isSandbox: false,
      run: new Run(new Warnings(undefined, new Lifetime(() => Effect.succeed({}), () => true))),
      ...options
    })
  )

/** Runs an effect in a part of an attempt. */
export const inside = <A, E, R>(
  part: Part,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E, Exclude<R, Transaction>> => Effect.provide(effect, contextOf(part))

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
export const operate = <A, E, R>(part: Part, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    part.begins({ operation: "test" })
    return Effect.tapErrorCause(effect, (cause) => Effect.sync(() => part.observe(cause)))
  })
