/**
 * A transactional outbox: messages that are published if, and only if, the transaction is committed in which they were
 * written, and that are then delivered in the order of the commits.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Stream from "effect/Stream"
import type * as Driver from "mongodb"
import type { HandlingFailed } from "./ChangeStreamErrors.js"
import { type AnySchema, isSchema, raw, whole } from "./Codec.js"
import * as Checkpoints from "./internal/changes/checkpoint.js"
import * as Letters from "./internal/changes/outbox/deadLetters.js"
import { collectionsOf, ensureOutbox } from "./internal/changes/outbox/options.js"
import { type Outgoing, Publishing } from "./internal/changes/outbox/publish.js"
import * as Relaying from "./internal/changes/outbox/relay.js"
import { type Delivery, pending, type Stored } from "./internal/changes/outbox/store.js"
import { misnaming } from "./internal/data/target.js"
import { storable } from "./internal/data/values.js"
import { amended } from "./internal/driver/errors.js"
import { type AsGiven, clientIn, type ClientOption, type MongoClient } from "./internal/session/client.js"
import { sessionIn } from "./internal/session/service.js"
import { clockOf } from "./internal/time/clock.js"
import { andThen } from "./internal/time/fiber.js"
import { givenIn, readable } from "./internal/values/options.js"
import { MongoError } from "./MongoError.js"
import {
  ForeignSession,
  type OperationError,
  type PublishError,
  type RelayError,
  type SessionMisconfigured,
  type TransactionEnded
} from "./SessionErrors.js"
import type * as Transaction from "./Transaction.js"

export type {
  /** A message that was set aside. @since 0.1.0 @category models */
  DeadLetter,
  /** The dead letters of an outbox. @since 0.1.0 @category models */
  DeadLetters
} from "./internal/changes/outbox/deadLetters.js"
export type {
  /** How to relay. @since 0.1.0 @category options */
  RelayOptions
} from "./internal/changes/outbox/relay.js"
export type {
  /** What publishing can fail with. @since 0.1.0 @category errors */
  PublishError,
  /** What relaying fails with by itself. @since 0.1.0 @category errors */
  RelayError
} from "./SessionErrors.js"
export type {
  /** A message on its way. @since 0.1.0 @category models */
  Delivery
}

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
   * All that a transaction publishes is written by one insert at its end, just before the commit. Nobody waits for anybody
   * else. When the writing fails, nothing is committed and the transaction fails with `TransactionDoomed`, or is run again; with
   * `TransactionAborted` when its `timeout` expires. A message of a joined part that has failed is not published.
   *
   * Fails with `DecodeFailed` when the message does not fit the schema, `MongoError` (`EncodingFailed`) when BSON has no such
   * value, or (`DocumentTooLarge`) when it has more than 16 MiB less 64 KiB, `ForeignSession` when the transaction belongs to
   * another client, and `TransactionEnded` when it is over; and, as all else of an outbox does before anything is sent, with
   * `SessionMisconfigured` when its name or options are wrong.
   */
  readonly publish: (
    message: A
  ) => Effect.Effect<string, PublishError, Transaction.Transaction | Client | R>
  /** {@link Outbox.publish} for several messages, in their order. */
  readonly publishAll: (
    messages: Iterable<A>
  ) => Effect.Effect<ReadonlyArray<string>, PublishError, Transaction.Transaction | Client | R>
  /**
   * Delivers the messages in the order in which they were committed, one after the other unless `concurrency` says otherwise,
   * and gives each when that is noted. It goes on until it fails or is interrupted: `Stream.runDrain` runs it.
   *
   * A message is delivered at least once. It has the same `id` each time, by which its receiver can tell. Delivered messages
   * are noted and removed in batches (`batch`): those of one batch may be delivered again after a crash, in their order.
   * `batch: 1` repeats one at most, for which each delivery takes some round trips more. A stream that is ended early, as by
   * `Stream.take`, has delivered the rest of its batch, too.
   *
   * It runs in a session of its own. The order is that of a change stream, whose place is noted with the deliveries. If the
   * server's oplog no longer reaches back to it, what is there is delivered in the order in which it was written.
   *
   * Of several relays of one outbox the one that was started last goes on: the others fail with `ConsumerReplaced` at once,
   * also while they wait. What one of them was about to deliver at that moment, both may deliver.
   *
   * A message that cannot be delivered, or does not fit the schema, fails the relay with `HandlingFailed`, which names the
   * message and what `deliver` has failed with; or see `retry` and `onPoison`. It may then be started again, except after
   * `ConsumerReplaced`, and goes on with the messages that were not delivered. It also fails with what any operation can fail
   * with, and `InvalidInTransaction` in a transaction.
   */
  readonly relay: <X, E2, R2>(
    deliver: (delivery: Delivery<A>) => Effect.Effect<X, E2, R2>,
    options?: Relaying.RelayOptions<A>
  ) => Stream.Stream<Delivery<A>, HandlingFailed<E2> | RelayError, R | R2 | Client>
  /** The messages that a relay has set aside (`onPoison`). */
  readonly deadLetters: Letters.DeadLetters<Client>
  /** How many messages there are that were not delivered yet. */
  readonly pending: Effect.Effect<number, OperationError | SessionMisconfigured, Client>
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
  /** The collection of the dead letters of all outboxes. Default `effect_mongo_session.deadLetters`. */
  readonly deadLetterCollection?: string | undefined
  /**
   * Whether each message gets the next number of a sequence without gaps, in the order of the commits. It is a counter that
   * all transactions change which publish in this outbox, so that they are committed one after the other: of two at the same
   * moment, one is run again. Default `false`.
   */
  readonly sequence?: boolean | undefined
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
 * Makes an outbox; nothing is sent. Its messages are typed by the schema, or documents as they are without one, with a
 * `BSONRegExp` for each regular expression. A name has 1 to 1,024 characters, and no slash. Where no `collection` is named, it is
 * a part of the collection's name, which has at most 255 bytes with that of the database.
 *
 * A message is a document that the transaction inserts. MongoDB's change streams tell the order in which transactions were
 * committed, and the relay follows it. So publishing takes as long as any other insert, however many publish at once.
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
  ): Outbox<S["Type"], S["Context"], AsGiven<Client>>
  <Client = MongoClient>(
    name: string,
    options?: UntypedOptions<Client>
  ): Outbox<Driver.Document, never, AsGiven<Client>>
} = <Client>(
  name: string,
  given?: Options<Client> & { readonly schema?: AnySchema | undefined }
) => {
  const read = readable(given)
  const { client, schema, ...options } = givenIn(read)
  const { database, sequence = false } = options
  const { collection, deadLetterCollection, stateCollection } = collectionsOf(name, options)
  return of({
    name,
    valid: Either.flatMap(read, () => ensureOutbox({ ...options, schema, name })),
    // What it needs and gives is in the type of the outbox.
    codec: (isSchema(schema) ? whole(schema) : raw) as typeof raw,
    messages: { client, database, collection, readConcern },
    state: { client, database, collection: stateCollection, readConcern },
    deadLetters: { client, database, collection: deadLetterCollection, readConcern },
    isNumbered: sequence
  })
}

