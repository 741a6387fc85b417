/**
 * Commits a transaction, and retries the commit until its result is known.
 *
 * See the specification "Transactions", section "commitTransaction".
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { Label, MongoError } from "../../MongoError.js"
import { timedOut } from "../driver/deadline.js"
import * as TransactionEnd from "../driver/transactionEnd.js"
import type * as MongoClient from "../session/client.js"
import type { Gate } from "../session/gate.js"
import * as Log from "../telemetry/log.js"
import { grace, patiently } from "../time/bounded.js"
import type { Deadline } from "../time/clock.js"
import type { Restore } from "../time/fiber.js"
import { abort, abortByName, abortForGood, abortInBackground } from "./abort.js"
import * as Backoff from "./backoff.js"
import * as Outcome from "./outcome.js"
import { behind, type Part } from "./part.js"
import { send } from "./send.js"
import { isCommitAnswered, isCommitUnknown, isEndOfTransaction, isTransient, isUnanswerable } from "./transient.js"

/** What becomes of a transaction that was committed. */
export type Committed =
  | { readonly _tag: "Committed" }
  | { readonly _tag: "Refused" | "Unknown" | "GivenUp"; readonly error: MongoError }
  | { readonly _tag: "Again"; readonly error: MongoError; readonly delay: Duration.Duration }

/** What a commit needs to know of the run of its transaction. */
export interface Commit<VR, OR> {
  readonly gate: Gate
  readonly client: MongoClient.Service
  readonly part: Part
  /** When the run is to be over, operations included; absent: no limit. */
  readonly deadline: Deadline | undefined
  /** How much is left of the time that the run has for its retries. */
  readonly timeLeft: () => Duration.Duration
  readonly verifyCommit: Effect.Effect<Exit.Exit<boolean, unknown>, never, VR> | undefined
  /** How long to wait before another attempt; none when schedule or time have run out. */
  readonly pause: (failure: MongoError) => Effect.Effect<Option.Option<Duration.Duration>>
  readonly restore: Restore
  /** Whether whoever waits for the commit has been interrupted, and is not to wait for much longer. */
  readonly isInterrupted: () => boolean
  /** Told before a commit is sent again. */
  readonly onRetry: (failure: MongoError, delay: Duration.Duration) => Effect.Effect<void, never, OR>
}

/** Commits, and goes on until it is known what became of it, or as long as there is time. */
export const commit = <VR, OR>(of: Commit<VR, OR>): Effect.Effect<Committed, never, VR | OR> =>
  Effect.matchEffect(commitOnce(of), {
    onSuccess: () => Effect.succeed({ _tag: "Committed" }),
    onFailure: (error) => Effect.suspend(() => failed(of, error, undefined, Backoff.make(Backoff.specification)))
  })

// Without a deadline, at least the time that any operation has to settle is left to it, however late it is.
const commitOnce = <VR, OR>({ deadline, gate, restore, timeLeft }: Commit<VR, OR>): Effect.Effect<void, MongoError> =>
  send(
    gate,
    "commitTransaction",
    deadline === undefined ? { atMost: rounded(Duration.max(timeLeft(), gate.settleTimeout)) } : { deadline },
    restore
  )

// Up to a whole second. Node.js keeps a list of timers for each number of milliseconds: to make one for each commit takes longer
// than all else of its timer.
const rounded = (time: Duration.Duration): Duration.Duration => Duration.seconds(Math.ceil(Duration.toSeconds(time)))

// `lost` is what the commit before has failed with, after which nobody knows whether it happened: that another one is refused
// does not tell.
const failed = <VR, OR>(
  of: Commit<VR, OR>,
  error: MongoError,
  lost: MongoError | undefined,
  backoff: Backoff.Backoff<MongoError>
): Effect.Effect<Committed, never, VR | OR> =>
  Effect.gen(function*() {
    const name = TransactionEnd.nameOf(of.gate.session, true)
    const isRefused = !isCommitUnknown(error)
    const unknown = !isRefused || lost !== undefined && !isTransient(error)
    const wait = Option.getOrElse(yield* backoff.next(error), () => Duration.zero)
    const timeLeft = Duration.greaterThan(of.timeLeft(), wait)
    const delay = !unknown && isTransient(error) ? yield* of.pause(error) : Option.none()
    const decision = Outcome.ofCommit({
      answer: "failed",
      unknown,
      transient: isTransient(error),
      final: of.gate.isBroken || isCommitAnswered(error) || isUnanswerable(error) || isRefused || of.isInterrupted(),
      timeLeft,
      mayRetry: Option.isSome(delay)
    })
    switch (decision) {
      case "committed":
        return { _tag: "Committed" }
      case "ask":
        return yield* verify(of, error, name)
      case "retry":
      case "giveUp":
        return again(error, delay)
      case "fail":
        if (!of.gate.session.inTransaction()) return yield* refused(of, error, name)
        // The time was over before it was sent.
        yield* Effect.flatten(abort(of.gate, of.client, () => of.deadline?.timeout, of.restore))
        return { _tag: "GivenUp", error }
      case "commitAgain":
        yield* Effect.onError(
          told(of, of.onRetry(error, wait)),
          () => abortForGood(of.gate, of.client, name)
        )
        yield* Effect.sleep(wait)
        return yield* Effect.matchEffect(commitOnce(of), {
          onSuccess: () => Effect.succeed({ _tag: "Committed" } as const),
          onFailure: (next) => failed(of, overtime(next, error), error, backoff)
        })
    }
  })

