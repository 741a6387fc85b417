/**
 * The checkpoints of consumers, as whoever operates them sees and changes them.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Driver from "mongodb"
import * as ResumeToken from "../../ResumeToken.js"
import type { ConsumerReplaced, OperationError, SessionMisconfigured } from "../../SessionErrors.js"
import { operation } from "../data/operation.js"
import type { Target } from "../data/request.js"
import { claim, storeAlone, toStored } from "./checkpoint.js"
import { ensureName } from "./consumeOptions.js"

/**
 * How far a consumer has come.
 *
 * @since 0.1.0
 * @category models
 */
export interface CheckpointState {
  /** The consumer's name. */
  readonly name: string
  /** The event after which it goes on, or the time from which on; none if it begins where its stream begins. */
  readonly position: Option.Option<ResumeToken.ResumeToken | Driver.Timestamp>
  /** When a consumer of the name was started last, by the server's clock. */
  readonly claimedAt: Option.Option<Date>
  /** When something was noted last, by the server's clock. */
  readonly updatedAt: Option.Option<Date>
  /** How often the handling of the next event has failed. */
  readonly attempts: number
}

/**
 * The checkpoints in a collection.
 *
 * @since 0.1.0
 * @category models
 */
export interface Checkpoints<Client> {
  /** Those that there are, by their names. */
  readonly list: Effect.Effect<ReadonlyArray<CheckpointState>, OperationError, Client>
  /**
   * Has the consumer of a name go on after an event, or from a time on, when it is started the next time. One that runs fails
   * with `ConsumerReplaced`. Fails with `SessionMisconfigured` when the name is none.
   */
  readonly set: (
    name: string,
    position: ResumeToken.ResumeToken | Driver.Timestamp
  ) => Effect.Effect<void, OperationError | ConsumerReplaced | SessionMisconfigured, Client>
  /** Has the consumer of a name begin where its stream begins, as if it had never run. One that runs fails as by {@link set}. */
  readonly reset: (
    name: string
  ) => Effect.Effect<void, OperationError | ConsumerReplaced | SessionMisconfigured, Client>
}

/** The checkpoints in a collection. */
export const of = <C>(target: Target<C>): Checkpoints<C> => {
  const change = (name: string, fields: Driver.Document) =>
    Effect.flatMap(
      Effect.zipRight(ensureName(name), claim(target, name)),
      ({ checkpoint }) => storeAlone(checkpoint, { ...fields, failed: undefined })
    )
  return {
    list: Effect.map(
      operation(
        { ...target, readConcern: "majority" },
        { name: "find", kind: "read", inTransaction: false },
        (db, added) =>
          db.collection<Driver.Document & { readonly _id: string }>(target.collection ?? "")
            .find({}, { ...added, sort: { _id: 1 } }).toArray()
      ),
      (found) => found.map(stateOf)
    ),
    set: (name, position) =>
      change(
        name,
        toStored(
          position instanceof ResumeToken.ResumeToken
            ? { startAfter: position.document }
            : { startAtOperationTime: position }
        )
      ),
    reset: (name) => change(name, { token: undefined, time: undefined, stream: undefined })
  }
}

const stateOf = ({ _id, claimedAt, failed, time, token, updatedAt }: Driver.Document): CheckpointState => ({
  name: String(_id),
  position: typeof token === "string"
    ? Option.getRight(ResumeToken.decode(token))
    : Option.fromNullable(time as Driver.Timestamp | undefined),
  claimedAt: Option.fromNullable(claimedAt as Date | undefined),
  updatedAt: Option.fromNullable(updatedAt as Date | undefined),
  attempts: Number(failed?.attempts ?? 0)
})
