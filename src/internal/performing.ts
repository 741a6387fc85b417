/**
 * An operation of a session, from its turn to its settling.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import type * as Driver from "mongodb"
import { MongoError } from "../MongoError.js"
import { UnacknowledgedWrite, type UseError } from "../SessionErrors.js"
import * as Attempt from "./attempt.js"
import { settling, telling, type Watcher } from "./calling.js"
import * as Deadline from "./deadline.js"
import { isUnacknowledgedWrite } from "./failure.js"
import type { RunningFiber } from "./fiber.js"
import * as Lane from "./lane.js"
import type { Evaluate, Gate, Name } from "./sessionGate.js"
import { during } from "./timeoutContext.js"

/**
 * Runs an operation of a fiber in its turn; what it is to do is decided then, when the state of the session is its own.
 *
 * Nearly always it is its turn at once. Then all is done in one step, and an operation costs little more than the driver's
 * promise.
 */
export const perform = <A, E>(
  fiber: RunningFiber,
  gate: Gate,
  name: Name,
  prepare: (session: Driver.ClientSession) => Either.Either<Evaluate<A>, E>,
  watcher?: Watcher
): Effect.Effect<A, E | UseError> => {
  const { isLocked, part } = Attempt.placeOf(fiber, gate.lane)
  const lane = part?.of.lane ?? gate.lane
  const deadline = deadlineOf(gate, fiber, part, name)
  // What has a deadline may be over for its caller before it has settled.
  const here = deadline === undefined ? watcher : undefined
  const operation = Effect.uninterruptibleMask((restore): Effect.Effect<A, E | UseError> => {
    if (isLocked || part?.isOver === true || Lane.isBusy(lane) || !gate.isReady(fiber)) {
      return telling(restore(inTurn(gate, name, prepare, deadline)), here)
    }
    const evaluate = prepare(gate.session())
    if (Either.isLeft(evaluate)) return telling(Effect.fail(evaluate.left), here)
    const held = Lane.take(lane, name.operation, fiber)
    // What has not settled in time leaves the session broken, which those who wait must be told.
    return settling(
      restore,
      (done) => begin(gate, fiber, part, name, limited(evaluate.right, deadline, fiber), done),
      (exit) => {
        Lane.leave(lane, held)
        here?.over(exit)
      }
    )
  })
  return deadline === undefined ? operation : telling(inTime(deadline, name, part, operation), watcher)
}

// In a transaction that has one, all have the same; all else has one of its own.
const deadlineOf = (
  gate: Gate,
  fiber: RunningFiber,
  part: Attempt.Part | undefined,
  { isEndless }: Name
): Deadline.Deadline | undefined => {
  const ofRun = part?.of.run.deadline
  return ofRun !== undefined || gate.timeout === undefined || isEndless === true
    ? ofRun
    : Deadline.start(fiber, gate.timeout)
}

const limited = <A>(
  evaluate: Evaluate<A>,
  deadline: Deadline.Deadline | undefined,
  fiber: RunningFiber
): Evaluate<A> =>
  deadline === undefined
    ? evaluate
    : (session, controller) => during(session, deadline, fiber, () => evaluate(session, controller))

// What it was doing when its time was over is not known, and so neither is what its transaction has done.
const inTime = <A, E>(
  deadline: Deadline.Deadline,
  name: Name,
  part: Attempt.Part | undefined,
  operation: Effect.Effect<A, E | UseError>
): Effect.Effect<A, E | UseError> =>
  Effect.tapError(Deadline.bounded(deadline, name, operation), (error) =>
    Effect.sync(() => {
      if (part !== undefined && error instanceof MongoError && error.reason === "TimedOut") {
        Attempt.expire(part.of, error)
      }
    }))

const inTurn = <A, E>(
  gate: Gate,
  name: Name,
  prepare: (session: Driver.ClientSession) => Either.Either<Evaluate<A>, E>,
  deadline: Deadline.Deadline | undefined
): Effect.Effect<A, E | UseError> =>
  gate.inTurn(name.operation, (part) =>
    gate.ready(name.operation).pipe(
      Effect.zipRight(Effect.suspend(() => prepare(gate.session()))),
      Effect.flatMap((evaluate) =>
        Effect.uninterruptibleMask((restore) =>
          Effect.withFiberRuntime<A, UseError>((fiber) =>
            settling(restore, (done) => begin(gate, fiber, part, name, limited(evaluate, deadline, fiber), done))
          )
        )
      )
    ))

/** Begins an operation whose turn it is. One that is given up half-way leaves its transaction in an unknown state. */
const begin = <A>(
  gate: Gate,
  fiber: RunningFiber,
  part: Attempt.Part | undefined,
  name: Name,
  evaluate: Evaluate<A>,
  done: (exit: Exit.Exit<A, UnacknowledgedWrite | MongoError>) => void
): Effect.Effect<void> => {
  let isGivenUp = false
  if (part !== undefined) Attempt.begin(part)
  return gate.begin(
    fiber,
    name,
    evaluate,
    (exit) => {
      if (part !== undefined && Exit.isFailure(exit) && !isGivenUp) Attempt.observe(part.of, exit.cause)
      done(Exit.isFailure(exit) ? refined(name, exit) : exit)
    },
    () => {
      isGivenUp = true
      if (part !== undefined) Attempt.giveUp(part.of)
    }
  )
}

const refined = <A>(
  { operation }: Name,
  exit: Exit.Exit<A, MongoError>
): Exit.Exit<A, UnacknowledgedWrite | MongoError> =>
  Exit.mapError(
    exit,
    (error) => isUnacknowledgedWrite(error) ? new UnacknowledgedWrite({ operation, source: "operation" }) : error
  )
