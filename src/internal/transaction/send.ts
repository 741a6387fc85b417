/**
 * Sends the two commands that end a transaction, commit and abort, and limits the wait for their answers.
 *
 * See the specification "Transactions", sections "commitTransaction" and "abortTransaction".
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { Label, MongoError } from "../../MongoError.js"
import { telling } from "../driver/call.js"
import { during, late, timedOut } from "../driver/deadline.js"
import * as DriverTransaction from "../driver/transaction.js"
import * as TransactionEnd from "../driver/transactionEnd.js"
import type { Gate } from "../session/gate.js"
import * as Operations from "../telemetry/operations.js"
import { after, grace, within } from "../time/bounded.js"
import { type Deadline, start } from "../time/clock.js"
import type { Restore, RunningFiber } from "../time/fiber.js"
import { isUnanswered } from "./transient.js"

const commands = { commitTransaction: TransactionEnd.commit, abortTransaction: TransactionEnd.abort }

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
  operation === "commitTransaction"
    // The whole cause: beside the failure there may be a defect.
    ? Effect.mapErrorCause(
      sent(gate, operation, limit, restore),
      Cause.map((error) => isUnanswered(error) ? asUnknown(error) : error)
    )
    : sent(gate, operation, limit, restore)

const sent = (
  gate: Gate,
  operation: Command,
  limit: Limit,
  restore: Restore | undefined
): Effect.Effect<void, MongoError> =>
  Effect.withFiberRuntime((fiber) => {
    if ("atMost" in limit) return observed(fiber, gate, operation, limit.atMost, commands[operation], restore)
    const { deadline } = limit
    const left = deadline.left()
    if (left <= 0) return Effect.fail(timedOut({ operation }))
    const atMost = Duration.sum(Duration.millis(left), gate.settleTimeout)
    return Effect.mapError(
      observed(
        fiber,
        gate,
        operation,
        atMost,
        (session) => during(session, deadline, fiber, () => commands[operation](session)),
        restore
      ),
      (error) => {
        const failure = late(deadline, { operation }, error)
        // It may have been sent: the driver labels what fails on the way, but not what takes too long.
        return operation === "commitTransaction" && failure.reason === "TimedOut" ? asUnknown(failure) : failure
      }
    )
  })

/**
 * {@link send}, with a deadline that begins now; without one, with twice the time that any operation has to settle: by then the
 * driver has noticed a server that is frozen, and a session is not broken for that.
 */
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
      timeout === undefined ? { atMost: Duration.times(gate.settleTimeout, 2) } : { deadline: start(fiber, timeout) },
      restore
    )
  )

const observed = (
  fiber: RunningFiber,
  gate: Gate,
  operation: Command,
  atMost: Duration.Duration,
  evaluate: (session: DriverSession) => PromiseLike<void>,
  restore: Restore | undefined
): Effect.Effect<void, MongoError> => {
  const session = gate.session
  if (DriverTransaction.sendsNothing(session)) return settled(gate, fiber, operation, atMost, evaluate, restore)
  return Operations.observe(fiber, gate.observer, { name: operation, database: "admin" }, (observed) => {
    observed.beginsInTransaction(session)
    const sent = Effect.suspend(() =>
      settled(gate, fiber, operation, atMost, (of) => observed.sends(() => evaluate(of)), restore)
    )
    return telling(sent, observed)
  }, gate.standing?.span)
}

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
  // Made when it is needed: an error looks for its stack, which costs as much as a quarter of a commit.
  const late = Effect.failSync(() =>
    new MongoError({
      reason: "TimedOut",
      operation,
      labels: operation === "commitTransaction" ? [Label.UnknownTransactionCommitResult] : []
    })
  )
  let stop = () => {}
  const limit = (): void => {
    stop = after(fiber, atMost, () => {
      // What was never sent cannot be unsettled: the driver looks for a server, and gives up by itself.
      if (gate.flights.isSent()) over(Effect.zipRight(gate.breakUp, late))
      else limit()
    })
  }
  limit()
  void gate.flights.launch(fiber, { operation }, evaluate, (exit) => {
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

type DriverSession = Gate["session"]

/** A failed commit of which it is not known whether it happened, with the label that says so. */
export const asUnknown = (error: MongoError): MongoError => {
  const { cause, code, codeName, labels, namespace, operation, reason } = error
  const label = Label.UnknownTransactionCommitResult
  return error.hasLabel(label)
    ? error
    : new MongoError({ reason, operation, namespace, code, codeName, labels: [...labels, label], cause })
}
