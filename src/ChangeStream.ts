/**
 * What changes in a collection, a database or a deployment, as a stream of typed events that survives the loss of its
 * connection, and as something to be consumed exactly once.
 *
 * @since 0.1.0
 */
import * as Chunk from "effect/Chunk"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { dual } from "effect/Function"
import * as Option from "effect/Option"
import type * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Driver from "mongodb"
import type { DocumentEvent, Event } from "./ChangeEvent.js"
import type { HandlingFailed } from "./ChangeStreamErrors.js"
import type { Codec } from "./Codec.js"
import * as ConsumeOptions from "./internal/changes/consumeOptions.js"
import * as Consuming from "./internal/changes/consumer.js"
import * as DeadLetters from "./internal/changes/deadEvents.js"
import type { DeadEvents } from "./internal/changes/deadEvents.js"
import { decode as decodeEvent, type Decoded, decoder, type OnInvalid } from "./internal/changes/events.js"
import * as Watching from "./internal/changes/follow.js"
import type { Step } from "./internal/changes/follow.js"
import { withoutOwn as withoutOwnNotes } from "./internal/changes/own.js"
import { after as positionAfter, backoff as Backoff, type Position } from "./internal/changes/position.js"
import * as Positions from "./internal/changes/positions.js"
import type { Checkpoints } from "./internal/changes/positions.js"
import { type Source, textOf } from "./internal/changes/source.js"
import { decode as decodeOptions, type Options } from "./internal/changes/watchOptions.js"
import { exactly } from "./internal/data/decode.js"
import { readable, withoutOwn } from "./internal/data/options.js"
import { refusalOf } from "./internal/data/placement.js"
import type { Target } from "./internal/data/request.js"
import { withNamespace } from "./internal/data/target.js"
import { type AsGiven, clientOf, type ClientOption, type MongoClient } from "./internal/session/client.js"
import type { Inside } from "./internal/transaction/start.js"
import * as Values from "./internal/values/options.js"
import type { ResumeToken } from "./ResumeToken.js"
import type { Session } from "./Session.js"
import type { ConsumeError, WatchError } from "./SessionErrors.js"

export type {
  /** How to consume. @since 0.1.0 @category options */
  ConsumeOptions
} from "./internal/changes/consumeOptions.js"
export type {
  /** An event that was set aside. @since 0.1.0 @category models */
  DeadEvent,
  /** The events that a consumer has set aside. @since 0.1.0 @category models */
  DeadEvents
} from "./internal/changes/deadEvents.js"
export type {
  /** What becomes of what cannot be handled. @since 0.1.0 @category options */
  OnPoison
} from "./internal/changes/poison.js"
export type {
  /** The checkpoints in a collection. @since 0.1.0 @category models */
  Checkpoints,
  /** How far a consumer has come. @since 0.1.0 @category models */
  CheckpointState
} from "./internal/changes/positions.js"
export type {
  /** How to watch. @since 0.1.0 @category options */
  Options
} from "./internal/changes/watchOptions.js"
export type {
  /** What consuming fails with by itself. @since 0.1.0 @category errors */
  ConsumeError,
  /** What following a change stream can fail with. @since 0.1.0 @category errors */
  WatchError
} from "./SessionErrors.js"
export type {
  /** The type of the documents in events. @since 0.1.0 @category models */
  Decoded,
  /** A change of a document. @since 0.1.0 @category models */
  DocumentEvent,
  /** A change. @since 0.1.0 @category models */
  Event,
  /** What becomes of an event that can't be decoded. @since 0.1.0 @category options */
  OnInvalid
}

/**
 * What marks a change stream.
 *
 * @example
 * ```ts
 * import { ChangeStream, Collection } from "effect-mongo-session"
 *
 * export const isChangeStream = (stream: object) => ChangeStream.TypeId in stream
 * export const yes = isChangeStream(Collection.make("orders").watch())
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export const TypeId: unique symbol = Symbol.for("effect-mongo-session/ChangeStream")

/**
 * A stream of changes, of which each batch of the server is a chunk. It is lazy, and begins anew each time that it is run.
 *
 * It runs in a session of its own, for as long as it is run. In an ambient session it begins after what that one has seen,
 * if that is causally consistent, and fails with `SessionEnded` when that has ended. So a stream that waits makes nothing
 * else wait, except for its connection: each wait of the server, of `maxAwaitTime`, keeps one. With `maxPoolSize: 1` every
 * other operation of the client waits for it; give a client a connection for each of its streams, and more.
 *
 * @since 0.1.0
 * @category models
 */
