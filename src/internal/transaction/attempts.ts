/**
 * The loop over the attempts of a transaction. The tables in `outcome` decide what follows each attempt.
 *
 * See the specification "Convenient API for Transactions". The driver's own `withTransaction` is not used: it decides by
 * the class of an error, so that a failure that the program has wrapped is never retried.
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import * as Option from "effect/Option"
import type { MongoError } from "../../MongoError.js"
import { CommitUnknown, TransactionAborted, TransactionDoomed } from "../../SessionErrors.js"
import type * as Telemetry from "../../Telemetry.js"
import { timedOut } from "../driver/deadline.js"
import { idOf } from "../driver/session.js"
import * as DriverTransaction from "../driver/transaction.js"
import * as MongoClient from "../session/client.js"
import type { Gate } from "../session/gate.js"
import * as Lane from "../session/lane.js"
import { drain } from "../session/operation.js"
import * as Log from "../telemetry/log.js"
import { Warnings } from "../telemetry/warnings.js"
import { grace, patiently } from "../time/bounded.js"
import * as Time from "../time/clock.js"
import { isInterrupted, matchCause, type Restore, type RunningFiber } from "../time/fiber.js"
import type { ServerView } from "../values/conflicts.js"
import { abort } from "./abort.js"
import { Attempt, Run } from "./attempt.js"
import { commit } from "./commit.js"
import * as Contention from "./contention.js"
import * as Hooks from "./hooks.js"
import { ask } from "./others.js"
import * as Outcome from "./outcome.js"
import { behind, Part } from "./part.js"
import { type Body, type Finished, finished, type Plan, type Result, type RunError } from "./plan.js"
import { type Pause, Retries } from "./retries.js"

/**
 * Runs a body in attempts until one is committed or rolled back for good, for the one whose turn it is in the session, and
 * where nothing can be interrupted but what is given to `restore`: the body, and the waits between attempts. Then the
 * attempt is aborted.
 */
export const run = <A, E, R, VR, OR>(
  gate: Gate,
  client: MongoClient.Service,
  body: Body<A, E, R>,
  plan: Plan<VR, OR>,
  restore: Restore
): Effect.Effect<Finished<A, E | RunError>, never, R | VR | OR> =>
  Effect.withFiberRuntime((fiber) => new Attempts(fiber, gate, client, body, plan, restore).loop(1))

class Attempts<A, E, R, VR, OR> {
  readonly #fiber: RunningFiber
  readonly #gate: Gate
  readonly #client: MongoClient.Service
  readonly #body: Body<A, E, R>
  readonly #plan: Plan<VR, OR>
  readonly #restore: Restore
  readonly #retries: Retries
  readonly #run: Run
  readonly #around: Context.Context<never>
  // Fibers of the body are this one and those with greater numbers.
  readonly #since = FiberId.unsafeMake().id
  // The last attempt, where it was rolled back: what it has put off is due if no other follows.
  #rolledBack: Part | undefined
  // What the last attempt was given up for.
  #previous: MongoError | undefined

