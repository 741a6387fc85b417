/**
 * Follows a change stream batch by batch, and resumes it where the last one ended.
 */
import * as Chunk from "effect/Chunk"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import type * as Driver from "mongodb"
import type { Event } from "../../ChangeEvent.js"
import type { MongoError } from "../../MongoError.js"
import * as Session from "../../Session.js"
import type { DecodeFailed, OperationError } from "../../SessionErrors.js"
import { batches } from "../data/cursor.js"
import type { Request, Target } from "../data/request.js"
import { inner } from "../session/client.js"
import { closingStep } from "../telemetry/closing.js"
import * as Log from "../telemetry/log.js"
import { traced } from "../time/fiber.js"
import * as Backoff from "../transaction/backoff.js"
import * as ChangeCursor from "./cursor.js"
import { decode, type Decoder, other } from "./events.js"
import { placeApart } from "./place.js"
import { advanced, after, isLostOnTheWay, isResumable, type Position } from "./position.js"

/** What one answer of the server has brought; often nothing, for it answers at intervals also when nothing happens. */
export interface Step<A> {
  readonly events: ReadonlyArray<Event<A>>
  /** Those of them that do not fit the schema, which are told as `Other`, within what asks for them. */
  readonly invalid: ReadonlyMap<Event<A>, DecodeFailed>
  /** Where the stream stood before these events. */
  readonly from: Position
  /** Where it stands after them. */
  readonly position: Position
}

/** What is followed, and how. */
export interface Options<A, R, C> extends Pick<ChangeCursor.Watched, "options" | "maxAwaitTime" | "pipeline"> {
  readonly target: Target<C>
  readonly decoder: (source: string) => Decoder<A, R>
  /** When to resume. */
  readonly resume: Schedule.Schedule<unknown, MongoError>
  readonly within?: Within | undefined
}

/** What a stream is a part of. */
export interface Within {
  /** The session that it runs in, instead of one of its own. */
  readonly session: Session.Service
  /** Whether it may be resumed after a failure. */
  readonly mayResume: (error: MongoError) => Effect.Effect<boolean>
  /** Whether it tells events that do not fit the schema, instead of failing with the first. Default `false`. */
  readonly tellsInvalid?: boolean | undefined
}

