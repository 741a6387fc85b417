/**
 * Runs the attempts of a transaction: the interpreter of the decisions in `outcome`.
 *
 * See the specification "Convenient API for Transactions". The driver's own `withTransaction` is not used: it decides by
 * the class of an error, so that a failure that the program has wrapped is never retried.
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
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
import type * as Telemetry from "../Telemetry.js"
import type * as TransactionOptions from "../TransactionOptions.js"
import * as Attempt from "./attempt.js"
import * as Backoff from "./backoff.js"
import { within } from "./bounded.js"
import type * as MongoClient from "./connection.js"
import * as Deadline from "./deadline.js"
import * as DriverTransaction from "./driverTransaction.js"
import * as Ending from "./ending.js"
import { clockOf, type Restore } from "./fiber.js"
import * as Hooks from "./hooks.js"
import * as Lane from "./lane.js"
import * as Outcome from "./outcome.js"
import * as Reporting from "./reporting.js"
import type { Gate } from "./sessionGate.js"
import { Watch } from "./transactionWatch.js"

/** How to run a transaction. */
export interface Plan<VR, OR> {
  readonly options: TransactionOptions.Resolved
  /** How long the run may take in all, operations included; absent: as long as they take. */
  readonly timeout: Duration.Duration | undefined
  readonly retry: Schedule.Schedule<unknown, MongoError>
  readonly verifyCommit: Effect.Effect<Exit.Exit<boolean, unknown>, never, VR> | undefined
  readonly onRetry: ((retry: Telemetry.Retry) => Effect.Effect<void, never, OR>) | undefined
  readonly isSandbox: boolean
  /** The transaction around this one, in another session. */
  readonly outer: Attempt.Part | undefined
}

/** What is run in each attempt, with the context that it has in a part. */
export interface Body<A, E, R> {
  readonly effect: Effect.Effect<A, E, R>
  readonly contextOf: (part: Attempt.Part, around: Context.Context<never>) => Context.Context<never>
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
  /** What ends the attempt on the server where no other follows. */
  readonly rest: Effect.Effect<void>
}

/**
 * Runs a body in attempts until one is committed or rolled back for good, for the one whose turn it is in the session, and
 * where nothing can be interrupted but what is given to `restore`: the body, and the waits between attempts. Then the
 * attempt is aborted.
 *
 * Nearly always there is one attempt, whose commit succeeds: what only the others need is made when they do.
 */