  constructor(
    fiber: RunningFiber,
    gate: Gate,
    client: MongoClient.Service,
    body: Body<A, E, R>,
    plan: Plan<VR, OR>,
    restore: Restore
  ) {
    this.#fiber = fiber
    this.#gate = gate
    this.#client = client
    this.#body = body
    this.#plan = plan
    this.#restore = restore
    this.#retries = new Retries(fiber, client.driver, plan.retry, plan.timeout ?? plan.options.timeout)
    this.#run = new Run(
      new Warnings(plan.options.warnings, client[MongoClient.inner].lifetime),
      plan.timeout,
      plan.timeout && Time.start(fiber, plan.timeout),
      Contention.contender(fiber, client, plan)
    )
    this.#around = fiber.currentContext
  }

  /** One attempt, and the next one where it is to be run again. `rest` is what the attempt before has left to be done. */
  loop(number: number, rest?: Effect.Effect<void>): Effect.Effect<Finished<A, E | RunError>, never, R | VR | OR> {
    const { serverSession: { txnNumber: before } } = this.#gate.session
    return Effect.flatMap(this.#attempt(number), (result) => {
      // An attempt of which the server has not heard has ended no other there.
      const owed = rest !== undefined && !this.#gate.flights.leftover.hasHeardAfter(before) ? rest : undefined
      if (result._tag === "Finished") {
        return owed === undefined
          ? Effect.succeed(this.#over(result))
          : Effect.map(owed, () => this.#over(result))
      }
      const { delay, failure, part } = result
      this.#rolledBack = part
      const remaining = owed === undefined ? result.rest : Effect.zipRight(owed, result.rest)
      this.#previous = failure
      return matchCause(
        this.#restore(this.#wait(part, failure, delay)),
        // What the attempt has put off is dropped when the next one begins, and no sooner.
        (cause) => Effect.map(remaining, () => this.#over(finished(part, Exit.failCause(cause), "aborted"))),
        () => this.loop(number + 1, remaining)
      )
    })
  }

  // Who has lost to a transaction of this client waits for it; for any other, as long as the schedule says.
  #wait(part: Part, failure: MongoError, delay: Duration.Duration): Effect.Effect<void, never, OR> {
    const { contender } = this.#run
    const pause = contender?.hasLostToKnown === true ? Duration.zero : delay
    const slept = Effect.zipRight(this.#tellRetry(part, "body", failure, pause), Effect.sleep(pause))
    return contender === undefined
      ? slept
      : Effect.zipRight(slept, Effect.suspend(() => contender.again(this.#retries.timeLeft)))
  }

  // Starts an attempt, runs the body in it, and ends it.
  #attempt(number: number): Effect.Effect<Result<A, E>, never, R | VR | OR> {
    const { isSandbox, isSerializable, options, outer } = this.#plan
    const { lane: sessionLane } = this.#gate
    const lane = Lane.make()
    const part = new Part(
      new Attempt({ number, options, sessionLane, lane, outer, isSandbox, isSerializable, run: this.#run })
    )
    const start = (): Effect.Effect<Result<A, E>, never, R | VR | OR> => {
      const started = DriverTransaction.start(this.#gate.session, options)
      if (Exit.isFailure(started)) return Effect.succeed(this.#refused(part, started.cause))
      part.of.watch(this.#fiber)
      return Effect.map(this.#runBody(part), (result) => {
        part.of.unwatch(result._tag === "Finished" ? result.outcome : "retried")
        return result
      })
    }
    const wait = this.#gate.ready("transaction", this.#fiber)
    return wait === undefined
      ? start()
      : matchCause(wait, (cause) => Effect.succeed(this.#refused(part, cause)), start)
  }

  // An attempt that cannot begin: the one before was the last.
  #refused(part: Part, cause: Cause.Cause<RunError>): Result<A, E> {
    return finished(this.#rolledBack ?? part, Exit.failCause(cause), "aborted")
  }

  #runBody(part: Part): Effect.Effect<Result<A, E>, never, R | VR | OR> {
    const { contextOf, effect } = this.#body
    const body = Effect.zipRight(FiberRef.set(FiberRef.currentContext, contextOf(part, this.#around)), effect)
    return matchCause(this.#restore(body), (cause) => this.#end(part, Exit.failCause(cause)), (value) => {
      part.of.leavesParts()
      if (part.of.hooks.length === 0) return this.#end(part, Exit.succeed(value))
      // A fiber that the body has left behind writes nothing more.
      part.close()
      return matchCause(
        this.#restore(Hooks.beforeCommit(part)),
        (cause) => this.#end(part, Exit.failCause(cause)),
        () => {
          // Those of a hook.
          part.of.leavesParts()
          return this.#end(part, Exit.succeed(value))
        }
      )
    })
  }

  // The body has ended. A defect from here on is a bug in what the plan was given.
  #end(part: Part, exit: Exit.Exit<A, E>): Effect.Effect<Result<A, E>, never, VR | OR> {
    const isInterrupted = this.#isInterrupted
    const { failures } = part.of
    part.of.close()
    const decide = () => {
      const transient = failures.transient ?? (Exit.isFailure(exit) ? failures.transientIn(exit.cause) : undefined)
      const body = Outcome.bodyExit(exit, isInterrupted, this.#isInner)
      // Where no other attempt may follow, the schedule is not asked.
      return transient !== undefined && Outcome.ofAttempt(part.of.facts(body, true, true)) === "retry"
        ? Effect.flatMap(
          this.#pause(this.#retries.pause(transient)),
          (delay) => this.#decide(part, exit, body, transient, delay)
        )
        : this.#decide(part, exit, body, transient, Option.none())
    }
    return Effect.catchAllCause(
      Effect.flatMap(
        FiberRef.set(FiberRef.currentContext, this.#around),
        () => Lane.isBusy(part.of.lane) ? Effect.flatMap(drain(this.#gate, part.lane), decide) : decide()
      ),
      (defect) => this.#broken(part, defect)
    )
  }

  #decide(
    part: Part,
    exit: Exit.Exit<A, E>,
    body: Outcome.BodyExit,
    transient: MongoError | undefined,
    delay: Option.Option<Duration.Duration>
  ): Effect.Effect<Result<A, E>, never, VR | OR> {
    const { of } = part
    switch (Outcome.ofAttempt(of.facts(body, transient !== undefined, Option.isSome(delay)))) {
      case "commit":
        return this.#commit(part, exit)
      case "keep":
        // The driver may have been told to start another one.
        return Effect.as(this.#abort, finished(part, exit, of.ended === "no" ? "aborted" : of.ended))
      case "rollback": {
        // Without its deadline it would have gone on as before.
        const last = of.failures.isLate && body === "failure" ? this.#previous : undefined
        return last === undefined
          ? Effect.as(this.#abort, finished(part, exit, "aborted"))
          : this.#abortFor(part, last)
      }
      case "doom": {
        // The body could do nothing about it.
        const late = of.failures.lateHook
        if (late !== undefined) return this.#abortFor(part, this.#previous ?? late)
        const first = Cause.squash(of.failures.halfDone ?? of.failures.doom ?? Cause.fail(transient))
        const doomed = Exit.fail(new TransactionDoomed({ first }))
        return Effect.as(this.#abort, finished(part, doomed, "aborted", "doomed"))
      }
      case "retry":
      case "giveUp": {
        // The table says neither without a transient failure, nor the first without a delay.
        if (transient === undefined) return Effect.as(this.#abort, finished(part, exit, "aborted"))
        return Option.isSome(delay)
          ? Effect.map(
            this.#abortSuperseded,
            (rest) => ({ _tag: "Again", failure: transient, delay: delay.value, part, rest })
          )
          : this.#abortFor(part, transient)
      }
    }
  }

  #commit(part: Part, exit: Exit.Exit<A, E>): Effect.Effect<Result<A, E>, never, VR | OR> {
    const wait = this.#gate.ready("commitTransaction", this.#fiber)
    return wait === undefined ? this.#commitNow(part, exit) : matchCause(
      wait,
      (cause) => Effect.as(this.#abort, finished<A, E | RunError>(part, Exit.failCause(cause), "aborted")),
      () => this.#commitNow(part, exit)
    )
  }

  #commitNow(part: Part, exit: Exit.Exit<A, E>): Effect.Effect<Result<A, E>, never, VR | OR> {
    const { deadline } = this.#run
    if (this.#plan.isSandbox) return Effect.as(this.#abort, finished(part, exit, "committed", "rolledBack"))
    if (deadline !== undefined && deadline.left() <= 0) {
      const late = timedOut({ operation: "commitTransaction" }, this.#previous)
      return this.#abortFor(part, late)
    }
    const committed = commit({
      gate: this.#gate,
      client: this.#client,
      part,
      deadline,
      timeLeft: () => this.#retries.timeLeft,
      pause: (failure) =>
        part.of.committedBefore
          ? Effect.succeedNone
          : this.#pause(this.#retries.pauseAfterCommit(part.of, failure)),
      verifyCommit: this.#plan.verifyCommit,
      restore: this.#restore,
      isInterrupted: () => this.#isInterrupted,
      onRetry: (failure, delay) => this.#tellRetry(part, "commit", failure, delay)
    })
    return Effect.map(committed, (end): Result<A, E> => {
      switch (end._tag) {
        case "Committed":
          return finished(part, exit, "committed")
        case "Refused":
          return finished(part, Exit.fail(end.error), "refused")
        case "Unknown": {
          const facts = { attempts: part.attempt, elapsed: this.#retries.elapsed, last: end.error }
          return finished(part, Exit.fail(new CommitUnknown(facts)), "unknown")
        }
        case "GivenUp":
          return this.#givenUp(part, end.error)
        case "Again":
          return { _tag: "Again", failure: end.error, delay: end.delay, part, rest: Effect.void }
      }
    })
  }

  // The schedule is the caller's, and may have effects that never end. Without its answer there is no other attempt.
  #pause(pause: Pause): Pause {
    const { deadline } = this.#run
    const { settleTimeout } = this.#gate
    const atMost = deadline ? Duration.min(settleTimeout, Duration.millis(Math.max(0, deadline.left()))) : settleTimeout
    return Effect.flatMap(patiently(pause, atMost, this.#restore), Option.getOrElse(() => Exit.succeed(Option.none())))
  }

  // The transaction must not stay open for whoever is next in the session.
  #broken(part: Part, defect: Cause.Cause<never>): Effect.Effect<Result<A, E>> {
    const isOpen = this.#gate.session.inTransaction()
    return Effect.as(this.#abort, finished<A, E>(part, Exit.failCause(defect), isOpen ? "aborted" : "unknown"))
  }

  #over(result: Finished<A, E | RunError>): Finished<A, E | RunError> {
    this.#run.end()
    // One that could not begin has waited for documents in vain.
    this.#run.contender?.ends()
    if (Exit.isFailure(result.exit)) this.#plan.outer?.of.spend(result.exit.cause)
    return result
  }

  #givenUp(part: Part, last: MongoError, server?: ServerView): Result<A, E> {
    // An aborted run has committed nothing.
    if (part.of.committedBefore) return finished(part, Exit.fail(last), "aborted")
    const { elapsed, reasons } = this.#retries
    const nested = this.#plan.outer !== undefined
    const lost = this.#conflictOf(last)
    const conflict = lost && (server === undefined ? lost : { ...lost, server })
    const facts = { attempts: part.attempt, elapsed, last, reasons, nested, conflict }
    return finished(part, Exit.fail(new TransactionAborted(facts)), "aborted", "aborted")
  }

  // Of what has no time left, that for which it was run again.
  #conflictOf(last: MongoError): MongoError["conflict"] {
    return last.conflict ?? (last.reason === "TimedOut" ? this.#previous?.conflict : undefined)
  }

  // Aborts for good what is given up. After a conflict the server is asked at once who else is there: they may soon be gone.
  #abortFor(part: Part, last: MongoError): Effect.Effect<Result<A, E>> {
    if (
      this.#conflictOf(last) === undefined || !this.#client[MongoClient.inner].conflicts.server || this.#isInterrupted
    ) {
      return Effect.map(this.#abort, () => this.#givenUp(part, last))
    }
    return Effect.flatMap(
      Effect.forkDaemon(ask(this.#client, idOf(this.#gate.session).uuid)),
      (asking) =>
        Effect.flatMap(Effect.zipRight(this.#abort, Fiber.join(asking)), (server) =>
          Effect.sync(() => {
            part.of.told(server)
            return this.#givenUp(part, last, server)
          }))
    )
  }

  // Aborts for good.
  get #abort(): Effect.Effect<void> {
    return Effect.flatten(this.#abortSuperseded)
  }

  // Aborts what another attempt supersedes, and gives what is left to be done where there is none.
  get #abortSuperseded(): Effect.Effect<Effect.Effect<void>> {
    const timeout = () => this.#isInterrupted ? grace : this.#run.timeout
    return abort(this.#gate, this.#client, timeout, this.#restore)
  }

  #tellRetry(
    part: Part,
    step: Telemetry.Retry["step"],
    { reason }: MongoError,
    delay: Duration.Duration
  ): Effect.Effect<void, never, OR> {
    return Effect.suspend(() => {
      const { onRetry } = this.#plan
      const label = step === "body" ? "TransientTransactionError" : "UnknownTransactionCommitResult"
      const retry = { attempt: part.attempt, step, reason, label, delay, elapsed: this.#retries.elapsed } as const
      const told = Log.retried(retry)
      return onRetry === undefined ? told : Effect.zipRight(told, behind(onRetry(retry), part))
    })
  }

  // A caller that cannot be interrupted, such as a finalizer, waits however often that was tried.
  get #isInterrupted(): boolean {
    return this.#plan.isInterruptible && isInterrupted(this.#fiber)
  }

  readonly #isInner = ({ id }: FiberId.Runtime): boolean =>
    id > this.#since || [...FiberId.ids(this.#fiber.id())].includes(id)
}
