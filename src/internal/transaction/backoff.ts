/**
 * How long to wait before a transaction, or its commit, is run again.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as ScheduleDecision from "effect/ScheduleDecision"
import * as Intervals from "effect/ScheduleIntervals"

const initial = 5
const growth = 1.5
const longest = 500

/**
 * The specification's: before the run number n, counted from 0, a random part of the lesser of 5 ms · 1.5ⁿ and 500 ms. It
 * never ends.
 */
export const specification: Schedule.Schedule<number> = Schedule.addDelayEffect(
  Schedule.forever,
  (failed) =>
    Effect.map(Random.next, (random) => Duration.millis(random * Math.min(initial * growth ** (failed + 1), longest)))
)

/** Tells the delays of a schedule one after the other, without waiting; none when it has ended. */
export interface Backoff<In> {
  readonly next: (input: In) => Effect.Effect<Option.Option<Duration.Duration>>
}

/** Goes through a schedule from its beginning. */
export const make = <In>(schedule: Schedule.Schedule<unknown, In>): Backoff<In> => {
  let state: unknown = schedule.initial
  return {
    next: (input) =>
      Effect.gen(function*() {
        const now = yield* Clock.currentTimeMillis
        const [following, , decision] = yield* schedule.step(now, input, state)
        state = following
        return ScheduleDecision.isDone(decision)
          ? Option.none()
          : Option.some(Duration.millis(Math.max(0, Intervals.start(decision.intervals) - now)))
      })
  }
}
