/**
 * The arithmetic of idle time: how long a session has not been used, and what follows from it.
 *
 * The server never says that it dropped a session (it silently recreates an unknown id), so the client's clock is all
 * there is to tell.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { clockOf, type RunningFiber } from "./fiber.js"

/** A point in time on both of the machine's clocks, in milliseconds. */
export interface Instant {
  readonly wall: number
  readonly monotonic: number
}

/** The present, by the clock of a fiber. */
export const nowOf = (fiber: RunningFiber): Instant => {
  const clock = clockOf(fiber)
  return { wall: clock.unsafeCurrentTimeMillis(), monotonic: Number(clock.unsafeCurrentTimeNanos()) / 1_000_000 }
}

/** The present, by Effect's clock. */
export const now: Effect.Effect<Instant> = Effect.withFiberRuntime((fiber) => Effect.succeed(nowOf(fiber)))

/**
 * The milliseconds between two instants: the larger of wall and monotonic time passed.
 *
 * The monotonic clock stands still while a machine is suspended or a function is frozen; the wall clock may be set
 * back. The server counts on in both cases, so the larger one is the safe one.
 */
export const elapsed = (from: Instant, to: Instant): number =>
  Math.max(0, to.wall - from.wall, to.monotonic - from.monotonic)

/** The instant so many milliseconds before another. */
export const before = (instant: Instant, millis: number): Instant => ({
  wall: instant.wall - millis,
  monotonic: instant.monotonic - millis
})

/** The later of two instants. */
export const latest = (a: Instant, b: Instant): Instant => (elapsed(a, b) > 0 ? b : a)

const minute = 60_000

/** Whether the server may have dropped a session that was idle for so many milliseconds. */
export const hasLapsed = (idle: number, timeout: Duration.Duration): boolean => lapseAfter(timeout)(idle)

/** {@link hasLapsed} for many sessions. */
export const lapseAfter = (timeout: Duration.Duration): (idle: number) => boolean => {
  const limit = Duration.toMillis(timeout)
  return (idle) => idle >= limit
}

/**
 * Whether a session from the pool must not be handed out: lapsed, or with less than a minute to live (specification
 * "driver sessions", algorithm to acquire a server session).
 */
export const isStale = (idle: number, timeout: Duration.Duration): boolean => idle > Duration.toMillis(timeout) - minute
