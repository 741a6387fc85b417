/**
 * How keys are read and written, and the index by which the server removes them.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import type * as Driver from "mongodb"
import type { MongoError, Reason } from "../../MongoError.js"
import type { OperationError } from "../../SessionErrors.js"
import { writing } from "../changes/own.js"
import { operation } from "../data/operation.js"
import type { Target } from "../data/request.js"
import { losslessly } from "../driver/readOptions.js"
import { clientOf } from "../session/client.js"
import * as Log from "../telemetry/log.js"
import * as Time from "../time/clock.js"
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
  // When it has taken too long last, in nanoseconds.
  readonly #late = new WeakMap<object, bigint>()
  // The attempts on their way, for which those that come meanwhile wait.
  readonly #trying = new WeakMap<object, Deferred.Deferred<void>>()

  constructor(target: Target<C>) {
    this.#target = target
  }

  /** Makes the index. Where it can't be made, keys stay, and the log says so. */
  get ensure(): Effect.Effect<void, never, C> {
    return Effect.flatMap(
      clientOf(this.#target),
      (client) =>
        Effect.uninterruptibleMask((restore) =>
          Effect.withFiberRuntime<void, never, C>((fiber) => {
            if (this.#settled.has(client)) return Effect.void
            const late = this.#late.get(client)
            if (late !== undefined && Time.secondsSince(late, fiber) < pause) return Effect.void
            const known = this.#trying.get(client)
            if (known !== undefined) return restore(Deferred.await(known))
            const tried = Deferred.unsafeMake<void>(FiberId.none)
            this.#trying.set(client, tried)
            return Effect.ensuring(
              restore(this.#try(client)),
              Effect.suspend(() => {
                this.#trying.delete(client)
                return Deferred.succeed(tried, undefined)
              })
            )
          })
        )
    )
  }

  #try(client: object): Effect.Effect<void, never, C> {
    const { collection = "" } = this.#target
    return Effect.matchEffect(alone(this.#create), {
      onFailure: (error) => {
        const reason = error._tag === "MongoError" ? error.reason : error._tag
        if (passing.has(reason)) return Effect.void
        return Effect.withFiberRuntime<void>((fiber) => {
          // With so many keys that it takes longer, each run would wait for it in vain.
          if (reason === "TimedOut") this.#late.set(client, Time.clockOf(fiber).unsafeCurrentTimeNanos())
          else this.#settled.add(client)
          return Log.keysStay(collection, reason)
        })
      },
      onSuccess: () => Effect.sync(() => void this.#settled.add(client))
    })
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
const passing: ReadonlySet<string> = new Set<Reason>([
  "NetworkError",
  "ServerSelectionFailed",
  "PoolFailure",
  "NotPrimary",
  "WriteConcernFailed",
  "ConnectionClosed",
  "Interrupted"
])

// For how many seconds the index is not tried again after it has taken too long.
const pause = 600

/** Whether another run has written the key in a transaction that is open still, or has just been committed. */
export const isTaken = (error: OperationError): error is MongoError =>
  error._tag === "MongoError" && (error.reason === "WriteConflict" || error.reason === "DuplicateKey")

const keysOf = <C>(db: Driver.Db, { collection = "" }: Target<C>): Driver.Collection<Record> =>
  db.collection(collection, losslessly)
