/**
 * The order in which the messages of an outbox come: as they are inserted in it, by a change stream; and where that cannot tell
 * it any more, by what is there.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import type * as Driver from "mongodb"
import { raw } from "../../../Codec.js"
import type { MongoError } from "../../../MongoError.js"
import * as Session from "../../../Session.js"
import type { ConsumerReplaced, DecodeFailed, OperationError } from "../../../SessionErrors.js"
import { operation } from "../../data/operation.js"
import type { Request } from "../../data/request.js"
import * as Log from "../../telemetry/log.js"
import { type Checkpoint, patiently, storeAlone, toStored, wasReplaced } from "../checkpoint.js"
import { decoder } from "../events.js"
import * as Following from "../follow.js"
import { after, isPlaceLost, type Position } from "../position.js"
import { type Message, messagesOf, type Stored } from "./store.js"

/** Messages that come next, in their order. */
export interface Next {
  readonly items: ReadonlyArray<Item>
  /** Where the stream stands after them; none while it does not tell. */
  readonly position: Position | undefined
}

/** A message that comes, by its `_id`. */
export interface Item {
  readonly _id: string
  /** Where the stream stands after it. */
  readonly position: Position | undefined
}

/** What the order is found out with. */
export interface Options<A, R, C> {
  readonly outbox: Stored<A, R, C>
  readonly session: Session.Service
  readonly checkpoint: Checkpoint<C>
  readonly resume: Schedule.Schedule<unknown, MongoError>
  readonly maxAwaitTime: Duration.Duration
}

type Failure = OperationError | DecodeFailed | ConsumerReplaced

/** What comes from a position on; without any, from the first message that is there. */
export const from = <A, R, C>(
  options: Options<A, R, C>,
  at: Position | undefined
): Stream.Stream<Next, Failure, C> => at === undefined ? Stream.unwrap(fromFirst(options)) : followed(options, at)

// From before the first of them was written, its commit comes in the stream, and so do those of all others: in their order.
const fromFirst = <A, R, C>(options: Options<A, R, C>) =>
  Effect.gen(function*() {
    const now = yield* nowOf(options)
    const first = yield* patiently(read(options, (messages, added) =>
      messages.find({ at: { $exists: true } }, { ...added, projection: { at: 1 }, sort: { at: 1 }, limit: 1 })
        .toArray()))
    const at: Position = { startAtOperationTime: first[0]?.at ?? now }
    // Whoever is started after a crash must not begin later.
    yield* inOwn(options, storeAlone(options.checkpoint, toStored(at)))
    return followed(options, at)
  })

// The oplog no longer reaches back, or the collection was dropped. The time when they were written is what is left to tell
// in which order they came.
const caughtUp = <A, R, C>(options: Options<A, R, C>) =>
  Effect.gen(function*() {
    const now = yield* nowOf(options)
    const there = yield* standing(options, {})
    const at: Position = { startAtOperationTime: now }
    // Only when they are delivered: whoever is started after a crash catches up again.
    const stored = inOwn(options, storeAlone(options.checkpoint, toStored(at)))
    return Stream.concat(
      Stream.succeed<Next>({ items: there.map((_id) => ({ _id, position: undefined })), position: undefined }),
      Stream.unwrap(Effect.as(stored, followed(options, at)))
    )
  })

const followed = <A, R, C>(options: Options<A, R, C>, at: Position): Stream.Stream<Next, Failure, C> => {
  const { checkpoint, maxAwaitTime, outbox: { messages }, resume, session } = options
  const steps = Effect.map(Effect.context<C>(), (context) =>
    Following.steps(Following.pulled({
      // Whatever the client prefers: what a secondary does not have yet would seem to be left behind.
      target: { ...messages, readPreference: "primary" },
      within: {
        session,
        mayResume: (error) => Effect.provide(Effect.negate(wasReplaced(checkpoint, error)), context)
      },
      options: { readPreference: "primary" },
      maxAwaitTime,
      pipeline: [
        { $match: { operationType: "insert" } },
        { $project: { operationType: 1, ns: 1, documentKey: 1, clusterTime: 1 } }
      ],
      decoder: (source) => decoder(source, raw, "fail"),
      resume
    }, at)))
  return Stream.unwrap(steps).pipe(
    Stream.map(({ events, position }): Next => ({
      items: events.flatMap((event) =>
        event._tag === "insert"
          ? [{ _id: String(event.documentKey["_id"]), position: after(event.resumeToken) }]
          : []
      ),
      position
    })),
    Stream.concat(Stream.suspend(() => Stream.unwrap(caughtUp(options)))),
    Stream.catchAll((error): Stream.Stream<Next, Failure, C> =>
      isPlaceLost(error)
        ? Stream.unwrap(Effect.zipRight(Log.historyLost(checkpoint.name, "with what is there"), caughtUp(options)))
        : Stream.fail(error)
    )
  )
}

/** The `_id`s of messages that are there, in the order in which they were written. */
export const standing = <A, R, C>(
  options: Pick<Options<A, R, C>, "outbox" | "session">,
  filter: Driver.Filter<Message>,
  limit = 0
): Effect.Effect<ReadonlyArray<string>, OperationError, C> =>
  Effect.map(
    patiently(read(options, (messages, added) =>
      messages.find(filter, {
        ...added,
        projection: { _id: 1 },
        sort: options.outbox.isNumbered ? { sequence: 1, at: 1 } : { at: 1 },
        allowDiskUse: true,
        limit
      }).toArray())),
    (found) => found.map(({ _id }) => _id)
  )

/** Reads messages, as the majority has them, after all that the relay has seen. */
export const read = <A, R, C, B>(
  { outbox: { messages }, session }: Pick<Options<A, R, C>, "outbox" | "session">,
  evaluate: (messages: Driver.Collection<Message>, added: object) => Promise<B>
): Effect.Effect<B, OperationError, C> =>
  operation(
    { ...messages, readConcern: "majority", readPreference: "primary" },
    reading,
    (db, added) => evaluate(messagesOf(db, messages), { ...added, readPreference: "primary" })
  ).pipe(Effect.provideService(Session.Session, session))

const reading: Request = { name: "find", kind: "read", inTransaction: false }

// A time that all of what is read then has seen.
const nowOf = <A, R, C>(options: Options<A, R, C>) =>
  Effect.flatMap(
    Effect.zipRight(inOwn(options, storeAlone(options.checkpoint, {})), options.session.operationTime),
    Option.match({
      onNone: () => Effect.dieMessage("the server has told no time of its write"),
      onSome: Effect.succeed
    })
  )

const inOwn = <A, R, C, B, E>({ session }: Options<A, R, C>, effect: Effect.Effect<B, E, C>) =>
  Effect.provideService(effect, Session.Session, session)
