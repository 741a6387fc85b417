/**
 * A transactional outbox: messages that are published if, and only if, the transaction is committed in which they were
 * written, and that are then delivered in the order of the commits.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type * as Driver from "mongodb"
import { type AnySchema, ofOptional } from "./Codec.js"
import * as Checkpoints from "./internal/changes/checkpoint.js"
import * as Relaying from "./internal/changes/relay.js"
import { operation, place, type Request } from "./internal/data/operation.js"
import { storable } from "./internal/data/values.js"
import type { ClientOption, MongoClient } from "./internal/session/client.js"
import { MongoError } from "./MongoError.js"
import type { OperationError, PublishError, RelayError } from "./SessionErrors.js"
import * as Transaction from "./Transaction.js"

export type {
  /** A message on its way. @since 0.1.0 @category models */
  Delivery,
  /** How to relay. @since 0.1.0 @category options */
  RelayOptions
} from "./internal/changes/relay.js"
export type {
  /** What publishing can fail with. @since 0.1.0 @category errors */
  PublishError,
  /** What relaying fails with by itself. @since 0.1.0 @category errors */
  RelayError
} from "./SessionErrors.js"

/**
 * An outbox. Immutable.
 *
 * @since 0.1.0
 * @category models
 */
export interface Outbox<A, R = never, Client = MongoClient> {
  /** What it is called. */
  readonly name: string
  /**
   * Publishes a message when the transaction is committed, and gives the id with which it is going to be delivered.
   *
   * The message is written at the end of the transaction, just before the commit, so that those who publish in one outbox
   * wait for each other for as short a time as can be. When the writing fails, nothing is committed and the transaction
   * fails with `TransactionDoomed`, or is run again. A message of a joined part that has failed is not published.
   *
   * Fails with `DecodeFailed` when the message does not fit the schema, `MongoError` (`EncodingFailed`) when BSON has no such value, `ForeignSession` when the transaction belongs to
   * another client, and `TransactionEnded` when it is over.
   */
  readonly publish: (
    message: A
  ) => Effect.Effect<string, PublishError, Transaction.Transaction | Client | R>
  /** {@link Outbox.publish} for several messages, in their order. */
  readonly publishAll: (
    messages: Iterable<A>
  ) => Effect.Effect<ReadonlyArray<string>, PublishError, Transaction.Transaction | Client | R>
  /**
   * Delivers the messages, one after the other, in the order in which they were committed, and gives each when it was
   * delivered. It goes on until it fails or is interrupted: `Stream.runDrain` runs it.
   *
   * A message is delivered at least once: again after a crash between its delivery and the note of it. It has the same `id`
   * each time, by which its receiver can tell; no other message is delivered between. What was delivered is deleted.
   *
   * Of several relays of one outbox the one that was started last goes on: the others fail with `ConsumerReplaced`. What
   * one of them was about to deliver at that moment, both may deliver.
   *
   * Fails with what `deliver` fails with, with `DecodeFailed` for a message that no longer fits the schema, and with what
   * any operation can fail with. It may then be started again, except after `ConsumerReplaced`, and goes on with the
   * message that was not delivered.
   */
  readonly relay: <X, E2, R2>(
    deliver: (delivery: Relaying.Delivery<A>) => Effect.Effect<X, E2, R2>,
    options?: Relaying.RelayOptions
  ) => Stream.Stream<Relaying.Delivery<A>, E2 | RelayError, R | R2 | Client>
  /** How many messages there are that were not delivered yet. */
  readonly pending: Effect.Effect<number, OperationError, Client>
}

/**
 * Where an outbox is kept.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options<Client = MongoClient> extends ClientOption<Client> {
  /** The database, which should be that of the documents that are written along. Default: the client's. */
  readonly database?: string | undefined
  /** The collection of the messages, which belongs to this outbox alone. Default `effect_mongo_session.outbox.<name>`. */
  readonly collection?: string | undefined
  /** The collection that says, for each outbox, how far it has come. Default `effect_mongo_session.outboxes`. */
  readonly stateCollection?: string | undefined
}

/**
 * Where an outbox is kept, and what its messages are.
 *
 * @since 0.1.0
 * @category options
 */
export interface TypedOptions<S extends AnySchema, Client = MongoClient> extends Options<Client> {
  /** What a message is. */
  readonly schema: S
}

interface UntypedOptions<Client> extends Options<Client> {
  readonly schema?: undefined
}

