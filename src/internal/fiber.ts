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

/** What runs an effect as it would be run outside of a region that nothing interrupts. */
export type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** The clock of a fiber. */
export const clockOf = ({ currentDefaultServices }: RunningFiber): Clock.Clock =>
  Context.get(currentDefaultServices, Clock.Clock)

/** The seconds since a time in nanoseconds, by the clock of a fiber. */
export const secondsSince = (began: bigint, fiber: RunningFiber): number =>
  Number(clockOf(fiber).unsafeCurrentTimeNanos() - began) / 1_000_000_000

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
