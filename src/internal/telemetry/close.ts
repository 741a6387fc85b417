/**
 * Steps of closing: each has a time limit, and none can fail.
 */
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { within } from "../time/bounded.js"
import * as Log from "./log.js"

/** Runs a step of closing: bounded in time, never failing, and logged when it does not succeed. */
export const closingStep = <E, R>(
  step: string,
  time: Duration.Duration,
  effect: Effect.Effect<unknown, E, R>,
  problem: (error: E) => string
): Effect.Effect<void, never, R> =>
  Effect.flatMap(
    within(
      time,
      Effect.catchAllCause(effect, (cause) =>
        Log.closingFailed(
          step,
          // What is no failure of the driver, a credential callback's error say, must not stop closing either.
          Option.match(Cause.failureOption(cause), { onNone: () => defectName(cause), onSome: problem })
        ))
    ),
    (inTime) => inTime ? Effect.void : Log.closingFailed(step, "not done in time")
  )

const defectName = (cause: Cause.Cause<unknown>): string => errorName({ error: Cause.squash(cause) })

/** The name of what a promise was rejected with. Not its message: a driver's may quote documents or hosts. */
export const errorName = ({ error }: { readonly error: unknown }): string =>
  error instanceof Error ? error.name : typeof error
