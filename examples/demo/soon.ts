/** Whether something is so, or becomes so in a moment. */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"

/** Looks until it is so. Processes, sockets and members that lag behind take their time, more so on a busy machine. */
export const soon = <A, E, R>(look: Effect.Effect<A, E, R>, isSo: (found: A) => boolean) =>
  look.pipe(
    Effect.filterOrFail(isSo),
    Effect.retry(Schedule.spaced("20 millis").pipe(Schedule.upTo("10 seconds"))),
    Effect.isSuccess
  )
