/**
 * Transactions under manual control: started, committed and aborted by the program.
 *
 * See the specification "Transactions", section "ClientSession changes". The driver keeps its state machine, and its
 * messages.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { MongoError } from "../MongoError.js"
import {
  InvalidInTransaction,
  type SessionBusy,
  type SessionEnded,
  type SessionLapsed,
  TransactionDoomed,
  type TransactionEnded
} from "../SessionErrors.js"
import type * as TransactionOptions from "../TransactionOptions.js"
import * as Attempt from "./attempt.js"
import * as DriverTransaction from "./driverTransaction.js"
import * as Hooks from "./hooks.js"
import type { Ended } from "./outcome.js"
import * as Reporting from "./reporting.js"
import { type Gate, settled, settledBy, settledWithin } from "./sessionGate.js"
import { Watch } from "./transactionWatch.js"
import { isCommitUnknown, isTransient } from "./transient.js"

/** What manual control can fail with, whatever it does. */
export type ManualError = SessionEnded | SessionLapsed | SessionBusy | TransactionEnded | MongoError

/** Starts a transaction in a session. */
export const start = (
  gate: Gate,
  options: TransactionOptions.Resolved,
  timeout: Duration.Duration | undefined
): Effect.Effect<void, ManualError> =>
  gate.inTurn("startTransaction", (part) =>
    Effect.zipRight(
      gate.ready("startTransaction"),
      Effect.withFiberRuntime<void, MongoError>((fiber) =>
        Effect.map(DriverTransaction.start(gate.session(), options), () => {
          // Nothing tells when one is ended by the driver session itself.
          const before = part ?? gate.manual
          before?.of.watch?.over("rolledBack")
          if (part !== undefined) Attempt.restart(part.of)
          const { of } = part ?? (gate.manual = Attempt.make({
            number: 1,
            options,
            sessionLane: gate.lane,
            // Its operations queue with all others of the session: whoever started it may be any fiber.
            lane: gate.lane,
            outer: undefined,
            isSandbox: false,
            run: { isOver: false, timeout }
          }))
          of.watch = new Watch(fiber, of.number)
        })
      )
    ))

/** The transaction of the session that is under manual control, if it is open. */
export const active = (gate: Gate): Attempt.Part | undefined =>
  gate.manual !== undefined && !gate.manual.of.over && gate.session().inTransaction() ? gate.manual : undefined

/** Commits the transaction of a session; once more where the first time it did not become clear whether it happened. */
export const commit = (
  gate: Gate,
  timeout?: Duration.Duration
): Effect.Effect<void, ManualError | TransactionDoomed | InvalidInTransaction> =>
  Effect.gen(function*() {
    const part = yield* placed(gate, "Transaction.commit", timeout)
    if (part?.of.isSandbox === true) {
      return yield* new InvalidInTransaction({ operation: "Transaction.commit", option: "Transaction.commit" })
    }
    const transaction = part ?? active(gate)
    if (transaction !== undefined) yield* Hooks.beforeCommit(transaction)
    const halfDone = transaction?.of.halfDone
    if (halfDone !== undefined) {
      yield* abort(gate)
      return yield* new TransactionDoomed({ first: Cause.squash(halfDone) })
    }
    const time = Duration.max(gate.settleTimeout, transaction?.options.timeout ?? Duration.zero)
    yield* end(gate, "commitTransaction", (of) => {
      const deadline = of?.run.deadline
      if (deadline !== undefined) return settledBy(gate, "commitTransaction", deadline, DriverTransaction.commit)
      const limit = limitOf(gate, of, timeout)
      return limit === undefined
        ? settled(gate, "commitTransaction", time, DriverTransaction.commit)
        : settledWithin(gate, "commitTransaction", limit, DriverTransaction.commit)
    })
  })

/** Aborts the transaction of a session. */
export const abort = (gate: Gate, timeout?: Duration.Duration): Effect.Effect<void, ManualError> =>
  end(
    gate,
    "abortTransaction",
    (of) => settledWithin(gate, "abortTransaction", limitOf(gate, of, timeout), DriverTransaction.abort)
  )

