/**
 * Follows a change stream batch by batch, and resumes it where the last one ended.
 */
import * as Chunk from "effect/Chunk"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Driver from "mongodb"
import type { Event } from "../../ChangeEvent.js"
import type { MongoError } from "../../MongoError.js"
import * as Session from "../../Session.js"
import type { DecodeFailed, OperationError } from "../../SessionErrors.js"
import { batches } from "../data/cursor.js"
import type { Request, Target } from "../data/request.js"
import * as DriverCursor from "../driver/cursor.js"
import { bounded } from "../driver/deadline.js"
import { inner } from "../session/client.js"
import { closingStep } from "../telemetry/close.js"
import * as Log from "../telemetry/log.js"
import type { Deadline } from "../time/clock.js"
import { traced } from "../time/fiber.js"
import * as Backoff from "../transaction/backoff.js"
import * as ChangeCursor from "./cursor.js"
import { decode, type Decoder, other } from "./events.js"
import { placeApart } from "./place.js"
import { advanced, after, isLostOnTheWay, isResumable, ofStream, type Position } from "./position.js"

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

/** The steps of a stream, until it ends or fails. */
export const steps = <A, E, R>(
  pull: Effect.Effect<Pull<A, E, R>, E, R | Scope.Scope>
): Stream.Stream<Step<A>, E, R> => Stream.unwrapScoped(Effect.map(pull, Stream.repeatEffectOption))

/** Gives the next step; fails with nothing where the stream has ended. */
export type Pull<A, E, R> = Effect.Effect<Step<A>, Option.Option<E>, R>

// A cursor of the driver, and what it has told so far.
interface Reading {
  readonly batch: Effect.Effect<Chunk.Chunk<Driver.Document>, Option.Option<OperationError>>
  readonly standing: ChangeCursor.Standing
  readonly scope: Scope.CloseableScope
  readonly isResumed: boolean
  isFirst: boolean
}

/** What a stream asks for, which is a cursor that waits for data. */
export const requestOf = (
  { maxAwaitTime, options, pipeline }: Pick<ChangeCursor.Watched, "options" | "maxAwaitTime" | "pipeline">,
  isEndless: boolean
): Request => ({
  name: "watch",
  kind: "read",
  inTransaction: false,
  isCursor: true,
  isEndless,
  options: { ...options, ...awaiting, maxAwaitTime },
  pipeline
})

/**
 * A stream from a position on, step by step. One time limit covers a step, with all that is sent to resume. A step that has
 * exceeded it fails, and does not end the stream: the next step resumes it.
 *
 * See the specification "Client Side Operations Timeout", section "Change Streams".
 */
