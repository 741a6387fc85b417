/**
 * How keys are read and written, and the index by which the server removes them.
 */
import * as Effect from "effect/Effect"
import type * as Driver from "mongodb"
import type { MongoError, Reason } from "../../MongoError.js"
import type { OperationError } from "../../SessionErrors.js"
import { writing } from "../changes/own.js"
import { losslessly } from "../data/decode.js"
import { operation } from "../data/operation.js"
import type { Target } from "../data/request.js"
import { clientOf } from "../session/client.js"
import * as Log from "../telemetry/log.js"
import { alone } from "../transaction/start.js"
import { numberOf } from "../values/numbers.js"
import { ended, type Record, type State, take, type Taking } from "./record.js"

/** Takes a key if it is free, and gives what was there before. */
export const claim = <C>(
  target: Target<C>,
  _id: string,
  taking: Taking
): Effect.Effect<Record | null, OperationError, C> =>
  operation(
    target,
    writing("findOneAndUpdate"),
    (db, added) =>
      keysOf(db, target).findOneAndUpdate({ _id }, [...take(taking)], {
        ...added,
        upsert: true,
        returnDocument: "before"
      })
  )

/** Stores how the effect has ended; `false` where the key is not there any more. */
export const finish = <C>(
  target: Target<C>,
  _id: string,
  attempt: string,
  state: State,
  value: unknown
): Effect.Effect<boolean, OperationError, C> =>
  Effect.map(
    operation(target, writing("updateOne"), (db, added) =>
      keysOf(db, target).updateOne({ _id, attempt }, ended(state, value), { ...added })),
    ({ matchedCount }) =>
      numberOf(matchedCount) === 1
  )

/** The attempt whose key a majority of the members has. */
export const attemptOf = <C>(target: Target<C>, _id: string): Effect.Effect<string | undefined, OperationError, C> =>
  Effect.map(
    operation(
      { ...target, readConcern: "majority", readPreference: "primary" },
      { name: "findOne", kind: "read", inTransaction: false },
      (db, added) => keysOf(db, target).findOne({ _id }, { ...added, readPreference: "primary" })
    ),
    (found) => found?.attempt
  )

/** The index by which the server removes keys that are too old: made once for each client. */
export class Expiry<C> {
  readonly #target: Target<C>
  readonly #settled = new WeakSet<object>()

  constructor(target: Target<C>) {
    this.#target = target
  }

  /** Makes the index. Where it can't be made, keys stay, and the log says so. */
  get ensure(): Effect.Effect<void, never, C> {
    const { collection = "" } = this.#target
    return Effect.flatMap(
      clientOf(this.#target),
      (client) =>
        this.#settled.has(client) ? Effect.void : alone(this.#create).pipe(
          Effect.catchAll((error) =>
            error._tag === "MongoError" && passing.has(error.reason)
              ? Effect.fail(error)
              : Log.keysStay(collection, reasonOf(error))
          ),
          Effect.match({ onFailure: () => {}, onSuccess: () => void this.#settled.add(client) })
        )
    )
  }

  get #create(): Effect.Effect<unknown, OperationError, C> {
    // An index that is there already takes no lock. One that is not must not wait for long for whoever uses the collection.
    const target: Target<C> = { ...this.#target, timeout: "5 seconds" }
    return operation(
      target,
      { ...writing("createIndexes"), inTransaction: false },
      (db, added) => keysOf(db, target).createIndexes([{ key: { expiresAt: 1 }, expireAfterSeconds: 0 }], { ...added })
    )
  }
}

// The run itself meets them, too, and the next one tries again.
const passing: ReadonlySet<Reason> = new Set<Reason>([
  "NetworkError",
  "ServerSelectionFailed",
  "PoolFailure",
  "NotPrimary",
  "TimedOut",
  "ConnectionClosed",
  "Interrupted"
])

const reasonOf = (error: OperationError): string => error._tag === "MongoError" ? error.reason : error._tag

/** Whether another run has written the key in a transaction that is open still, or has just been committed. */
export const isTaken = (error: OperationError): error is MongoError =>
  error._tag === "MongoError" && (error.reason === "WriteConflict" || error.reason === "DuplicateKey")

const keysOf = <C>(db: Driver.Db, { collection = "" }: Target<C>): Driver.Collection<Record> =>
  db.collection(collection, losslessly)
