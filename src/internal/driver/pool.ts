/**
 * Takes server sessions from the driver's pool, and discards those that the server has dropped.
 *
 * The driver takes idle time modulo one hour, so its own check lets stale sessions through.
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import type * as Driver from "mongodb"
import * as Time from "../time/clock.js"
import { ofServerSession } from "./privates.js"

/** A driver session whose server session has at least a minute to live, and when the server last heard of that. */
export interface Taken {
  readonly session: Driver.ClientSession
  readonly lastUsed: Time.Instant
}

/** Takes driver sessions from the pool of one client, and gives them back. */
export interface Pool {
  readonly take: (
    options: Driver.ClientSessionOptions,
    timeout: Option.Option<Duration.Duration>,
    now: Time.Instant
  ) => Taken
  /**
   * Notes when a server session was last used, before its driver session is ended: the driver's own clock stands still
   * while the machine is suspended.
   */
  readonly note: (session: Driver.ClientSession, lastUsed: Time.Instant) => void
  /** Notes for the driver that the server has just heard of the session. */
  readonly touch: (session: Driver.ClientSession) => void
  /** Milliseconds since the driver last sent a server session's id, by the clock that the driver uses. */
  readonly sinceLastUse: (server: Driver.ServerSession) => number
}

export const make = (client: Driver.MongoClient): Pool => {
  // How far the driver's clock is ahead of the process's. Both go on together, so that once is enough: a server session is
  // too dear to be made for each operation. It may be a millisecond off.
  let ahead: number | undefined
  const present = (server: Driver.ServerSession): number => {
    ahead ??= driverNow(server) - performance.now()
    return performance.now() + ahead
  }
  const sinceLastUse = (server: Driver.ServerSession): number => Math.max(0, present(server) - server.lastUse)
  const notes = new WeakMap<Driver.ServerSession, { readonly at: Time.Instant; readonly lastUse: number }>()

  // What is made anew has not been idle, and nothing is noted of it: where the server keeps sessions for a minute only, it
  // would otherwise never do.
  const idleAt = (server: Driver.ServerSession, now: Time.Instant): number => {
    const note = notes.get(server)
    const unused = sinceLastUse(server)
    if (note === undefined) return unused <= moment ? 0 : unused
    // A note that the driver has overtaken, by an operation without an explicit session, says nothing any more.
    return note.lastUse === server.lastUse ? Math.max(unused, Time.elapsed(note.at, now)) : unused
  }

  return {
    take: (options, timeout, now) => {
      const limit = Option.getOrElse(timeout, () => Duration.infinity)
      let session = client.startSession(options)
      let idle = idleAt(session.serverSession, now)
      while (idle > 0 && Time.isStale(idle, limit)) {
        discard(session)
        session = client.startSession(options)
        idle = idleAt(session.serverSession, now)
      }
      return { session, lastUsed: idle > 0 ? Time.before(now, idle) : now }
    },
    note: (session, lastUsed) => {
      notes.set(session.serverSession, { at: lastUsed, lastUse: session.serverSession.lastUse })
    },
    touch: ({ serverSession }) => {
      serverSession.lastUse = Math.floor(present(serverSession))
    },
    sinceLastUse
  }
}

// What was made or used so many milliseconds ago is as good as new: the shortest life of a session is a minute.
const moment = 1_000

/** Keeps a server session from ever being pooled again: the pool drops what is dirty. */
export const markDirty = (session: Driver.ClientSession): void => {
  session.serverSession.isDirty = true
}

/** Ends a driver session so that its server session is not pooled. */
export const discard = (session: Driver.ClientSession): void => {
  markDirty(session)
  endAtOnce(session)
}

/**
 * Whether {@link endAtOnce} may end a driver session. The driver waits for the abort of a transaction, and
 * further listeners to a session's end may throw.
 */
export const canEndAtOnce = (session: Driver.ClientSession): boolean =>
  !session.hasEnded && !session.inTransaction() && session.listenerCount("ended") <= 1

/** Ends a driver session without waiting. */
export const endAtOnce = (session: Driver.ClientSession): void => {
  // Nothing to wait for: without a transaction the driver ends a session at once, and cannot fail at it.
  void session.endSession()
}

/**
 * The present by the driver's own clock: since the process started, or since the machine did, depending on its version. A
 * server session that was made just now tells which.
 */
const driverNow = (server: Driver.ServerSession): number => new (ofServerSession(server).constructor)().lastUse
