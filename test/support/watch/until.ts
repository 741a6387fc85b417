/**
 * Waits for something that cannot be told of.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { live } from "../../../src/testing/internal/live.js"

/** Looks again and again, in real time, until the value is as wanted; dies when patience is over, with the last value. */
export const until = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  isWanted: (value: A) => boolean,
  patience: Duration.DurationInput = "10 seconds"
): Effect.Effect<A, E, R> =>
  live(Effect.gen(function*() {
    const end = (yield* Clock.currentTimeMillis) + Duration.toMillis(patience)
    let last = yield* effect
    while (!isWanted(last)) {
      if ((yield* Clock.currentTimeMillis) > end) {
        return yield* Effect.dieMessage(`not in time; the last value was ${JSON.stringify(last)}`)
      }
      yield* Effect.sleep("5 millis")
      last = yield* effect
    }
    return last
  }))
