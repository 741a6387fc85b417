/**
 * How long a transaction is open: told in the end, and in between when it takes so long that the server may give it up.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import * as FiberRefs from "effect/FiberRefs"
import * as Runtime from "effect/Runtime"
import * as Telemetry from "../Telemetry.js"
import { after } from "./bounded.js"
import { clockOf, type RunningFiber } from "./fiber.js"
import { ofOutcome, update } from "./reporting.js"
import * as Spans from "./spans.js"

/** A transaction of the server, open or over. */
export interface Watch {
  /** Notes how it has ended. What was noted before stays so. */
  readonly over: (outcome: keyof typeof ofOutcome) => void
}

// The default of the server's parameter `transactionLifetimeLimitSeconds`, which only administrators can read, is a minute.
const half = Duration.seconds(30)

/** Watches a transaction that a fiber has just started. */
export const begin = (fiber: RunningFiber, attempt: number): Watch => {
  const clock = clockOf(fiber)
  const began = clock.unsafeCurrentTimeNanos()
  const span = Spans.spanOf(fiber)
  const stop = after(fiber, half, () => {
    update(fiber, Telemetry.longTransactions, 1)
    Spans.event(fiber, Telemetry.events.long, { attempt }, span)
    const log = Effect.logWarning(Telemetry.messages.long)
    runLike(fiber, Effect.annotateLogs(log, { attempt, open: Duration.format(half) }))
  })
  let isOver = false
  return {
    over: (outcome) => {
      if (isOver) return
      isOver = true
      stop()
      const seconds = Number(clock.unsafeCurrentTimeNanos() - began) / 1_000_000_000
      update(fiber, Telemetry.transactionDuration, seconds, ofOutcome[outcome])
    }
  }
}

// With the loggers and annotations of a fiber that may be busy, suspended, or at its end.
const runLike = (fiber: RunningFiber, effect: Effect.Effect<void>): void => {
  const { runtimeFlags } = Runtime.defaultRuntime
  const fiberRefs = FiberRefs.forkAs(fiber.getFiberRefs(), FiberId.unsafeMake())
  Runtime.runFork(Runtime.make({ context: fiber.currentContext, fiberRefs, runtimeFlags }))(effect)
}