export interface ChangeStream<A, E = never, R = never> extends Stream.Stream<Event<A>, E, R> {
  /** What {@link after} and {@link consume} need. Not for use outside of this library. */
  readonly [TypeId]: Source<A, E, R>
}

/**
 * The delays before a stream is resumed: 50 ms, then twice as long each time up to 10 s, each a fifth more or less.
 * Endless; combine it with `Schedule.recurs` or `Schedule.upTo` to give up.
 *
 * @example
 * ```ts
 * import { Schedule } from "effect"
 * import { ChangeStream, Collection } from "effect-mongo-session"
 *
 * // Given up after ten failures in a row.
 * export const orders = Collection.make("orders").watch([], {
 *   resume: Schedule.intersect(ChangeStream.backoff, Schedule.recurs(10))
 * })
 * ```
 *
 * @since 0.1.0
 * @category options
 */
export const backoff: Schedule.Schedule<unknown> = Backoff

/**
 * The changes of what the target names: a collection, a database, or a deployment.
 *
 * @internal
 */
export const watch = <A, R, C = MongoClient, M extends OnInvalid = "fail">(
  target: Target<C>,
  codec: Pick<Codec<A, unknown, R>, "decode">,
  pipeline: ReadonlyArray<Driver.Document> = [],
  options?: Options<M>
): ChangeStream<Decoded<A, M>, WatchError, R | AsGiven<C>> => {
  const given: Options<M> = readable(options) ?? {}
  const {
    maxAwaitTime: _,
    onInvalid,
    resume = backoff,
    resumeAfter,
    showOwn,
    startAfter,
    startAtOperationTime,
    timeout,
    ...rest
  } = given
  const own = target.collection !== undefined || showOwn === true ? [] : [withoutOwnNotes]
  const invalid = onInvalid ?? ("fail" as M)
  const decoded = decodeOptions(given, pipeline)
  const limited = timeout === undefined ? target : { ...target, timeout }
  const following = (leading: ReadonlyArray<Driver.Document>, maxAwaitTime: Duration.Duration | undefined) => ({
    options: withoutOwn<Driver.ChangeStreamOptions>({
      ...rest,
      ...exactly(codec),
      readPreference: target.readPreference
    }),
    maxAwaitTime,
    pipeline: [...leading, ...own, ...pipeline]
  })
  const source: Source<Decoded<A, M>, WatchError, R | C> = {
    client: clientOf(target),
    decode: (raw) => withNamespace(target, (source) => decodeEvent(raw, decoder<A, R, M>(source, codec, invalid))),
    text: () => textOf({ database: target.database, collection: target.collection, pipeline, ...rest }),
    watched: target,
    // Where they are none, they may throw.
    at: Either.isLeft(decoded) ? {} : withoutOwn<Position>({
      resumeAfter: resumeAfter?.document,
      startAfter: startAfter?.document,
      startAtOperationTime
    }),
    refusal: (client) =>
      Either.isLeft(decoded)
        ? decoded.left
        : refusalOf(client, limited, Watching.requestOf(following([], decoded.right.maxAwaitTime), true)),
    pulled: (at, leading, within) =>
      Either.isLeft(decoded) ? Effect.fail(decoded.left) : Watching.pulled({
        ...following(leading, decoded.right.maxAwaitTime),
        target: limited,
        within,
        // Its default is the default of the type parameter.
        decoder: (source) => decoder<A, R, M>(source, codec, invalid),
        resume
      }, at)
  }
  // The same type, which the compiler does not see of one that it does not know yet.
  return make(source as Source<Decoded<A, M>, WatchError, R | AsGiven<C>>)
}