/** {@link abort}, unless the transaction is a run's, which has a time limit of its own. */
export const abortWithin = (
  gate: Gate,
  timeout: Duration.Duration | undefined
): Effect.Effect<void, ManualError | InvalidInTransaction> =>
  Effect.zipRight(placed(gate, "Transaction.abort", timeout), abort(gate, timeout))

// The part of a run that a fiber is in. There, its own time limit is in force.
const placed = (
  gate: Gate,
  operation: string,
  timeout: Duration.Duration | undefined
): Effect.Effect<Attempt.Part | undefined, InvalidInTransaction> =>
  Effect.flatMap(
    Attempt.placeIn(gate.lane),
    ({ part }) =>
      part !== undefined && part.of !== gate.manual?.of && timeout !== undefined
        ? Effect.fail(new InvalidInTransaction({ operation, option: "timeout" }))
        : Effect.succeed(part)
  )

const limitOf = (gate: Gate, of: Attempt.Attempt | undefined, own: Duration.Duration | undefined) =>
  own ?? of?.run.timeout ?? gate.timeout

/**
 * Ends the transaction, notes how, and runs what was put off until then after the turn is over. Not to be interrupted, for
 * else nobody would know how it ended.
 */
const end = (
  gate: Gate,
  operation: "commitTransaction" | "abortTransaction",
  send: (of: Attempt.Attempt | undefined) => Effect.Effect<void, MongoError>
): Effect.Effect<void, ManualError> =>
  Effect.suspend(() => {
    let due: ReadonlyArray<Attempt.Hook> = []
    const inTurn = gate.inTurn(operation, (part) =>
      Effect.uninterruptible(Effect.gen(function*() {
        yield* gate.ready(operation)
        const transaction = part?.of ?? gate.manual?.of
        const exit = yield* Effect.exit(send(transaction))
        const ended = operation === "commitTransaction"
          ? endOf(exit, transaction?.ended)
          : Exit.isSuccess(exit)
          ? "aborted"
          : undefined
        // What was committed stays so, whatever the answer to a repeated commit is.
        if (ended !== undefined && transaction !== undefined && transaction.ended !== "committed") {
          if (part === undefined) {
            due = yield* finish(transaction, ended)
          } else {
            transaction.ended = ended
            transaction.watch?.over(Reporting.outcomeOf[ended])
          }
        }
        return yield* exit
      })))
    return Effect.onExit(inTurn, () => Hooks.run(due))
  })

// None where nothing has changed: the driver refused to commit in the session's state, or it is not known of an earlier commit
// whether it happened, of which the refusal of another does not tell.
const endOf = (
  exit: Exit.Exit<void, MongoError>,
  before: Ended | undefined
): Exclude<Ended, "no"> | undefined => {
  if (Exit.isSuccess(exit)) return "committed"
  const errors = [...Cause.failures(exit.cause)]
  return errors.some(({ reason }) => reason === "TransactionMisuse")
    ? undefined
    : errors.some(isCommitUnknown)
    ? "unknown"
    : before === "unknown" && !errors.some(isTransient)
    ? undefined
    : "refused"
}

// What was put off is run once; who commits again finds nothing of it, unless it was not known how the first commit ended.
const finish = (
  transaction: Attempt.Attempt,
  ended: Exclude<Ended, "no">
): Effect.Effect<ReadonlyArray<Attempt.Hook>> =>
  Effect.withFiberRuntime((fiber) => {
    const isNews = transaction.ended !== ended
    const due = Hooks.due(transaction, ended)
    transaction.over = true
    transaction.ended = ended
    transaction.watch?.over(Reporting.outcomeOf[ended])
    if (ended !== "unknown") transaction.hooks = []
    if (isNews) Reporting.ended(fiber, Reporting.outcomeOf[ended])
    return Effect.succeed(due)
  })

/** Runs what an open transaction has put off, when its session has ended, and it with it. */
export const abandon = (gate: Gate): Effect.Effect<void> =>
  Effect.suspend(() => {
    const { manual } = gate
    return manual === undefined || manual.of.over
      ? Effect.void
      : Effect.flatMap(finish(manual.of, "aborted"), Hooks.run)
  })
