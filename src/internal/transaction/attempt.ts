/**
 * The state of one run of a transaction's body: the failures it has seen, its hooks, and how it ended.
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
import type * as Lane from "../session/lane.js"
import type { Name, Turn } from "../session/turn.js"
import { Watch } from "../telemetry/transactions.js"
import { Warnings } from "../telemetry/warnings.js"
import type { Deadline } from "../time/clock.js"
import type { RunningFiber } from "../time/fiber.js"
import type { ServerView } from "../values/conflicts.js"
import type { Contender } from "./contention.js"
import type { AttemptFacts, Ended } from "./outcome.js"
import { isConflict, isLostConnection, isOfServer, originOf, transientOf } from "./transient.js"

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
  /** Whether it, or what it is a part of, has failed. */
  readonly hasFailed: boolean
}

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
  #options: TransactionOptions.Resolved
  #isOver = false
  #ended: Ended = "no"
  #isRollbackOnly = false
  #isLate = false
  #lateHook: MongoError | undefined
  #isOpaque = false
  #transient: MongoError | undefined
  #doom: Cause.Cause<unknown> | undefined
  #halfDone: Cause.Cause<unknown> | undefined
  #hooks: Array<Hook> = []
  // How many of them were passed on the way to the commit.
  #passed = 0
  #past: ReadonlyArray<Past> = []
  #watch: Watch | undefined
  #warnings: Warnings
  // The origins of failures of transactions inside of this one, in other sessions, not worth another attempt there.
  #spent: Set<unknown> | undefined

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

  /** Whether an operation was not over in time. */
  get isLate(): boolean {
    return this.#isLate
  }

  /** What a hook has failed with for which no time was left. */
  get lateHook(): MongoError | undefined {
    return this.#lateHook
  }

  /** A failure that may go away when the whole is run again. */
  get transient(): MongoError | undefined {
    return this.#transient
  }

  /** The operation's failure that made it impossible to commit. */
  get doom(): Cause.Cause<unknown> | undefined {
    return this.#doom
  }

  /** The failure of a joined part that had written, or of a hook. */
  get halfDone(): Cause.Cause<unknown> | undefined {
    return this.#halfDone
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
    if (this.#transient !== undefined) return this.#transient
    return this.#doom && new TransactionDoomed({ first: Cause.squash(this.#doom) })
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
  before(name: Name): Effect.Effect<void> | undefined {
    return this.#ended === "no" ? this.run.contender?.before(name) : undefined
  }

  /** Notes that an operation begins. */
  begin(name: Name): void {
    if (this.#ended === "no") {
      this.run.contender?.begins(name)
      this.#watch?.begins(name.bytes ?? 0)
    }
    if (name.isOpaque === true) this.#isOpaque = true
    // It is not part of the transaction, which the body has ended by hand.
    if (this.#ended !== "no" && this.holdsSession) this.#watch?.passedBy(name)
  }

  /** Notes that documents were written. */
  wrote(documents: number): void {
    if (this.#ended === "no") this.#watch?.wrote(documents)
  }

  /** Whether it would be committed if it ended now. */
  get mayCommit(): boolean {
    return this.#ended === "no" && !this.#isRollbackOnly && this.#transient === undefined && this.#doom === undefined &&
      this.#halfDone === undefined
  }

  /** What is known of it when the body has ended. */
  facts(body: AttemptFacts["body"], transient: boolean, mayRetry: boolean): AttemptFacts {
    const doomed = this.#doom !== undefined || this.#halfDone !== undefined
    return { body, ended: this.#ended, transient, doomed, rollbackOnly: this.#isRollbackOnly, mayRetry }
  }

  /**
   * Notes a failure that an operation has seen. What the driver refused by itself never reached the server. Gives the cause
   * with what is known of a conflict that was lost.
   */
  observe<E>(cause: Cause.Cause<E>, name?: Name): Cause.Cause<E | MongoError> {
    const explained = this.explain(cause, name)
    this.#note(explained)
    return explained
  }

  /** Gives the cause of a failed operation with what is known of a conflict that was lost. */
  explain<E>(cause: Cause.Cause<E>, name?: Name): Cause.Cause<E | MongoError> {
    const isLost = this.#ended === "no" &&
      Chunk.some(Cause.failures(cause), (failure) => failure instanceof MongoError && isConflict(failure))
    return isLost ? Cause.map(cause, (failure) => this.#explain(failure, name)) : cause
  }

  #explain<E>(failure: E, name: Name | undefined): E | MongoError {
    if (!(failure instanceof MongoError)) return failure
    const conflict = this.run.contender?.loses(failure, name)
    if (conflict === undefined) return failure
    this.#watch?.lost(conflict)
    return new MongoError({ ...failure, cause: failure.cause, conflict })
  }

  #note(cause: Cause.Cause<unknown>): void {
    const failures = [...Cause.failures(cause)]
    this.#transient ??= this.transientIn(cause) ?? failures.find(isLostConnection)
    if (failures.some(isOfServer)) this.#doom ??= cause
  }

  /** Notes that an operation was given up half-way: what it did to the transaction is not known. */
  giveUp({ namespace, operation }: Name): void {
    this.#doom ??= Cause.fail(new MongoError({ reason: "Interrupted", operation, namespace, labels: [] }))
  }

  /**
   * Notes that an operation was not over in time, be it that of a part or that of all: what it did to the transaction is not
   * known either.
   */
  expire(error: MongoError, isOfAll: boolean): void {
    if (isOfAll) this.#isLate = true
    this.#doom ??= Cause.fail(error)
  }

  /** Notes that a part has failed after it had written. */
  leaveHalfDone(cause: Cause.Cause<unknown>): void {
    this.#halfDone ??= cause
  }

  /** Notes that a hook has failed on which the commit depends. */
  failHook(cause: Cause.Cause<unknown>): void {
    this.#halfDone ??= cause
    this.#transient ??= this.transientIn(cause)
    // A body that has left an operation late has no hooks run.
    const doom = this.#doom && Cause.squash(this.#doom)
    if (this.#isLate && doom instanceof MongoError) this.#lateHook = doom
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
  }

  /** Begins anew where the body has ended the transaction by hand and starts another. */
  restart(options: TransactionOptions.Resolved): void {
    this.#options = options
    this.#warnings = new Warnings(options.warnings, this.#warnings.lifetime)
    this.#past = [...this.#past, { ended: this.#ended, hooks: this.#hooks }]
    this.#ended = "no"
    this.#isRollbackOnly = false
    this.#transient = undefined
    this.#isLate = false
    this.#lateHook = undefined
    this.#isOpaque = false
    this.#doom = undefined
    this.#halfDone = undefined
    this.#hooks = []
    this.#passed = 0
  }

  /** The failure in a cause for which the attempt may be run again. */
  transientIn(cause: Cause.Cause<unknown>): MongoError | undefined {
    const found = transientOf(cause)
    return found === undefined || this.#spent?.has(originOf(found)) === true || this.#isConsequence(found)
      ? undefined
      : found
  }

  /** Notes what was not worth another attempt in a transaction inside of this one, here and outwards. */
  spend(cause: Cause.Cause<unknown>): void {
    const found = transientOf(cause)
    if (found === undefined) return
    const set = this.#spent ??= new Set()
    set.add(originOf(found))
    this.outer?.of.spend(cause)
  }

  // Whether a failure says no more than that the transaction is gone, after another has ended it that will not go away by
  // itself: the server calls it transient all the same, and running the whole again would lead there again.
  #isConsequence(failure: MongoError): boolean {
    return failure.reason === "NoSuchTransaction" && this.#doom !== undefined && this.#transient === undefined
  }
}
