/**
 * Aborts a transaction, and finds out what became of one whose commit was not answered.
 *
 * See the specification "Transactions", section "abortTransaction".
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { Label, type MongoError } from "../../MongoError.js"
import * as Call from "../driver/call.js"
import * as DriverCursor from "../driver/cursor.js"
import { timedOut } from "../driver/deadline.js"
import * as Pool from "../driver/pool.js"
import type { Deployment } from "../driver/topology.js"
import * as DriverTransaction from "../driver/transaction.js"
import * as TransactionEnd from "../driver/transactionEnd.js"
import { watchAbort } from "../driver/watch.js"
import { inner, type Service } from "../session/client.js"
import type { Gate } from "../session/gate.js"
import * as Lane from "../session/lane.js"
import { insist } from "../session/owed.js"
import * as Log from "../telemetry/log.js"
import * as Operations from "../telemetry/operations.js"
import { giveUpAfter, grace } from "../time/bounded.js"
import * as Time from "../time/clock.js"
import type { Restore } from "../time/fiber.js"
import type { VerifiedFacts } from "./outcome.js"
import { asUnknown, type Command, sendWithin } from "./send.js"
import { isAborted, isTransient } from "./transient.js"

/** What came of an abort. */
export interface Aborted {
  /** What the driver says of it; nothing of what was lost on the way. */
  readonly exit: Exit.Exit<void, MongoError>
  /** What is left to be done where no other transaction begins in the session: the server may not have heard of it. */
  readonly rest: Effect.Effect<void>
}

/**
 * {@link sendAbort}, where nobody asks what the driver says of it. Never fails: the server aborts by itself what it hears no
 * more of. Gives what is left to be done.
 */
export const abort = (
  gate: Gate,
  client: Service,
  timeout: () => Duration.Duration | undefined,
  restore?: Restore
): Effect.Effect<Effect.Effect<void>> =>
  Effect.suspend(() => {
    if (!gate.session.inTransaction()) return Effect.succeed(Effect.void)
    if (gate.isBroken) return Effect.as(gate.kill, Effect.void)
    return Effect.flatMap(sendAbort(gate, client, timeout, restore), ({ exit, rest }) => {
      if (Exit.isSuccess(exit)) return Effect.succeed(rest)
      return Either.match(Cause.failureOrCause(exit.cause), {
        onLeft: ({ reason }) => Effect.as(Log.abortFailed(reason), rest),
        onRight: (defect) => Effect.zipRight(rest, Effect.failCause(defect))
      })
    })
  })

/**
 * Aborts the transaction as far as the driver knows of it: the server ends the rest when another begins in the same
 * session. Gives what does so where none does.
 *
 * Something remains to be done where the server has refused it, or may not have heard of it: the first command of the
 * transaction was lost, or a connection was, and maybe the abort with it, or the abort found no server or no connection, or no
 * answer in its time. The driver tells nothing of these failures.
 */
export const sendAbort = (
  gate: Gate,
  client: Service,
  timeout: () => Duration.Duration | undefined,
  restore?: Restore
): Effect.Effect<Aborted> =>
  Effect.withFiberRuntime((fiber) => {
    const session = gate.session
    const time = timeout()
    const limit = time && Time.start(fiber, time)
    const mayBeBegun = DriverTransaction.mayBeBegun(session)
    const wasBegun = DriverTransaction.stateOf(session) === "inProgress"
    const broken = client[inner].broken()
    const end = watchAbort(session)
    // However late it is, it has all its time.
    return Effect.map(Effect.exit(sendWithin(gate, "abortTransaction", time, restore)), (exit): Aborted => {
      const ended = end()
      const isOver = ended === "done" || ended !== undefined && isAborted(ended)
      if (isOver || gate.isBroken || !(wasBegun || mayBeBegun)) return { exit, rest: Effect.void }
      const name = TransactionEnd.nameOf(session)
      if (ended !== undefined && isRefused(ended)) {
        return { exit, rest: Effect.zipRight(Log.abortFailed(ended.reason), abortInBackground(gate, client, name)) }
      }
      // Where the connection breaks while the abort is written, the driver does not repeat it. At the end of its time it closes the
      // connection.
      const isInTime = limit === undefined || limit.left() > 0
      const isLost = session.serverSession.isDirty || isInTime && client[inner].broken() > broken
      return { exit, rest: (mayBeBegun || isLost ? abortForGood : abortInBackground)(gate, client, name, timeout) }
    })
  })

/** Like {@link abortByName}; in the background, too, where it gets no answer. What a later one has ended is over. */
export const abortForGood = (
  gate: Gate,
  client: Service,
  name: TransactionEnd.TransactionName,
  timeout: () => Duration.Duration | undefined = () => undefined
): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (isCoordinated(client, name)) return Effect.void
    const time = timeout()
    const late = time !== undefined && Duration.toMillis(time) === 0
      ? Effect.succeed("unknown")
      : Effect.catchAll(ended(gate, client, name, time ?? gate.settleTimeout), ({ reason }) =>
        reason === "TransactionTooOld"
          ? Effect.succeed("aborted")
          : Effect.as(Log.abortFailed(reason), "unknown"))
    return Effect.flatMap(late, (late) =>
      late === "unknown" ? abortInBackground(gate, client, name) : Effect.void)
  })