export const run = <A, E, R, VR, OR>(
  gate: Gate,
  client: MongoClient.Service,
  { contextOf, effect }: Body<A, E, R>,
  plan: Plan<VR, OR>,
  restore: Restore
): Effect.Effect<Finished<A, E | RunError>, never, R | VR | OR> =>
  Effect.withFiberRuntime((fiber) => {
    type Result = Finished<A, E | RunError>
    const clock = clockOf(fiber)
    const began = clock.unsafeCurrentTimeNanos()
    const elapsed = () => Duration.nanos(clock.unsafeCurrentTimeNanos() - began)
    const around = fiber.currentContext
    const back = FiberRef.set(FiberRef.currentContext, around)
    const backoff = Backoff.make(plan.retry)
    const deadline = plan.timeout && Deadline.start(fiber, plan.timeout)
    const whole: Attempt.Run = { isOver: false, deadline, timeout: plan.timeout }
    // What the last attempt was given up for.
    let previous: MongoError | undefined
    const since = FiberId.unsafeMake().id
    // The fibers of the body: this one, and those that were made since.
    const isInner = ({ id }: FiberId.Runtime): boolean => id > since || [...FiberId.ids(fiber.id())].includes(id)

    // How long to wait before another attempt; none when schedule or time have run out.
    const pause = (failure: MongoError) =>
      Effect.map(backoff.next(failure), (delay) => {
        const spent = elapsed()
        return Option.filter(delay, (time) => Duration.lessThan(Duration.sum(spent, time), plan.options.timeout))
      })

    const tellRetry = (
      part: Attempt.Part,
      step: Telemetry.Retry["step"],
      { reason }: MongoError,
      delay: Duration.Duration
    ) =>
      Effect.suspend(() => {
        const label = step === "body" ? "TransientTransactionError" : "UnknownTransactionCommitResult"
        const retry = { attempt: part.attempt, step, reason, label, delay, elapsed: elapsed() } as const
        const told = Reporting.retried(retry)
        return plan.onRetry === undefined
          ? told
          : Effect.zipRight(told, Attempt.behind(plan.onRetry(retry), part))
      })

    const finished = (
      { of }: Attempt.Part,
      exit: Exit.Exit<A, E | RunError>,
      ended: Exclude<Outcome.Ended, "no">,
      outcome: Telemetry.TransactionOutcome = Reporting.outcomeOf[ended]
    ): Result => ({ _tag: "Finished", exit, hooks: Hooks.due(of, ended), outcome })

    const givenUp = (part: Attempt.Part, last: MongoError): Result => {
      const facts = { attempts: part.attempt, elapsed: elapsed(), last, nested: plan.outer !== undefined }
      return finished(part, Exit.fail(new TransactionAborted(facts)), "aborted", "aborted")
    }

    const whenReady = <B, R2>(operation: string, then: {
      readonly onFailure: (cause: Cause.Cause<SessionEnded | SessionLapsed>) => Effect.Effect<B, never, R2>
      readonly onSuccess: () => Effect.Effect<B, never, R2>
    }): Effect.Effect<B, never, R2> =>
      gate.isReady(fiber) ? then.onSuccess() : Effect.matchCauseEffect(gate.ready(operation), then)

    const endingOf = (part: Attempt.Part): Ending.Ending<VR | OR> =>
      Ending.make(gate, client, part, {
        timeout: plan.options.timeout,
        deadline,
        elapsed,
        pause,
        verifyCommit: plan.verifyCommit,
        onRetry: (failure, delay) => tellRetry(part, "commit", failure, delay)
      })

    const commit = (part: Attempt.Part, exit: Exit.Exit<A, E>): Effect.Effect<Result | Again, never, VR | OR> =>
      whenReady("commitTransaction", {
        onFailure: (cause) => Effect.as(endingOf(part).abort(), finished(part, Exit.failCause(cause), "aborted")),
        onSuccess: () =>
          plan.isSandbox
            ? Effect.as(endingOf(part).abort(), finished(part, exit, "committed", "rolledBack"))
            : deadline !== undefined && deadline.left() <= 0
            ? Effect.map(
              endingOf(part).abort(),
              () => givenUp(part, Deadline.timedOut({ operation: "commitTransaction" }, previous))
            )
            : Effect.map(endingOf(part).commit(), (committed): Result | Again => {
              switch (committed._tag) {
                case "Committed":
                  return finished(part, exit, "committed")
                case "Refused":
                  return finished(part, Exit.fail(committed.error), "refused")
                case "Unknown": {
                  const facts = { attempts: part.attempt, elapsed: elapsed(), last: committed.error }
                  return finished(part, Exit.fail(new CommitUnknown(facts)), "unknown")
                }
                case "GivenUp":
                  return givenUp(part, committed.error)
                case "Again":
                  return { _tag: "Again", failure: committed.error, delay: committed.delay, part, rest: Effect.void }
              }
            })
      })

    const end = (
      part: Attempt.Part,
      exit: Exit.Exit<A, E>,
      body: Outcome.BodyExit,
      transient: MongoError | undefined,
      delay: Option.Option<Duration.Duration>
    ): Effect.Effect<Result | Again, never, VR | OR> => {
      const { of } = part
      const decision = Outcome.ofAttempt({
        body,
        ended: of.ended,
        transient: transient !== undefined,
        doomed: of.doom !== undefined || of.halfDone !== undefined,
        rollbackOnly: of.rollbackOnly,
        mayRetry: Option.isSome(delay)
      })
      switch (decision) {
        case "commit":
          return commit(part, exit)
        case "keep":
          // The driver may have been told to start another one.
          return Effect.map(
            endingOf(part).abort(),
            () => finished(part, exit, of.ended === "no" ? "aborted" : of.ended)
          )
        case "rollback": {
          // Without its deadline it would have gone on as before.
          const last = of.isLate && body === "failure" ? previous : undefined
          return Effect.map(
            endingOf(part).abort(),
            () => last === undefined ? finished(part, exit, "aborted") : givenUp(part, last)
          )
        }
        case "doom": {
          const first = Cause.squash(of.halfDone ?? of.doom ?? Cause.empty)
          const doomed = Exit.fail(new TransactionDoomed({ first }))
          return Effect.map(endingOf(part).abort(), () => finished(part, doomed, "aborted", "doomed"))
        }
        case "retry":
        case "giveUp": {
          const { abort, abortSuperseded } = endingOf(part)
          // The table says neither without a transient failure, nor the first without a delay.
          if (transient === undefined) return Effect.map(abort(), () => finished(part, exit, "aborted"))
          return Option.isSome(delay)
            ? Effect.map(
              abortSuperseded(),
              (rest) => ({ _tag: "Again", failure: transient, delay: delay.value, part, rest })
            )
            : Effect.map(abort(), () => givenUp(part, transient))
        }
      }
    }

    // The body has come to its end.
    const close = (part: Attempt.Part, exit: Exit.Exit<A, E>): Effect.Effect<Result | Again, never, VR | OR> => {
      const { of } = part
      const isInterrupted = !Cause.isEmpty(fiber.getFiberRef(FiberRef.interruptedCause))
      of.over = true
      const quiet = () => {
        const body = Outcome.bodyExit(exit, isInterrupted, isInner)
        const transient = of.transient ??
          (Exit.isFailure(exit) ? Attempt.transientFor(of, exit.cause) : undefined)
        return transient === undefined
          ? end(part, exit, body, transient, Option.none())
          : Effect.flatMap(pause(transient), (delay) => end(part, exit, body, transient, delay))
      }
      return Lane.isBusy(of.lane) ? Effect.flatMap(drain(gate, of), quiet) : quiet()
    }

    // A bug in what the plan was given, not in the body. The transaction must not stay open for whoever is next in the session.
    const broken = (part: Attempt.Part, defect: Cause.Cause<never>): Effect.Effect<Result> => {
      const isOpen = gate.session().inTransaction()
      return Effect.map(
        endingOf(part).abort(),
        () => finished(part, Exit.failCause(defect), isOpen ? "aborted" : "unknown")
      )
    }

    type Next = (result: Result | Again) => Effect.Effect<Result, never, R | VR | OR>

    // The body of an attempt that was started, and what comes after it.
    const begun = (part: Attempt.Part, next: Next): Effect.Effect<Result, never, R | VR | OR> => {
      part.of.watch = new Watch(fiber, part.attempt)
      const told: Next = (result) => {
        // Another one, if the body has begun another transaction by hand.
        part.of.watch?.over(result._tag === "Finished" ? result.outcome : "retried")
        return next(result)
      }
      const closed = (exit: Exit.Exit<A, E>) =>
        Effect.matchCauseEffect(Effect.flatMap(back, () => close(part, exit)), {
          onFailure: (defect) => Effect.flatMap(broken(part, defect), told),
          onSuccess: told
        })
      const body = Effect.zipRight(FiberRef.set(FiberRef.currentContext, contextOf(part, around)), effect)
      return Effect.matchCauseEffect(restore(body), {
        onFailure: (cause) => closed(Exit.failCause(cause)),
        onSuccess: (value) =>
          part.of.hooks.length === 0
            ? closed(Exit.succeed(value))
            : Effect.flatMap(Effect.exit(restore(Effect.as(Hooks.beforeCommit(part), value))), closed)
      })
    }

    const once = (number: number, next: Next): Effect.Effect<Result, never, R | VR | OR> => {
      const { isSandbox, options, outer } = plan
      // Field by field: to spread the plan took a tenth of all that is done here.
      const part = Attempt.make({
        number,
        options,
        sessionLane: gate.lane,
        lane: Lane.make(),
        outer,
        isSandbox,
        run: whole
      })
      const refused = (cause: Cause.Cause<E | RunError>) => next(finished(part, Exit.failCause(cause), "aborted"))
      return whenReady("transaction", {
        onFailure: refused,
        onSuccess: () => {
          const started = DriverTransaction.start(gate.session(), plan.options)
          return Exit.isSuccess(started) ? begun(part, next) : refused(started.cause)
        }
      })
    }

    const ended = (result: Result): Result => {
      whole.isOver = true
      if (Exit.isFailure(result.exit)) Attempt.tellSpent(plan.outer, result.exit.cause)
      return result
    }

    const attempts = (number: number, before?: Effect.Effect<void>): Effect.Effect<Result, never, R | VR | OR> =>
      once(number, (result) => {
        // Of an attempt that has sent nothing the server does not know: it has ended nothing.
        const isUnsent = DriverTransaction.isUnsent(gate.session())
        if (result._tag === "Finished") {
          return before !== undefined && isUnsent
            ? Effect.map(before, () => ended(result))
            : Effect.succeed(ended(result))
        }
        const { delay, failure, part } = result
        const rest = isUnsent ? before ?? Effect.void : result.rest
        previous = failure
        const wait = Effect.zipRight(tellRetry(part, "body", failure, delay), Effect.sleep(delay))
        return Effect.matchCauseEffect(restore(wait), {
          onSuccess: () => attempts(number + 1, rest),
          // What the attempt has put off is dropped when the next one begins, and no sooner.
          onFailure: (cause) => Effect.map(rest, () => ended(finished(part, Exit.failCause(cause), "aborted")))
        })
      })

    return attempts(1)
  })

/** Waits for the operation in flight of an attempt that is over; those that are still queued are refused one by one. */
const drain = (gate: Gate, attempt: Attempt.Attempt): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (!Lane.isBusy(attempt.lane)) return Effect.void
    const quiet = Lane.withPermit(attempt.lane, "end of the transaction", Effect.void)
    return Effect.flatMap(within(gate.settleTimeout, quiet), (inTime) => inTime ? Effect.void : gate.breakUp)
  })
