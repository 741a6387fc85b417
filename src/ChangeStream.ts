/**
 * What changes in a collection, a database or a deployment, as a stream of typed events that survives the loss of its
 * connection, and as something to be consumed exactly once.
 *
 * @since 0.1.0
 */
import * as Chunk from "effect/Chunk"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Option from "effect/Option"
import type * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Driver from "mongodb"
import type { DocumentEvent, Event } from "./ChangeEvent.js"
import type { Codec } from "./Codec.js"
import * as Consuming from "./internal/changes/consumer.js"
import { type Decoded, decoder, type OnInvalid } from "./internal/changes/events.js"
import * as Watching from "./internal/changes/follow.js"
import type { Step } from "./internal/changes/follow.js"
import { withoutOwn as withoutOwnNotes } from "./internal/changes/own.js"
import { after as positionAfter, backoff as Backoff, type Position } from "./internal/changes/position.js"
import { type Target, withoutOwn } from "./internal/data/operation.js"
import { clientOf, type MongoClient } from "./internal/session/client.js"
import type { Inside } from "./internal/transaction/start.js"
import type { MongoError } from "./MongoError.js"
import type { ResumeToken } from "./ResumeToken.js"
import type { ConsumeError, WatchError } from "./SessionErrors.js"

export type {
  /** How to consume. @since 0.1.0 @category options */
  ConsumeOptions
} from "./internal/changes/consumer.js"
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
  readonly [TypeId]: Consuming.Source<A, E, R>
}

/**
 * How to watch. Give at most one of `resumeAfter`, `startAfter` and `startAtOperationTime`; without any, the stream begins
 * when it is run.
 *
 * See MongoDB's manual, "$changeStream".
 *
 * @since 0.1.0
 * @category options
 */
export interface Options<M extends OnInvalid = OnInvalid> {
  /** Whether updates come with the document as it is now, or as it was after the update. Default: without it. */
  readonly fullDocument?: "updateLookup" | "whenAvailable" | "required" | undefined
  /** Whether events come with the document as it was before. Default: without it. */
  readonly fullDocumentBeforeChange?: "off" | "whenAvailable" | "required" | undefined
  /** Begins after this event. */
  readonly resumeAfter?: ResumeToken | undefined
  /** Begins after this event, also if it was the last one of its stream (`invalidate`). */
  readonly startAfter?: ResumeToken | undefined
  /** Begins with the events of this time. */
  readonly startAtOperationTime?: Driver.Timestamp | undefined
  /** How long the server waits for an event before it answers that there is none. Default: its own, a second. */
  readonly maxAwaitTime?: Duration.DurationInput | undefined
  /** How many events come in one batch at most. Default: the server's own. */
  readonly batchSize?: number | undefined
  /**
   * Whether a stream of a database or of a deployment also tells what this library writes for itself: checkpoints, outboxes,
   * dead letters, wherever they are. A stream of a collection tells everything. Default `false`.
   */
  readonly showOwn?: boolean | undefined
  /** Whether changes of indexes, options and the like are told, too. Default `false`. */
  readonly showExpandedEvents?: boolean | undefined
  /** The rules of comparison for the pipeline. Default: binary. */
  readonly collation?: Driver.CollationOptions | undefined
  /** A comment for the server's log. Default: none. */
  readonly comment?: unknown
  /**
   * When to resume after a failure that can be resumed from; its input is the failure. It begins anew whenever the server
   * has answered. Default {@link backoff}.
   */
  readonly resume?: Schedule.Schedule<unknown, MongoError> | undefined
  /**
   * What becomes of an event that can't be decoded: the stream fails with `DecodeFailed`, the event is left out, or its
   * documents are `Either`s. Default `fail`.
   */
  readonly onInvalid?: M | undefined
}

