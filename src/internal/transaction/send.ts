/**
 * The two commands that end a transaction, commit and abort, and how long their answer is waited for.
 *
 * See the specification "Transactions", sections "commitTransaction" and "abortTransaction".
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import { Label, MongoError } from "../../MongoError.js"
import * as Call from "../driver/call.js"
import { during, late, timedOut } from "../driver/deadline.js"
import * as Pool from "../driver/pool.js"
import * as DriverTransaction from "../driver/transaction.js"
import { understood } from "../driver/understood.js"
import { inner, type Service } from "../session/client.js"
import type { Gate } from "../session/gate.js"
import * as Lane from "../session/lane.js"
import * as Log from "../telemetry/log.js"
import * as Operations from "../telemetry/operations.js"
import { after, grace, within } from "../time/bounded.js"
import { type Deadline, start } from "../time/clock.js"
import type { Restore, RunningFiber } from "../time/fiber.js"
import type { VerifiedFacts } from "./outcome.js"
import { isTransient } from "./transient.js"

const commands = { commitTransaction: DriverTransaction.commit, abortTransaction: DriverTransaction.abort }

/** The commands that end a transaction. */
export type Command = keyof typeof commands

/**
 * How long a command may take: until a deadline that the driver keeps, or for so long only. Then the session is broken, and
 * the result of the command unknown. Should the driver not keep the deadline, the command has as long again as any
 * operation has to settle.
 */
export type Limit = { readonly deadline: Deadline } | { readonly atMost: Duration.Duration }

/**
 * Sends a command where nothing can be interrupted; what is waited for may be ended by an interruption of what is restored,
 * {@link grace} after it. Fails without sending anything where the deadline is over already.
 */
export const send = (
  gate: Gate,
  operation: Command,
  limit: Limit,
  restore?: Restore
): Effect.Effect<void, MongoError> =>
  Effect.withFiberRuntime((fiber) => {
    if ("atMost" in limit) return observed(gate, operation, limit.atMost, commands[operation], restore)
    const { deadline } = limit
    const left = deadline.left()
    if (left <= 0) return Effect.fail(timedOut({ operation }))
    const atMost = Duration.sum(Duration.millis(left), gate.settleTimeout)
    return Effect.mapError(
      observed(
        gate,
        operation,
        atMost,
        (session) => during(session, deadline, fiber, () => commands[operation](session)),
        restore
      ),
      (error) => {
        const failure = late(deadline, { operation }, error)
        // It may have been sent: the driver labels what fails on the way, but not what takes too long.
        return operation === "commitTransaction" && failure.reason === "TimedOut" ? unknown(failure) : failure
      }
    )
  })

/** {@link send}, with a deadline that begins now; without one, with the time that any operation has to settle. */
export const sendWithin = (
  gate: Gate,
  operation: Command,
  timeout: Duration.Duration | undefined,
  restore?: Restore
): Effect.Effect<void, MongoError> =>
  Effect.withFiberRuntime((fiber) =>
    send(
      gate,
      operation,
      timeout === undefined ? { atMost: gate.settleTimeout } : { deadline: start(fiber, timeout) },
      restore
    )
  )

const observed = (
  gate: Gate,
  operation: Command,
  atMost: Duration.Duration,
  evaluate: (session: DriverSession) => PromiseLike<void>,
  restore: Restore | undefined
): Effect.Effect<void, MongoError> =>
  Effect.withFiberRuntime((fiber) => {
    const session = gate.session()
    const sent = (observed?: Operations.Observed) =>
      Effect.suspend(() =>
        settled(
          gate,
          fiber,
          operation,
          atMost,
          observed ? (of) => observed.sends(() => evaluate(of)) : evaluate,
          restore
        )
      )
    return DriverTransaction.sendsNothing(session)
      ? sent()
      : Operations.begin(fiber, gate.observer, { name: operation, database: "admin" }, (observed) => {
        observed.beginsInTransaction(session)
        // Told in a step of the fiber, where what a tracer throws is a defect like any other.
        return Effect.onExit(sent(observed), (exit) => Effect.sync(() => observed.over(exit)))
      }, gate.standing()?.span)
  })

