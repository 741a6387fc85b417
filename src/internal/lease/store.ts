/**
 * How leases are read and written. What is written is written to a majority, so that no failover gives a lease to two.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Driver from "mongodb"
import type { OperationError } from "../../SessionErrors.js"
import { hasReason } from "../changes/checkpoint.js"
import { writing } from "../changes/own.js"
import { operation } from "../data/operation.js"
import type { Target } from "../data/request.js"
import { losslessly } from "../driver/readOptions.js"
import { grace } from "../time/bounded.js"
import { alone } from "../transaction/start.js"
import { numberOf } from "../values/numbers.js"
import type { Decoded } from "./options.js"
import { decide, type Decision, type Found, found, held, type Record, released, renew, take } from "./record.js"

/** An acquisition of a lease. */
export interface Acquisition<C> {
  readonly target: Target<C>
  readonly name: string
  readonly options: Decoded
  /** Made anew for each acquisition. */
  readonly holder: string
}

/** Takes the lease if nobody holds it, or this very acquisition does. */
export const acquire = <C>(
  { holder, name, options, target }: Acquisition<C>,
  timeout = options.timeout
): Effect.Effect<Decision, OperationError, C> =>
  operation(
    { ...target, timeout },
    writing("findOneAndUpdate"),
    (db, added) =>
      of(db, target).findOneAndUpdate({ _id: name }, take(holder, options.for), {
        ...added,
        ...majority,
        upsert: true,
        returnDocument: "after",
        projection: found
      })
  ).pipe(
    // Two who make the document at the same moment: the server lets one of them know.
    Effect.retry({ while: hasReason("DuplicateKey"), times: 3 }),
    Effect.map((lease) => decide((lease ?? {}) as Found, holder)),
    alone
  )

/**
 * Whether this acquisition was the last one, as the primary has it: a majority may not have it yet. No transaction that is open
 * keeps it waiting.
 */
export const isMine = <C>(
  { holder, name, target }: Acquisition<C>,
  timeout: Duration.Duration
): Effect.Effect<boolean, OperationError, C> =>
  alone(Effect.map(
    operation(
      { ...target, timeout, readConcern: "local", ...primary },
      { name: "findOne", kind: "read", inTransaction: false },
      (db, added) => of(db, target).findOne({ _id: name }, { ...added, ...primary, projection: { holder: 1 } })
    ),
    (found) => found?.holder === holder
  ))

/** Renews the lease; `false` where it is no longer held. */
export const extend = <C>(
  { holder, name, options, target }: Acquisition<C>,
  token: number
): Effect.Effect<boolean, OperationError, C> =>
  alone(Effect.map(
    operation(limited(target, options), writing("updateOne"), (db, added) =>
      of(db, target).updateOne(held(name, holder, token), renew(options.for), { ...added, ...majority })),
    ({ matchedCount }) =>
      numberOf(matchedCount) === 1
  ))

/** {@link extend} in the transaction around it, with which it is committed. */
export const guard = <C>(
  { holder, name, options, target }: Acquisition<C>,
  token: number
): Effect.Effect<boolean, OperationError, C> =>
  Effect.map(
    operation(target, writing("updateOne"), (db, added) =>
      of(db, target).updateOne(held(name, holder, token), renew(options.for), { ...added })),
    ({ matchedCount }) =>
      numberOf(matchedCount) === 1
  )

/** Lets the lease go, if this acquisition has it. A scope that closes waits for it, however long the lease lasts. */
export const release = <C>(
  { holder, name, options, target }: Acquisition<C>
): Effect.Effect<unknown, OperationError, C> =>
  alone(
    operation({ ...target, timeout: Duration.min(options.timeout, grace) }, writing("updateOne"), (db, added) =>
      of(db, target).updateOne({ _id: name, holder }, released, { ...added, ...majority }))
  )

const primary = { readPreference: "primary" } as const

const majority = { writeConcern: { w: "majority" } } as const

const limited = <C>(target: Target<C>, { timeout }: Decoded): Target<C> => ({ ...target, timeout })

const of = <C>(db: Driver.Db, { collection = "" }: Target<C>): Driver.Collection<Record> =>
  db.collection(collection, losslessly)
