/**
 * Consumes a change stream: what is done for an event, and the note that it is done, are one transaction.
 */
import * as Schema from "@effect/schema/Schema"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import type * as Driver from "mongodb"
import type { Event } from "../../ChangeEvent.js"
import type { MongoError } from "../../MongoError.js"
import * as Session from "../../Session.js"
import type { ConsumeError } from "../../SessionErrors.js"
import type * as Telemetry from "../../Telemetry.js"
import * as Transaction from "../../Transaction.js"
import * as TransactionOptions from "../../TransactionOptions.js"
import type { Target } from "../data/operation.js"
import { inner, type Service as Client } from "../session/client.js"
import type { Inside } from "../transaction/start.js"
import { below, decoder, duration } from "../values/options.js"
import * as Checkpoints from "./checkpoint.js"
import type { Step, Within } from "./follow.js"
import { withoutOwn } from "./own.js"
import { Held, openApart } from "./place.js"
import { isPlace, type Position } from "./position.js"

/** What a change stream is made of. */
export interface Source<A, E, R> {
  readonly client: Effect.Effect<Client, never, R>
  /** What is watched: of a database all collections if it names none, and all databases if it names none of these. */
  readonly watched: Pick<Target, "database" | "collection">
  /** Where it begins. */
  readonly at: Position
  /** Its steps from a position on, with some stages put before its own, in a session of its own or within the given one. */
  readonly steps: (
    at: Position,
    leading: ReadonlyArray<Driver.Document>,
    within?: Within
  ) => Stream.Stream<Step<A>, E, R>
}

/**
 * How to consume a change stream.
 *
 * @since 0.1.0
 * @category options
 */
export interface ConsumeOptions {
  /** The collection of the checkpoints, of which each has the consumer's name as its `_id`. Default `effect_mongo_session.checkpoints`. */
  readonly collection?: string | undefined
  /** The database of that collection. Default: the one that is watched; the client's, if all are. */
  readonly database?: string | undefined
  /**
   * How many events are handled in one transaction at most. It never waits for more events than there are. Default 1.
   */
  readonly batch?: number | undefined
  /**
   * How often the place in the stream is stored while nothing happens, so that the server's oplog does not lose it. Default
   * 1 minute.
   */
  readonly idleCheckpoint?: Duration.DurationInput | undefined
  /** The options of the transactions. */
  readonly transaction?: ConsumeTransaction | undefined
}

/** The options of a consumer's transactions. */
export interface ConsumeTransaction extends TransactionOptions.TransactionOptions {
  /** See `Transaction.Options`. */
  readonly retry?: Schedule.Schedule<unknown, MongoError> | undefined
  /** See `Transaction.Options`. */
  readonly onRetry?: ((retry: Telemetry.Retry) => Effect.Effect<void>) | undefined
}

/** Consumes a stream until it ends. */
export const consume = <A, E, R, X, E2, R2>(
  source: Source<A, E, R>,
  name: string,
  handler: (event: Event<A>) => Effect.Effect<X, E2, R2>,
  options: ConsumeOptions
): Effect.Effect<void, E | E2 | ConsumeError, R | Inside<R2>> =>
  Effect.flatMap(
    source.client,
    (client) =>
      Effect.zipRight(ensureValid(options), Stream.runForEach(handled(source, name, handler, options), identity)).pipe(
        Effect.provideService(Held, client)
      )
  )

const ensureValid = decoder(
  Schema.Struct({
    collection: Schema.optional(Schema.String),
    database: Schema.optional(Schema.String),
    batch: Schema.optional(
      Schema.Int.pipe(Schema.positive()).annotations({ description: "a whole number of at least 1" })
    ),
    idleCheckpoint: Schema.optional(duration()),
    transaction: Schema.optional(Schema.Object)
  }).annotations({ description: "an object of a consumer's options" }),
  ({ transaction }) => {
    if (!Predicate.isRecord(transaction)) return []
    const { onRetry: _, retry: __, ...options } = transaction
    return Either.match(TransactionOptions.decode(options), {
      onLeft: ({ issues }) => below("transaction", issues),
      onRight: () => []
    })
  }
)

