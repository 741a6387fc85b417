/**
 * Real time for the things that happen outside of this process.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

/**
 * Runs the effect on the system's clock.
 *
 * A child process takes real time. Under `it.effect` a TestClock stands in for the clock, and it would never tick while
 * a server starts, or while it stops when the scope closes.
 */
export const live: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> = Effect.withClock(Clock.make())
