/**
 * One run of a transaction's body: its lane, what it has seen, and what is to run when it is over.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import { MongoError } from "../MongoError.js"
import { TransactionEnded } from "../TransactionErrors.js"
import type * as TransactionOptions from "../TransactionOptions.js"
import type { Deadline } from "./deadline.js"
import type { RunningFiber } from "./fiber.js"
import type * as Lane from "./lane.js"
import type { Ended } from "./outcome.js"
import type { Watch } from "./transactionWatch.js"
import { isOfServer, transientOf } from "./transient.js"

/**
 * The transaction that an effect runs in.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /** Which attempt this is, counted from 1. */
  readonly attempt: number
  /** What the transaction was started with. */
  readonly options: TransactionOptions.Resolved
}

/**
 * The transaction that an effect runs in: in the requirements of an effect, it must run inside one, which the compiler
 * checks.
 *
 * @since 0.1.0
 * @category tags
 */
export class Transaction extends Context.Tag("effect-mongo-session/Transaction")<Transaction, Service>() {}

// What an effect that has stepped out of a transaction stepped out of.
class Around extends Context.Tag("effect-mongo-session/Transaction/Around")<Around, Part>() {}

/** When a hook is to run. */
export type Moment = "beforeCommit" | "onCommit" | "onRollback"

/** An effect to run when the fate of the transaction is decided, with the context that it was registered in. */
export interface Hook {
  readonly moment: Moment
  readonly part: Part
  readonly exit: Effect.Effect<Exit.Exit<unknown, unknown>>
}

/** All attempts of a transaction. */
export interface Run {
  isOver: boolean
  /** When all is to be over, retries included; none where there is no limit, and under manual control. */
  readonly deadline?: Deadline | undefined
  /** How long the end of the transaction may take that comes after its deadline, or has none; absent: no limit. */
  readonly timeout?: Duration.Duration | undefined
}

/** An attempt. Mutable: the operations of the body write down in it what they see. */
export interface Attempt {
  readonly number: number
  readonly options: TransactionOptions.Resolved
  /** The lane of the session that the attempt runs in: which session's operations are meant. */
  readonly sessionLane: Lane.Lane
  /** Makes the operations of the attempt sequential. */
  readonly lane: Lane.Lane
  /** The transaction around this one, which waits for it. */
  readonly outer: Part | undefined
  /** Whether everything is rolled back in the end, whatever happens. */
  readonly isSandbox: boolean
  /** The run that it is an attempt of: for as long as that lasts, it holds the session. */
  readonly run: Run
  /** Whether the body has come to its end: nothing may use the attempt any more. */
  over: boolean
  ended: Ended
  rollbackOnly: boolean
  /** A failure that may go away when the whole is run again. */
  transient: MongoError | undefined
  /** The origins of failures of transactions inside of this one, in other sessions, not worth another attempt there. */
  readonly spent: Set<unknown>
  /** Whether an operation was not over in time. */
  isLate: boolean
  /** The operation's failure that made it impossible to commit. */
  doom: Cause.Cause<unknown> | undefined
  /** The failure of a joined part that had written. */
  halfDone: Cause.Cause<unknown> | undefined
  hooks: ReadonlyArray<Hook>
  /** Watches the transaction on the server. */
  watch: Watch | undefined
  /** The hooks of transactions that the body has ended by hand before it started another, and how those ended. */
  readonly past: Array<{ readonly ended: Ended; readonly hooks: ReadonlyArray<Hook> }>
}

/** The whole of an attempt, or a part of it: an effect that has joined it. */
export class Part implements Service {
  readonly of: Attempt
  readonly within: Part | undefined
  /** How many operations were begun in it; any of them may have written. */
  operations = 0
  failed = false

  constructor(of: Attempt, within?: Part) {
    this.of = of
    this.within = within
  }

  get attempt(): number {
    return this.of.number
  }

  get options(): TransactionOptions.Resolved {
    return this.of.options
  }

  /** Whether it, or what it is a part of, has failed. */
  get hasFailed(): boolean {
    return this.failed || this.within?.hasFailed === true
  }

  /** Whether nothing may use it any more. */
  get isOver(): boolean {
    return this.of.over || this.hasFailed
  }

  /** In logs, it is not to show what it holds. */
  toJSON(): object {
    return { _id: "Transaction", attempt: this.attempt, options: this.options }
  }
}

/** A new attempt. */
export const make = ({ isSandbox, lane, number, options, outer, run, sessionLane }: Pick<
  Attempt,
  "number" | "options" | "sessionLane" | "lane" | "outer" | "isSandbox" | "run"
>): Part =>
  new Part({
    number,
    options,
    sessionLane,
    lane,
    outer,
    isSandbox,
    run,
    over: false,
    ended: "no",
    rollbackOnly: false,
    transient: undefined,
    spent: new Set(),
    isLate: false,
    doom: undefined,
    halfDone: undefined,
    hooks: [],
    watch: undefined,
    past: []
  })

/** Makes an attempt new in which the body has ended the transaction by hand and starts another. */
export const restart = (attempt: Attempt): void => {
  attempt.past.push({ ended: attempt.ended, hooks: attempt.hooks })
  attempt.ended = "no"
  attempt.rollbackOnly = false
  attempt.transient = undefined
  attempt.isLate = false
  attempt.doom = undefined
  attempt.halfDone = undefined
  attempt.hooks = []
}

