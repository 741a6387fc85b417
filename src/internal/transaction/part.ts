/**
 * The turn of an effect in a transaction: a whole attempt, or a part that has joined it.
 */
import type * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { MongoError } from "../../MongoError.js"
import { type TransactionDoomed, TransactionEnded } from "../../TransactionErrors.js"
import type * as TransactionOptions from "../../TransactionOptions.js"
import type * as Lane from "../session/lane.js"
import type { Description } from "../session/turn.js"
import { placeOf, stepOut, Turn, turnOf } from "../session/turn.js"
import type { Deadline } from "../time/clock.js"
import type { RunningFiber } from "../time/fiber.js"
import type { Attempt, Share } from "./attempt.js"

/** The whole of an attempt, or a part of it: an effect that has joined it. */
export class Part extends Turn {
  readonly of: Attempt
  readonly within: Part | undefined
  readonly attempt: number
  readonly sessionLane: Lane.Lane
  readonly lane: Lane.Lane
  readonly outer: Share | undefined
  /** Its own, where that ends before the deadline of all. */
  readonly deadline: Deadline | undefined
  readonly isSerializable: boolean
  #operations = 0
  #hasFailed = false
  #isClosed = false

  constructor(
    of: Attempt,
    within?: Part,
    deadline?: Deadline,
    isSerializable = within?.isSerializable ?? of.isSerializable
  ) {
    super()
    this.of = of
    this.within = within
    this.attempt = of.number
    this.sessionLane = of.sessionLane
    this.lane = of.lane
    this.outer = of.outer
    this.isSerializable = isSerializable
    const around = within === undefined ? of.run.deadline : within.deadline
    this.deadline = deadline === undefined || around !== undefined && around.left() <= deadline.left()
      ? around
      : deadline
  }

  get options(): TransactionOptions.Resolved {
    return this.of.options
  }

  get holdsSession(): boolean {
    return this.of.holdsSession
  }

  /** How many operations were begun in it; any of them may have written. */
  get operations(): number {
    return this.#operations
  }

  /** Whether it, or what it is a part of, has failed. */
  get hasFailed(): boolean {
    return this.#hasFailed || this.within?.hasFailed === true
  }

  /** Whether nothing may use it any more. */
  get isOver(): boolean {
    return this.#isClosed || this.hasFailed || (this.within === undefined ? this.of.isOver : this.within.isOver)
  }

  /** What it was made for has ended: nothing more belongs to it, though the attempt may go on. */
  close(): void {
    this.#isClosed = true
  }

  refusal(operation: string): TransactionDoomed | TransactionEnded | MongoError | undefined {
    return this.of.refusal(operation)
  }

  before(description: Description): Effect.Effect<void> | undefined {
    return this.of.before(description)
  }

  begins(description: Description): void {
    this.#operations++
    if (this.within === undefined) this.of.begins(description)
    else this.within.begins(description)
  }

  wrote(documents: number): void {
    this.of.wrote(documents)
  }

  observe<E>(cause: Cause.Cause<E>, description?: Description): Cause.Cause<E | MongoError> {
    return this.of.observe(cause, description)
  }

  giveUp(description: Description): void {
    this.of.failures.giveUp(description)
  }

  expire(error: MongoError, hasBegun: boolean): void {
    const { deadline } = this.of.run
    const isOfAll = deadline !== undefined && this.deadline === deadline
    // What has sent nothing has changed nothing, but when the time of all is over, nothing more can be sent.
    if (hasBegun || isOfAll) this.of.failures.expire(error, isOfAll)
  }

  /**
   * Notes that it has failed. MongoDB has no savepoints: what it has written can't be undone by itself. One that was left behind
   * has failed then; it may end in a transaction that was started since, in which it has written nothing.
   */
  fail(cause: Cause.Cause<unknown>): void {
    if (this.#hasFailed) return
    this.#hasFailed = true
    if (this.#operations > 0) this.of.failures.leaveHalfDone(cause)
  }

  /** In logs, it is not to show what it holds. */
  toJSON(): object {
    return { _id: "Transaction", attempt: this.attempt, options: this.options }
  }
}

/** The part of a transaction in the session of the lane that a fiber is in. */
export const partOf = (fiber: RunningFiber, lane: Lane.Lane): Part | undefined => asPart(placeOf(fiber, lane).turn)

/** The transaction of a fiber, whatever its session. */
export const innermostOf = ({ currentContext }: RunningFiber): Part | undefined => asPart(turnOf(currentContext))

/** A turn, if it is a transaction's. */
export const asPart = (turn: Turn | undefined): Part | undefined => turn instanceof Part ? turn : undefined

/** Runs an effect that belongs to a transaction, but not into it. */
export const behind = <A, E, R>(effect: Effect.Effect<A, E, R>, part: Part): Effect.Effect<A, E, R> =>
  Effect.mapInputContext(effect, (context: Context.Context<R>) => stepOut(context, part))

/** Fails where nothing may use the part any more. */
export const ensureOpen = (part: Part, operation: string): Effect.Effect<void, TransactionEnded> =>
  Effect.suspend(() => part.isOver ? Effect.fail(new TransactionEnded({ operation })) : Effect.void)
