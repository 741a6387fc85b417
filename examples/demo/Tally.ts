/** What the program learns while the shop is open: how checkouts end, and what is run again. */
import type { Telemetry } from "effect-mongo-session"
import * as Effect from "effect/Effect"

export class Tally extends Effect.Service<Tally>()("demo/Tally", {
  sync: () => {
    const tally = {
      /** What the customer of each order was told at the end: `ordered`, or the tag of the error. */
      told: new Map<string, string>(),
      retries: new Array<Telemetry.Retry>(),
      /** What came of each question whether a commit had happened. */
      verified: new Array<boolean>(),
      /** When the primary was killed, for as long as no commit has succeeded since. */
      downSince: undefined as number | undefined
    }
    const update = (change: () => unknown) =>
      Effect.sync(() => {
        change()
        return tally
      })
    return {
      now: update(() => {}),
      ended: (order: string, how: string) => Effect.asVoid(update(() => tally.told.set(order, how))),
      retried: (retry: Telemetry.Retry) => Effect.asVoid(update(() => tally.retries.push(retry))),
      verified: (isCommitted: boolean) => Effect.asVoid(update(() => tally.verified.push(isCommitted))),
      down: (since: number | undefined) => Effect.asVoid(update(() => tally.downSince = since))
    }
  }
}) {}

/** How many of something there are, by their names: `3 NetworkError, 2 WriteConflict`. */
export const byName = (names: Iterable<string>): string => {
  const numbers = new Map<string, number>()
  for (const name of names) numbers.set(name, (numbers.get(name) ?? 0) + 1)
  return [...numbers].map(([name, number]) => `${number.toLocaleString("en")} ${name}`).join(", ")
}
