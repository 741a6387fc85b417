/**
 * Closes the cursor of a stream: in the turn of its session, and before the session; once more in the background where the server
 * did not answer in time.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { constTrue } from "effect/Function"
import * as Option from "effect/Option"
import type * as Driver from "mongodb"
import { MongoError } from "../../MongoError.js"
import { SessionBusy, TransactionDoomed } from "../../SessionErrors.js"
import * as Call from "../driver/call.js"
import * as DriverCursor from "../driver/cursor.js"
import { timedOut } from "../driver/deadline.js"
import { beside } from "../session/beside.js"
import { inner, type Service as Client } from "../session/client.js"
import { type Gate, key } from "../session/gate.js"
import { untilFree } from "../session/operation.js"
import { insist } from "../session/owed.js"
import type { Service as Session } from "../session/service.js"
import { placeOf } from "../session/turn.js"
import { closingStep } from "../telemetry/close.js"
import * as Log from "../telemetry/log.js"
import * as Operations from "../telemetry/operations.js"
import { giveUpAfter, grace } from "../time/bounded.js"
import type { OperationError, Placed } from "./operation.js"

/** Closes a cursor where it was opened. Never fails. */
export const closed = <T>(
  { client, close, session }: Pick<Placed, "client" | "close" | "session">,
  cursor: Driver.AbstractCursor<T>
): Effect.Effect<void> => {
  const orphan = DriverCursor.orphanOf(cursor)
  const killed = close(() => DriverCursor.close(cursor), "killCursors")
  // What has ended its session has ended the cursor, too, or will do so: where a transaction is about to end in which it may not
  // run any more, that is the session's own end.
  const closed = Effect.catchTags(Option.isSome(session) ? inSession(session.value, cursor, killed) : killed, {
    SessionEnded: () => Effect.void,
    SessionLapsed: () => Effect.void,
    TransactionEnded: () => Effect.void
  })
  const again = Effect.onExit(
    closed,
    (exit) =>
      orphan !== undefined && Exit.isFailure(exit) && isLate(exit.cause) ? killLater(client, orphan) : Effect.void
  )
  return closingStep("cursor", client.closeTimeout, again, (error) => error._tag)
}

// The program's time limit may be too short for a connection to be made, and the cursor would live as long as its session. What
// closing has not done in its own time is interrupted.
const isLate = (cause: Cause.Cause<unknown>): boolean =>
  Cause.isInterrupted(cause) || Option.exists(
    Cause.failureOption(cause),
    (error) => error instanceof MongoError && error.reason === "TimedOut" && error.code === undefined
  )

/**
 * Kills a cursor in the background, until it is known to be over. One that is read from a secondary may be unknown to the server that
 * has answered, or over by now: after some such answers it is left to its session.
 */
export const killLater = (client: Client, orphan: DriverCursor.Orphan): Effect.Effect<void> => {
  const { db: database, collection } = orphan.namespace
  const { driver, settleTimeout } = client
  const operation = "killCursors"
  const sent = Operations.operation(
    client[inner].observer,
    { name: operation, database, collection },
    (observed) =>
      Call.call({ operation, settleTimeout, onUnsettled: Log.unsettled }, ({ signal }) => {
        observed.begins(undefined, constTrue)
        return observed.sends(() => DriverCursor.kill(driver, orphan, signal))
      })
  )
  let unknown = 0
  const isOver = (isKnown: boolean) => isKnown || ++unknown === mostUnknown
  // Nobody is told of it: it is what has it done again.
  const failure = () => timedOut({ operation })
  const once = Effect.filterOrFail(giveUpAfter(Duration.min(grace, settleTimeout), sent, failure), isOver, failure)
  // Its session may be of use to others by now, and is not killed for it.
  return insist(client, undefined, once, ({ code }) => code === undefined)
}

const mostUnknown = 5

const inSession = <T>(
  { [key]: gate }: Session,
  cursor: Driver.AbstractCursor<T>,
  killed: Effect.Effect<void, OperationError>
): Effect.Effect<void, OperationError> =>
  Effect.withFiberRuntime((fiber) => {
    const { turn } = placeOf(fiber, gate.lane)
    // It would wait for a server that may be gone, and the next attempt for it.
    if (turn !== undefined && isUnanswered(turn.refusal("killCursors"))) {
      gate.flights.leftover.maybeCursor()
      return Effect.promise(() => DriverCursor.forget(cursor))
    }
    return beside(whenFree(gate, killed), gate.lane)
  })

// What was interrupted has settled by now. A server that is no primary any more may be shutting down.
const isUnanswered = (refusal: unknown): boolean => {
  const first = refusal instanceof TransactionDoomed ? refusal.first : refusal
  return first instanceof MongoError &&
    (first.reason === "NotPrimary" || first.code === undefined && first.reason !== "Interrupted")
}

// A session that makes nothing wait must not keep its cursors for that: closing them waits where anything else would fail.
const whenFree = <A, E>(gate: Gate, close: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.retry(close, {
    while: (error) => error instanceof SessionBusy ? untilFree(gate, "killCursors") : Effect.succeed(false)
  })
