/**
 * The control of a transaction by the program: starts, commits and aborts it.
 *
 * See the specification "Transactions", section "ClientSession changes". The driver keeps its state machine, and its
 * messages.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { MongoError } from "../../MongoError.js"
import { InvalidInTransaction, type ManualError, type TransactionDoomed } from "../../SessionErrors.js"
import type * as TransactionOptions from "../../TransactionOptions.js"
import * as DriverTransaction from "../driver/transaction.js"
import type { Service } from "../session/client.js"
import type { Gate } from "../session/gate.js"
import { inTurn } from "../session/operation.js"
import * as Log from "../telemetry/log.js"
import * as Spans from "../telemetry/spans.js"
import { type Restore, traced } from "../time/fiber.js"
import { sendAbort } from "./abort.js"
import type { Attempt, Hook } from "./attempt.js"
import * as Hooks from "./hooks.js"
import { active, finish, lastOf, limitOf, Manual, shared } from "./manual.js"
import type { Ended } from "./outcome.js"
import { asPart, type Part, partOf } from "./part.js"
import { asUnknown, type Command, type Limit, send, sendWithin } from "./send.js"
import { isCommitUnknown, isEndOfTransaction, isTransient } from "./transient.js"

/** Starts a transaction in a session. */
export const start = (
  gate: Gate,
  client: Service,
  options: TransactionOptions.Resolved,
  timeout: Duration.Duration | undefined
): Effect.Effect<void, ManualError> =>
  inTurn(
    gate,
    "startTransaction",
    (fiber, turn) =>
      Effect.map(traced(DriverTransaction.start(gate.session, options)), () => {
        const part = asPart(turn)
        const last = lastOf(gate)
        const before = part ?? last
        // Nothing tells when one is ended by the driver session itself.
        before?.of.unwatch("rolledBack")
        // A part that has ended it itself is not to go on in this one.
        before?.of.leavesParts(part)
        if (part === undefined) {
          const manual = new Manual(fiber, gate, client, options, timeout)
          gate.stand(manual)
          manual.of.watch(fiber, Spans.standing(fiber))
        } else {
          part.of.restart(options)
          part.of.watch(fiber)
          if (last?.of === part.of) last.takesNumber()
        }
      })
  )

/** Commits the transaction of a session; once more where the first time it did not become clear whether it happened. */
export const commit = (
  gate: Gate,
  client: Service,
  timeout?: Duration.Duration
): Effect.Effect<void, ManualError | TransactionDoomed | InvalidInTransaction> =>
  Effect.gen(function*() {
    const part = yield* placed(gate, "Transaction.commit", timeout)
    if (part?.of.isSandbox === true) {
      const operation = "Transaction.commit"
      return yield* new InvalidInTransaction({ operation, option: operation, place: "sandbox" })
    }
    const transaction = part ?? active(gate)
    const atMost = Duration.max(gate.settleTimeout, transaction?.options.timeout ?? Duration.zero)
    const ended = end(gate, "commitTransaction", (of, restore) => {
      const deadline = of?.run.deadline
      const limit: Limit = deadline === undefined ? { atMost } : { deadline }
      const own = limitOf(gate, of, timeout)
      const sent = deadline !== undefined || own === undefined
        ? send(gate, "commitTransaction", limit, restore)
        : sendWithin(gate, "commitTransaction", own, restore)
      // That another commit is refused does not tell what became of the one before.
      const told = of?.ended === "unknown" ? Effect.mapError(sent, ofAnother) : sent
      return Effect.onExit(told, (exit) => Effect.sync(() => noteOpen(gate, endOf(exit), exit)))
    })
    if (transaction === undefined) return yield* ended
    const { of } = transaction
    let goesOn = (): void => undefined
    // In one step: others may put off more as long as nothing tells that the commit waits for its turn.
    const afterHooks = (): Effect.Effect<void, ManualError | TransactionDoomed> =>
      Effect.flatMap(Hooks.beforeCommitByHand(transaction), () => {
        if (of.mayCommit && of.nextHook !== undefined) return afterHooks()
        of.leavesParts(part)
        const objection = Hooks.objection(transaction)
        if (objection !== undefined) return Effect.zipRight(abort(gate, client, timeout), objection)
        goesOn = of.awaitCommit()
        return ended
      })
    yield* Effect.ensuring(afterHooks(), Effect.sync(() => goesOn()))
  })

const ofAnother = (error: MongoError): MongoError =>
  isTransient(error) || isCommitUnknown(error) || error.reason === "TransactionMisuse" ? error : asUnknown(error)

// The driver would send the commit of a run once more, which was over when it gave its result.
const isOfRun = (gate: Gate): boolean => {
  const session = gate.session
  return DriverTransaction.stateOf(session) === "committed" &&
    lastOf(gate)?.number !== DriverTransaction.transactionNumberOf(session)
}

