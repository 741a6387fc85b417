/**
 * Runs the attempts of a transaction: the interpreter of the decisions in `outcome`.
 *
 * See the specification "Convenient API for Transactions". The driver's own `withTransaction` is not used: it decides by
 * the class of an error, so that a failure that the program has wrapped is never retried.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import * as Option from "effect/Option"
import type * as Schedule from "effect/Schedule"
import type { MongoError } from "../MongoError.js"
import {
  CommitUnknown,
  type SessionEnded,
  type SessionLapsed,
  TransactionAborted,
  TransactionDoomed
} from "../SessionErrors.js"
import * as Telemetry from "../Telemetry.js"
import type * as TransactionOptions from "../TransactionOptions.js"
import * as Attempt from "./attempt.js"
import * as Backoff from "./backoff.js"
import { within } from "./bounded.js"
import type * as MongoClient from "./connection.js"
import * as DriverTransaction from "./driverTransaction.js"
import * as Ending from "./ending.js"
import * as Hooks from "./hooks.js"
import * as Lane from "./lane.js"
import * as Outcome from "./outcome.js"
import type { Gate } from "./sessionGate.js"

/** How to run a transaction. */
export interface Plan<VR, OR> {
  readonly options: TransactionOptions.Resolved
  readonly retry: Schedule.Schedule<unknown, MongoError>
  readonly verifyCommit: Effect.Effect<Exit.Exit<boolean, unknown>, never, VR> | undefined
  readonly onRetry: ((retry: Telemetry.Retry) => Effect.Effect<void, never, OR>) | undefined
  readonly isSandbox: boolean
  /** The transaction around this one, in another session. */
  readonly outer: Attempt.Part | undefined
}

/** What a run fails with by itself. */
export type RunError =
  | SessionEnded
  | SessionLapsed
  | MongoError
  | TransactionAborted
  | TransactionDoomed
  | CommitUnknown

/** How a run came to its end, and what is to run now that it has. */
export interface Finished<A, E> {
  readonly _tag: "Finished"
  readonly exit: Exit.Exit<A, E>
  readonly hooks: ReadonlyArray<Attempt.Hook>
  readonly outcome: Telemetry.TransactionOutcome
}

/** The body is to be run again. */
interface Again {
  readonly _tag: "Again"
  readonly failure: MongoError
  readonly delay: Duration.Duration
  readonly part: Attempt.Part
}

/**
 * Runs a body in attempts until one is committed or rolled back for good, for the one whose turn it is in the session.
 *
 * Can be interrupted in the body and in the waits between attempts only, and then aborts. `tell` is told how it ended,
 * interrupted or not.
 */
