/**
 * Who has a session at the moment: what an operation needs to know of a transaction in its session.
 *
 * Transactions implement a turn, so that a session knows nothing else of them.
 */
import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { MongoError } from "../../MongoError.js"
import type { TransactionDoomed, TransactionEnded } from "../../SessionErrors.js"
import type { Deadline } from "../time/deadline.js"
import type { RunningFiber } from "../time/fiber.js"
import type * as Lane from "./lane.js"

/** The key under which the context of a fiber holds its turn: that of the tag of transactions. */
export const key = "effect-mongo-session/Transaction"

/** What errors call an operation, and what it works on. */
export interface Name {
  readonly operation: string
  readonly namespace?: string | undefined
  /** Whether it waits for what may never come, so that no time is too long. */
  readonly isEndless?: boolean | undefined
  /** Whether it is the caller's own code, which may swallow what the server answers. */
  readonly isOpaque?: boolean | undefined
}

/** A share of a session, for as long as somebody has the session for more than one operation. */
export abstract class Turn {
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
  /** Whether nobody else comes to the session's lane before it ends. */
  abstract readonly holdsSession: boolean
  /** Why it takes no operation any more, though it is not over; none where it does. */
  abstract refusal(operation: string): TransactionDoomed | TransactionEnded | MongoError | undefined
  /** An operation begins. */
  abstract begin(name: Name): void
  /** An operation has failed. */
  abstract observe(cause: Cause.Cause<unknown>): void
  /** An operation was given up half-way: what it did is not known. */
  abstract giveUp(name: Name): void
  /** An operation was not over in time: what it did is not known. */
  abstract expire(error: MongoError): void
}

/** A turn that no fiber waits for: it lasts until somebody ends it, or its session ends. */
export interface Standing extends Turn {
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

// What an effect that has stepped out of a turn has stepped out of.
class Around extends Context.Tag("effect-mongo-session/Transaction/Around")<Around, Turn>() {}

/** The place of a fiber in the session of the lane. */
export const placeOf = ({ currentContext }: RunningFiber, lane: Lane.Lane): Place => {
  const turn = outwards(turnOf(currentContext), lane)
  const around = outwards(currentContext.unsafeMap.get(Around.key), lane)
  return { turn, isLocked: around !== undefined && around.holdsSession }
}

/** The innermost turn in a context, in whichever session. */
export const turnOf = <R>({ unsafeMap }: Context.Context<R>): Turn | undefined => {
  const found: unknown = unsafeMap.get(key)
  return found instanceof Turn ? found : undefined
}

/** The context of an effect that steps out of a turn: of the given one, or of the one that it is in. */
export const stepOut = <R>(context: Context.Context<R>, turn = turnOf(context)): Context.Context<R> => {
  const services = new Map(context.unsafeMap)
  services.delete(key)
  if (turn !== undefined) services.set(Around.key, turn)
  return Context.unsafeMake(services)
}

const outwards = (turn: Turn | undefined, lane: Lane.Lane): Turn | undefined =>
  turn === undefined || turn.sessionLane === lane ? turn : outwards(turn.outer, lane)