export const pulled = <A, R, C>(
  followed: Options<A, R, C>,
  start: Position
): Effect.Effect<Pull<A, OperationError | DecodeFailed, R | C>, OperationError, R | C | Scope.Scope> =>
  Effect.gen(function*() {
    type Failure = OperationError | DecodeFailed
    type Next = Pull<A, Failure, R | C>
    const { maxAwaitTime, options, pipeline, resume } = followed
    // The server has no change streams with another one, whatever the client or the collection prefers.
    const target: Target<C> = { ...followed.target, readConcern: "majority" }
    const { client: _, ...where } = target
    const request = requestOf(followed, followed.within !== undefined)
    const scope = yield* Effect.scope
    const { client, deadline, ensureOpen, namespace, run, session } = yield* placeApart(
      target,
      request,
      followed.within?.session
    )
    const watched = { client, target: where, pipeline, options, maxAwaitTime }
    const decoder = followed.decoder(namespace)
    let backoff = Backoff.make(resume)
    let isEstablished = false
    let at = start
    let orphan: DriverCursor.Orphan | undefined
    let reading: Reading | undefined
    let limit: Deadline | undefined
    // How the stream ended.
    let over: Next | undefined

    // Not in vain: the server has just answered. If it is another one, it does not know the cursor.
    const killOrphan = Effect.suspend(() => {
      if (orphan === undefined) return Effect.void
      const lost = orphan
      orphan = undefined
      return Effect.ignore(run(({ signal }) => DriverCursor.kill(client.driver, lost, signal), "killCursors", limit))
    })

    const wireVersion = () =>
      Option.match(client[inner].knownDeployment(), {
        onNone: () => 0,
        onSome: ({ maxWireVersion }) => maxWireVersion
      })

    // Nobody else knows of it.
    yield* Effect.addFinalizer(() => closingStep("cursor", client.closeTimeout, killOrphan, () => "unknown"))

    const ended = (end: Next): Next => {
      over = end
      return end
    }
    const failed = (error: Failure): Next => ended(Effect.fail(Option.some(ofStream(error))))

    const close = Effect.suspend(() => {
      const { scope } = reading ?? {}
      reading = undefined
      return scope === undefined ? Effect.void : Scope.close(scope, Exit.void)
    })

    const open = Effect.gen(function*() {
      const standing: ChangeCursor.Standing = { start: undefined, latest: {}, orphan: undefined }
      const own = yield* Scope.fork(scope, ExecutionStrategy.sequential)
      const from = at
      const raw = batches(
        target,
        request,
        (db, added) => ChangeCursor.make(watched, from, standing, db, added),
        () => limit
      )
      const placed = Option.match(session, {
        onNone: () => raw,
        onSome: (service) => Stream.provideService(raw, Session.Session, service)
      })
      const context = yield* Effect.context<C>()
      const batch = Effect.provide(yield* Scope.extend(Stream.toPull(placed), own), context)
      reading = { batch, standing, scope: own, isResumed: isEstablished, isFirst: true }
      return reading
    })

    const stepOf = (reading: Reading, batch: Chunk.Chunk<Driver.Document>) =>
      Effect.map(
        Effect.zipRight(
          Effect.zipRight(ensureOpen, killOrphan),
          decodeAll(batch, decoder, followed.within?.tellsInvalid === true)
        ),
        ({ events, failure, invalid }) => {
          const { isFirst, standing } = reading
          // That it could be opened does not say that it can be read.
          if (!isFirst || events.length > 0) backoff = Backoff.make(resume)
          const before = isFirst ? standing.start ?? at : at
          const last = events.at(-1)
          reading.isFirst = false
          isEstablished = true
          at = failure === undefined
            ? advanced(before, standing.latest, Option.getOrUndefined(Chunk.last(batch)))
            : last === undefined
            ? before
            : after(last.resumeToken)
          if (failure !== undefined) ended(Effect.mapError(traced(Exit.fail(failure)), Option.some))
          // Whoever resumes has asked for what comes next.
          return isFirst && reading.isResumed && events.length === 0 && failure === undefined
            ? undefined
            : { events, invalid, from: before, position: at }
        }
      )

    const again = (error: MongoError): Next =>
      Effect.flatMap(
        Effect.flatMap(
          followed.within?.mayResume(error) ?? Effect.succeed(true),
          (may): Effect.Effect<Option.Option<Duration.Duration>> => may ? backoff.next(error) : Effect.succeedNone
        ),
        Option.match({
          onNone: () => failed(error),
          onSome: (delay) =>
            Log.streamResumed(error.reason, delay).pipe(
              Effect.zipRight(
                limit === undefined
                  ? Effect.sleep(delay)
                  : Effect.mapError(bounded(limit, { operation: "watch", namespace }, Effect.sleep(delay)), Option.some)
              ),
              Effect.zipRight(attempt)
            )
        })
      )

    const onFailure = ({ isFirst, standing }: Reading, error: Failure): Next =>
      Effect.zipRight(
        close,
        Effect.suspend(() => {
          isEstablished ||= standing.start !== undefined
          orphan = standing.orphan ?? orphan
          // The specification leaves alone what prevents a stream from being opened the first time.
          if (!isLostOnTheWay(error) || !isEstablished) return failed(error)
          // What a stream that was open has met, the server's label decides.
          if (standing.start !== undefined && !isResumable(error, wireVersion())) return failed(error)
          // It may have been opened, and nothing read from it yet.
          if (isFirst && standing.start !== undefined) at = advanced(standing.start, standing.latest, undefined)
          // Whoever has a time limit is to learn of it.
          return error.reason === "TimedOut" && limit !== undefined
            ? Effect.fail(Option.some(error))
            : again(error)
        })
      )

    const attempt: Next = Effect.suspend(() =>
      Effect.flatMap(
        reading === undefined ? open : Effect.succeed(reading),
        (reading) =>
          Effect.matchEffect(reading.batch, {
            onSuccess: (batch) =>
              Effect.matchEffect(stepOf(reading, batch), {
                onSuccess: (step) => step === undefined ? attempt : Effect.succeed(step),
                onFailure: (error) => onFailure(reading, error)
              }),
            onFailure: Option.match({
              onNone: () => Effect.zipRight(close, Effect.suspend(() => ended(Effect.fail(Option.none())))),
              onSome: (error) => onFailure(reading, error)
            })
          })
      )
    )

    return Effect.withFiberRuntime((fiber) => {
      if (over !== undefined) return over
      limit = deadline(fiber)
      // What was read when the fiber was interrupted is read again.
      return Effect.onInterrupt(attempt, () => close)
    })
  })

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
        events.push(event.right)
        continue
      }
      const failure = event.left
      if (failure._tag === "DecodeFailed" && decoder.onInvalid === "skip") continue
      if (failure._tag !== "DecodeFailed" || !tellsInvalid) return { events, invalid, failure }
      const told = other(document)
      events.push(told)
      invalid.set(told, failure)
    }
    return { events, invalid, failure: undefined }
  })