/**
 * What became of a transaction whose end was not answered, asked by aborting it by its number, with majority.
 *
 * An abort that is done, or that the server refuses because it knows no such transaction, is for good. One that it refuses
 * because the transaction is committed says that of one member only: the commit is sent once more, which waits for a
 * majority; `maybeCommitted` where that gets no answer. See `docs/commits.md` for why each answer can be believed.
 */
export const abortByName = (
  gate: Gate,
  client: Service,
  name: TransactionEnd.TransactionName,
  time = gate.settleTimeout
): Effect.Effect<VerifiedFacts["late"] | "maybeCommitted"> =>
  Effect.catchAll(
    ended(gate, client, name, time),
    (error) =>
      Effect.as(
        Log.abortFailed(error.reason),
        error.hasLabel(Label.UnknownTransactionCommitResult) ? "maybeCommitted" : "unknown"
      )
  )

/**
 * Goes on with {@link abortByName} in the background until it is answered, for as long as the server keeps transactions. Where
 * that is refused, the session is killed there, unless something else of it would end, too.
 *
 * In the turn of the session as long as that is open. Its server session is not lent to another one afterwards, so that then
 * nobody else uses it.
 */
export const abortInBackground = (
  gate: Gate,
  client: Service,
  name: TransactionEnd.TransactionName
): Effect.Effect<void> => {
  const time = Duration.min(grace, gate.settleTimeout)
  const isAlone = () => !gate.session.inTransaction() && !DriverCursor.hasOpen(gate.session, client.driver)
  const once = Effect.suspend((): Effect.Effect<unknown, MongoError> =>
    gate.flights.leftover.hasHeardAfter(name.txnNumber)
      ? Effect.void
      : Effect.catchIf(
        ended(gate, client, name, time),
        (error) => isRefused(error) && !isAborted(error) && isAlone(),
        // Whoever uses the session next waits for it.
        () =>
          giveUpAfter(
            time,
            client[inner].adminCommand({ killSessions: [name.lsid] }),
            () => timedOut({ operation: "killSessions" })
          )
      )
  )
  return Effect.suspend(() => {
    Pool.markDirty(gate.session)
    if (isCoordinated(client, name)) return Effect.void
    return insist(
      client,
      name.lsid,
      Lane.withPermit(gate.lane, "abortTransaction", once),
      (error) => name.hasCommit ? error.reason !== "TransactionTooOld" : !isAborted(error)
    )
  })
}

const ended = (
  gate: Gate,
  client: Service,
  name: TransactionEnd.TransactionName,
  time: Duration.Duration
): Effect.Effect<"aborted" | "committed", MongoError> => {
  const committed = Effect.as(sendByName(gate, client, "commitTransaction", name, time), "committed" as const)
  // A router gives the same answer again, or that of another one, which it finds by the token.
  if (isCoordinated(client, name)) {
    return Effect.catchAll(committed, (error) => {
      const isAborted = error.reason === "NoSuchTransaction" && isTransient(error) && name.recoveryToken !== undefined
      return isAborted
        ? Effect.succeed("aborted" as const)
        : Effect.fail(isRefused(error) ? error : asUnknown(error))
    })
  }
  // It was still open, so that the end which was sent before was lost, and a connection with it.
  const aborted = Effect.map(sendByName(gate, client, "abortTransaction", name, time), () => {
    Pool.markDirty(gate.session)
    return "aborted" as const
  })
  return Effect.catchAll(aborted, (error) => {
    // Without the label, a majority has not confirmed that nobody knows of it.
    if (error.reason === "NoSuchTransaction" && isTransient(error) && isOf(client, "replicaSet")) {
      return Effect.succeed("aborted" as const)
    }
    return error.reason === "TransactionCommitted" ? Effect.mapError(committed, asUnknown) : Effect.fail(error)
  })
}

// Any other commit that has failed may have happened.
const isRefused = ({ code, reason }: MongoError): boolean => code !== undefined && !unsure.has(reason)

const unsure: ReadonlySet<MongoError["reason"]> = new Set<MongoError["reason"]>([
  "NetworkError",
  "NotPrimary",
  "TimedOut",
  "Interrupted",
  "WriteConcernFailed"
])

// The commit of a transaction on several shards is in the hands of one of them, which the others obey in two phases. An abort
// in its midst would reach each of them, and might undo on one what is committed on another.
const isCoordinated = (client: Service, { hasCommit }: TransactionEnd.TransactionName): boolean =>
  hasCommit && (isOf(client, "sharded") || isOf(client, "loadBalanced"))

const isOf = (client: Service, kind: Deployment["kind"]): boolean =>
  Option.exists(client[inner].knownDeployment(), (known) => known.kind === kind)

const sendByName = (
  gate: Gate,
  client: Service,
  operation: Command,
  name: TransactionEnd.TransactionName,
  time: Duration.Duration
): Effect.Effect<void, MongoError> => {
  const sent = Operations.operation(gate.observer, { name: operation, database: "admin" }, (observed) => {
    observed.beginsInTransaction(gate.session, name.txnNumber)
    return Call.call(
      { operation, settleTimeout: gate.settleTimeout, onUnsettled: Log.unsettled },
      ({ signal }) => observed.sends(() => TransactionEnd.endByName(client.driver, operation, name, signal))
    )
  }, gate.standing?.span)
  return giveUpAfter(time, sent, () => timedOut({ operation }))
}
