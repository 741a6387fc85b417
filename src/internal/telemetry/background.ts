/**
 * Runs what nobody waits for.
 */
import type * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import * as FiberRefs from "effect/FiberRefs"
import * as Runtime from "effect/Runtime"
import type { RunningFiber } from "../time/fiber.js"

/**
 * Runs an effect that nobody waits for with the loggers and annotations of a fiber that may be busy, suspended, or at its end,
 * and in its context unless another one is given.
 */
export const runLike = (
  fiber: RunningFiber,
  effect: Effect.Effect<void>,
  context: Context.Context<never> = fiber.currentContext
): void => {
  const { runtimeFlags } = Runtime.defaultRuntime
  const fiberRefs = FiberRefs.forkAs(fiber.getFiberRefs(), FiberId.unsafeMake())
  Runtime.runFork(Runtime.make({ context, fiberRefs, runtimeFlags }))(effect)
}