/**
 * The same stream, begun after an event, also if that was the last one of its stream (`invalidate`).
 *
 * @example
 * ```ts
 * import { Either } from "effect"
 * import { ChangeStream, Collection, ResumeToken } from "effect-mongo-session"
 *
 * const Orders = Collection.make("orders")
 *
 * // Where the last run has stopped.
 * export const rest = (text: string) =>
 *   Either.map(ResumeToken.decode(text), (token) => ChangeStream.after(Orders.watch(), token))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const after: {
  (token: ResumeToken): <A, E, R>(stream: ChangeStream<A, E, R>) => ChangeStream<A, E, R>
  <A, E, R>(stream: ChangeStream<A, E, R>, token: ResumeToken): ChangeStream<A, E, R>
} = dual(
  2,
  <A, E, R>(stream: ChangeStream<A, E, R>, token: ResumeToken): ChangeStream<A, E, R> =>
    make({ ...stream[TypeId], at: positionAfter(token) })
)

/**
 * Opens a change stream, and gives it when the server has opened it: what is written after that is in it, and nothing is asked
 * for before it is pulled from. It is closed with the scope, and can be run once; after it has failed with `MongoError`
 * (`TimedOut`) by its `timeout` it can be run again, and goes on where it stood.
 *
 * A stream that is forked is opened some time later, so that it may miss what is written at once.
 *
 * @example
 * ```ts
 * import * as ChangeStream from "effect-mongo-session/ChangeStream"
 * import * as Collection from "effect-mongo-session/Collection"
 * import * as Effect from "effect/Effect"
 * import * as Stream from "effect/Stream"
 *
 * const Orders = Collection.make("orders")
 *
 * export const first = Effect.gen(function*() {
 *   const changes = yield* ChangeStream.opened(Orders.watch())
 *   yield* Orders.insertOne({ total: 20 })
 *   return yield* Stream.runHead(changes)
 * }).pipe(Effect.scoped)
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const opened = <A, E, R>(
  stream: ChangeStream<A, E, R>
): Effect.Effect<Stream.Stream<Event<A>, E>, E, R | Scope.Scope> =>
  Effect.gen(function*() {
    const { at, pulled } = stream[TypeId]
    const context = yield* Effect.context<R>()
    const pull = Effect.map(yield* pulled(at, []), chunkOf)
    let first = yield* Effect.catchAll(
      pull,
      Option.match({ onNone: () => Effect.succeed(Chunk.empty<Event<A>>()), onSome: Effect.fail })
    )
    return Stream.suspend(() => {
      const begun = first
      first = Chunk.empty()
      return Stream.provideContext(
        Stream.concat(Stream.fromChunk(begun), Stream.repeatEffectChunkOption(pull)),
        context
      )
    })
  })

/**
 * Consumes a change stream: runs the handler for each event, in order, in a transaction of which the note that it is done
 * is a part. So whatever the handler does in its session takes effect exactly once for each event, wherever the program or
 * the server may crash; what it does elsewhere, it may do several times. Ends when the stream ends (`invalidate`).
 *
 * It runs in a session of its own, the handler's transactions included. In an ambient session it begins after what that one has
 * seen, if that is causally consistent, and has its time limits and transaction options. With the next event after that one has
 * ended it fails with `SessionEnded`. A transaction that somebody begins there by hand is not joined.
 *
 * The note, the checkpoint, is a document with the consumer's name as its `_id`. A consumer that is started goes on after
 * the event that is noted there. One that is started for the first time begins where the stream begins, and notes that.
 * When the answer to a commit was lost, the checkpoint tells whether it happened. All is committed with the write concern
 * `majority`, for the stream does not come back to what a failover rolls back.
 *
 * Of several consumers of one name the one that was started last goes on: the others fail with `ConsumerReplaced` before
 * they commit anything more. So a consumer can be replaced at once, without any lease that would have to run out first. What
 * the last one has left open in its session is killed (`killSessions`); where that is not allowed, a consumer that
 * follows one that has crashed may have to wait until the server gives its transaction up, a minute at most.
 *
 * An event that cannot be handled, or whose documents do not fit the schema, fails it with `HandlingFailed`, which has the
 * handler's error and counts the attempts, those of earlier runs, too; or see `retry` and `onPoison`. It also fails as the
 * stream does, as `Transaction.run` does, and with `DecodeFailed` when the checkpoint was damaged. It may then be started
 * again, except after `ConsumerReplaced`.
 *
 * Where the server's oplog no longer reaches back to the checkpoint, `onLost` says how to go on; {@link checkpoints} sets it.
 * A consumer that is started with another stream or pipeline than before logs a warning: what that one has left out is not
 * told any more.
 *
 * @example
 * ```ts
 * import * as ChangeStream from "effect-mongo-session/ChangeStream"
 * import * as Collection from "effect-mongo-session/Collection"
 * import * as Effect from "effect/Effect"
 * import * as Schema from "effect/Schema"
 *
 * const Orders = Collection.make("orders", { schema: Schema.Struct({ _id: Schema.String, total: Schema.Number }) })
 * const Totals = Collection.make("totals")
 *
 * export const totals = Orders.watch().pipe(
 *   ChangeStream.consume("totals", (event) =>
 *     event._tag === "insert"
 *       ? Effect.flatMap(event.fullDocument, ({ total }) =>
 *         Totals.updateOne({ _id: "all" }, { $inc: { total } }, { upsert: true }))
 *       : Effect.void)
 * )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const consume: {
  <A, X, E2, R2, E3 = never, R3 = never>(
    name: string,
    handler: (event: Event<A>) => Effect.Effect<X, E2, R2>,
    options?: ConsumeOptions.ConsumeOptions<E3, R3>
  ): <E, R>(
    stream: ChangeStream<A, E, R>
  ) => Effect.Effect<void, E | E3 | HandlingFailed<E2> | ConsumeError, R | Exclude<R3, Session> | Inside<R2>>
  <A, E, R, X, E2, R2, E3 = never, R3 = never>(
    stream: ChangeStream<A, E, R>,
    name: string,
    handler: (event: Event<A>) => Effect.Effect<X, E2, R2>,
    options?: ConsumeOptions.ConsumeOptions<E3, R3>
  ): Effect.Effect<void, E | E3 | HandlingFailed<E2> | ConsumeError, R | Exclude<R3, Session> | Inside<R2>>
} = dual(
  (args) => typeof args[0] !== "string",
  <A, E, R, X, E2, R2, E3, R3>(
    stream: ChangeStream<A, E, R>,
    name: string,
    handler: (event: Event<A>) => Effect.Effect<X, E2, R2>,
    options?: ConsumeOptions.ConsumeOptions<E3, R3>
  ): Effect.Effect<void, E | E3 | HandlingFailed<E2> | ConsumeError, R | Exclude<R3, Session> | Inside<R2>> =>
    Consuming.consume(stream[TypeId], name, handler, options)
)

/**
 * The events that the consumer of a name has set aside (`onPoison: "setAside"`): to look at, to handle again, or to drop. The
 * stream says where they are, as for {@link consume}, and how their documents are decoded.
 *
 * @example
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { ChangeStream, Collection } from "effect-mongo-session"
 *
 * const dead = ChangeStream.deadLetters(Collection.make("orders").watch(), "totals")
 *
 * // Handles again what was set aside.
 * export const retryAll = Stream.runForEach(dead.list, ({ id }) => dead.retry(id, (event) => Effect.log(event._tag)))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const deadLetters = <A, E, R>(
  stream: ChangeStream<A, E, R>,
  name: string,
  options?: Pick<ConsumeOptions.ConsumeOptions, "database" | "deadLetterCollection">
): DeadEvents<A, R> => {
  const source = stream[TypeId]
  const read = Values.readable(options)
  const { database = source.watched.database, deadLetterCollection = ConsumeOptions.defaultDeadLetters } = Values
    .givenIn(read)
  return DeadLetters.of(source, name, { database, collection: deadLetterCollection }, read)
}

/**
 * The checkpoints of the consumers of a database, by default of the client's: to see how far each has come, and to have one go
 * on elsewhere.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ChangeStream } from "effect-mongo-session"
 *
 * const { list, reset } = ChangeStream.checkpoints()
 *
 * export const program = Effect.zipRight(Effect.flatMap(list, Effect.log), reset("totals"))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const checkpoints = <Client = MongoClient>(
  given?: ClientOption<Client> & Pick<ConsumeOptions.ConsumeOptions, "database" | "collection">
): Checkpoints<AsGiven<Client>> => {
  const { collection = ConsumeOptions.defaultCheckpoints, ...options } = readable(given) ?? {}
  // The same type, which the compiler does not see of one that it does not know yet.
  return Positions.of({ ...options, collection }) as Checkpoints<AsGiven<Client>>
}

const make = <A, E, R>(source: Source<A, E, R>): ChangeStream<A, E, R> =>
  Object.assign(
    Stream.flattenChunks(Stream.map(Watching.steps(source.pulled(source.at, [])), chunkOf)),
    { [TypeId]: source } as const
  )

// Each step is a chunk, also if it has no events.
const chunkOf = <A>({ events }: Step<A>): Chunk.Chunk<Event<A>> => Chunk.unsafeFromArray(events)