// The first end counts: the promise's, that of its time, or that of the time after an interruption. In the last case, the turn
// is given back when the promise has settled.
const settled = (
  gate: Gate,
  fiber: RunningFiber,
  operation: Command,
  atMost: Duration.Duration,
  evaluate: (session: DriverSession) => PromiseLike<void>,
  restore: Restore | undefined
): Effect.Effect<void, MongoError> => {
  let end: Effect.Effect<void, MongoError> | undefined
  let wake: ((end: Effect.Effect<void, MongoError>) => void) | undefined
  const over = (first: Effect.Effect<void, MongoError>) => {
    end ??= first
    wake?.(end)
  }
  const late = Effect.fail(
    new MongoError({ reason: "TimedOut", operation, labels: [Label.UnknownTransactionCommitResult] })
  )
  let stop = () => {}
  const limit = (): void => {
    stop = after(fiber, atMost, () => {
      // What was never sent cannot be unsettled: the driver looks for a server, and gives up by itself.
      if (gate.isSent()) over(Effect.zipRight(gate.breakUp, late))
      else limit()
    })
  }
  limit()
  void gate.begin(fiber, { operation }, (session) => understood(() => evaluate(session)), (exit) => {
    stop()
    over(exit)
  })
  const wait = Effect.async<void, MongoError>((resume) => {
    wake = resume
    if (end !== undefined) resume(end)
  })
  return restore === undefined ? wait : Effect.catchAllCause(restore(wait), (cause) =>
    Cause.isInterruptedOnly(cause)
      ? Effect.flatMap(within(Duration.min(grace, gate.settleTimeout), Effect.exit(wait)), (inTime) => {
        if (!inTime) stop()
        return inTime ? wait : late
      })
      : Effect.failCause(cause))
}

type DriverSession = ReturnType<Gate["session"]>

const unknown = (error: MongoError): MongoError => {
  const { cause, code, codeName, labels, namespace, operation, reason } = error
  const label = Label.UnknownTransactionCommitResult
  return error.hasLabel(label)
    ? error
    : new MongoError({ reason, operation, namespace, code, codeName, labels: [...labels, label], cause })
}

/**
 * Aborts the transaction as far as the driver knows of it: the server ends the rest when another begins in the same
 * session. Gives what does so where none does. Never fails: the server aborts by itself what it hears no more of.
 *
 * Something remains to be done where the server may not have heard of it: the first command of the transaction was lost, or
 * a connection was, and maybe the abort with it, of whose failures the driver tells nothing.
 */
export const abort = (
  gate: Gate,
  client: Service,
  timeout: () => Duration.Duration | undefined,
  restore: Restore
): Effect.Effect<Effect.Effect<void>> =>
  Effect.suspend(() => {
    const session = gate.session()
    const mayBeBegun = DriverTransaction.mayBeBegun(session)
    const wasBegun = DriverTransaction.stateOf(session) === "inProgress"
    // However late it is, it has all its time.
    const sent = gate.isBroken() || !session.inTransaction()
      ? Effect.void
      : Effect.catchAll(sendWithin(gate, "abortTransaction", timeout(), restore), (error) =>
        Log.abortFailed(error.reason))
    return Effect.map(
      sent,
      () =>
        !gate.isBroken() && (mayBeBegun || wasBegun && session.serverSession.isDirty)
          ? abortForGood(gate, client, DriverTransaction.nameOf(session), timeout)
          : Effect.void
    )
  })

const abortForGood = (
  gate: Gate,
  client: Service,
  name: DriverTransaction.Name,
  timeout: () => Duration.Duration | undefined
): Effect.Effect<void> =>
  Effect.suspend(() =>
    Effect.flatMap(
      abortByName(gate, client, name, timeout()),
      (late) => late === "unknown" ? abortInBackground(gate, client, name) : Effect.void
    )
  )

