/**
 * Deadlines: how much time is left.
 */
import * as Duration from "effect/Duration"
import { clockOf, type RunningFiber } from "./fiber.js"

/** The time by which something must be over. */
export interface Deadline {
  /** The whole time, from start to deadline. */
  readonly timeout: Duration.Duration
  /** How many milliseconds are left; zero or negative after the deadline. */
  readonly left: () => number
}

/** A deadline that starts now, by the clock of a fiber. */
export const start = (fiber: RunningFiber, timeout: Duration.Duration): Deadline => {
  const clock = clockOf(fiber)
  const began = clock.unsafeCurrentTimeNanos()
  const millis = Duration.toMillis(timeout)
  return { timeout, left: () => millis - Number(clock.unsafeCurrentTimeNanos() - began) / 1_000_000 }
}
