/**
 * The turn: what an operation needs to know of the transaction that holds its session.
 *
 * A transaction implements `Turn`. A session knows nothing else of transactions.
 */
import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Tracer from "effect/Tracer"
import type { MongoError } from "../../MongoError.js"
import type { TransactionDoomed, TransactionEnded } from "../../SessionErrors.js"
import type * as TransactionOptions from "../../TransactionOptions.js"
import { Around, type Waiting } from "../telemetry/outside.js"
import type { Deadline } from "../time/clock.js"
import type { RunningFiber } from "../time/fiber.js"
import type * as Lane from "./lane.js"

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

// The turn of a fiber, whatever session is the ambient one: the transaction of another one does not end by that.
class Innermost extends Context.Tag("effect-mongo-session/Transaction/Turn")<Innermost, Turn>() {}

/** How long an operation may take. */
export interface Timing {
  /** None: no limit. */
  readonly timeout: Duration.Duration | undefined
  /** A deadline that has begun before; without it, the timeout begins with the operation. */
  readonly deadline?: Deadline | undefined
  /** Whether the server is not told of it. */
  readonly omitsMaxTime: boolean
}

/** What is known of an operation before it is run: what errors call it, and what it works on. */
export interface Description {
  readonly operation: string
  readonly namespace?: string | undefined
  /** How long it may take where its turn has no deadline. Default: what the session has. */
  readonly limit?: Timing | undefined
  /** Whether it is the caller's own code, which may swallow what the server answers. */
  readonly isOpaque?: boolean | undefined
  /** What a write searches for. */
  readonly filter?: unknown
  /** About how many bytes of documents, filters and updates a write sends. Default: not known. */
  readonly bytes?: number | undefined
  /** How many documents were written, by the result. Default: not known. */
  readonly writtenIn?: ((result: unknown) => number) | undefined
}

/** A share of a session, for as long as somebody has the session for more than one operation. */
export abstract class Turn implements Service, Waiting {
  abstract readonly attempt: number
  abstract readonly options: TransactionOptions.Resolved
  /** The lane of the session: which session it is. */
  abstract readonly sessionLane: Lane.Lane
  /** The queue of the operations that belong to the turn. */
  abstract readonly lane: Lane.Lane
  /** The turn around this one, in another session. */
  abstract readonly outer: Turn | undefined
  /** When all of its operations are to be over; none where there is no limit. */
  abstract readonly deadline: Deadline | undefined
  /** Whether no operation may belong to it any more. */
  abstract readonly isOver: boolean
  /** Whether what is read in it is locked. */
  abstract readonly isSerializable: boolean
  /** Whether nobody else comes to the session's lane before it ends. */
  abstract readonly holdsSession: boolean
  /** Why it takes no operation any more, though it is not over; none where it does. */
  abstract refusal(operation: string): TransactionDoomed | TransactionEnded | MongoError | undefined
  /** What an operation has to wait for before it is sent, as few have. */
  abstract before(description: Description): Effect.Effect<void> | undefined
  /** An operation begins. */
  abstract begins(description: Description): void
  /** Operations have written so many documents. */
  abstract wrote(documents: number): void
  /** An operation has failed. Gives the cause with what the turn knows of it besides. */
  abstract observe<E>(cause: Cause.Cause<E>, description?: Description): Cause.Cause<E | MongoError>
  /** An operation was given up half-way: what it did is not known. */
  abstract giveUp(description: Description): void
  /** An operation was not over in time. What it did is not known if it had begun. */
  abstract expire(error: MongoError, hasBegun: boolean): void
}

/** A turn that no fiber waits for: it lasts until somebody ends it, or its session ends. */
export interface Standing extends Turn {
  /** The span that the operations of the session are below while it is open; none without a tracer. */
  readonly span: Tracer.Span | undefined
  /** Aborts it where it is open, within this time or in the background. Never fails. */
  readonly abort: (atMost: Duration.Duration) => Effect.Effect<void>
  /** The session has ended, and the turn with it. */
  readonly abandon: Effect.Effect<void>
}

/**
 * Where the operations of a session that a fiber runs belong: to a turn, to no turn, or behind a turn that the fiber has
 * stepped out of and that waits for the fiber.
 */
export interface Place {
  readonly turn: Turn | undefined
  readonly isLocked: boolean
}

/** The sessions of the sandboxes that an effect runs in, the innermost first: whatever is done on its client is done in it. */
export class Sandbox
  extends Context.Tag("effect-mongo-session/Transaction/Sandbox")<Sandbox, ReadonlyArray<object>>()
{}

/** Whether an effect with this context runs in a sandbox. */
export const isInSandbox = <R>({ unsafeMap }: Context.Context<R>): boolean => unsafeMap.has(Sandbox.key)

/** The place of a fiber in the session of the lane. */
export const placeOf = ({ currentContext }: RunningFiber, lane: Lane.Lane): Place => {
  const turn = outwards(turnOf(currentContext), lane)
  const left: Waiting | undefined = currentContext.unsafeMap.get(Around.key)
  const around = left instanceof Turn ? outwards(left, lane) : undefined
  return { turn, isLocked: around !== undefined && around.holdsSession }
}

/** The innermost turn in a context, in whichever session. */
export const turnOf = <R>({ unsafeMap }: Context.Context<R>): Turn | undefined => unsafeMap.get(Innermost.key)

/** What the context of an effect has of its turn. */
export const contextOf = (turn: Turn): Context.Context<Transaction> =>
  Context.make(Transaction, turn).pipe(Context.add(Innermost, turn))

/** The context of an effect in whose session another has its turn, or the same: the transaction there, if there is one. */
export const inLane = <R>(context: Context.Context<R>, lane: Lane.Lane | undefined): Context.Context<R> => {
  const { unsafeMap } = context
  const innermost = turnOf(context)
  const turn = lane === undefined ? undefined : outwards(innermost, lane)
  if (unsafeMap.get(Transaction.key) === turn) return context
  const services = new Map(unsafeMap)
  if (turn === undefined) services.delete(Transaction.key)
  else services.set(Transaction.key, turn)
  return Context.unsafeMake(services)
}

/** The context of an effect that steps out of a turn: of the given one, or of the one that it is in. */
export const stepOut = <R>(context: Context.Context<R>, turn = turnOf(context)): Context.Context<R> => {
  const services = new Map(context.unsafeMap)
  for (const key of [Transaction.key, Innermost.key, Sandbox.key]) services.delete(key)
  if (turn !== undefined) services.set(Around.key, turn)
  return Context.unsafeMake(services)
}

const outwards = (turn: Turn | undefined, lane: Lane.Lane): Turn | undefined =>
  turn === undefined || turn.sessionLane === lane ? turn : outwards(turn.outer, lane)
