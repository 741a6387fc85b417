/**
 * What transactions need of the session that they run in, beyond what a session offers to everybody.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Driver from "mongodb"
import { Label, MongoError } from "../MongoError.js"
import { SessionBusy, type SessionEnded, type SessionLapsed, type TransactionEnded } from "../SessionErrors.js"
import * as Attempt from "./attempt.js"
import { after } from "./bounded.js"
import type { Watcher } from "./calling.js"
import { type Deadline, late, start, timedOut } from "./deadline.js"
import * as DriverTransaction from "./driverTransaction.js"
import type { Restore, RunningFiber } from "./fiber.js"
import * as Lane from "./lane.js"
import * as Observing from "./observing.js"
import type { Signalled } from "./signal.js"
import { during } from "./timeoutContext.js"

/** The key under which a session keeps its gate. */
export const key: unique symbol = Symbol.for("effect-mongo-session/Session/Gate")

/** What errors call an operation, and what it works on. */
export interface Name {
  readonly operation: string
  readonly namespace?: string | undefined
  /** Whether it waits for what may never come, so that no time is too long. */
  readonly isEndless?: boolean | undefined
}

/** An operation of the driver. */
export type Evaluate<A> = (session: Driver.ClientSession, controller: Signalled) => PromiseLike<A>

