/**
 * The driver's pool of server sessions, without the fault that it takes idle time modulo one hour: what it hands out may
 * have been dropped by the server long ago.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Driver from "mongodb"
import * as Idleness from "./idleness.js"

/** Takes driver sessions from the pool of one client, and gives them back. */
export interface Pool {
  /** A driver session whose server session has at least a minute to live, and when the server last heard of that. */
  readonly take: (
    options: Driver.ClientSessionOptions,
    timeout: Option.Option<Duration.Duration>
  ) => Effect.Effect<{ readonly session: Driver.ClientSession; readonly lastUsed: Idleness.Instant }>
  /**
   * Notes when a server session was last used, before its driver session is ended: the driver's own clock stands still
   * while the machine is suspended.
   */
  readonly note: (session: Driver.ClientSession, lastUsed: Idleness.Instant) => void
  /** Milliseconds since the driver last sent a server session's id, by the clock that the driver uses. */
  readonly sinceLastUse: (server: Driver.ServerSession) => number
}

export const make = (client: Driver.MongoClient): Pool => {
  // How far the driver's clock is ahead of the process's. Both go on together, so that once is enough: a server session is
  // too dear to be made for each operation. It may be a millisecond off.
  let ahead: number | undefined
  const sinceLastUse = (server: Driver.ServerSession): number => {
    ahead ??= driverNow(server) - performance.now()
    return Math.max(0, performance.now() + ahead - server.lastUse)
  }
  const notes = new WeakMap<Driver.ServerSession, { readonly at: Idleness.Instant; readonly lastUse: number }>()

  const idleAt = (server: Driver.ServerSession, now: Idleness.Instant): number => {
    const note = notes.get(server)
    // A note that the driver has overtaken, by an operation without an explicit session, says nothing any more.
    const noted = note === undefined || note.lastUse !== server.lastUse ? 0 : Idleness.elapsed(note.at, now)
    return Math.max(sinceLastUse(server), noted)
  }

  return {
    take: (options, timeout) =>
      Effect.map(Idleness.now, (now) => {
        const limit = Option.getOrElse(timeout, () => Duration.infinity)
        let session = client.startSession(options)
        let idle = idleAt(session.serverSession, now)
        // What is made anew has not been idle, and nothing is noted of it: where the server keeps sessions for a minute
        // only, it would otherwise never do.
        const start = driverNow(session.serverSession) - moment
        const isNew = (server: Driver.ServerSession): boolean => server.lastUse >= start && !notes.has(server)
        while (!isNew(session.serverSession) && Idleness.isStale(idle, limit)) {
          discard(session)
          session = client.startSession(options)
          idle = idleAt(session.serverSession, now)
        }
        return { session, lastUsed: isNew(session.serverSession) ? now : Idleness.before(now, idle) }
      }),
    note: (session, lastUsed) => {
      notes.set(session.serverSession, { at: lastUsed, lastUse: session.serverSession.lastUse })
    },
    sinceLastUse
  }
}

// What was made or used so many milliseconds ago is as good as new: the shortest life of a session is a minute.
const moment = 1_000

/** Notes for the driver that the server has just heard of the session. */
export const touch = (session: Driver.ClientSession): void => {
  session.serverSession.lastUse = driverNow(session.serverSession)
}

/** Keeps a server session from ever being pooled again: the pool drops what is dirty. */
export const markDirty = (session: Driver.ClientSession): void => {
  session.serverSession.isDirty = true
}

/** Ends a driver session so that its server session is not pooled. */
export const discard = (session: Driver.ClientSession): void => {
  markDirty(session)
  // Nothing to wait for: without a transaction the driver ends a session at once, and cannot fail at it.
  void session.endSession()
}

/**
 * The present by the driver's own clock: since the process started, or since the machine did, depending on its version. A
 * server session that was made just now tells which.
 */
const driverNow = (server: Driver.ServerSession): number =>
  new (server.constructor as new() => Driver.ServerSession)().lastUse
