// Waits for something to be so. It is looked at again and again, for nobody tells of it.
import { Data, Effect, Schedule } from "effect"

export class Late extends Data.TaggedError("Late")<{ readonly what: string }> {}

export const until = <E, R>(
  isSo: Effect.Effect<boolean, E, R>,
  what = "what was waited for"
): Effect.Effect<void, E | Late, R> =>
  Effect.repeat(isSo, Schedule.spaced("20 millis").pipe(Schedule.untilInput((isSo: boolean) => isSo))).pipe(
    Effect.timeoutFail({ duration: "60 seconds", onTimeout: () => new Late({ what }) }),
    Effect.asVoid
  )