/**
 * Makes an outbox; nothing is sent. Its messages are typed by the schema, or documents as they are without one.
 *
 * MongoDB does not tell in which order transactions were committed. So each message gets the next number of a sequence,
 * which is a document that the transaction changes: of two transactions that publish in one outbox at the same moment, one
 * is run again after the other. Transactions that publish in one outbox are therefore committed one after the other, and it
 * is best to have an outbox for each thing whose order matters.
 *
 * The number is taken just before the commit. With 8 publishers at once, whose transactions had 20 ms left to run after they
 * had published, that was twice as fast as to take it when the message is published, with half as many repetitions; without
 * any order it would have been three times faster still. A publisher that crashes in these last moments holds up the others
 * until the server gives its transaction up, after a minute at most (`transactionLifetimeLimitSeconds`).
 *
 * MongoDB 4.4 or later, for the collections are made by the first message.
 *
 * @example
 * ```ts
 * import * as Outbox from "effect-mongo-session/Outbox"
 * import * as Transaction from "effect-mongo-session/Transaction"
 * import * as Effect from "effect/Effect"
 * import * as Schema from "effect/Schema"
 * import * as Stream from "effect/Stream"
 *
 * const Mails = Outbox.make("mails", { schema: Schema.Struct({ to: Schema.String, text: Schema.String }) })
 *
 * export const order = Transaction.run(Mails.publish({ to: "ada", text: "Thank you for your order" }))
 *
 * export const relay = Stream.runDrain(
 *   Mails.relay(({ id, message }) => Effect.log(`mail ${id} to ${message.to}`))
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: {
  <S extends AnySchema, Client = MongoClient>(
    name: string,
    options: TypedOptions<S, Client>
  ): Outbox<S["Type"], S["Context"], Client>
  <Client = MongoClient>(name: string, options?: UntypedOptions<Client>): Outbox<Driver.Document, never, Client>
} = <Client>(
  name: string,
  { client, collection = `effect_mongo_session.outbox.${name}`, database, schema, stateCollection = defaultState }:
    & Options<Client>
    & { readonly schema?: AnySchema | undefined } = {}
) =>
  of({
    name,
    codec: ofOptional(schema),
    messages: { client, database, collection },
    state: { client, database, collection: stateCollection }
  })

const defaultState = "effect_mongo_session.outboxes"

const of = <A, R, C>(stored: Relaying.Stored<A, R, C>): Outbox<A, R, C> => {
  const { codec, name, state } = stored
  const publishAll: Outbox<A, R, C>["publishAll"] = (values) =>
    Effect.gen(function*() {
      // Now, for at the end of the transaction nobody could handle it.
      yield* place(state, writing("publish"))
      const publishedAt = new Date(yield* Clock.currentTimeMillis)
      const messages = yield* Effect.forEach(values, (value) =>
        Effect.gen(function*() {
          const encoded = yield* codec.encode(value, `message of outbox ${name}`)
          const { message } = yield* readable({ message: encoded }, name)
          return { id: yield* Checkpoints.newId, message, publishedAt }
        }))
      if (messages.length > 0) yield* Transaction.beforeCommit(write(stored, messages))
      return messages.map(({ id }) => id)
    })
  return {
    name,
    publish: (message) => Effect.map(publishAll([message]), ([id = ""]) => id),
    publishAll,
    relay: (deliver, options = {}) => Relaying.relay(stored, deliver, options),
    pending: Relaying.pending(stored)
  }
}

// What could be read no more would stop the relay for ever.
const readable = (message: Pick<Relaying.Message, "message">, outbox: string) =>
  Effect.suspend(() => {
    const document = storable(message, "publish", `message of outbox ${outbox}`)
    return document instanceof MongoError ? Effect.fail(document) : Effect.succeed(document)
  })

// The sequence first, for until the commit nobody else gets a number then.
const write = <A, R, C>(
  { messages, name, state }: Relaying.Stored<A, R, C>,
  written: ReadonlyArray<Pick<Relaying.Message, "id" | "message" | "publishedAt">>
): Effect.Effect<void, OperationError, C> =>
  Effect.gen(function*() {
    const sequence = yield* operation(state, writing("findOneAndUpdate"), (db, added) =>
      Relaying.stateOf(db, state).findOneAndUpdate(
        { _id: name },
        { $inc: { last: written.length } },
        { ...added, ...Relaying.plain, upsert: true, returnDocument: "after" }
      ))
    const first = Relaying.numberOf(sequence?.["last"]) - written.length + 1
    yield* operation(messages, writing("insertMany"), (db, added) =>
      Relaying.messagesOf(db, messages).insertMany(
        written.map((message, index) => ({ _id: first + index, ...message })),
        { ...added }
      ))
  })

const writing = (name: string): Request => ({ name, kind: "write", inTransaction: true })
