/**
 * Waiting that comes to an end, also where nothing can be interrupted.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Telemetry from "../Telemetry.js"

/** Waits for an effect for at most so long, and says whether it came to its end. */
export const within = <A, R>(
  time: Duration.Duration,
  effect: Effect.Effect<A, never, R>
): Effect.Effect<boolean, never, R> =>
  Effect.raceFirst(
    Effect.as(Effect.interruptible(effect), true),
    Effect.as(Effect.interruptible(Effect.sleep(time)), false)
  )

/** Runs a step of closing: bounded in time, never failing, and logged when it does not succeed. */
export const closingStep = <E, R>(
  step: string,
  time: Duration.Duration,
  effect: Effect.Effect<unknown, E, R>,
  problem: (error: E) => string
): Effect.Effect<void, never, R> =>
  Effect.flatMap(
    within(time, Effect.catchAll(effect, (error) => Telemetry.closingFailed(step, problem(error)))),
    (inTime) => inTime ? Effect.void : Telemetry.closingFailed(step, "not done in time")
  )

/** The name of what a promise was rejected with. Not its message: a driver's may quote documents or hosts. */
export const errorName = ({ error }: { readonly error: unknown }): string =>
  error instanceof Error ? error.name : typeof error
