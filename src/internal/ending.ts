/**
 * Ends a transaction on the server: aborts it, or commits it as often as it takes to know what became of it.
 *
 * See the specification "Transactions", sections "commitTransaction" and "abortTransaction".
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { Label, MongoError } from "../MongoError.js"
import { behind, type Part } from "./attempt.js"
import * as Backoff from "./backoff.js"
import { within } from "./bounded.js"
import * as Calling from "./calling.js"
import type * as MongoClient from "./connection.js"
import type { Deadline } from "./deadline.js"
import * as DriverTransaction from "./driverTransaction.js"
import * as Observing from "./observing.js"
import * as Outcome from "./outcome.js"
import * as Reporting from "./reporting.js"
import { type Gate as SessionGate, settled, settledBy, settledWithin } from "./sessionGate.js"
import { isCommitAnswered, isCommitUnknown, isTransient } from "./transient.js"

/** What becomes of a transaction that was committed. */
export type Committed =
  | { readonly _tag: "Committed" }
  | { readonly _tag: "Refused" | "Unknown" | "GivenUp"; readonly error: MongoError }
  | { readonly _tag: "Again"; readonly error: MongoError; readonly delay: Duration.Duration }

/** Ends one attempt. */
export interface Ending<R> {
  /** Aborts the transaction for good. Never fails: the server aborts by itself what it hears no more of. */
  readonly abort: () => Effect.Effect<void>
  /**
   * Aborts the transaction as far as the driver knows of it: the server ends the rest when another begins in the same
   * session. Gives what does so where none does.
   */
  readonly abortSuperseded: () => Effect.Effect<Effect.Effect<void>>
  readonly commit: () => Effect.Effect<Committed, never, R>
}

/** How to end it. */
export interface Options<VR, OR> {
  /** How much time the run has in all. */
  readonly timeout: Duration.Duration
  /** When it is to be over, operations included; absent: no limit. */
  readonly deadline: Deadline | undefined
  readonly elapsed: () => Duration.Duration
  readonly verifyCommit: Effect.Effect<Exit.Exit<boolean, unknown>, never, VR> | undefined
  /** How long to wait before another attempt; none when schedule or time have run out. */
  readonly pause: (failure: MongoError) => Effect.Effect<Option.Option<Duration.Duration>>
  /** Told before a commit is sent again. */
  readonly onRetry: (failure: MongoError, delay: Duration.Duration) => Effect.Effect<void, never, OR>
}

/** Ends one attempt. */
export const make = <VR, OR>(
  gate: SessionGate,
  client: MongoClient.Service,
  part: Part,
  { deadline, elapsed, onRetry, pause, timeout, verifyCommit }: Options<VR, OR>
): Ending<VR | OR> => {
  const timeLeft = () => Duration.subtract(timeout, elapsed())

  // Commits once. Without a deadline, at least the time that any operation has to settle is left to it, however late it is.
  const commitOnce = () =>
    deadline === undefined
      ? settled(gate, "commitTransaction", Duration.max(timeLeft(), gate.settleTimeout), DriverTransaction.commit)
      : settledBy(gate, "commitTransaction", deadline, DriverTransaction.commit)

  const ask = (): Effect.Effect<Outcome.VerifiedFacts["answer"], never, VR> =>
    verifyCommit === undefined
      ? Effect.succeed("silent")
      : Effect.flatMap(
        behind(verifyCommit, part),
        Exit.match({
          onFailure: (cause) => Effect.as(Reporting.verificationFailed(cause), "silent" as const),
          onSuccess: (isCommitted) => Effect.succeed(isCommitted ? "committed" as const : "notCommitted" as const)
        })
      )

  const verify = (
    error: MongoError,
    name: DriverTransaction.Name
  ): Effect.Effect<Committed, never, VR> =>
    Effect.gen(function*() {
      const answer = yield* ask()
      const late = answer === "notCommitted" ? yield* abortLate(gate, client, name) : "unknown"
      const delay = late === "aborted" ? yield* pause(error) : Option.none()
      switch (Outcome.ofVerified({ answer, late, mayRetry: Option.isSome(delay) })) {
        case "committed":
          return { _tag: "Committed" }
        case "unknown":
          return { _tag: "Unknown", error }
        case "retry":
        case "giveUp":
          return again(error, delay)
      }
    })

  const commitFrom = (
    backoff?: Backoff.Backoff<MongoError>,
    lost?: MongoError
  ): Effect.Effect<Committed, never, VR | OR> =>
    Effect.matchEffect(commitOnce(), {
      onSuccess: () => Effect.succeed({ _tag: "Committed" }),
      onFailure: (error) =>
        failed(
          lost === undefined ? error : overtime(error, lost),
          backoff ?? Backoff.make(Backoff.specification),
          lost
        )
    })

  // `lost` is what the commit before has failed with, after which nobody knows whether it happened: to be refused another
  // one does not tell.
  const failed = (
    error: MongoError,
    backoff: Backoff.Backoff<MongoError>,
    lost: MongoError | undefined
  ): Effect.Effect<Committed, never, VR | OR> =>
    Effect.gen(function*() {
      const name = DriverTransaction.nameOf(gate.session())
      const isRefused = !isCommitUnknown(error)
      const unknown = !isRefused || lost !== undefined && !isTransient(error)
      const wait = Option.getOrElse(yield* backoff.next(error), () => Duration.zero)
      const left = timeLeft()
      const delay = !unknown && isTransient(error) ? yield* pause(error) : Option.none()
      const decision = Outcome.ofCommit({
        answer: "failed",
        unknown,
        transient: isTransient(error),
        final: gate.isBroken() || isCommitAnswered(error) || isRefused,
        timeLeft: Duration.greaterThan(left, wait),
        mayRetry: Option.isSome(delay)
      })
      switch (decision) {
        case "committed":
          return { _tag: "Committed" }
        case "ask":
          return yield* verify(error, name)
        case "retry":
        case "giveUp":
          return again(error, delay)
        case "fail":
          return { _tag: "Refused", error }
        case "commitAgain":
          yield* onRetry(error, wait)
          yield* Effect.sleep(wait)
          return yield* commitFrom(backoff, error)
      }
    })

  return {
    commit: () => commitFrom(),
    abort: () => Effect.flatten(abort(gate, client, deadline?.timeout)),
    abortSuperseded: () => abort(gate, client, deadline?.timeout)
  }
}

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

