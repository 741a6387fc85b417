/**
 * The state of one run of a transaction's body: what it has seen go wrong, its hooks, and how it ended.
 */
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Tracer from "effect/Tracer"
import { MongoError } from "../../MongoError.js"
import { TransactionDoomed, TransactionEnded } from "../../SessionErrors.js"
import type { TransactionOutcome } from "../../Telemetry.js"
import type * as TransactionOptions from "../../TransactionOptions.js"
import { amended } from "../driver/errors.js"
import type * as Lane from "../session/lane.js"
import type { Description, Turn } from "../session/turn.js"
import { Watch } from "../telemetry/transactions.js"
import { Warnings } from "../telemetry/warnings.js"
import type { Deadline } from "../time/clock.js"
import type { RunningFiber } from "../time/fiber.js"
import type { ServerView } from "../values/conflicts.js"
import type { Contender } from "./contention.js"
import { Failures } from "./failures.js"
import type { AttemptFacts, Ended } from "./outcome.js"
import type { Command } from "./send.js"
import { isConflict } from "./transient.js"

/** When a hook is to run. */
export type Moment = "beforeCommit" | "onCommit" | "onRollback"

/** An effect to run when the fate of the transaction is decided, with the context that it was registered in. */
export interface Hook {
  readonly moment: Moment
  readonly part: Share
  /** Runs it, in a part of its own if it belongs into the transaction, and leaves its context behind. */
  readonly exit: (own: Turn | undefined) => Effect.Effect<Exit.Exit<unknown, unknown>>
}

/** The whole of an attempt, or a part of it. */
export interface Share extends Turn {
  readonly of: Attempt
  /** What it is a part of; none where it is the whole. */
  readonly within: Share | undefined
  /** Notes that it has failed. */
  readonly fail: (cause: Cause.Cause<unknown>) => void
  /** Whether it, or what it is a part of, has failed. */
  readonly hasFailed: boolean
}

const isAround = (part: Share, inner: Share | undefined): boolean =>
  inner !== undefined && (inner === part || isAround(part, inner.within))

/** How a transaction ended, and what was put off until then. */
export interface Past {
  readonly ended: Ended
  readonly hooks: ReadonlyArray<Hook>
}

/** All attempts of a transaction: for as long as it lasts, it holds the session. */
export class Run {
  /** What it is warned of. */
  readonly warnings: Warnings
  /** When all is to be over, retries included; none where there is no limit, and under manual control. */
  readonly deadline: Deadline | undefined
  /** How long the abort may take, and the commit under manual control; absent: as long as any operation has to settle. */
  readonly timeout: Duration.Duration | undefined
  /** What others that write the same see of it; absent where nobody does. */
  readonly contender: Contender | undefined
  #isOver = false

  constructor(warnings: Warnings, timeout?: Duration.Duration, deadline?: Deadline, contender?: Contender) {
    this.warnings = warnings
    this.timeout = timeout
    this.deadline = deadline
    this.contender = contender
  }

  get isOver(): boolean {
    return this.#isOver
  }

  end(): void {
    this.#isOver = true
  }
}

/** What an attempt is made of. */
export interface Options {
  readonly number: number
  readonly options: TransactionOptions.Resolved
  /** The lane of the session that the attempt runs in: which session's operations are meant. */
  readonly sessionLane: Lane.Lane
  /** Makes the operations of the attempt sequential. */
  readonly lane: Lane.Lane
  /** The transaction around this one, which waits for it. */
  readonly outer: Share | undefined
  /** Whether everything is rolled back in the end, whatever happens. */
  readonly isSandbox: boolean
  /** Whether what is read is locked. Default `false`. */
  readonly isSerializable?: boolean
  readonly run: Run
}

/** An attempt: the operations of the body tell it what they see. */
export class Attempt {
  readonly number: number
  readonly sessionLane: Lane.Lane
  readonly lane: Lane.Lane
  readonly outer: Share | undefined
  readonly isSandbox: boolean
  readonly isSerializable: boolean
  readonly run: Run
  /** What it has seen go wrong. */
  readonly failures = new Failures()
  #options: TransactionOptions.Resolved
  #isOver = false
  #ended: Ended = "no"
  #ending: Command | undefined
  #isRollbackOnly = false
  #isOpaque = false
  #hooks: Array<Hook> = []
  // How many of them were passed on the way to the commit.
  #passed = 0
  // One for each commit by hand that waits for its turn.
  #commits: Set<object> | undefined
  #past: ReadonlyArray<Past> = []
  #watch: Watch | undefined
  #warnings: Warnings
  readonly #parts = new Set<Share>()

