/**
 * Measures how long a transaction is open, and warns when it is open for so long that the server may abort it.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as FiberRefs from "effect/FiberRefs"
import * as Runtime from "effect/Runtime"
import type * as Tracer from "effect/Tracer"
import * as Telemetry from "../../Telemetry.js"
import { after } from "../time/bounded.js"
import { clockOf, secondsSince } from "../time/clock.js"
import type { RunningFiber } from "../time/fiber.js"
import type { Conflict, ServerView } from "../values/conflicts.js"
import { conflicted, ofOutcome, toldOf, update } from "./log.js"
import * as Spans from "./spans.js"

// The default of the server's parameter `transactionLifetimeLimitSeconds`, which only administrators can read, is a minute.
const half = Duration.seconds(30)

/** A transaction of the server, open or over. */
export class Watch {
  private readonly fiber: RunningFiber
  private readonly attempt: number
  private readonly own: Tracer.Span | undefined
  private readonly span: Tracer.Span | undefined
  /** When it was started, in nanoseconds. */
  readonly began: bigint
  private readonly stop: () => void
  private isOver = false
  private isPassed = false

  /** Watches a transaction that a fiber has just started, in a span that lasts as long as it does or in that of the fiber. */
  constructor(fiber: RunningFiber, attempt: number, own?: Tracer.Span) {
    this.fiber = fiber
    this.attempt = attempt
    this.own = own
    this.span = own ?? Spans.spanOf(fiber)
    this.began = clockOf(fiber).unsafeCurrentTimeNanos()
    this.stop = after(fiber, half, () => this.warn())
  }

  /** Records how the transaction ended. Only the first call counts. */
  over(outcome: keyof typeof ofOutcome): void {
    if (this.isOver) return
    this.isOver = true
    this.stop()
    update(this.fiber, Telemetry.transactionDuration, secondsSince(this.began, this.fiber), ofOutcome[outcome])
    if (this.own !== undefined) Spans.end(this.fiber, this.own, Exit.void)
  }

  /** The span of its own that is around its operations while it is open. */
  get around(): Tracer.Span | undefined {
    return this.isOver ? undefined : this.own
  }

  /** Warns, once, of an operation that comes after the transaction was ended by hand: it is not part of any. */
  passedBy({ namespace, operation }: { readonly operation: string; readonly namespace?: string | undefined }): void {
    if (this.isPassed) return
    this.isPassed = true
    const log = Effect.logWarning(Telemetry.messages.afterEnd)
    const { attempt, fiber } = this
    runLike(fiber, Effect.annotateLogs(log, { operation, attempt, ...(namespace !== undefined && { namespace }) }))
  }

  /** Records a conflict that it has lost. */
  lost(conflict: Conflict): void {
    conflicted(this.fiber, conflict, this.attempt, this.span)
  }

  /** Records what the server has told of others when it was given up. */
  told(view: ServerView): void {
    toldOf(this.fiber, view, this.attempt, this.span)
  }

  private warn(): void {
    const { attempt, fiber } = this
    update(fiber, Telemetry.longTransactions, 1)
    const log = Effect.logWarning(Telemetry.messages.long)
    runLike(fiber, Effect.annotateLogs(log, { attempt, open: Duration.format(half) }))
    // In an effect, which nobody waits for: what a tracer throws would end the process.
    runLike(fiber, Effect.sync(() => Spans.event(fiber, Telemetry.events.long, { attempt }, this.span)))
  }
}

// With the loggers and annotations of a fiber that may be busy, suspended, or at its end.
const runLike = (fiber: RunningFiber, effect: Effect.Effect<void>): void => {
  const { runtimeFlags } = Runtime.defaultRuntime
  const fiberRefs = FiberRefs.forkAs(fiber.getFiberRefs(), FiberId.unsafeMake())
  Runtime.runFork(Runtime.make({ context: fiber.currentContext, fiberRefs, runtimeFlags }))(effect)
}
