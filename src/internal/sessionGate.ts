/**
 * What transactions need of the session that they run in, beyond what a session offers to everybody.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Driver from "mongodb"
import { Label, MongoError } from "../MongoError.js"
import {
  SessionBusy,
  type SessionEnded,
  type SessionLapsed,
  type TransactionEnded,
  type UseError
} from "../SessionErrors.js"
import * as Attempt from "./attempt.js"
import { awaited } from "./bounded.js"
import * as Lane from "./lane.js"

/** The key under which a session keeps its gate. */
export const key: unique symbol = Symbol.for("effect-mongo-session/Session/Gate")

/** What errors call an operation, and what it works on. */
export interface Name {
  readonly operation: string
  readonly namespace?: string | undefined
}

/** An operation of the driver. */
export type Evaluate<A> = (session: Driver.ClientSession, signal: AbortSignal) => PromiseLike<A>

/** A session, seen from a transaction in it. */
export interface Gate {
  readonly lane: Lane.Lane
  readonly settleTimeout: Duration.Duration
  /** The driver session; another one after a renewal. */
  readonly session: () => Driver.ClientSession
  /** Runs an effect in its turn. */
  readonly inTurn: <A, E, R>(
    operation: string,
    effect: (part: Attempt.Part | undefined) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | SessionEnded | SessionBusy | TransactionEnded, R>
  /** Fails where no operation may begin; renews a session that has lapsed, if it may. */
  readonly ready: (operation: string) => Effect.Effect<void, SessionEnded | SessionLapsed>
  /** Runs a promise of the driver for the one whose turn it is. */
  readonly call: <A>(name: Name, evaluate: Evaluate<A>, onAborted?: () => void) => Effect.Effect<A, MongoError>
  /** Runs an operation in its turn; what it is to do is decided then, when the state of the session is its own. */
  readonly perform: <A, E>(
    name: Name,
    prepare: (session: Driver.ClientSession) => Effect.Effect<Evaluate<A>, E>
  ) => Effect.Effect<A, E | UseError>
  /** Refuses every further use: something in the session did not come to its end. */
  readonly breakUp: Effect.Effect<void>
  readonly isBroken: () => boolean
  /** The transaction that was started by hand, until the next one is. */
  manual: Attempt.Part | undefined
}

/**
 * Runs an effect in its turn: in the lane of the attempt that the fiber is in, or in that of the session.
 *
 * A fiber that outlives its transaction is told that, whether or not the session has ended with it. Where the fiber has
 * stepped out of a transaction on this very session, it would wait for the transaction, and that for it.
 */
export const inTurn = (
  lane: Lane.Lane,
  onBusy: "queue" | "fail",
  ensureOpen: (operation: string) => Effect.Effect<void, SessionEnded>
): Gate["inTurn"] => {
  const enter = onBusy === "fail" ? Lane.withPermitNow : Lane.withPermit
  return <A, E, R>(operation: string, effect: (part: Attempt.Part | undefined) => Effect.Effect<A, E, R>) =>
    Effect.flatMap(Attempt.placeIn(lane), ({ isLocked, part }): Effect.Effect<
      A,
      E | SessionEnded | SessionBusy | TransactionEnded,
      R
    > => {
      if (part !== undefined) {
        const whenOpen = Effect.zipRight(Attempt.ensureOpen(part, operation), Effect.suspend(() => effect(part)))
        return enter(part.of.lane, operation, whenOpen)
      }
      if (isLocked) return Effect.fail(new SessionBusy({ operation, holder: "the transaction that it stepped out of" }))
      return Effect.zipRight(ensureOpen(operation), enter(lane, operation, Effect.suspend(() => effect(undefined))))
    })
}

/** Runs an operation of a part; one that is given up half-way leaves the transaction in a state that nobody knows. */
export const operate = <A>(
  gate: Pick<Gate, "call">,
  part: Attempt.Part | undefined,
  name: Name,
  evaluate: Evaluate<A>
): Effect.Effect<A, MongoError> =>
  part === undefined
    ? gate.call(name, evaluate)
    : Attempt.operate(part, gate.call(name, evaluate, () => Attempt.giveUp(part.of)))

/**
 * Runs a promise of the driver where nothing can be interrupted, but for so long only: then the session is broken, and the
 * result of the promise unknown.
 */
export const settled = (
  gate: Gate,
  operation: string,
  time: Duration.Duration,
  evaluate: (session: Driver.ClientSession) => PromiseLike<void>
): Effect.Effect<void, MongoError> =>
  Effect.suspend(() => {
    const late = Effect.flatMap(
      gate.breakUp,
      () => new MongoError({ reason: "TimedOut", operation, labels: [Label.UnknownTransactionCommitResult] })
    )
    return Effect.flatten(awaited(time, Effect.exit(gate.call({ operation }, evaluate)), late))
  })