/**
 * The delays before a stream is resumed: 50 ms, then twice as long each time up to 10 s, each a fifth more or less.
 * Endless; combine it with `Schedule.recurs` or `Schedule.upTo` to give up.
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
  options: Options<M> = {}
): ChangeStream<Decoded<A, M>, WatchError, R | C> => {
  const { maxAwaitTime, onInvalid, resume = backoff, resumeAfter, showOwn, startAfter, startAtOperationTime, ...rest } =
    options
  const own = target.collection !== undefined || showOwn === true ? [] : [withoutOwnNotes]
  return make({
    client: clientOf(target),
    watched: target,
    at: withoutOwn<Position>({
      resumeAfter: resumeAfter?.document,
      startAfter: startAfter?.document,
      startAtOperationTime
    }),
    steps: (at, leading, within) =>
      Watching.steps({
        target,
        within,
        options: withoutOwn<Driver.ChangeStreamOptions>({ ...rest, readPreference: target.readPreference }),
        maxAwaitTime: maxAwaitTime === undefined ? undefined : Duration.decode(maxAwaitTime),
        pipeline: [...leading, ...own, ...pipeline],
        // Its default is the default of the type parameter.
        decoder: (source) => decoder<A, R, M>(source, codec, onInvalid ?? ("fail" as M)),
        resume
      }, at)
  })
}

/**
 * The same stream, begun after an event, also if that was the last one of its stream (`invalidate`).
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
 * for before it is pulled from. It is closed with the scope, and can be run once.
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
    const { at, steps } = stream[TypeId]
    const context = yield* Effect.context<R>()
    const pull = yield* Stream.toPull(eventsOf(steps(at, [])))
    const first = yield* Effect.catchAll(
      pull,
      Option.match({ onNone: () => Effect.succeed(Chunk.empty<Event<A>>()), onSome: Effect.fail })
    )
    return Stream.provideContext(
      Stream.concat(Stream.fromChunk(first), Stream.repeatEffectChunkOption(pull)),
      context
    )
  })

/**
 * Consumes a change stream: runs the handler for each event, in order, in a transaction of which the note that it is done
 * is a part. So whatever the handler does in its session takes effect exactly once for each event, wherever the program or
 * the server may crash; what it does elsewhere, it may do several times. Ends when the stream ends (`invalidate`).
 *
 * The note, the checkpoint, is a document with the consumer's name as its `_id`. A consumer that is started goes on after
 * the event that is noted there. One that is started for the first time begins where the stream begins, and notes that.
 * When the answer to a commit was lost, the checkpoint tells whether it happened.
 *
 * Of several consumers of one name the one that was started last goes on: the others fail with `ConsumerReplaced` before
 * they commit anything more. So a consumer can be replaced at once, without any lease that would have to run out first. What
 * the last one has left open in a session of its own is killed (`killSessions`); where that is not allowed, a consumer that
 * follows one that has crashed may have to wait until the server gives its transaction up, a minute at most.
 *
 * Fails as the stream does, as `Transaction.run` does, with what the handler fails with, and with `DecodeFailed` when the
 * checkpoint was damaged. It may then be started again, except after `ConsumerReplaced`.
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
  <A, X, E2, R2>(
    name: string,
    handler: (event: Event<A>) => Effect.Effect<X, E2, R2>,
    options?: Consuming.ConsumeOptions
  ): <E, R>(stream: ChangeStream<A, E, R>) => Effect.Effect<void, E | E2 | ConsumeError, R | Inside<R2>>
  <A, E, R, X, E2, R2>(
    stream: ChangeStream<A, E, R>,
    name: string,
    handler: (event: Event<A>) => Effect.Effect<X, E2, R2>,
    options?: Consuming.ConsumeOptions
  ): Effect.Effect<void, E | E2 | ConsumeError, R | Inside<R2>>
} = dual(
  (args) => typeof args[0] !== "string",
  <A, E, R, X, E2, R2>(
    stream: ChangeStream<A, E, R>,
    name: string,
    handler: (event: Event<A>) => Effect.Effect<X, E2, R2>,
    options: Consuming.ConsumeOptions = {}
  ): Effect.Effect<void, E | E2 | ConsumeError, R | Inside<R2>> =>
    Consuming.consume(stream[TypeId], name, handler, options)
)

const make = <A, E, R>(source: Consuming.Source<A, E, R>): ChangeStream<A, E, R> =>
  Object.assign(eventsOf(source.steps(source.at, [])), { [TypeId]: source } as const)

// Each step is a chunk, also if it has no events.
const eventsOf = <A, E, R>(steps: Stream.Stream<Step<A>, E, R>): Stream.Stream<Event<A>, E, R> =>
  Stream.flattenChunks(Stream.map(steps, ({ events }) => Chunk.unsafeFromArray(events)))