/** The steps of a stream from a position on. */
export const steps = <A, R, C>(
  followed: Options<A, R, C>,
  start: Position
): Stream.Stream<Step<A>, OperationError | DecodeFailed, R | C> =>
  Stream.unwrapScoped(Effect.gen(function*() {
    const { maxAwaitTime, options, pipeline, resume } = followed
    // The server has no change streams with another one, whatever the client or the collection prefers.
    const target: Target<C> = { ...followed.target, readConcern: "majority" }
    const { client: _, ...where } = target
    const request: Request = {
      name: "watch",
      kind: "read",
      inTransaction: false,
      isEndless: true,
      options: { ...options, ...awaiting, maxAwaitTime },
      pipeline
    }
    const { client, ensureOpen, namespace, run, session } = yield* placeApart(target, request, followed.within?.session)
    const watched = { client, target: where, pipeline, options, maxAwaitTime }
    const decoder = followed.decoder(namespace)
    let backoff = Backoff.make(resume)
    let isEstablished = false
    let at = start
    let failure: MongoError | undefined
    let orphan: ChangeCursor.Orphan | undefined

    // Not in vain: the server has just answered. If it is another one, it does not know the cursor.
    const killOrphan = Effect.suspend(() => {
      if (orphan === undefined) return Effect.void
      const lost = orphan
      orphan = undefined
      return Effect.ignore(run((added) => ChangeCursor.kill(lost, client.driver, added), "killCursors"))
    })

    const wireVersion = () =>
      Option.match(client[inner].knownDeployment(), {
        onNone: () => 0,
        onSome: ({ maxWireVersion }) => maxWireVersion
      })

    // Nobody else knows of it.
    yield* Effect.addFinalizer(() => closingStep("cursor", client.closeTimeout, killOrphan, () => "unknown"))

    // From where the last one stood, until it ends or fails; whether it is to be resumed is seen when it has.
    const opening = Stream.suspend(() => {
      const standing: ChangeCursor.Standing = { start: undefined, latest: {}, orphan: undefined }
      let isFirst = true
      const raw = batches(target, request, (db, added) => ChangeCursor.make(watched, at, standing, db, added))

      const step = (batch: Chunk.Chunk<Driver.Document>) =>
        Effect.map(
          Effect.zipRight(
            Effect.zipRight(ensureOpen, killOrphan),
            decodeAll(batch, decoder, followed.within?.tellsInvalid === true)
          ),
          ({ events, failure, invalid }) => {
            // That it could be opened does not say that it can be read.
            if (!isFirst || events.length > 0) backoff = Backoff.make(resume)
            const before = isFirst ? standing.start ?? at : at
            const last = events.at(-1)
            isFirst = false
            at = failure === undefined
              ? advanced(before, standing.latest, Option.getOrUndefined(Chunk.last(batch)))
              : last === undefined
              ? before
              : after(last.resumeToken)
            return { step: { events, invalid, from: before, position: at }, failure }
          }
        )

      const onFailure = (error: OperationError | DecodeFailed) =>
        Effect.suspend(() => {
          isEstablished ||= standing.start !== undefined
          orphan = standing.orphan ?? orphan
          // The specification leaves alone what prevents a stream from being opened the first time.
          if (!isLostOnTheWay(error) || !isEstablished) return Effect.fail(error)
          // What a stream that was open has met, the server's label decides.
          if (standing.start !== undefined && !isResumable(error, wireVersion())) return Effect.fail(error)
          // Whoever has set a time limit is to learn of it.
          if (error.reason === "TimedOut" && target.timeout !== undefined) return Effect.fail(error)
          // It may have been opened, and nothing read from it yet.
          if (isFirst && standing.start !== undefined) at = advanced(standing.start, standing.latest, undefined)
          failure = error
          return Effect.void
        })

      return Option.match(session, {
        onNone: () => raw,
        onSome: (service) => Stream.provideService(raw, Session.Session, service)
      }).pipe(
        Stream.chunks,
        Stream.mapEffect(step),
        Stream.flatMap(({ failure, step }) =>
          failure === undefined
            ? Stream.succeed(step)
            : Stream.concat(Stream.succeed(step), Stream.fromEffect(traced(Exit.fail(failure))))
        ),
        Stream.catchAll((error) => Stream.execute(onFailure(error)))
      )
    })

    const again = Effect.suspend(() => {
      if (failure === undefined) return Effect.fail(Option.none())
      const error = failure
      failure = undefined
      return Effect.flatMap(
        Effect.flatMap(
          followed.within?.mayResume(error) ?? Effect.succeed(true),
          (may): Effect.Effect<Option.Option<Duration.Duration>> => may ? backoff.next(error) : Effect.succeedNone
        ),
        Option.match({
          onNone: () => Effect.fail(Option.some(error)),
          onSome: (delay) => Effect.zipRight(Log.streamResumed(error.reason, delay), Effect.sleep(delay))
        })
      )
    })

    // One after the other, not one within the other: a stream may be resumed any number of times.
    return Stream.flatMap(
      Stream.concat(Stream.void, Stream.repeatEffectOption(again)),
      () => opening
    )
  }))

// What the server is asked for: it answers when there is something, or after a while.
const awaiting = { tailable: true, awaitData: true }

// What comes before an event that can't be decoded has happened, and is passed on.
const decodeAll = <A, R>(batch: Chunk.Chunk<Driver.Document>, decoder: Decoder<A, R>, tellsInvalid: boolean) =>
  Effect.gen(function*() {
    const events: Array<Event<A>> = []
    const invalid = new Map<Event<A>, DecodeFailed>()
    for (const document of batch) {
      const event = yield* Effect.either(decode(document, decoder))
      if (Either.isRight(event)) {
        if (Option.isSome(event.right)) events.push(event.right.value)
      } else if (tellsInvalid && event.left._tag === "DecodeFailed") {
        const told = other(document)
        events.push(told)
        invalid.set(told, event.left)
      } else {
        return { events, invalid, failure: event.left }
      }
    }
    return { events, invalid, failure: undefined }
  })
