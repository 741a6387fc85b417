/**
 * How workflows are read and written: what changes one is committed under its lease.
 */
import * as Effect from "effect/Effect"
import type * as Driver from "mongodb"
import type * as Lease from "../../Lease.js"
import type { LeaseLost, OperationError, TransactionError } from "../../SessionErrors.js"
import * as Transaction from "../../Transaction.js"
import { writing } from "../changes/own.js"
import { operation } from "../data/operation.js"
import type { Request, Target } from "../data/request.js"
import { losslessly } from "../driver/readOptions.js"
import { alone } from "../transaction/start.js"
import { numberOf } from "../values/numbers.js"
import { beginning, leaseOf, left, type Record } from "./record.js"

/** A change of a workflow: of none whose state is another one. */
export interface Change {
  readonly filter: Driver.Document
  readonly update: Driver.Document
}

/** Finds a workflow that has begun, or begins it. */
export const findOrBegin = <C>(
  target: Target<C>,
  name: string,
  id: string,
  version: number
): Effect.Effect<Record | null, OperationError, C> =>
  alone(
    operation(target, writing("findOneAndUpdate"), (db, added) =>
      of(db, target).findOneAndUpdate({ _id: leaseOf(name, id) }, beginning(name, id, version), {
        ...added,
        writeConcern: { w: "majority" },
        returnDocument: "after"
      }))
  )

/** Changes a workflow in the transaction around it; `false` where its state is another one. */
export const change = <C>(
  target: Target<C>,
  { guard }: Lease.Service,
  { filter, update }: Change
): Effect.Effect<boolean, OperationError | LeaseLost, C | Transaction.Transaction> =>
  Effect.zipRight(
    guard,
    Effect.map(
      operation(target, writing("updateOne"), (db, added) => of(db, target).updateOne(filter, update, { ...added })),
      ({ matchedCount }) => numberOf(matchedCount) === 1
    )
  )

/** {@link change} in a transaction of its own. */
export const changeAlone = <C>(
  target: Target<C>,
  held: Lease.Service,
  changed: Change
): Effect.Effect<boolean, OperationError | LeaseLost | TransactionError, C> =>
  alone(
    Transaction.run(change(target, held, changed), { client: target.client, writeConcern: "majority" })
  )

/** A workflow as it is. */
export const read = <C>(target: Target<C>, _id: string): Effect.Effect<Record | null, OperationError, C> =>
  alone(
    operation(
      onPrimary(target),
      reading("findOne"),
      (db, added) => of(db, target).findOne({ _id }, { ...added, ...primary })
    )
  )

/** The ids of the workflows of a version that nobody works on. */
export const leftOf = <C>(
  target: Target<C>,
  name: string,
  version: number
): Effect.Effect<ReadonlyArray<string>, OperationError, C> =>
  alone(
    operation(
      onPrimary(target),
      reading("find"),
      (db, added) =>
        of(db, target)
          .find(left(name, version), { ...added, ...primary, sort: { takenAt: 1 }, projection: { id: 1 }, limit: most })
          .toArray()
    )
  ).pipe(Effect.map((found) => found.map(({ id }) => id)))

// As many as one pass takes up; the next one goes on.
const most = 1000

// Whatever the client prefers: a secondary may not have the state yet that was written before.
const primary = { readPreference: "primary" } as const

const onPrimary = <C>(target: Target<C>): Target<C> => ({ ...target, readConcern: "majority", ...primary })

const reading = (name: string): Request => ({ name, kind: "read", inTransaction: false })

const of = <C>(db: Driver.Db, { collection = "" }: Target<C>): Driver.Collection<Record> =>
  db.collection(collection, losslessly)
