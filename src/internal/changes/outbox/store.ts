/**
 * How an outbox is stored: its messages, how far its relay has come, and its dead letters.
 */
import * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import * as Option from "effect/Option"
import type * as Driver from "mongodb"
import type { Codec } from "../../../Codec.js"
import type { DecodeFailed, OperationError, SessionMisconfigured } from "../../../SessionErrors.js"
import { operation } from "../../data/operation.js"
import type { Request, Target } from "../../data/request.js"
import { losslessly } from "../../driver/readOptions.js"
import { numberOf } from "../../values/numbers.js"
import { idIn } from "../own.js"

/** An outbox, as it is stored. */
export interface Stored<A, R, C> {
  readonly name: string
  /** What is wrong with its name and options, if anything is. */
  readonly valid: Either.Either<unknown, SessionMisconfigured>
  readonly codec: Codec<A, unknown, R>
  /** The collection of the messages. */
  readonly messages: Target<C>
  /** The collection of the relay's checkpoint, and of the sequence. */
  readonly state: Target<C>
  /** The collection of what was set aside. */
  readonly deadLetters: Target<C>
  /** Whether the messages are numbered. */
  readonly isNumbered: boolean
}

/** A message, as it is stored. */
export interface Message extends Driver.Document {
  /** Its id, marked. */
  readonly _id: string
  readonly message: unknown
  readonly publishedAt: Date
  /** When it was written, by the cluster's clock; it was committed later. */
  readonly at?: Driver.Timestamp | undefined
  readonly sequence?: unknown
  readonly attempts?: unknown
}

/**
 * A message on its way.
 *
 * @since 0.1.0
 * @category models
 */
export interface Delivery<A> {
  /** Its id, which is the same each time that it is delivered. */
  readonly id: string
  /** Its number among all messages of the outbox, if that has a `sequence`. */
  readonly sequence: Option.Option<number>
  /** What was published. Without a schema, each regular expression is a `BSONRegExp`. */
  readonly message: A
  /** When it was published, by the publisher's clock. */
  readonly publishedAt: Date
}

/** The message in a stored one. */
export const decode = <A, R, C>(
  { codec, name }: Stored<A, R, C>,
  { _id, message, publishedAt, sequence }: Message
): Effect.Effect<Delivery<A>, DecodeFailed, R> =>
  Effect.map(codec.decode(message, `message of outbox ${name}`), (decoded) => ({
    id: idIn(_id),
    sequence: sequenceOf(sequence),
    message: decoded,
    publishedAt
  }))

/** The number of a message, if it has one. */
export const sequenceOf = (sequence: unknown): Option.Option<number> =>
  Option.map(Option.fromNullable(sequence), numberOf)

/** The name of the relay's checkpoint. */
export const relayOf = (name: string): string => `${name}/relay`

/** The ids that are noted as delivered in a checkpoint; their messages may be there still. */
export const deliveredIn = (stored: Driver.Document | null): ReadonlyArray<string> => {
  const noted: unknown = stored?.["delivered"]
  return Array.isArray(noted) ? noted.map(String) : []
}

/** How many messages were not delivered yet. */
export const pending = <A, R, C>(
  { messages, name, state, valid }: Stored<A, R, C>
): Effect.Effect<number, OperationError | SessionMisconfigured, C> =>
  Effect.flatMap(
    Effect.zipRight(
      valid,
      operation(
        state,
        reading("findOne"),
        (db, added) => stateOf(db, state).findOne({ _id: relayOf(name) }, { ...added })
      )
    ),
    (found) =>
      operation(
        messages,
        reading("countDocuments"),
        (db, added) =>
          messagesOf(db, messages).countDocuments({ _id: { $nin: deliveredIn(found).slice() } }, { ...added })
      )
  )

const reading = (name: string): Request => ({ name, kind: "read", inTransaction: true })

/** The messages. */
export const messagesOf = <C>(db: Driver.Db, { collection = "" }: Target<C>): Driver.Collection<Message> =>
  db.collection(collection, losslessly)

/** The sequence and the relay's checkpoint. */
export const stateOf = <C>(
  db: Driver.Db,
  { collection = "" }: Target<C>
): Driver.Collection<Driver.Document & { readonly _id: string }> => db.collection(collection, losslessly)