// A commit that was refused as a command has left the transaction open on the server, with its locks.
const refused = <VR, OR>(
  of: Commit<VR, OR>,
  error: MongoError,
  name: TransactionEnd.TransactionName
): Effect.Effect<Committed> => {
  const { client, gate } = of
  if (isEndOfTransaction(error) || gate.isBroken) return Effect.succeed({ _tag: "Refused", error })
  return Effect.flatMap(abortByName(gate, client, name, patienceOf(of)), (late): Effect.Effect<Committed> => {
    switch (late) {
      case "committed":
        return Effect.succeed({ _tag: "Committed" })
      case "aborted":
        return Effect.succeed({ _tag: "Refused", error })
      case "maybeCommitted":
        return Effect.succeed({ _tag: "Unknown", error })
      case "unknown":
        return Effect.as(abortInBackground(gate, client, name), { _tag: "Refused", error })
    }
  })
}

// The server is asked first, but for what it has answered already: that the commit's own time ran out, or that its write
// concern can't be met, which means that it was written.
const verify = <VR, OR>(
  of: Commit<VR, OR>,
  error: MongoError,
  name: TransactionEnd.TransactionName
): Effect.Effect<Committed, never, VR> =>
  Effect.gen(function*() {
    const { client, gate } = of
    const said = isCommitAnswered(error) ? yield* ask(of) : undefined
    const asks = said === undefined || said === "notCommitted"
    const found = asks ? yield* abortByName(gate, client, name, patienceOf(of)) : "unknown"
    const late = found === "maybeCommitted" ? "unknown" : found
    const answer = said ?? (late === "unknown" ? yield* ask(of) : "silent")
    const delay = late === "aborted" ? yield* of.pause(error) : Option.none()
    switch (Outcome.ofVerified({ answer, late, mayRetry: Option.isSome(delay) })) {
      case "committed":
        return { _tag: "Committed" }
      case "unknown":
        if (answer !== "committed" && !TransactionEnd.isUnmet(error)) yield* abortInBackground(gate, client, name)
        if (of.isInterrupted()) yield* Log.commitUnknown(error.reason)
        return { _tag: "Unknown", error }
      case "retry":
      case "giveUp":
        return again(error, delay)
    }
  })

// A caller with a time limit, or one that is interrupted, does not wait long.
const patienceOf = <VR, OR>({ deadline, gate, isInterrupted }: Commit<VR, OR>): Duration.Duration =>
  isInterrupted() || deadline !== undefined ? Duration.min(grace, gate.settleTimeout) : gate.settleTimeout

const ask = <VR, OR>(of: Commit<VR, OR>): Effect.Effect<Outcome.VerifiedFacts["answer"], never, VR> => {
  const { gate, part, restore, verifyCommit } = of
  if (verifyCommit === undefined) return Effect.succeed("silent")
  return Effect.flatMap(patiently(behind(verifyCommit, part), gate.settleTimeout, restore), (over) => {
    const exit = Option.match(over, {
      onNone: () => Exit.fail(timedOut({ operation: "verifyCommit" })),
      onSome: Exit.flatten
    })
    return Exit.match(exit, {
      onFailure: (cause) => Effect.as(Log.verificationFailed(cause), "silent" as const),
      onSuccess: (isCommitted) => Effect.succeed(isCommitted ? "committed" as const : "notCommitted" as const)
    })
  })
}

// What a caller wants to do before a commit is sent again must not hold it up for ever.
const told = <VR, OR, R>({ gate, restore }: Commit<VR, OR>, effect: Effect.Effect<void, never, R>) =>
  Effect.flatMap(patiently(effect, gate.settleTimeout, restore), Option.getOrElse(() => Exit.void))

// When the time is over while a commit is sent once more, what is known is what the one before has failed with.
const overtime = (error: MongoError, lost: MongoError): MongoError => {
  const { code, operation, reason } = error
  const labels = [...new Set([...lost.labels, Label.UnknownTransactionCommitResult])]
  return reason === "TimedOut" && code === undefined
    ? new MongoError({ reason, operation, labels, cause: lost })
    : error
}

const again = (error: MongoError, delay: Option.Option<Duration.Duration>): Committed =>
  Option.match(delay, {
    onNone: () => ({ _tag: "GivenUp", error }),
    onSome: (time) => ({ _tag: "Again", error, delay: time })
  })
