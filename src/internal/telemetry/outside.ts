/**
 * Warns of operations that wait while the transaction that they have stepped out of waits for them.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Telemetry from "../../Telemetry.js"
import { after } from "../time/bounded.js"
import { runAs, type RunningFiber } from "../time/fiber.js"
import type { OperationName } from "./names.js"

/** A transaction, as an operation outside of it sees it. */
export interface Waiting {
  readonly attempt: number
  /** Whether it is open, and its session taken. */
  readonly holdsSession: boolean
}

/** What an effect has stepped out of. */
export class Around extends Context.Tag("effect-mongo-session/Transaction/Around")<Around, Waiting>() {}

/** How long an operation outside of its open transaction is silent. */
const patience = Duration.seconds(5)

/** Runs an operation of a fiber, and warns if it takes long while the transaction that the fiber has stepped out of is open. */
export const watched = <A, E, R>(
  fiber: RunningFiber,
  { collection, database, name }: OperationName,
  operation: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> => {
  const around: Waiting | undefined = fiber.currentContext.unsafeMap.get(Around.key)
  if (around === undefined || !around.holdsSession) return operation
  return Effect.suspend(() => {
    const stop = after(fiber, patience, () => {
      if (!around.holdsSession) return
      const waits = Effect.annotateLogs(Effect.logWarning(Telemetry.messages.outside), {
        operation: `${name} on ${collection === undefined ? database : `${database}.${collection}`}`,
        attempt: around.attempt,
        hint:
          "What the transaction has written it must wait for, and the transaction waits for it, until the server aborts " +
          "that. Do it in the transaction, or before or after it."
      })
      Effect.runFork(runAs(fiber.getFiberRefs(), waits))
    })
    return Effect.ensuring(operation, Effect.sync(stop))
  })
}