export const run = <A, E, R, VR, OR>(
  gate: Gate,
  client: MongoClient.Service,
  body: (part: Attempt.Part) => Effect.Effect<A, E, R>,
  plan: Plan<VR, OR>,
  tell: (finished: Finished<A, E | RunError>) => Effect.Effect<void>
): Effect.Effect<Finished<A, E | RunError>, never, R | VR | OR> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const began = yield* Clock.currentTimeNanos
      const elapsed = Effect.map(Clock.currentTimeNanos, (now) => Duration.nanos(now - began))
      const backoff = Backoff.make(plan.retry)
      const whole: Attempt.Run = { isOver: false }
      const own = yield* Effect.fiberId
      const since = FiberId.unsafeMake().id
      // The fibers of the body: this one, and those that were made since.
      const isInner = ({ id }: FiberId.Runtime): boolean => id > since || [...FiberId.ids(own)].includes(id)

      // How long to wait before another attempt; none when schedule or time have run out.
      const pause = (failure: MongoError) =>
        Effect.map(Effect.zip(backoff.next(failure), elapsed), ([delay, spent]) =>
          Option.filter(delay, (time) =>
            Duration.lessThan(Duration.sum(spent, time), plan.options.timeout)))

      const tellRetry = (
        part: Attempt.Part,
        step: Telemetry.Retry["step"],
        { reason }: MongoError,
        delay: Duration.Duration
      ) =>
        Effect.gen(function*() {
          const attempt = part.attempt
          const label = step === "body" ? "TransientTransactionError" : "UnknownTransactionCommitResult"
          const retry = { attempt, step, reason, label, delay, elapsed: yield* elapsed } as const
          yield* Telemetry.retried(retry)
          if (plan.onRetry !== undefined) {
            yield* Attempt.behind(plan.onRetry(retry), part)
          }
        })

      const once = (number: number): Effect.Effect<
        Finished<A, E | RunError> | Again,
        never,
        R | VR | OR
      > =>
        Effect.gen(function*() {
          const part = Attempt.make({ ...plan, run: whole, number, sessionLane: gate.lane, lane: Lane.make() })
          const attempt = part.of
          const ending = Ending.make(gate, client, part, {
            timeout: plan.options.timeout,
            elapsed,
            pause,
            verifyCommit: plan.verifyCommit,
            onRetry: (failure, delay) =>
              tellRetry(part, "commit", failure, delay)
          })
          const finished = (
            exit: Exit.Exit<A, E | RunError>,
            ended: Exclude<Outcome.Ended, "no">,
            outcome: Telemetry.TransactionOutcome = Telemetry.outcomeOf[ended]
          ): Finished<A, E | RunError> => ({ _tag: "Finished", exit, hooks: Hooks.due(attempt, ended), outcome })
          const givenUp = (last: MongoError) =>
            Effect.map(elapsed, (time) => {
              const nested = plan.outer !== undefined
              const error = new TransactionAborted({ attempts: number, elapsed: time, last, nested })
              return finished(Exit.fail(error), "aborted", "aborted")
            })
          const again = (failure: MongoError, delay: Duration.Duration): Again => ({
            _tag: "Again",
            failure,
            delay,
            part
          })

          const started = yield* Effect.exit(Effect.zipRight(
            gate.ready("transaction"),
            Effect.suspend(() => DriverTransaction.start(gate.session(), plan.options))
          ))
          if (Exit.isFailure(started)) return finished(Exit.failCause(started.cause), "aborted")

          const exit = yield* Effect.exit(restore(Effect.zipLeft(body(part), Hooks.beforeCommit(part))))
          const isInterrupted = !Cause.isEmpty(yield* FiberRef.get(FiberRef.interruptedCause))
          attempt.over = true
          yield* drain(gate, attempt)

          const transient = attempt.transient ??
            (Exit.isFailure(exit) ? Attempt.transientFor(attempt, exit.cause) : undefined)
          const delay = transient === undefined ? Option.none() : yield* pause(transient)
          const decision = Outcome.ofAttempt({
            body: Outcome.bodyExit(exit, isInterrupted, isInner),
            ended: attempt.ended,
            transient: transient !== undefined,
            doomed: attempt.doom !== undefined || attempt.halfDone !== undefined,
            rollbackOnly: attempt.rollbackOnly,
            mayRetry: Option.isSome(delay)
          })
          switch (decision) {
            case "keep":
              // The driver may have been told to start another one.
              yield* ending.abort
              return finished(exit, attempt.ended === "no" ? "aborted" : attempt.ended)
            case "rollback":
              yield* ending.abort
              return finished(exit, "aborted")
            case "doom": {
              yield* ending.abort
              const first = Cause.squash(attempt.halfDone ?? attempt.doom ?? Cause.empty)
              return finished(Exit.fail(new TransactionDoomed({ first })), "aborted", "doomed")
            }
            case "retry":
            case "giveUp":
              yield* decision === "retry" ? ending.abortSuperseded : ending.abort
              // The table says neither without a transient failure, nor the first without a delay.
              if (transient === undefined) return finished(exit, "aborted")
              return Option.isSome(delay) ? again(transient, delay.value) : yield* givenUp(transient)
            case "commit":
              break
          }

          const ready = yield* Effect.exit(gate.ready("commitTransaction"))
          if (Exit.isFailure(ready) || plan.isSandbox) {
            yield* ending.abort
            return Exit.isFailure(ready)
              ? finished(Exit.failCause(ready.cause), "aborted")
              : finished(exit, "committed", "rolledBack")
          }
          const committed = yield* ending.commit
          switch (committed._tag) {
            case "Committed":
              return finished(exit, "committed")
            case "Refused":
              return finished(Exit.fail(committed.error), "refused")
            case "Unknown": {
              const unknown = { attempts: number, elapsed: yield* elapsed, last: committed.error }
              return finished(Exit.fail(new CommitUnknown(unknown)), "unknown")
            }
            case "GivenUp":
              return yield* givenUp(committed.error)
            case "Again":
              return again(committed.error, committed.delay)
          }
        })

      const attempts = (number: number): ReturnType<typeof run<A, E, R, VR, OR>> =>
        Effect.flatMap(once(number), (result) => {
          if (result._tag === "Finished") return Effect.succeed(result)
          const { delay, failure, part } = result
          const wait = Effect.zipRight(tellRetry(part, "body", failure, delay), Effect.sleep(delay))
          return Effect.matchCauseEffect(restore(wait), {
            onSuccess: () => attempts(number + 1),
            // What the attempt has put off is dropped when the next one begins, and no sooner.
            onFailure: (cause) =>
              Effect.succeed<Finished<A, E | RunError>>({
                _tag: "Finished",
                exit: Exit.failCause(cause),
                hooks: Hooks.due(part.of, "aborted"),
                outcome: "rolledBack"
              })
          })
        })

      const finished = yield* Effect.ensuring(attempts(1), Effect.sync(() => void (whole.isOver = true)))
      // Here and not by the caller: an interruption that has waited for the end would be quicker.
      yield* tell(finished)
      if (Exit.isFailure(finished.exit)) Attempt.tellSpent(plan.outer, finished.exit.cause)
      return finished
    })
  )

/** Waits for the operation in flight of an attempt that is over; those that are still queued are refused one by one. */
const drain = (gate: Gate, attempt: Attempt.Attempt): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (!Lane.isBusy(attempt.lane)) return Effect.void
    const quiet = Lane.withPermit(attempt.lane, "end of the transaction", Effect.void)
    return Effect.flatMap(within(gate.settleTimeout, quiet), (inTime) => inTime ? Effect.void : gate.breakUp)
  })
