/**
 * Delivers the messages of an outbox in their order, and notes how far it has come.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import type * as Driver from "mongodb"
import { type Codec, raw } from "../../Codec.js"
import type { MongoError } from "../../MongoError.js"
import type { OperationError, RelayError } from "../../SessionErrors.js"
import { operation, type Request, type Target } from "../data/operation.js"
import * as Backoff from "../transaction/backoff.js"
import * as Checkpoints from "./checkpoint.js"
import { decoder } from "./events.js"
import * as Watching from "./follow.js"
import { backoff as resuming } from "./position.js"

/**
 * A message on its way.
 *
 * @since 0.1.0
 * @category models
 */
export interface Delivery<A> {
  /** Its id, which is the same each time that it is delivered. */
  readonly id: string
  /** Its place among all messages of the outbox: each has a higher one than those that were committed before it. */
  readonly sequence: number
  /** What was published. */
  readonly message: A
  /** When it was published, by the publisher's clock. */
  readonly publishedAt: Date
}

/**
 * How to relay.
 *
 * @since 0.1.0
 * @category options
 */
export interface RelayOptions {
  /** How many messages are read at once at most. Default 100. */
  readonly batchSize?: number | undefined
  /**
   * When to look for messages after all have been delivered; begun anew after each delivery; its input is how many were
   * delivered since the last look. When it ends, the relay ends. Default: none, a change stream tells of new messages at
   * once.
   */
  readonly poll?: Schedule.Schedule<unknown, number> | undefined
  /** When to resume the change stream. Default: as `ChangeStream` does. */
  readonly resume?: Schedule.Schedule<unknown, MongoError> | undefined
}

/** An outbox, as it is stored. */
export interface Stored<A, R, C> {
  readonly name: string
  readonly codec: Codec<A, unknown, R>
  /** The collection of the messages. */
  readonly messages: Target<C>
  /** The collection of the sequence and the relay's checkpoint. */
  readonly state: Target<C>
}

/** A message, as it is stored. */
export interface Message extends Driver.Document {
  readonly _id: number
  readonly id: string
  readonly message: unknown
  readonly publishedAt: Date
}

/** Numbers as such, whatever the client's options say. */
export const plain = { promoteValues: true, promoteLongs: true, useBigInt64: false } as const

/** Delivers what there is, and what comes; gives each message when it was delivered, and that is noted. */
export const relay = <A, R, C, X, E2, R2>(
  outbox: Stored<A, R, C>,
  deliver: (delivery: Delivery<A>) => Effect.Effect<X, E2, R2>,
  { batchSize = 100, poll, resume = resuming }: RelayOptions
): Stream.Stream<Delivery<A>, E2 | RelayError, R | R2 | C> =>
  Stream.unwrap(Effect.gen(function*() {
    const { messages, name, state } = outbox
    const { checkpoint, stored } = yield* Checkpoints.claim(state, relayOf(name))
    let delivered = numberOf(stored["delivered"])
    let count = 0
    let waiting: ReadonlyArray<Message> = []

    const read = operation(
      { ...messages, readConcern: "majority" },
      { name: "find", kind: "read", inTransaction: false },
      (db, added) =>
        messagesOf(db, messages).find({ _id: { $gt: delivered } }, { ...added, ...plain })
          .sort({ _id: 1 }).limit(batchSize).batchSize(batchSize + 1).toArray()
    )
    const remove = operation(
      messages,
      { name: "deleteMany", kind: "write", inTransaction: false },
      (db, added) => messagesOf(db, messages).deleteMany({ _id: { $lte: delivered } }, { ...added })
    )

    const next = Effect.gen(function*() {
      if (waiting.length === 0) {
        waiting = yield* Checkpoints.patiently(read)
        // Before anything is delivered: somebody else may deliver it already.
        if (waiting.length > 0) yield* Checkpoints.storeAlone(checkpoint, {})
      }
      const [first, ...rest] = waiting
      if (first === undefined) return Option.none()
      const message = yield* outbox.codec.decode(first.message, `message of outbox ${name}`)
      const delivery = { id: first.id, sequence: first._id, message, publishedAt: first.publishedAt }
      yield* deliver(delivery)
      yield* Checkpoints.storeAlone(checkpoint, { delivered: first._id })
      delivered = first._id
      count++
      waiting = rest
      if (waiting.length === 0) yield* Checkpoints.patiently(remove)
      return Option.some(delivery)
    })

    const all = Stream.repeatEffectOption(Effect.matchEffect(next, {
      onFailure: (error) => Effect.fail(Option.some(error)),
      onSuccess: Option.match({ onNone: () => Effect.fail(Option.none()), onSome: Effect.succeed })
    }))
    const looks = poll === undefined ? told(outbox, resume) : polled(poll, () => count)
    return Stream.flatMap(looks, () => all)
  }))

// One for each answer of the server, also if that tells of nothing: so nothing is overlooked for long.
const told = <A, R, C>({ messages }: Stored<A, R, C>, resume: Schedule.Schedule<unknown, MongoError>) =>
  Stream.forever(Watching.steps({
    target: messages,
    options: {},
    maxAwaitTime: Duration.seconds(1),
    pipeline: [{ $match: { operationType: "insert" } }, { $unset: "fullDocument" }],
    decoder: (source) => decoder(source, raw, "fail"),
    resume
  }, {}))

const polled = (poll: Schedule.Schedule<unknown, number>, count: () => number): Stream.Stream<void> =>
  Stream.suspend(() => {
    let backoff = Backoff.make(poll)
    let before = count()
    const wait = Effect.suspend(() => {
      const since = count() - before
      before = count()
      if (since > 0) backoff = Backoff.make(poll)
      return Effect.flatMap(
        backoff.next(since),
        Option.match({ onNone: () => Effect.fail(Option.none()), onSome: Effect.sleep })
      )
    })
    return Stream.concat(Stream.void, Stream.repeatEffectOption(wait))
  })

/** How many messages were not delivered yet. */
export const pending = <A, R, C>(
  { messages, name, state }: Stored<A, R, C>
): Effect.Effect<number, OperationError, C> =>
  Effect.flatMap(
    operation(state, reading("findOne"), (db, added) =>
      stateOf(db, state).findOne({ _id: relayOf(name) }, { ...added, ...plain })),
    (found) =>
      operation(messages, reading("countDocuments"), (db, added) =>
        messagesOf(db, messages).countDocuments({ _id: { $gt: numberOf(found?.["delivered"]) } }, { ...added }))
  )

/** A number, which is 0 at first. */
export const numberOf = (value: unknown): number => value === undefined ? 0 : Number(value)

const relayOf = (name: string): string => `${name}/relay`

const reading = (name: string): Request => ({ name, kind: "read", inTransaction: true })

/** The messages. */
export const messagesOf = <C>(db: Driver.Db, { collection = "" }: Target<C>): Driver.Collection<Message> =>
  db.collection(collection)

/** The sequence and the relay's checkpoint. */
export const stateOf = <C>(
  db: Driver.Db,
  { collection = "" }: Target<C>
): Driver.Collection<Driver.Document & { readonly _id: string }> => db.collection(collection)