// Gives what remains to be done where the server may not have heard of it: the first command of the transaction was lost,
// or a connection was, and maybe the abort with it, of whose failures the driver tells nothing.
const abort = (
  gate: SessionGate,
  client: MongoClient.Service,
  timeout: Duration.Duration | undefined
): Effect.Effect<Effect.Effect<void>> =>
  Effect.suspend(() => {
    const session = gate.session()
    const mayBeBegun = DriverTransaction.mayBeBegun(session)
    const wasBegun = DriverTransaction.stateOf(session) === "inProgress"
    return Effect.map(
      abortDriver(gate, timeout),
      () =>
        !gate.isBroken() && (mayBeBegun || wasBegun && session.serverSession.isDirty)
          ? Effect.asVoid(abortLate(gate, client, DriverTransaction.nameOf(session)))
          : Effect.void
    )
  })

// However late it is, it has all its time.
const abortDriver = (gate: SessionGate, timeout: Duration.Duration | undefined): Effect.Effect<void> =>
  Effect.suspend(() =>
    gate.isBroken() || !gate.session().inTransaction()
      ? Effect.void
      : Effect.catchAll(
        settledWithin(gate, "abortTransaction", timeout, DriverTransaction.abort),
        (error) => Reporting.abortFailed(error.reason)
      )
  )

/** Aborts a transaction whose commit may still be on its way, and tells what the server says of it. */
const abortLate = (
  gate: SessionGate,
  client: MongoClient.Service,
  name: DriverTransaction.Name
): Effect.Effect<Outcome.VerifiedFacts["late"]> =>
  Effect.suspend(() => {
    let late: Outcome.VerifiedFacts["late"] = "unknown"
    const operation = "abortTransaction"
    const send = Observing.operation(gate.observer, { name: operation, database: "admin" }, (observed) => {
      observed.beginsInTransaction(gate.session(), name.txnNumber)
      return Calling.call(
        { operation, settleTimeout: gate.settleTimeout },
        ({ signal }) => DriverTransaction.abortByName(client.driver, name, signal)
      )
    })
    const told = Effect.matchEffect(send, {
      onSuccess: () => Effect.sync(() => void (late = "aborted")),
      onFailure: (error) => {
        if (error.reason === "NoSuchTransaction") late = "aborted"
        else if (error.reason === "TransactionCommitted") late = "committed"
        else return Reporting.abortFailed(error.reason)
        return Effect.void
      }
    })
    return Effect.map(within(gate.settleTimeout, told), () => late)
  })
