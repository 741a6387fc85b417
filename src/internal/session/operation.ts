/**
 * The one path of an operation through its session: place, turn, ready, launch, settle, observe, give back.
 *
 * An operation usually waits for the driver only. In that case no step of the path is an effect of its own: an effect costs as
 * much as the work in the step.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import type * as Driver from "mongodb"
import { MongoError } from "../../MongoError.js"
import {
  SessionBusy,
  type SessionEnded,
  type SessionLapsed,
  TransactionEnded,
  UnacknowledgedWrite,
  type UseError
} from "../../SessionErrors.js"
import { settling, telling, type Watcher } from "../driver/call.js"
import { bounded, during } from "../driver/deadline.js"
import { isUnacknowledgedWrite } from "../driver/errors.js"
import { within } from "../time/bounded.js"
import * as Time from "../time/clock.js"
import { andThen, match, matchCause, type Restore, type RunningFiber, traced } from "../time/fiber.js"
import type { Evaluate } from "./flight.js"
import type { Gate } from "./gate.js"
import * as Lane from "./lane.js"
import { type Description, type Place, placeOf, type Turn } from "./turn.js"

/**
 * Runs an operation of a fiber in its turn. `prepare` decides what the operation does, when nothing else can change the state of
 * the session.
 */
export const perform = <A, E>(
  fiber: RunningFiber,
  gate: Gate,
  description: Description,
  prepare: (session: Driver.ClientSession) => Either.Either<Evaluate<A>, E>,
  watcher?: Watcher
): Effect.Effect<A, E | UseError> => {
  const place = placeOf(fiber, gate.lane)
  const deadline = deadlineOf(gate, fiber, place, description)
  // What has a deadline may be over for its caller before it has settled.
  const here = deadline === undefined ? watcher : undefined
  let hasBegun = false
  const operation = Effect.uninterruptibleMask((restore): Effect.Effect<A, E | UseError> =>
    match(enter(gate, place, description.operation, restore, fiber), (cause) => {
      const exit = Exit.failCause(cause)
      here?.over(exit)
      return exit
    }, (held): Effect.Effect<A, E | UseError> => {
      // The last step, which gives the turn back. A session that has not settled in time is broken by then.
      const over = (exit: Exit.Exit<A, E | UseError>) => {
        Lane.leave(held)
        here?.over(exit)
        return exit
      }
      const begin = (): Effect.Effect<A, E | UseError> => {
        const refusal = place.turn?.refusal(description.operation)
        if (refusal !== undefined) return traced(over(Exit.fail(refusal)))
        try {
          const evaluate = prepare(gate.session)
          return Either.isLeft(evaluate)
            ? traced(over(Exit.fail(evaluate.left)))
            : settling(
              restore,
              (done) => {
                hasBegun = true
                return launch(
                  gate,
                  fiber,
                  place.turn,
                  description,
                  limited(evaluate.right, deadline, description, fiber),
                  done
                )
              },
              over
            )
        } catch (defect) {
          return traced(over(Exit.die(defect)))
        }
      }
      const whenReady = () => {
        const wait = gate.ready(description.operation, fiber)
        return wait === undefined ? begin() : matchCause(wait, (cause) => over(Exit.failCause(cause)), begin)
      }
      const wait = place.turn?.before(description)
      return wait === undefined ? whenReady() : matchCause(
        restore(wait),
        (cause) => over(Exit.failCause(cause)),
        // Its transaction may have ended meanwhile.
        () =>
          place.turn?.isOver === true
            ? over(Exit.fail(new TransactionEnded({ operation: description.operation })))
            : whenReady()
      )
    })
  )
  return deadline === undefined
    ? operation
    : telling(inTime(deadline, description, place.turn, operation, () => hasBegun), watcher)
}

/** Runs an effect in its turn, as {@link perform} runs an operation. */
export const inTurn = <A, E, R>(
  gate: Gate,
  operation: string,
  effect: (fiber: RunningFiber, turn: Turn | undefined) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | SessionEnded | SessionLapsed | SessionBusy | TransactionEnded, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.withFiberRuntime((fiber) => {
      const place = placeOf(fiber, gate.lane)
      return Effect.flatMap(enter(gate, place, operation, restore, fiber), (held) =>
        (gate.ready(operation, fiber) ?? Effect.void).pipe(
          Effect.zipRight(restore(Effect.suspend(() =>
            effect(fiber, place.turn)
          ))),
          // Not before the effect is over: what is in flight by then decides.
          Effect.ensuring(Effect.suspend(() => giveBack(gate, held)))
        ))
    })
  )

/**
 * Takes the turn of a fiber, where nothing but the wait for it can be interrupted: in the lane of the turn that it is in, or
 * in that of the session.
 *
 * A fiber that outlives its transaction is told that, whether or not the session has ended with it.
 */
export const enter = (
  gate: Gate,
  { isLocked, turn }: Place,
  operation: string,
  restore: Restore,
  fiber: RunningFiber
): Effect.Effect<Lane.Waiter, SessionEnded | SessionBusy | TransactionEnded> => {
  // It would wait for what waits for it.
  if (gate.isCalling) {
    return Effect.fail(new SessionBusy({ operation, holder: "the use that it is called in", reason: "use" }))
  }
  if (turn !== undefined) {
    return andThen(Lane.enter(turn.lane, operation, restore, fiber, gate.onBusy), (held) => {
      if (!turn.isOver) return Effect.succeed(held)
      Lane.leave(held)
      return Effect.fail(new TransactionEnded({ operation }))
    })
  }
  // It would wait for the transaction, and that for it.
  if (isLocked) {
    return Effect.fail(
      new SessionBusy({ operation, holder: "the transaction that it stepped out of", reason: "outside" })
    )
  }
  const refusal = gate.refusal(operation)
  return refusal === undefined
    ? Lane.enter(gate.lane, operation, restore, fiber, gate.onBusy)
    : Effect.fail(refusal)
}