// Each step of the stream as the effect that handles it.
const handled = <A, E, R, X, E2, R2>(
  source: Source<A, E, R>,
  name: string,
  handler: (event: Event<A>) => Effect.Effect<X, E2, R2>,
  { batch = 1, collection = "effect_mongo_session.checkpoints", database, idleCheckpoint = "1 minute", transaction }:
    ConsumeOptions
) =>
  Stream.unwrapScoped(Effect.gen(function*() {
    const ambient = yield* Session.current({ client: Held })
    const target = { client: Held, database: database ?? source.watched.database, collection }
    // Nothing else is done in it. So while the stream waits, it keeps nothing waiting.
    const own = yield* openApart(target, { name: "watch", kind: "read", inTransaction: false })
    const session = Option.getOrElse(ambient, () => own)
    const { checkpoint, stored } = yield* Effect.provideService(
      Checkpoints.claim(target, name, own.id),
      Session.Session,
      session
    )
    const place = yield* Checkpoints.positionOf(stored, `checkpoint of ${name}`)
    let isPlaced = place !== undefined
    let storedAt = yield* Clock.currentTimeMillis

    const store = (position: Position) =>
      Effect.gen(function*() {
        if (!isPlace(position)) return
        yield* Effect.provideService(
          Checkpoints.storeAlone(checkpoint, Checkpoints.toStored(position)),
          Session.Session,
          session
        )
        isPlaced = true
        storedAt = yield* Clock.currentTimeMillis
      })

    const commit = (events: ReadonlyArray<Event<A>>, last: Event<A>) =>
      Effect.gen(function*() {
        const step = yield* Checkpoints.newId
        const note = Checkpoints.store(checkpoint, { token: last.resumeToken.toString(), step })
        yield* Transaction.run(Effect.zipRight(note, Effect.forEach(events, handler, { discard: true })), {
          // Whatever the client prefers: a transaction reads from the primary only.
          readPreference: "primary",
          ...transaction,
          client: Held,
          verifyCommit: Checkpoints.isStored(checkpoint, step)
        }).pipe(Effect.provideService(Session.Session, session))
        storedAt = yield* Clock.currentTimeMillis
      })

    const handle = ({ events, from, position }: Step<A>) =>
      Effect.gen(function*() {
        // Whoever is started after a crash must not begin later than the one that crashed before its first event.
        if (!isPlaced) yield* store(from)
        for (let index = 0; index < events.length; index += batch) {
          const group = events.slice(index, index + batch)
          const last = group.at(-1)
          if (last !== undefined) yield* commit(group, last)
        }
        const idle = (yield* Clock.currentTimeMillis) - storedAt
        if (events.length === 0 && idle >= Duration.toMillis(idleCheckpoint)) yield* store(position)
      })

    const leading = source.watched.collection === undefined
      ? [notOf(yield* nameOf(target), collection)]
      : source.watched.collection === collection
      ? [withoutOwn]
      : []
    const context = yield* Effect.context<Held>()
    const mayResume = (error: MongoError) =>
      Effect.provide(Effect.negate(Checkpoints.wasReplaced(checkpoint, error)), context)
    return source.steps(place ?? source.at, leading, { session: own, mayResume }).pipe(
      Stream.catchAll((error) => Stream.fromEffect(Checkpoints.explained(checkpoint, error))),
      Stream.map((step) => Effect.catchAll(handle(step), (error) => Checkpoints.explained(checkpoint, error)))
    )
  }))

const nameOf = ({ client, database }: Target<Held>) =>
  Effect.map(client ?? Held, (service) => service[inner].db(database).databaseName)

// The checkpoint of an event would else be an event, and so on for ever.
const notOf = (database: string, collection: string): Driver.Document => ({
  $match: { $nor: [{ "ns.db": database, "ns.coll": collection }] }
})
