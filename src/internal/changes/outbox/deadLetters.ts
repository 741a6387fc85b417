/**
 * Messages of an outbox that were set aside, since they could not be delivered.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type * as Driver from "mongodb"
import type { HandlingFailed } from "../../../ChangeStreamErrors.js"
import type {
  ConsumerReplaced,
  OperationError,
  SessionMisconfigured,
  TransactionError
} from "../../../SessionErrors.js"
import * as Transaction from "../../../Transaction.js"
import type { TransactionOptions } from "../../../TransactionOptions.js"
import { batches } from "../../data/cursor.js"
import { operation } from "../../data/operation.js"
import type { Request } from "../../data/request.js"
import { serverTime } from "../../driver/bson.js"
import { losslessly, withNumberTypes } from "../../driver/readOptions.js"
import { clientOf } from "../../session/client.js"
import { numberOf } from "../../values/numbers.js"
import { type Checkpoint, store } from "../checkpoint.js"
import { idIn, mark, markedId, writing } from "../own.js"
import { Held } from "../place.js"
import { textOf } from "../poison.js"
import { type Message, messagesOf, sequenceOf, type Stored } from "./store.js"

/**
 * A message that was set aside.
 *
 * @since 0.1.0
 * @category models
 */
export interface DeadLetter {
  /** The id of the message. */
  readonly id: string
  /** Its number, if the outbox has a `sequence`. */
  readonly sequence: Option.Option<number>
  /** What was published, as it is stored: it may be that it does not fit the schema. */
  readonly message: unknown
  /** When it was published, by the publisher's clock. */
  readonly publishedAt: Date
  /** How often its delivery has failed. */
  readonly attempts: number
  /** What it has failed with at last, as a text. */
  readonly error: string
  /** When it was set aside, by the relay's clock. */
  readonly setAsideAt: Date
}

/**
 * The dead letters of an outbox.
 *
 * @since 0.1.0
 * @category models
 */
export interface DeadLetters<Client> {
  /** Those that there are, the oldest first. */
  readonly list: Stream.Stream<DeadLetter, OperationError | SessionMisconfigured, Client>
  /**
   * Publishes one again, with the same id, behind all others; a relay delivers it. Says whether there was one of this id. It
   * is a transaction, and joins one.
   */
  readonly retry: (id: string) => Effect.Effect<boolean, OperationError | TransactionError, Client>
  /** Drops one for good. Says whether there was one of this id. */
  readonly drop: (id: string) => Effect.Effect<boolean, OperationError | SessionMisconfigured, Client>
}

interface StoredLetter extends Message {
  readonly outbox: string
  readonly error: string
  readonly setAsideAt: Date
}

/** The dead letters of an outbox. */
export const of = <A, R, C>(outbox: Stored<A, R, C>): DeadLetters<C> => {
  const { deadLetters, messages, name, valid } = outbox
  const drop = (id: string) =>
    Effect.map(
      Effect.zipRight(
        valid,
        operation(deadLetters, writing("deleteOne"), (db, added) =>
          lettersOf(db, outbox).deleteOne({ _id: markedId(id), outbox: name }, { ...added }))
      ),
      ({ deletedCount }) =>
        numberOf(deletedCount) > 0
    )
  const retry = (id: string) =>
    together(
      outbox,
      Effect.gen(function*() {
        const _id = markedId(id)
        const found = yield* operation(
          deadLetters,
          writing("findOneAndDelete"),
          (db, added) => lettersOf(db, outbox).findOneAndDelete({ _id, outbox: name }, { ...added, ...withNumberTypes })
        )
        if (found === null) return false
        const { error: _, outbox: __, setAsideAt: ___, at: ____, ...message } = found
        yield* operation(
          messages,
          writing("insertOne"),
          (db, added) => messagesOf(db, messages).insertOne({ ...message, _id, at: serverTime() }, { ...added })
        )
        return true
      })
    )
  return {
    drop,
    list: Stream.map(
      Stream.unwrap(Effect.as(
        valid,
        batches(
          deadLetters,
          reading,
          (db, added) =>
            lettersOf(db, outbox).find({ outbox: name }, { ...added, sort: { setAsideAt: 1 }, allowDiskUse: true })
        )
      )),
      ({ _id, attempts, error, message, publishedAt, sequence, setAsideAt }): DeadLetter => ({
        id: idIn(_id),
        sequence: sequenceOf(sequence),
        message,
        publishedAt,
        attempts: numberOf(attempts),
        error,
        setAsideAt
      })
    ),
    retry: (id) => Effect.zipRight(valid, retry(id))
  }
}

/**
 * Takes a message out of its outbox, and puts it among the dead letters; `false` where it is no longer there. Fails with
 * `ConsumerReplaced` when somebody else has the relay's checkpoint.
 */
export const setAside = <A, R, C>(
  outbox: Stored<A, R, C>,
  checkpoint: Checkpoint<C>,
  { _id }: Message,
  { attempts, cause }: HandlingFailed
): Effect.Effect<boolean, OperationError | TransactionError | ConsumerReplaced, C> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) =>
    together(
      outbox,
      Effect.gen(function*() {
        yield* store(checkpoint, {})
        // Not as it was read to be delivered: the driver makes a number of each of BSON's.
        const found = yield* operation(
          outbox.messages,
          writing("findOneAndDelete"),
          (db, added) => messagesOf(db, outbox.messages).findOneAndDelete({ _id }, { ...added, ...withNumberTypes })
        )
        if (found === null) return false
        const { _id: __, ...message } = found
        yield* operation(outbox.deadLetters, writing("replaceOne"), (db, added) =>
          lettersOf(db, outbox).replaceOne(
            { _id },
            { ...message, [mark]: 1, outbox: outbox.name, attempts, error: textOf(cause), setAsideAt: new Date(now) },
            { ...added, upsert: true }
          ))
        return true
      }),
      ofRelay
    ))

// A message is in one of the two collections, never in both.
const together = <A, R, C, B, E>(
  { messages }: Stored<A, R, C>,
  effect: Effect.Effect<B, E, C>,
  options: TransactionOptions = {}
) =>
  Effect.flatMap(
    clientOf(messages),
    (client) =>
      // Whatever the client prefers: a transaction reads from the primary only.
      Transaction.run(effect, { readPreference: "primary", ...options, client: Held }).pipe(
        Effect.provideService(Held, client)
      )
  )

// Whatever the client prefers: a transaction does not take every level.
const ofRelay: TransactionOptions = { readConcern: "local", writeConcern: { w: "majority" } }

const lettersOf = <A, R, C>(db: Driver.Db, { deadLetters }: Stored<A, R, C>): Driver.Collection<StoredLetter> =>
  db.collection(deadLetters.collection ?? "", losslessly)

const reading: Request = { name: "find", kind: "read", inTransaction: true }