// The driver holds for ended what it has committed, whatever the server has answered.
const noteOpen = (gate: Gate, ended: Ended | undefined, exit: Exit.Exit<void, MongoError>): void => {
  if (ended === undefined) return
  const isOpen = ended === "unknown" || ended === "refused" && !hasEnded(exit)
  gate.flights.leftover.maybeTransaction(DriverTransaction.transactionNumberOf(gate.session), isOpen)
}

const hasEnded = (exit: Exit.Exit<void, MongoError>): boolean =>
  Exit.isFailure(exit) &&
  [...Cause.failures(exit.cause)].some((error) => isTransient(error) || isEndOfTransaction(error))

/** Aborts the transaction of a session. */
export const abort = (gate: Gate, client: Service, timeout?: Duration.Duration): Effect.Effect<void, ManualError> =>
  end(gate, "abortTransaction", (of, restore) =>
    Effect.withFiberRuntime((fiber) => {
      const left = shared(fiber, limitOf(gate, of, timeout))
      return Effect.flatMap(sendAbort(gate, client, left, restore), ({ exit, rest }) => Effect.zipRight(rest, exit))
    }))

/** {@link abort}, unless the transaction is a run's, which has a time limit of its own. */
export const abortWithin = (
  gate: Gate,
  client: Service,
  timeout: Duration.Duration | undefined
): Effect.Effect<void, ManualError | InvalidInTransaction> =>
  Effect.zipRight(placed(gate, "Transaction.abort", timeout), abort(gate, client, timeout))

// The part of a run that a fiber is in. There, the time limit of the run is in force.
const placed = (
  gate: Gate,
  operation: string,
  timeout: Duration.Duration | undefined
): Effect.Effect<Part | undefined, InvalidInTransaction> =>
  Effect.withFiberRuntime((fiber) => {
    const part = partOf(fiber, gate.lane)
    return part !== undefined && part.of !== lastOf(gate)?.of && timeout !== undefined
      ? Effect.fail(new InvalidInTransaction({ operation, option: "timeout" }))
      : Effect.succeed(part)
  })

/**
 * Ends the transaction, notes how, and runs what was put off until then after the turn is over. Not to be interrupted, for
 * else nobody would know how it ended.
 */
const end = (
  gate: Gate,
  operation: Command,
  send: (of: Attempt | undefined, restore: Restore) => Effect.Effect<void, MongoError>
): Effect.Effect<void, ManualError> =>
  Effect.suspend(() => {
    let due: ReadonlyArray<Hook> = []
    const ended = inTurn(gate, operation, (_, turn) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.gen(function*() {
          const part = asPart(turn)
          if (part === undefined && operation === "commitTransaction" && isOfRun(gate)) {
            return yield* new MongoError({ reason: "TransactionMisuse", operation, labels: [] })
          }
          const last = lastOf(gate)
          const transaction = part?.of ?? last?.of
          const isByHand = last !== undefined && last.of === transaction
          transaction?.endsBy(operation)
          const exit = yield* Effect.exit(send(transaction, restore))
          transaction?.endsBy(undefined)
          const ended = operation === "commitTransaction"
            ? endOf(exit)
            : isAborted(gate, exit, transaction?.ended)
            ? "aborted"
            : undefined
          // What was committed stays so, whatever the answer to a repeated commit is.
          if (ended !== undefined && transaction !== undefined && transaction.ended !== "committed") {
            // Also what has joined meanwhile: the rest of it would take effect at once.
            transaction.leavesParts(part)
            if (part === undefined || isByHand) {
              // A part of it goes on, and what it does takes effect at once.
              due = yield* finish(transaction, ended, part === undefined)
            } else {
              transaction.end(ended)
              transaction.unwatch(Log.outcomeOf[ended])
            }
          }
          return yield* traced(exit)
        })
      ))
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(Effect.exit(restore(ended)), (exit) =>
        Effect.zipRight(Hooks.run(due, gate.settleTimeout, restore), exit))
    )
  })

// Who was interrupted has not waited for the answer: the driver sends no more in the transaction all the same.
const isAborted = (gate: Gate, exit: Exit.Exit<void, MongoError>, before: Ended | undefined): boolean =>
  Exit.isSuccess(exit) ||
  before === "no" && (!gate.flights.isEmpty() || !gate.session.inTransaction()) &&
    ![...Cause.failures(exit.cause)].some(({ reason }) => reason === "TransactionMisuse")

// None where nothing has changed: the driver refused to commit in the session's state.
const endOf = (exit: Exit.Exit<void, MongoError>): Exclude<Ended, "no"> | undefined => {
  if (Exit.isSuccess(exit)) return "committed"
  const errors = [...Cause.failures(exit.cause)]
  // The commit has succeeded. What failed is the report of it: a tracer may throw.
  if (errors.length === 0) return "unknown"
  if (errors.some(({ reason }) => reason === "TransactionMisuse")) return undefined
  return errors.some(isCommitUnknown) ? "unknown" : "refused"
}
