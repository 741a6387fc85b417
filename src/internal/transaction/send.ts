/**
 * The two commands that end a transaction, commit and abort, and how long their answer is waited for.
 *
 * See the specification "Transactions", sections "commitTransaction" and "abortTransaction".
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { Label, MongoError } from "../../MongoError.js"
import * as Call from "../driver/call.js"
import { during, late, timedOut } from "../driver/deadline.js"
import * as DriverTransaction from "../driver/transaction.js"
import type * as MongoClient from "../session/client.js"
import type { Gate } from "../session/gate.js"
import * as Log from "../telemetry/log.js"
import * as Operations from "../telemetry/operations.js"
import { after, within } from "../time/bounded.js"
import { type Deadline, start } from "../time/deadline.js"
import type { VerifiedFacts } from "./outcome.js"

const commands = { commitTransaction: DriverTransaction.commit, abortTransaction: DriverTransaction.abort }

/** The commands that end a transaction. */
export type Command = keyof typeof commands

/**
 * How long a command may take: until a deadline that the driver keeps, or for so long only. Then the session is broken, and
 * the result of the command unknown. Should the driver not keep the deadline, the command has as long again as any
 * operation has to settle.
 */
export type Limit = { readonly deadline: Deadline } | { readonly atMost: Duration.Duration }

/** Sends a command where nothing can be interrupted. Fails without sending anything where the deadline is over already. */
export const send = (gate: Gate, operation: Command, limit: Limit): Effect.Effect<void, MongoError> =>
  Effect.withFiberRuntime((fiber) => {
    if ("atMost" in limit) return observed(gate, operation, limit.atMost, commands[operation])
    const { deadline } = limit
    const left = deadline.left()
    if (left <= 0) return Effect.fail(timedOut({ operation }))
    const atMost = Duration.sum(Duration.millis(left), gate.settleTimeout)
    return Effect.mapError(
      observed(
        gate,
        operation,
        atMost,
        (session) => during(session, deadline, fiber, () => commands[operation](session))
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
  timeout: Duration.Duration | undefined
): Effect.Effect<void, MongoError> =>
  Effect.withFiberRuntime((fiber) =>
    send(
      gate,
      operation,
      timeout === undefined ? { atMost: gate.settleTimeout } : { deadline: start(fiber, timeout) }
    )
  )

const observed = (
  gate: Gate,
  operation: Command,
  atMost: Duration.Duration,
  evaluate: (session: DriverSession) => PromiseLike<void>
): Effect.Effect<void, MongoError> =>
  Effect.withFiberRuntime((fiber) => {
    const session = gate.session()
    const settled = (watcher?: Call.Watcher) =>
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
        const stop = after(fiber, atMost, () => {
          const labels = [Label.UnknownTransactionCommitResult]
          over(Exit.fail(new MongoError({ reason: "TimedOut", operation, labels })), gate.breakUp)
        })
        void gate.begin(fiber, { operation }, evaluate, (exit) => {
          stop()
          over(exit)
        })
      })
    return DriverTransaction.sendsNothing(session)
      ? settled()
      : Operations.begin(fiber, gate.observer, { name: operation, database: "admin" }, (observed) => {
        observed.beginsInTransaction(session)
        return settled(observed)
      })
  })

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
  client: MongoClient.Service,
  timeout: Duration.Duration | undefined
): Effect.Effect<Effect.Effect<void>> =>
  Effect.suspend(() => {
    const session = gate.session()
    const mayBeBegun = DriverTransaction.mayBeBegun(session)
    const wasBegun = DriverTransaction.stateOf(session) === "inProgress"
    // However late it is, it has all its time.
    const sent = gate.isBroken() || !session.inTransaction()
      ? Effect.void
      : Effect.catchAll(sendWithin(gate, "abortTransaction", timeout), (error) => Log.abortFailed(error.reason))
    return Effect.map(
      sent,
      () =>
        !gate.isBroken() && (mayBeBegun || wasBegun && session.serverSession.isDirty)
          ? Effect.asVoid(abortByName(gate, client, DriverTransaction.nameOf(session)))
          : Effect.void
    )
  })

/** Aborts a transaction whose commit may still be on its way, and tells what the server says of it. */
export const abortByName = (
  gate: Gate,
  client: MongoClient.Service,
  name: DriverTransaction.Name
): Effect.Effect<VerifiedFacts["late"]> =>
  Effect.suspend(() => {
    let late: VerifiedFacts["late"] = "unknown"
    const operation = "abortTransaction"
    const sent = Operations.operation(gate.observer, { name: operation, database: "admin" }, (observed) => {
      observed.beginsInTransaction(gate.session(), name.txnNumber)
      return Call.call(
        { operation, settleTimeout: gate.settleTimeout, onUnsettled: Log.unsettled },
        ({ signal }) => DriverTransaction.abortByName(client.driver, name, signal)
      )
    })
    const told = Effect.matchEffect(sent, {
      onSuccess: () => Effect.sync(() => void (late = "aborted")),
      onFailure: (error) => {
        if (error.reason === "NoSuchTransaction") late = "aborted"
        else if (error.reason === "TransactionCommitted") late = "committed"
        else return Log.abortFailed(error.reason)
        return Effect.void
      }
    })
    return Effect.map(within(gate.settleTimeout, told), () => late)
  })