  constructor({ isSandbox, isSerializable = false, lane, number, options, outer, run, sessionLane }: Options) {
    this.number = number
    this.#options = options
    this.sessionLane = sessionLane
    this.lane = lane
    this.outer = outer
    this.isSandbox = isSandbox
    this.isSerializable = isSerializable
    this.run = run
    this.#warnings = run.warnings
  }

  /** What it was started with, and the write concern that it has taken on. */
  get options(): TransactionOptions.Resolved {
    return this.#options
  }

  /** Takes on a write concern where it has none. */
  strengthen(writeConcern: NonNullable<TransactionOptions.Resolved["writeConcern"]>): void {
    this.#options = { ...this.#options, writeConcern }
  }

  /** Whether the body has ended: nothing may use the attempt any more. */
  get isOver(): boolean {
    return this.#isOver
  }

  /** Whether the body has ended the transaction by hand, and how. */
  get ended(): Ended {
    return this.#ended
  }

  /** The command in flight that ends it by hand. */
  get ending(): Command | undefined {
    return this.#ending
  }

  /** Whether it was ended by hand, or is being ended: nothing new belongs to it. */
  get isEnded(): boolean {
    return this.#ended !== "no" || this.#ending !== undefined
  }

  /** Notes the command in flight that ends it by hand; none when that is over. */
  endsBy(command: Command | undefined): void {
    this.#ending = command
  }

  get hooks(): ReadonlyArray<Hook> {
    return this.#hooks
  }

  /** The transactions that the body has ended by hand before it started another. */
  get past(): ReadonlyArray<Past> {
    return this.#past
  }

  /**
   * Why no further operation of it can succeed: the first failure of the server. A later one would only be its consequence.
   * After the body has ended the transaction by hand, operations take effect at once, as the specification has it. In a
   * sandbox, they are refused.
   */
  refusal(operation: string): MongoError | TransactionDoomed | TransactionEnded | undefined {
    if (this.#ended !== "no") {
      return this.isSandbox && this.#ended === "aborted" ? new TransactionEnded({ operation }) : undefined
    }
    const { doom, transient } = this.failures
    return transient ?? (doom && new TransactionDoomed({ first: Cause.squash(doom) }))
  }

  /** Whether the caller's own code was run in it, which may have swallowed a failure of the server. */
  get isOpaque(): boolean {
    return this.#isOpaque
  }

  /** Whether it keeps others out of the session. A transaction under manual control queues with all others. */
  get holdsSession(): boolean {
    return !this.run.isOver && this.lane !== this.sessionLane
  }

  /** What an operation has to wait for before it is sent. */
  before(description: Description): Effect.Effect<void> | undefined {
    return this.#ended === "no" ? this.run.contender?.before(description) : undefined
  }

