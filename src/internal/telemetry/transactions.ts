/**
 * Measures how long a transaction is open and how much it writes, and warns before the server aborts it for that.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { constVoid } from "effect/Function"
import type * as Tracer from "effect/Tracer"
import * as Telemetry from "../../Telemetry.js"
import { after } from "../time/bounded.js"
import { clockOf, secondsSince } from "../time/clock.js"
import type { RunningFiber } from "../time/fiber.js"
import type { Conflict, ServerView } from "../values/conflicts.js"
import { runLike } from "./background.js"
import type { Limit } from "./lifetime.js"
import { conflicted, ofOutcome, toldOf, update } from "./log.js"
import * as Spans from "./spans.js"
import type { Kind, Warnings } from "./warnings.js"

/** When a transaction is old enough for the server to be asked how old it may become. */
const askAfter = Duration.seconds(5)

/** When a transaction counts as long where the server does not tell how old it may become. */
const longAnyway = Duration.seconds(30)

/** A transaction of the server, open or over. */
export class Watch {
  private readonly fiber: RunningFiber
  private readonly attempt: number
  private readonly warnings: Warnings
  private readonly own: Tracer.Span | undefined
  private readonly span: Tracer.Span | undefined
  /** When it was started, in nanoseconds. */
  readonly began: bigint
  private stop: () => void
  private documents = 0
  private operations = 0
  private bytes = 0
  private isOver = false
  private isPassed = false
  private isLong = false

  /** Watches a transaction that a fiber has just started, in a span that lasts as long as it does or in that of the fiber. */
  constructor(fiber: RunningFiber, attempt: number, warnings: Warnings, own?: Tracer.Span) {
    this.fiber = fiber
    this.attempt = attempt
    this.warnings = warnings
    this.own = own
    this.span = own ?? Spans.spanOf(fiber)
    this.began = clockOf(fiber).unsafeCurrentTimeNanos()
    this.stop = this.waitUntilLong()
  }

  /** An operation of it begins, which sends about so many bytes of documents, filters and updates. */
  begins(bytes: number): void {
    if (this.isOver) return
    const { bytes: mostBytes, operations: mostOperations } = this.warnings
    if (++this.operations > mostOperations) this.warn("operations", this.operations, mostOperations)
    this.bytes += bytes
    if (this.bytes > mostBytes) this.warn("bytes", Math.round(this.bytes), mostBytes)
  }

  /** It has written so many documents more. */
  wrote(documents: number): void {
    if (this.isOver) return
    const { documents: most } = this.warnings
    this.documents += documents
    if (this.documents > most) this.warn("documents", this.documents, most)
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
    const { conflicts } = this.warnings.lifetime
    conflicted(this.fiber, conflict, this.attempt, (operation) => conflicts.labelsOf(operation), this.span)
  }

  /** Records what the server has told of others when it was given up. */
  told(view: ServerView): void {
    toldOf(this.fiber, view, this.attempt, this.span)
  }

  private warn(kind: Exclude<Kind, "age">, count: number, threshold: number): void {
    this.warnings.tell(kind, this.fiber, { attempt: this.attempt, [kind]: count, threshold }, this.span)
  }

  // A short transaction never gets to ask.
  private waitUntilLong(): () => void {
    const { age, lifetime: { limit } } = this.warnings
    if (age === false) return constVoid
    if (age !== undefined) return this.longAt(age)
    return limit === undefined ? after(this.fiber, askAfter, () => this.ask()) : this.longAt(longWith(limit))
  }

  private ask(): void {
    const { lifetime } = this.warnings
    // Also where no answer comes.
    this.stop = this.longAt(longWith(lifetime.limit))
    if (lifetime.limit !== undefined) return
    lifetime.ask(this.fiber, () => {
      if (this.isOver) return
      this.stop()
      this.stop = this.longAt(longWith(lifetime.limit))
    })
  }

  private longAt(age: Duration.Duration): () => void {
    const left = Duration.toMillis(age) - secondsSince(this.began, this.fiber) * 1000
    return after(this.fiber, Duration.millis(Math.max(0, left)), () => this.warnOfAge(age))
  }

  private warnOfAge(age: Duration.Duration): void {
    if (this.isLong) return
    this.isLong = true
    const { attempt, fiber, span, warnings } = this
    const { limit = "unknown" } = warnings.lifetime
    update(fiber, Telemetry.longTransactions, 1)
    const open = Duration.format(age)
    warnings.tell(
      "age",
      fiber,
      { attempt, open, limit: limit === "unknown" ? "not known" : Duration.format(limit) },
      span
    )
  }
}

// Which age is long where the server allows so much.
const longWith = (limit: Limit): Duration.Duration =>
  limit === undefined || limit === "unknown" ? longAnyway : Duration.times(limit, 0.5)