/**
 * What became of a transaction whose end was not answered, asked by aborting it by its number, with majority.
 *
 * An abort that is done, or that the server refuses because it knows no such transaction, is for good. One that it refuses
 * because the transaction is committed says that of one member only: the commit is sent once more, which waits for a
 * majority. See `docs/commits.md` for why each answer can be believed.
 */
export const abortByName = (
  gate: Gate,
  client: Service,
  name: DriverTransaction.Name,
  time = gate.settleTimeout
): Effect.Effect<VerifiedFacts["late"]> =>
  Effect.catchAll(
    ended(gate, client, name, time),
    (error) => Effect.as(Log.abortFailed(error.reason), "unknown" as const)
  )

/**
 * Goes on with {@link abortByName} in the background until it is answered, for as long as the server keeps transactions.
 *
 * In the turn of the session as long as that is open. Its server session is not lent to another one afterwards, so that then
 * nobody else uses it.
 */
export const abortInBackground = (
  gate: Gate,
  client: Service,
  name: DriverTransaction.Name
): Effect.Effect<void> => {
  const once = Effect.suspend(() => {
    // A transaction that was begun since has ended this one.
    const isLast = DriverTransaction.nameOf(gate.session()).txnNumber === name.txnNumber
    return client[inner].isClosed() || !isLast ? Effect.void : ended(gate, client, name, gate.settleTimeout)
  })
  return Effect.suspend(() => {
    Pool.markDirty(gate.session())
    return Effect.retry(Lane.withPermit(gate.lane, "abortTransaction", once), {
      schedule: Schedule.spaced(pauseBetween),
      while: ({ reason }) => reason !== "TransactionTooOld"
    }).pipe(
      Effect.delay(pauseBetween),
      Effect.timeoutOption(lifetime),
      Effect.ignore,
      Effect.forkDaemon,
      Effect.asVoid
    )
  })
}

const pauseBetween = Duration.seconds(1)

// The server's `transactionLifetimeLimitSeconds`, by default.
const lifetime = Duration.minutes(1)

const ended = (
  gate: Gate,
  client: Service,
  name: DriverTransaction.Name,
  time: Duration.Duration
): Effect.Effect<"aborted" | "committed", MongoError> =>
  Effect.catchAll(Effect.as(sendByName(gate, client, "abortTransaction", name, time), "aborted" as const), (error) => {
    // Without the label, a majority has not confirmed that nobody knows of it.
    if (error.reason === "NoSuchTransaction" && isTransient(error) && isReplicaSet(client)) {
      return Effect.succeed("aborted" as const)
    }
    return error.reason === "TransactionCommitted"
      ? Effect.as(sendByName(gate, client, "commitTransaction", name, time), "committed" as const)
      : Effect.fail(error)
  })

// A router answers for what it has seen itself, which may be nothing of the transaction.
const isReplicaSet = (client: Service): boolean =>
  Option.exists(client[inner].knownDeployment(), ({ kind }) => kind === "replicaSet")

const sendByName = (
  gate: Gate,
  client: Service,
  operation: Command,
  name: DriverTransaction.Name,
  time: Duration.Duration
): Effect.Effect<void, MongoError> => {
  const sent = Operations.operation(gate.observer, { name: operation, database: "admin" }, (observed) => {
    observed.beginsInTransaction(gate.session(), name.txnNumber)
    return Call.call(
      { operation, settleTimeout: gate.settleTimeout, onUnsettled: Log.unsettled },
      ({ signal }) => observed.sends(() => DriverTransaction.endByName(client.driver, operation, name, signal))
    )
  }, gate.standing()?.span)
  return Effect.suspend(() => {
    let exit: Exit.Exit<void, MongoError> = Exit.fail(timedOut({ operation }))
    return Effect.zipRight(
      within(time, Effect.map(Effect.exit(sent), (settled) => void (exit = settled))),
      Effect.suspend(() => exit)
    )
  })
}
