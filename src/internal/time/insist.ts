/**
 * Repeats what must not be left undone, while nobody waits for it.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { constTrue } from "effect/Function"
import * as Schedule from "effect/Schedule"

/**
 * Does in the background, once a second, what fails, until it succeeds, it is not worth while any more, or the server has
 * given up the transaction by itself, a minute later.
 */
export const insist = <E>(
  once: Effect.Effect<unknown, E>,
  isWorthwhile: (error: E) => boolean = constTrue
): Effect.Effect<void> =>
  Effect.retry(once, { schedule: Schedule.spaced(pause), while: isWorthwhile }).pipe(
    Effect.delay(pause),
    Effect.timeoutOption(lifetime),
    // Where it is begun, nothing can be interrupted: the time limit would have no effect.
    Effect.interruptible,
    Effect.ignore,
    Effect.forkDaemon,
    Effect.asVoid
  )

const pause = Duration.seconds(1)

// The server's `transactionLifetimeLimitSeconds`, by default.
const lifetime = Duration.minutes(1)
