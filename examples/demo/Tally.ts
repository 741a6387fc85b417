/** What the program learns while the shop is open: how checkouts end, and what is run again. */
import type { Telemetry } from "effect-mongo-session"
import * as Effect from "effect/Effect"

export class Tally extends Effect.Service<Tally>()("demo/Tally", {
  sync: () => {
    const tally = {
      /** Checkouts that have come to their end. */
      done: 0,
      /** How: `ordered`, or the tag of the error. */
      ends: new Map<string, number>(),
      retries: new Array<Telemetry.Retry>(),
      /** How often it was asked whether a commit had happened. */
      verified: 0
    }
    const update = (change: () => unknown) =>
      Effect.sync(() => {
        change()
        return tally
      })
    return {
      now: update(() => {}),
      ended: (how: string) =>
        update(() => {
          tally.done++
          tally.ends.set(how, (tally.ends.get(how) ?? 0) + 1)
        }),
      retried: (retry: Telemetry.Retry) => Effect.asVoid(update(() => tally.retries.push(retry))),
      verified: Effect.asVoid(update(() => tally.verified++))
    }
  }
}) {}
