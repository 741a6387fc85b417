/**
 * What becomes of a message or an event that cannot be handled: it is tried again, and then stops all that come after it, or
 * does not.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type { HandlingFailed } from "../../ChangeStreamErrors.js"
import * as Log from "../telemetry/log.js"
import { isInterruption } from "../time/fiber.js"
import * as Backoff from "../transaction/backoff.js"
import { isLostOnTheWay, mongoErrorIn } from "./position.js"

/** What becomes of what cannot be handled when it is not tried again. */
export type OnPoison = "stop" | "skip" | "setAside"

/** When to try again what could not be handled, and what then. */
export interface PoisonOptions {
  /**
   * When to try again what could not be handled. Its input is the failure, whose `attempts` count those of earlier runs, too.
   * Default: not at all.
   */
  readonly retry?: Schedule.Schedule<unknown, HandlingFailed<unknown>> | undefined
  /**
   * What then: `stop` fails with `HandlingFailed`, and whoever is started next begins there; `skip` leaves it out, which is
   * logged; `setAside` puts it among the dead letters. Default `stop`. A failure of the way to the database always stops, for
   * it is no fault of what was to be handled: also one that is the `cause` of another error, at most eight deep.
   *
   * What throws (a defect) is handled like a failure by the latter two; with `stop` it stays a defect.
   */
  readonly onPoison?: OnPoison | undefined
}

/** What a kind of message has to do with its failures. */
export interface Handling<F, E, R> extends PoisonOptions {
  /** Counts a failure; none where there is nothing to handle any more. */
  readonly count: (cause: Cause.Cause<unknown>) => Effect.Effect<Option.Option<F>, E, R>
  /** Puts it among the dead letters; `false` where there is nothing to handle any more. */
  readonly setAside: (failure: F) => Effect.Effect<boolean, E, R>
}

/** Handles one message; none if it was not handled, and is not to be any more. */
export const handle = <A, R, F extends HandlingFailed, E2, R2>(
  effect: Effect.Effect<A, unknown, R>,
  { count, onPoison = "stop", retry = Schedule.stop, setAside }: Handling<F, E2, R2>
): Effect.Effect<Option.Option<A>, F | E2, R | R2> =>
  Effect.suspend(() => {
    const backoff = Backoff.make(retry)
    const end = (failure: F): Effect.Effect<Option.Option<never>, F | E2, R2> =>
      onPoison === "stop" || isOfTheWay(failure.cause)
        ? Effect.fail(failure)
        : onPoison === "skip"
        ? Effect.as(Log.passedOver("skipped", told(failure)), Option.none())
        : Effect.as(Effect.whenEffect(Log.passedOver("setAside", told(failure)), setAside(failure)), Option.none())
    const once: Effect.Effect<Option.Option<A>, F | E2, R | R2> = Effect.matchCauseEffect(effect, {
      onSuccess: Effect.succeedSome,
      onFailure: (cause) =>
        Effect.withFiberRuntime((fiber) =>
          isInterruption(fiber, cause) || onPoison === "stop" && Cause.isDie(cause)
            ? Effect.failCause(Cause.stripFailures(cause))
            : Effect.flatMap(
              count(cause),
              Option.match({
                onNone: () => Effect.succeedNone,
                onSome: (failure) =>
                  Effect.flatMap(
                    backoff.next(failure),
                    Option.match({ onNone: () => end(failure), onSome: (delay) => Effect.delay(once, delay) })
                  )
              })
            )
        )
    })
    return once
  })

// No fault of the message: the database cannot be reached, or somebody else has taken over and killed what was running.
const isOfTheWay = (cause: unknown): boolean => {
  const origin = mongoErrorIn(cause)
  return origin?.reason === "Interrupted" || isLostOnTheWay(origin)
}

// A resume token, which is the id of an event, may hold the _id of a document.
const told = ({ attempts, id, kind, of }: HandlingFailed): Log.Poison => ({
  kind,
  of,
  attempts,
  ...(kind === "outbox" && { id })
})

/** What has failed, as it is written down with a dead letter. */
export const textOf = (cause: unknown): string =>
  Cause.pretty(Cause.isCause(cause) ? cause : Cause.fail(cause)).slice(0, longestText)

const longestText = 10_000
