/**
 * What must not be left undone on the server, while nobody waits for it: aborts of transactions, and kills of sessions and cursors.
 *
 * It is done again in the background until it is answered. What is still to be done for a session when the client closes is done by
 * killing it: it is of no more use to anybody. A cursor ends with its session.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { ServerSessionId } from "mongodb"
import type { MongoError } from "../../MongoError.js"
import { closingStep } from "../telemetry/close.js"
import { grace } from "../time/bounded.js"
import { type Inner, inner, type Service } from "./client.js"

/**
 * Does once a second what has failed for a session, or outside of all sessions, until it succeeds or is not worth while any more.
 * The server has given up the transaction by itself a minute later.
 */
export const insist = (
  client: Service,
  lsid: ServerSessionId | undefined,
  once: Effect.Effect<unknown, MongoError>,
  isWorthwhile: (error: MongoError) => boolean
): Effect.Effect<void> =>
  Effect.suspend(() => {
    const { isClosed, owed } = client[inner]
    const one = { lsid }
    owed.add(one)
    return Effect.retry(Effect.suspend(() => isClosed() ? Effect.void : once), {
      schedule: Schedule.spaced(pause),
      while: isWorthwhile
    }).pipe(
      Effect.delay(pause),
      Effect.timeoutOption(lifetime),
      // Where it is begun, nothing can be interrupted: the time limit would have no effect.
      Effect.interruptible,
      Effect.ignore,
      // What is closed before is done by its end.
      Effect.ensuring(Effect.sync(() => {
        if (!isClosed()) owed.delete(one)
      })),
      Effect.forkDaemon,
      Effect.asVoid
    )
  })

/** Kills all sessions that the server is still to be told something of, for a client that closes. */
export const settle = (
  owed: Inner["owed"],
  closeTimeout: Duration.Duration,
  adminCommand: Inner["adminCommand"]
): Effect.Effect<void> =>
  Effect.suspend(() => {
    const lsids = [...owed].flatMap(({ lsid }) => lsid ?? [])
    owed.clear()
    if (lsids.length === 0) return Effect.void
    // Where no server answers, nobody is to wait long for what the server gives up by itself.
    const time = Duration.min(closeTimeout, grace)
    return closingStep("killSessions", time, adminCommand({ killSessions: lsids }), ({ reason }) => reason)
  })

const pause = Duration.seconds(1)

// The server's `transactionLifetimeLimitSeconds`, by default.
const lifetime = Duration.minutes(1)