  /** Notes that an operation begins. */
  begins(description: Description): void {
    if (this.#ended === "no") {
      this.run.contender?.begins(description)
      this.#watch?.begins(description.bytes ?? 0)
    }
    if (description.isOpaque === true) this.#isOpaque = true
    // It is not part of the transaction, which the body has ended by hand.
    if (this.#ended !== "no" && this.holdsSession) this.#watch?.passedBy(description)
  }

  /** Notes that documents were written. */
  wrote(documents: number): void {
    if (this.#ended === "no") this.#watch?.wrote(documents)
  }

  /** Whether everything is to be rolled back in the end, though nothing has failed. */
  get isRollbackOnly(): boolean {
    return this.#isRollbackOnly
  }

  /** Whether it would be committed if it ended now. */
  get mayCommit(): boolean {
    return this.#ended === "no" && !this.#isRollbackOnly && this.failures.areNone
  }

  /** Whether the body has committed an earlier transaction by hand, or may have. */
  get committedBefore(): boolean {
    return this.#past.some(({ ended }) => ended === "committed" || ended === "unknown")
  }

  /** What is known of it when the body has ended. A body of which something is committed does not run again. */
  facts(body: AttemptFacts["body"], isTransient: boolean, mayRetry: boolean): AttemptFacts {
    const { committedBefore, failures } = this
    const transient = isTransient && !committedBefore
    const doomed = failures.doom !== undefined || failures.halfDone !== undefined || isTransient && committedBefore
    return { body, ended: this.#ended, transient, doomed, rollbackOnly: this.#isRollbackOnly, mayRetry }
  }

  /**
   * Notes a failure that an operation has seen. What the driver refused by itself never reached the server. Gives the cause
   * with what is known of a conflict that was lost.
   */
  observe<E>(cause: Cause.Cause<E>, description?: Description): Cause.Cause<E | MongoError> {
    const explained = this.explain(cause, description)
    this.failures.note(explained, description?.isOpaque === true || description?.writtenIn !== undefined)
    return explained
  }

  /** Gives the cause of a failed operation with what is known of a conflict that was lost. */
  explain<E>(cause: Cause.Cause<E>, description?: Description): Cause.Cause<E | MongoError> {
    const isLost = this.#ended === "no" &&
      Chunk.some(Cause.failures(cause), (failure) => failure instanceof MongoError && isConflict(failure))
    return isLost ? Cause.map(cause, (failure) => this.#explain(failure, description)) : cause
  }

  #explain<E>(failure: E, description: Description | undefined): E | MongoError {
    if (!(failure instanceof MongoError)) return failure
    const conflict = this.run.contender?.loses(failure, description)
    if (conflict === undefined) return failure
    this.#watch?.lost(conflict)
    return amended(failure, { conflict })
  }

  /** Has everything rolled back in the end. */
  rollBack(): void {
    this.#isRollbackOnly = true
  }

  putOff(hook: Hook): void {
    this.#hooks.push(hook)
  }

  /** The first of them that was not passed on the way to the commit. */
  get nextHook(): Hook | undefined {
    return this.#hooks[this.#passed]
  }

  /** Notes that the next hook has run, or has no need to; unless it has started the transaction anew. */
  passHook(hook: Hook): void {
    if (this.nextHook === hook) this.#passed++
  }

  /** Whether what belongs before the commit by hand has run, and that waits for its turn. */
  get awaitsCommit(): boolean {
    return this.#commits !== undefined && this.#commits.size > 0
  }

  /** Notes a commit by hand that waits for its turn, or is sent, until the function is called that it gives. */
  awaitCommit(): () => void {
    const one = {}
    const commits = this.#commits ??= new Set()
    commits.add(one)
    return () => void commits.delete(one)
  }

  /** Watches the transaction on the server, which a fiber has just started, with a span of its own if it has one. */
  watch(fiber: RunningFiber, span?: Tracer.Span): void {
    this.#watch = new Watch(fiber, this.number, this.#warnings, span)
    this.run.contender?.starts(this.#watch.began)
  }

  /** The span of its own while it is open. */
  get span(): Tracer.Span | undefined {
    return this.#watch?.around
  }

  /** Notes what the server has told of others when it was given up. */
  told(view: ServerView): void {
    this.#watch?.told(view)
  }

  /** Notes how the transaction on the server ended: it has nothing there any more. */
  unwatch(outcome: TransactionOutcome | "retried"): void {
    this.#watch?.over(outcome)
    this.run.contender?.ends()
  }

  /** Notes that a part has joined. The returned function notes that it has ended. */
  joins(part: Share): () => void {
    this.#parts.add(part)
    return () => void this.#parts.delete(part)
  }

  /** It ends now. A part that has not ended, other than those around who ends it, has failed. */
  leavesParts(around?: Share): void {
    for (const part of this.#parts) {
      if (isAround(part, around)) continue
      this.#parts.delete(part)
      part.fail(Cause.fail(new TransactionEnded({ operation: "Transaction.run" })))
    }
  }

  /** The body has ended. */
  close(): void {
    this.#isOver = true
  }

  /** Notes how the transaction was ended by hand. */
  end(ended: Exclude<Ended, "no">): void {
    this.#ended = ended
  }

  /** Drops what was put off. */
  dropHooks(): void {
    this.#hooks = []
    this.#passed = 0
    // A commit that still runs its hooks was of the one before.
    this.#commits = undefined
  }

  /** Begins anew where the body has ended the transaction by hand and starts another. */
  restart(options: TransactionOptions.Resolved): void {
    this.#options = options
    this.#warnings = new Warnings(options.warnings, this.#warnings.lifetime)
    this.#past = [...this.#past, { ended: this.#ended, hooks: this.#hooks }]
    this.#ended = "no"
    this.#isRollbackOnly = false
    this.#isOpaque = false
    this.failures.clear()
    this.#hooks = []
    this.#passed = 0
  }

  /** Notes what was not worth another attempt in a transaction inside of this one, here and outwards. */
  spend(cause: Cause.Cause<unknown>): void {
    if (this.failures.spend(cause)) this.outer?.of.spend(cause)
  }
}