/** A session, seen from a transaction in it. */
export interface Gate {
  readonly lane: Lane.Lane
  /** Who is told of the session's operations. */
  readonly observer: Observing.Observer
  readonly settleTimeout: Duration.Duration
  /** How long an operation may take in all; absent: no limit. */
  readonly timeout: Duration.Duration | undefined
  /** The driver session; another one after a renewal. */
  readonly session: () => Driver.ClientSession
  /** Takes the session for a transaction of a fiber, where nothing but the wait for it can be interrupted. */
  readonly enter: (
    operation: string,
    restore: Restore,
    fiber: RunningFiber
  ) => Effect.Effect<Lane.Waiter, SessionEnded | SessionBusy>
  /**
   * Runs an effect in its turn: in the lane of the attempt that the fiber is in, or in that of the session.
   *
   * A fiber that outlives its transaction is told that, whether or not the session has ended with it. One that has stepped
   * out of a transaction in this very session is refused.
   */
  readonly inTurn: <A, E, R>(
    operation: string,
    effect: (part: Attempt.Part | undefined) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | SessionEnded | SessionBusy | TransactionEnded, R>
  /** Whether an operation of a fiber may begin as things are. */
  readonly isReady: (fiber: RunningFiber) => boolean
  /** Fails where no operation may begin; renews a session that has lapsed, if it may. */
  readonly ready: (operation: string) => Effect.Effect<void, SessionEnded | SessionLapsed>
  /** Begins a promise of the driver for the one whose turn it is, and gives what an interruption does. */
  readonly begin: <A>(
    fiber: RunningFiber,
    name: Name,
    evaluate: Evaluate<A>,
    done: (exit: Exit.Exit<A, MongoError>) => void,
    onAborted?: () => void
  ) => Effect.Effect<void>
  /** Refuses every further use: something in the session did not come to its end. */
  readonly breakUp: Effect.Effect<void>
  readonly isBroken: () => boolean
  /** The transaction that was started by hand, until the next one is. */
  manual: Attempt.Part | undefined
}

/** How fibers come to their turn in a session. */
export const turns = (
  lane: Lane.Lane,
  onBusy: "queue" | "fail",
  refusal: (operation: string) => SessionEnded | undefined
): Pick<Gate, "enter" | "inTurn"> => {
  const withPermit = onBusy === "fail" ? Lane.withPermitNow : Lane.withPermit
  // It would wait for the transaction, and that for it.
  const lockedOut = (operation: string) =>
    Effect.fail(new SessionBusy({ operation, holder: "the transaction that it stepped out of" }))
  return {
    enter: (operation, restore, fiber) => {
      const { isLocked } = Attempt.placeOf(fiber, lane)
      if (isLocked) return lockedOut(operation)
      return refusal(operation) ??
        (onBusy === "fail" ? Lane.enterNow(lane, operation, fiber) : Lane.enter(lane, operation, restore, fiber))
    },
    inTurn: <A, E, R>(operation: string, effect: (part: Attempt.Part | undefined) => Effect.Effect<A, E, R>) =>
      Effect.flatMap(Attempt.placeIn(lane), ({ isLocked, part }): Effect.Effect<
        A,
        E | SessionEnded | SessionBusy | TransactionEnded,
        R
      > => {
        if (part !== undefined) {
          const whenOpen = Effect.zipRight(Attempt.ensureOpen(part, operation), Effect.suspend(() => effect(part)))
          return withPermit(part.of.lane, operation, whenOpen)
        }
        if (isLocked) return lockedOut(operation)
        return refusal(operation) ?? withPermit(lane, operation, Effect.suspend(() => effect(undefined)))
      })
  }
}

/**
 * Runs a promise of the driver where nothing can be interrupted, but for so long only: then the session is broken, and the
 * result of the promise unknown.
 */
export const settled = (
  gate: Gate,
  operation: "commitTransaction" | "abortTransaction",
  time: Duration.Duration,
  evaluate: (session: Driver.ClientSession) => PromiseLike<void>
): Effect.Effect<void, MongoError> =>
  Effect.withFiberRuntime((fiber) => {
    const session = gate.session()
    const send = (watcher?: Watcher) =>
      Effect.async<void, MongoError>((resume) => {
        // Told in a step of the fiber, where what a tracer throws is a defect like any other. The first one counts.
        const over = (exit: Exit.Exit<void, MongoError>, before: Effect.Effect<void> = Effect.void) =>
          resume(Effect.zipRight(
            before,
            Effect.suspend(() => {
              watcher?.over(exit)
              return exit
            })
          ))
        const stop = after(fiber, time, () => {
          const labels = [Label.UnknownTransactionCommitResult]
          over(Exit.fail(new MongoError({ reason: "TimedOut", operation, labels })), gate.breakUp)
        })
        void gate.begin(fiber, { operation }, evaluate, (exit) => {
          stop()
          over(exit)
        })
      })
    return DriverTransaction.sendsNothing(session)
      ? send()
      : Observing.begin(fiber, gate.observer, { name: operation, database: "admin" }, (observed) => {
        observed.beginsInTransaction(session)
        return send(observed)
      })
  })

/**
 * {@link settled}, with a deadline that the driver keeps; should it not, it has as long again as any operation has to
 * settle. Fails without sending anything where the deadline is over already.
 */
export const settledBy = (
  gate: Gate,
  operation: "commitTransaction" | "abortTransaction",
  deadline: Deadline,
  evaluate: (session: Driver.ClientSession) => PromiseLike<void>
): Effect.Effect<void, MongoError> =>
  Effect.withFiberRuntime((fiber) => {
    const left = deadline.left()
    if (left <= 0) return Effect.fail(timedOut({ operation }))
    const time = Duration.sum(Duration.millis(left), gate.settleTimeout)
    return Effect.mapError(
      settled(gate, operation, time, (session) => during(session, deadline, fiber, () => evaluate(session))),
      (error) => {
        const failure = late(deadline, { operation }, error)
        // It may have been sent: the driver labels what fails on the way, but not what takes too long.
        return operation === "commitTransaction" && failure.reason === "TimedOut"
          ? withLabel(failure, Label.UnknownTransactionCommitResult)
          : failure
      }
    )
  })

/** {@link settledBy}, with a deadline so far ahead; without one, with the time that any operation has to settle. */
export const settledWithin = (
  gate: Gate,
  operation: "commitTransaction" | "abortTransaction",
  timeout: Duration.Duration | undefined,
  evaluate: (session: Driver.ClientSession) => PromiseLike<void>
): Effect.Effect<void, MongoError> =>
  timeout === undefined
    ? settled(gate, operation, gate.settleTimeout, evaluate)
    : Effect.withFiberRuntime((fiber) => settledBy(gate, operation, start(fiber, timeout), evaluate))

const withLabel = (error: MongoError, label: string): MongoError => {
  const { cause, code, codeName, labels, namespace, operation, reason } = error
  return error.hasLabel(label)
    ? error
    : new MongoError({ reason, operation, namespace, code, codeName, labels: [...labels, label], cause })
}
