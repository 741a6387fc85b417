/**
 * The fiber that runs an operation, as steps of it that are no effects need it.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as FiberRefs from "effect/FiberRefs"
import * as FiberRefsPatch from "effect/FiberRefsPatch"

/** The fiber that runs an operation. */
export type RunningFiber = Fiber.RuntimeFiber<unknown, unknown>

/** The clock of a fiber. */
export const clockOf = ({ currentDefaultServices }: RunningFiber): Clock.Clock =>
  Context.get(currentDefaultServices, Clock.Clock)

/** Runs an effect with the fiber refs that another fiber had, such as its loggers, as finalizers are. */
export const runAs = <A, E, R>(refs: FiberRefs.FiberRefs, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.withFiberRuntime((fiber) => {
    const own = fiber.getFiberRefs()
    return Effect.acquireUseRelease(
      Effect.patchFiberRefs(FiberRefsPatch.diff(own, refs)),
      () => effect,
      () => Effect.patchFiberRefs(FiberRefsPatch.diff(refs, own))
    )
  })