// Whatever the client prefers: some levels know no causal order, and what is not majority may be rolled back.
const readConcern = "majority"

// For what is stored with a message besides, at last as a dead letter: above all, the error.
const room = new Uint8Array(65_536)

const withRoom = (error: MongoError): MongoError =>
  error.reason === "DocumentTooLarge" ? amended(error, { hint }) : error

const hint = "A message has at most 16 MiB less 64 KiB: with it is stored how its delivery has failed. " +
  "Nothing was sent."

const of = <A, R, C>(stored: Stored<A, R, C>): Outbox<A, R, C> => {
  const { codec, messages, name, valid } = stored
  const publishing = new Publishing(stored)
  const source = `message of outbox ${name}`
  // Now, for at the end of the transaction nobody could handle a message that is refused.
  const ensureHere = Effect.withFiberRuntime<unknown, ForeignSession | SessionMisconfigured | MongoError, C>(
    (fiber) => {
      if (Either.isLeft(valid)) return valid
      const client = clientIn(fiber, messages)
      if (sessionIn(fiber, client) === "foreign") return Effect.fail(new ForeignSession({ operation: "publish" }))
      return misnaming(client, messages, { name: "publish", collection: stored.state.collection }) ?? Effect.void
    }
  )
  // In one step: most transactions publish, and what they write besides is as little.
  const put = (encoded: ReadonlyArray<unknown>) =>
    Effect.withFiberRuntime<ReadonlyArray<string>, MongoError | TransactionEnded, Transaction.Transaction | C>(
      (fiber) => {
        if (encoded.length === 0) return Effect.succeed([])
        const publishedAt = new Date(clockOf(fiber).unsafeCurrentTimeMillis())
        const outgoing: Array<Outgoing> = []
        for (const given of encoded) {
          // What could be read no more, or not be set aside, would stop the relay for ever.
          const stored = storable({ message: given, room }, "publish", source)
          if (stored instanceof MongoError) return Effect.fail(withRoom(stored))
          outgoing.push({ id: Checkpoints.freshId(), message: stored.document.message, publishedAt })
        }
        return andThen(publishing.add(fiber, outgoing), () => Effect.succeed(outgoing.map(({ id }) => id)))
      }
    )
  return {
    name,
    publish: (value) =>
      Effect.zipRight(
        ensureHere,
        Effect.flatMap(codec.encode(value, source), (message) => Effect.map(put([message]), ([id = ""]) => id))
      ),
    publishAll: (values) =>
      Effect.zipRight(
        ensureHere,
        Effect.flatMap(Effect.forEach(values, (value) => codec.encode(value, source)), put)
      ),
    relay: (deliver, options) => Relaying.relay(stored, deliver, options),
    deadLetters: Letters.of(stored),
    pending: pending(stored)
  }
}
