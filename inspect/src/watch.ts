/**
 * Looks again and again.
 */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { type Failure, lineOf } from "./failures.js"
import type { Snapshot } from "./model.js"
import type { Unwritable } from "./output.js"
import type { View } from "./views.js"

/**
 * Looks again, that time after the last look was told. A server that does not answer for a while does not end it; it ends
 * where the first look has no answer, and when nobody reads any more.
 */
export const watch = <E extends Failure, R>(
  look: (before: Snapshot | undefined) => Effect.Effect<Snapshot, E, R>,
  { seen, unanswered }: View,
  every: Duration.Duration
): Effect.Effect<never, E | Unwritable, R> =>
  Effect.gen(function*() {
    let before = yield* look(undefined)
    yield* seen(before)
    const next = Effect.suspend(() =>
      Effect.matchEffect(look(before), {
        onFailure: (error) =>
          Effect.flatMap(
            Clock.currentTimeMillis,
            (now) => unanswered({ at: new Date(now).toISOString(), error: lineOf(error) }, before)
          ),
        onSuccess: (snapshot) => {
          before = snapshot
          return seen(snapshot)
        }
      })
    )
    return yield* Effect.forever(Effect.delay(next, every))
  })
