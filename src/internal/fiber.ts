/**
 * The fiber that runs an operation, as steps of it that are no effects need it.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Fiber from "effect/Fiber"

/** The fiber that runs an operation. */
export type RunningFiber = Fiber.RuntimeFiber<unknown, unknown>

/** The clock of a fiber. */
export const clockOf = ({ currentDefaultServices }: RunningFiber): Clock.Clock =>
  Context.get(currentDefaultServices, Clock.Clock)