/**
 * Gives the session's turn back: at once, or in the background when an operation is still in flight for which nobody waits
 * any more. One that was sent and does not settle in time breaks the session.
 */
export const giveBack = (gate: Gate, held: Lane.Waiter): Effect.Effect<void> => {
  if (gate.flights.isEmpty() || gate.isBroken) {
    Lane.leave(held)
    return Effect.void
  }
  held.isAbandoned = true
  const settled: Effect.Effect<void> = Effect.flatMap(
    within(gate.settleTimeout, gate.flights.quiet),
    (inTime) => inTime ? Effect.void : gate.flights.isSent() ? gate.breakUp : settled
  )
  return Effect.asVoid(Effect.forkDaemon(Effect.ensuring(settled, Effect.sync(() => Lane.leave(held)))))
}

/** Waits for the operation in flight of a turn that is over; those that are still queued are refused one by one. */
export const drain = (gate: Gate, lane: Lane.Lane): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (!Lane.isBusy(lane)) return Effect.void
    const quiet = Lane.withPermit(lane, "end of the transaction", Effect.void)
    return Effect.flatMap(within(gate.settleTimeout, quiet), (inTime) =>
      inTime ? Effect.void : !gate.flights.isEmpty() && !gate.flights.isSent() ? drain(gate, lane) : gate.breakUp)
  })

/** Waits until nothing runs where a fiber is. Says whether that can ever be. */
export const untilFree = (gate: Gate, operation: string): Effect.Effect<boolean> =>
  Effect.withFiberRuntime((fiber) => {
    const { isLocked, turn } = placeOf(fiber, gate.lane)
    return isLocked
      ? Effect.succeed(false)
      : Lane.withPermit(turn?.lane ?? gate.lane, operation, Effect.succeed(true))
  })

// All operations of a transaction with a deadline have that one; any other has a deadline of its own.
const deadlineOf = (
  gate: Gate,
  fiber: RunningFiber,
  { turn }: Place,
  { limit }: Description
): Time.Deadline | undefined => {
  const around = turn?.deadline ?? limit?.deadline
  if (around !== undefined) return around
  const timeout = limit === undefined ? gate.timeout : limit.timeout
  return timeout === undefined ? undefined : Time.start(fiber, timeout)
}

const limited = <A>(
  evaluate: Evaluate<A>,
  deadline: Time.Deadline | undefined,
  { limit }: Description,
  fiber: RunningFiber
): Evaluate<A> =>
  deadline === undefined
    ? evaluate
    : (session, controller) =>
      during(session, deadline, fiber, () => evaluate(session, controller), limit?.omitsMaxTime)

// What one that had begun was doing when its time was over is not known, and so neither is what its transaction has done.
const inTime = <A, E>(
  deadline: Time.Deadline,
  description: Description,
  turn: Turn | undefined,
  operation: Effect.Effect<A, E | UseError>,
  hasBegun: () => boolean
): Effect.Effect<A, E | UseError> =>
  Effect.tapError(bounded(deadline, description, operation), (error) =>
    Effect.sync(() => {
      if (error instanceof MongoError && error.reason === "TimedOut") turn?.expire(error, hasBegun())
    }))

/** Launches an operation whose turn it is. One that is given up half-way leaves its transaction in an unknown state. */
const launch = <A>(
  gate: Gate,
  fiber: RunningFiber,
  turn: Turn | undefined,
  description: Description,
  evaluate: Evaluate<A>,
  done: (exit: Exit.Exit<A, UnacknowledgedWrite | MongoError>) => void
): Effect.Effect<void> => {
  let isGivenUp = false
  // What is under manual control is nobody's turn, but has its operations counted and its conflicts explained.
  const observing = turn ?? gate.standing
  observing?.begins(description)
  return gate.flights.launch(
    fiber,
    description,
    evaluate,
    (exit) =>
      done(refined(description, observing === undefined ? exit : seen(observing, description, exit, isGivenUp))),
    (isSent) => {
      isGivenUp = true
      if (isSent) turn?.giveUp(description)
    }
  )
}

// A tracer may throw when it is told how an operation has ended. The operation must end all the same.
const seen = <A>(
  turn: Turn,
  description: Description,
  exit: Exit.Exit<A, MongoError>,
  isGivenUp: boolean
): Exit.Exit<A, MongoError> => {
  try {
    if (Exit.isFailure(exit)) return isGivenUp ? exit : Exit.failCause(turn.observe(exit.cause, description))
    if (description.writtenIn !== undefined) turn.wrote(description.writtenIn(exit.value))
    return exit
  } catch (defect) {
    return Exit.die(defect)
  }
}

const refined = <A>(
  { operation }: Description,
  exit: Exit.Exit<A, MongoError>
): Exit.Exit<A, UnacknowledgedWrite | MongoError> =>
  Exit.mapError(
    exit,
    (error) => isUnacknowledgedWrite(error) ? new UnacknowledgedWrite({ operation, source: "operation" }) : error
  )
