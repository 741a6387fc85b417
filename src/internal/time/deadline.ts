/**
 * Deadlines: how much time is left.
 */
import * as Duration from "effect/Duration"
import { clockOf, type RunningFiber } from "./fiber.js"

/** When something is to be over. */
export interface Deadline {
  /** How much time there was in the beginning. */
  readonly timeout: Duration.Duration
  /** How many milliseconds are left; none or fewer when the time is over. */
  readonly left: () => number
}

/** A deadline so far ahead, by the clock of a fiber. */
export const start = (fiber: RunningFiber, timeout: Duration.Duration): Deadline => {
  const clock = clockOf(fiber)
  const began = clock.unsafeCurrentTimeNanos()
  const millis = Duration.toMillis(timeout)
  return { timeout, left: () => millis - Number(clock.unsafeCurrentTimeNanos() - began) / 1_000_000 }
}
