/**
 * Handles the events of a consumer: each with the note that it is done, in one transaction; and what cannot be handled as the
 * consumer was told to.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type * as Driver from "mongodb"
import type { Event } from "../../ChangeEvent.js"
import { HandlingFailed } from "../../ChangeStreamErrors.js"
import { MongoError } from "../../MongoError.js"
import * as Session from "../../Session.js"
import { type ConsumeError, type DecodeFailed, TransactionDoomed } from "../../SessionErrors.js"
import * as Transaction from "../../Transaction.js"
import type { Target } from "../data/request.js"
import { isInterruption } from "../time/fiber.js"
import type { Inside } from "../transaction/start.js"
import * as Checkpoints from "./checkpoint.js"
import { concernOf, type ConsumeTransaction } from "./consumeOptions.js"
import { setAside } from "./deadEvents.js"
import { Held } from "./place.js"
import * as Poison from "./poison.js"

/** What events are handled with. */
export interface Options<A, X, E, R> extends Poison.PoisonOptions {
  readonly checkpoint: Checkpoints.Checkpoint<Held>
  /** What the checkpoint held when it was claimed. */
  readonly stored: Driver.Document
  readonly session: Session.Service
  readonly handler: (event: Event<A>) => Effect.Effect<X, E, R>
  readonly transaction: ConsumeTransaction | undefined
  /** The collection of what is set aside. */
  readonly deadLetters: Target<Held>
}

/** The events of one answer of the server. */
export interface Events<A> {
  readonly events: ReadonlyArray<Event<A>>
  /** Those of them that do not fit the schema. */
  readonly invalid: ReadonlyMap<Event<A>, DecodeFailed>
}

// The event at which a transaction has failed; none where one of them has made it fail, and nobody knows which.
interface Failed<A, E> {
  readonly event: Event<A> | undefined
  readonly cause: Cause.Cause<E | DecodeFailed | ConsumeError>
}

/** Handles events in one transaction, or in several if one of them cannot be handled. */
export const handling = <A, X, E2, R2>(
  { checkpoint, deadLetters, handler, session, stored, transaction, ...poison }: Options<A, X, E2, R2>
) => {
  let counted = countedIn(stored)
  const own = <B, E, R>(effect: Effect.Effect<B, E, R>) => Effect.provideService(effect, Session.Session, session)
  const done = (event: Event<A>) => ({
    token: event.resumeToken.toString(),
    ...(counted !== undefined && { failed: undefined })
  })

  const together = <B, E, R>(event: Event<A>, effect: Effect.Effect<B, E, R>) =>
    Effect.flatMap(Checkpoints.newId, (step) =>
      Transaction.run(
        Effect.zipRight(Checkpoints.store(checkpoint, { ...done(event), step }), effect),
        // Whatever the client prefers: a transaction reads from the primary only.
        {
          readPreference: "primary",
          ...transaction,
          writeConcern: concernOf(transaction),
          client: Held,
          verifyCommit: Checkpoints.isStored(checkpoint, step)
        }
      ).pipe(
        own,
        Effect.tap(Effect.sync(() => {
          counted = undefined
        }))
      ))

  // None, if all were handled.
  const attempt = (
    { events, invalid }: Events<A>,
    last: Event<A>
  ): Effect.Effect<Failed<A, E2> | undefined, ConsumeError, Held | Inside<R2>> =>
    Effect.suspend(() => {
      let failed: Failed<A, E2> | undefined
      const one = (event: Event<A>) =>
        Effect.suspend((): Effect.Effect<X, E2 | DecodeFailed, R2> => {
          const failure = invalid.get(event)
          return failure === undefined ? handler(event) : Effect.fail(failure)
        }).pipe(Effect.tapErrorCause((cause) => Effect.sync(() => void (failed = { event, cause }))))
      const body = Effect.suspend(() => {
        failed = undefined
        return Effect.forEach(events, one, { discard: true })
      })
      return Effect.matchCauseEffect(together(last, body), {
        onSuccess: () => Effect.succeed(undefined),
        onFailure: (cause) =>
          Effect.withFiberRuntime((fiber) =>
            // What a transaction fails with by itself is no fault of an event.
            failed !== undefined && !isInterruption(fiber, cause) &&
              Cause.squash(cause) === Cause.squash(failed.cause)
              ? Effect.succeed(failed)
              : isOfHandler(cause)
              ? Effect.succeed({ event: events.length === 1 ? last : undefined, cause })
              : Effect.failCause(cause as Cause.Cause<ConsumeError>)
          )
      })
    })

  const count = (id: string) => (cause: Cause.Cause<unknown>) =>
    Effect.gen(function*() {
      const attempts = counted?.token === id ? counted.attempts + 1 : 1
      const failed = counted = { token: id, attempts }
      yield* own(Checkpoints.storeAlone(checkpoint, { failed }))
      return Option.some(
        new HandlingFailed<E2>({
          kind: "consumer",
          of: checkpoint.name,
          id,
          attempts,
          cause: Cause.squash(cause)
        })
      )
    })

  const single = (event: Event<A>, invalid: Events<A>["invalid"]) =>
    Effect.gen(function*() {
      const handled = yield* Poison.handle(
        Effect.flatMap(
          Effect.either(attempt({ events: [event], invalid }, event)),
          Either.match({
            onLeft: (error): Effect.Effect<Effect.Effect<void, ConsumeError>> => Effect.succeed(Effect.fail(error)),
            onRight: (failed) => failed === undefined ? Effect.succeed(Effect.void) : Effect.failCause(failed.cause)
          })
        ),
        {
          ...poison,
          count: count(event.resumeToken.toString()),
          setAside: (failure) => Effect.as(together(event, setAside(deadLetters, event, failure)), true)
        }
      )
      if (Option.isSome(handled)) return yield* handled.value
      if (poison.onPoison === "skip") yield* own(Checkpoints.storeAlone(checkpoint, done(event)))
    })

  const group = (
    { events, invalid }: Events<A>
  ): Effect.Effect<void, HandlingFailed<E2> | ConsumeError, Held | Inside<R2>> =>
    Effect.gen(function*() {
      const [first] = events
      const last = events.at(-1)
      if (first === undefined || last === undefined) return
      if (first === last) return yield* single(first, invalid)
      const failed = yield* attempt({ events, invalid }, last)
      if (failed === undefined) return
      const { event } = failed
      if (event === undefined) return yield* Effect.forEach(events, (each) => single(each, invalid), { discard: true })
      // What came before it is handled, and it is looked at by itself.
      const index = events.indexOf(event)
      yield* group({ events: events.slice(0, index), invalid })
      yield* single(event, invalid)
      yield* group({ events: events.slice(index + 1), invalid })
    })
  return group
}

const countedIn = (stored: Driver.Document): { readonly token: string; readonly attempts: number } | undefined => {
  const { attempts, token }: Driver.Document = stored["failed"] ?? {}
  return token === undefined ? undefined : { token: String(token), attempts: Number(attempts) }
}

// What a handler has succeeded with may keep its transaction from its commit: a failure of the server that it has swallowed, a
// hook that fails, more than a transaction holds. Trying the same again leads there again.
const isOfHandler = (cause: Cause.Cause<unknown>): boolean => {
  const failure = Cause.failureOption(cause)
  return Option.isSome(failure) && (failure.value instanceof TransactionDoomed ||
    failure.value instanceof MongoError && tooLarge.has(failure.value.reason))
}

const tooLarge: ReadonlySet<MongoError["reason"]> = new Set<MongoError["reason"]>([
  "TransactionTooLarge",
  "DocumentTooLarge"
])