const partOf = (context: Context.Context<never>): Part | undefined => {
  const found = Context.getOrElse(context, Transaction, () => undefined)
  return found instanceof Part ? found : undefined
}

const outwards = (part: Part | undefined, lane: Lane.Lane): Part | undefined =>
  part === undefined || part.of.sessionLane === lane ? part : outwards(part.of.outer, lane)

/**
 * Where the operations of a session that a fiber runs belong: in a part of an attempt, behind one that they have stepped
 * out of and that waits for them, or in no attempt.
 */
export type Place = { readonly part: Part | undefined; readonly isLocked: boolean }

/** The place of a fiber in the session of the lane. */
export const placeOf = ({ currentContext }: RunningFiber, lane: Lane.Lane): Place => {
  const part = outwards(partOf(currentContext), lane)
  const around = outwards(Context.getOrElse(currentContext, Around, () => undefined), lane)
  return { part, isLocked: around !== undefined && !around.of.run.isOver && around.of.lane !== lane }
}

/** The place of the running fiber in the session of the lane. */
export const placeIn = (lane: Lane.Lane): Effect.Effect<Place> =>
  Effect.withFiberRuntime((fiber) => Effect.succeed(placeOf(fiber, lane)))

/** The transaction of a fiber, whatever its session. */
export const innermostOf = ({ currentContext }: RunningFiber): Part | undefined => partOf(currentContext)

/** The context of an effect that steps out of a transaction: the given one, or that which it is in. */
export const stepOut = <R>(context: Context.Context<R>, part = partOf(context)): Context.Context<R> => {
  const outside = Context.omit(Transaction)(context) as Context.Context<R>
  return part === undefined ? outside : Context.add(outside, Around, part)
}

/** Runs an effect that belongs to a transaction, but not into it. */
export const behind = <A, E, R>(effect: Effect.Effect<A, E, R>, part: Part): Effect.Effect<A, E, R> =>
  Effect.mapInputContext(effect, (context: Context.Context<R>) => stepOut(context, part))

/** Fails where nothing may use the part any more. */
export const ensureOpen = (part: Part, operation: string): Effect.Effect<void, TransactionEnded> =>
  Effect.suspend(() => part.isOver ? Effect.fail(new TransactionEnded({ operation })) : Effect.void)

/** Writes down that an operation of a part begins. */
export const begin = (part: Part): void => {
  for (let one: Part | undefined = part; one !== undefined; one = one.within) one.operations++
}

/** Writes down a failure that an attempt has seen. What the driver refused by itself never reached the server. */
export const observe = (attempt: Attempt, cause: Cause.Cause<unknown>): void => {
  const failures = [...Cause.failures(cause)]
  attempt.transient ??= transientFor(attempt, cause) ?? failures.find(isLostConnection)
  if (failures.some(isOfServer)) attempt.doom ??= cause
}

/** The failure in a cause for which an attempt may be run again. */
export const transientFor = (attempt: Attempt, cause: Cause.Cause<unknown>): MongoError | undefined => {
  const found = transientOf(cause)
  return found === undefined || attempt.spent.has(originOf(found)) || isConsequence(attempt, found) ? undefined : found
}

/** Tells the transactions around a part what was not worth another attempt in it. */
export const tellSpent = (outer: Part | undefined, cause: Cause.Cause<unknown>): void => {
  const found = transientOf(cause)
  if (found === undefined) return
  for (let one = outer; one !== undefined; one = one.of.outer) one.of.spent.add(originOf(found))
}

// An error of the driver that a program has wrapped becomes another MongoError each time that it is looked at.
const originOf = (error: MongoError): unknown => error.cause ?? error

/**
 * Whether a failure says no more than that the transaction is gone, after another has ended it that will not go away by
 * itself: the server calls it transient all the same, and running the whole again would lead there again.
 */
const isConsequence = (attempt: Attempt, failure: MongoError): boolean =>
  failure.reason === "NoSuchTransaction" && attempt.doom !== undefined && attempt.transient === undefined

// The driver labels only the first of several connections that break together: the others are of a pool that it has
// cleared by then.
const isLostConnection = (failure: unknown): failure is MongoError =>
  failure instanceof MongoError && failure.reason === "NetworkError"

/** Writes down that an operation was given up half-way: what it did to the transaction is not known. */
export const giveUp = (attempt: Attempt): void => {
  attempt.doom ??= Cause.interrupt(FiberId.none)
}

/** Writes down that an operation was not over in time: what it did to the transaction is not known either. */
export const expire = (attempt: Attempt, error: MongoError): void => {
  attempt.isLate = true
  attempt.doom ??= Cause.fail(error)
}

/** Keeps an effect for a later moment, with its context and the annotations of its log. */
export const register = <A, E, R>(
  part: Part,
  moment: Moment,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<void, TransactionEnded, R> =>
  Effect.zipRight(
    ensureOpen(part, moment),
    Effect.map(Effect.zip(Effect.context<R>(), Effect.logAnnotations), ([context, annotations]) => {
      const exit = Effect.exit(effect).pipe(
        Effect.provide(moment === "beforeCommit" ? context : stepOut(context)),
        Effect.locally(FiberRef.currentLogAnnotations, annotations)
      )
      part.of.hooks = [...part.of.hooks, { moment, part, exit }]
    })
  )
