/**
 * Watches a client of the driver: which commands went out in which logical session and when each was over, which
 * connections are in use, and what is left behind when a test is over.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type * as Driver from "mongodb"
import { UUID } from "mongodb"
import { randomUUID } from "node:crypto"
import { expect } from "vitest"
import * as MongoClient from "../../../src/MongoClient.js"
import type { MongoError } from "../../../src/MongoError.js"
import * as Session from "../../../src/Session.js"
import type { AcquireError } from "../../../src/SessionErrors.js"
import * as FailPoint from "../../../src/testing/FailPoint.js"
import { live } from "../../../src/testing/internal/live.js"
import * as MongoServer from "../../../src/testing/MongoServer.js"
import * as TestServer from "../server/testServer.js"

/** A command as the driver reported it. */
export interface Seen {
  readonly name: string
  /** The logical session in hexadecimal, if the command had one. */
  readonly lsid: string | undefined
  readonly command: Driver.Document
  /** How it ended; `undefined` while it is in flight. */
  readonly outcome: "succeeded" | "failed" | undefined
}

/** What a client has done since it is watched, or since {@link Monitor.clear}. */
export interface Monitor {
  readonly commands: Effect.Effect<ReadonlyArray<Seen>>
  readonly named: (name: string) => Effect.Effect<ReadonlyArray<Seen>>
  /** Waits until so many commands of the name have been sent. */
  readonly awaitStarted: (name: string, count?: number) => Effect.Effect<void>
  /** Pairs of commands of one logical session, the second of which was sent before the first was over. */
  readonly overlaps: Effect.Effect<ReadonlyArray<readonly [Seen, Seen]>>
  /**
   * Reads that were aborted while the server may have been opening a cursor for them; not cleared. Nobody knows the id
   * of such a cursor, so only the server can close it, when it has been idle for long enough.
   */
  readonly orphans: Effect.Effect<number>
  /** Connections that an operation has and has not given back. */
  readonly checkedOut: Effect.Effect<number>
  /** The logical sessions of all commands; not cleared. */
  readonly lsids: Effect.Effect<ReadonlySet<string>>
  readonly clear: Effect.Effect<void>
}

interface Mutable extends Seen {
  outcome: Seen["outcome"]
}

/** Watches a client that was made with `monitorCommands: true`, for as long as it lives. */
const watch = (driver: Driver.MongoClient): Monitor => {
  const seen: Array<Mutable> = []
  const overlaps: Array<readonly [Seen, Seen]> = []
  const inFlight = new Map<number, Mutable>()
  const lsids = new Set<string>()
  let checkedOut = 0
  let orphans = 0

  driver.on("commandStarted", (event) => {
    const id: unknown = event.command["lsid"]?.id
    const one: Mutable = {
      name: event.commandName,
      lsid: hasBuffer(id) ? Buffer.from(id.buffer).toString("hex") : undefined,
      command: event.command,
      outcome: undefined
    }
    for (const other of inFlight.values()) {
      if (one.lsid !== undefined && other.lsid === one.lsid) overlaps.push([other, one])
    }
    if (one.lsid !== undefined) lsids.add(one.lsid)
    seen.push(one)
    inFlight.set(event.requestId, one)
  })
  const over = (outcome: "succeeded" | "failed") => (event: { readonly requestId: number }): void => {
    const one = inFlight.get(event.requestId)
    inFlight.delete(event.requestId)
    if (one === undefined) return
    one.outcome = outcome
    if (outcome === "failed" && opensCursor.has(one.name)) orphans++
  }
  driver.on("commandSucceeded", over("succeeded"))
  driver.on("commandFailed", over("failed"))
  driver.on("connectionCheckedOut", () => void checkedOut++)
  driver.on("connectionCheckedIn", () => void checkedOut--)

  const named = (name: string) => Effect.sync(() => seen.filter((one) => one.name === name))
  return {
    commands: Effect.sync(() => seen.slice()),
    named,
    awaitStarted: (name, count = 1) => Effect.asVoid(until(named(name), (found) => found.length >= count)),
    overlaps: Effect.sync(() => overlaps.slice()),
    orphans: Effect.sync(() => orphans),
    checkedOut: Effect.sync(() => checkedOut),
    lsids: Effect.sync(() => new Set(lsids)),
    clear: Effect.sync(() => {
      seen.length = 0
      overlaps.length = 0
    })
  }
}

const opensCursor = new Set(["find", "aggregate"])

const hasBuffer = (id: unknown): id is { readonly buffer: Uint8Array } =>
  typeof id === "object" && id !== null && "buffer" in id && id.buffer instanceof Uint8Array

/** Looks again and again, in real time, until the value is as wanted; dies when patience is over, with the last value. */
export const until = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  isWanted: (value: A) => boolean,
  patience: Duration.DurationInput = "10 seconds"
): Effect.Effect<A, E, R> =>
  live(Effect.gen(function*() {
    const end = (yield* Clock.currentTimeMillis) + Duration.toMillis(patience)
    let last = yield* effect
    while (!isWanted(last)) {
      if ((yield* Clock.currentTimeMillis) > end) {
        return yield* Effect.dieMessage(`not in time; the last value was ${JSON.stringify(last)}`)
      }
      yield* Effect.sleep("5 millis")
      last = yield* effect
    }
    return last
  }))

/** A client of the library, and what it does. */
export interface Watched {
  readonly client: MongoClient.Service
  readonly monitor: Monitor
  /** The client's `appName`, so that a fail point meets nobody else's commands. */
  readonly appName: string
}

/** Connects a client of the library to the test server, or to the given URL, and watches it. */
export const connect = (
  options: Partial<MongoClient.Options> = {}
): Effect.Effect<Watched, MongoError, MongoServer.MongoServer | Scope.Scope> =>
  Effect.gen(function*() {
    const server = yield* MongoServer.MongoServer
    const appName = randomUUID()
    const client = yield* MongoClient.make({
      url: Redacted.make(server.url),
      ...options,
      driver: { monitorCommands: true, appName, ...options.driver }
    })
    return { client, monitor: watch(client.driver), appName }
  })

/** Opens a session on a watched client. */
export const session = (
  { client }: Pick<Watched, "client">,
  options?: Session.Options
): Effect.Effect<Session.Service, AcquireError, Scope.Scope> =>
  Effect.provideService(Session.make(options), MongoClient.MongoClient, client)

/** Makes a watched client's commands of these names take so long, until the scope closes. */
export const block = (
  watched: Pick<Watched, "appName">,
  failCommands: ReadonlyArray<string>,
  blockFor: Duration.DurationInput
): Effect.Effect<void, FailPoint.FailPointFailed, MongoServer.MongoServer | Scope.Scope> =>
  fail(watched, { failCommands, mode: "alwaysOn", blockFor })

/** Makes a watched client's commands fail, until the scope closes. */
export const fail = (
  { appName }: Pick<Watched, "appName">,
  options: FailPoint.Options
): Effect.Effect<void, FailPoint.FailPointFailed, MongoServer.MongoServer | Scope.Scope> =>
  Effect.flatMap(TestServer.driver(), (admin) => FailPoint.failCommand(admin, { ...options, appName }))

/**
 * Law 16 for one client: no connection in use, no session open, be it the library's or the driver's, and no cursor on
 * the server.
 */
export const assertNothingLeft = (
  { client, monitor }: Watched,
  patience?: Duration.DurationInput
): Effect.Effect<void, never, MongoServer.MongoServer> =>
  Effect.gen(function*() {
    expect(yield* client.openSessions, "open sessions").toBe(0)
    // An abort that goes on in the background has one of the driver's for a moment.
    yield* until(Effect.sync(() => driverSessions(client.driver)), (sessions) => sessions === 0, patience)
    expect(yield* monitor.checkedOut, "connections in use").toBe(0)
    const orphans = yield* monitor.orphans
    yield* until(openCursors(monitor), (open) => open <= orphans, patience)
  })

const driverSessions = (driver: Driver.MongoClient): number => {
  const { s } = driver as Driver.MongoClient & { readonly s: { readonly activeSessions: ReadonlySet<unknown> } }
  return s.activeSessions.size
}

/**
 * How many cursors the sessions of a client have open on the server. What was killed is none, though the server may see
 * that only when its wait for data is over.
 */
export const openCursors = (
  { lsids }: Pick<Monitor, "lsids">
): Effect.Effect<number, never, MongoServer.MongoServer> =>
  Effect.scoped(Effect.gen(function*() {
    const ids = Array.from(yield* lsids, (lsid) => new UUID(lsid))
    if (ids.length === 0) return 0
    const admin = yield* TestServer.driver()
    const found = yield* Effect.promise(() =>
      admin.db("admin").aggregate([
        { $currentOp: { allUsers: true, idleCursors: true } },
        { $match: { "lsid.id": { $in: ids }, cursor: { $exists: true }, killPending: { $ne: true } } }
      ]).toArray()
    )
    return found.length
  }))

/** How many sockets this process has open. */
export const sockets: Effect.Effect<number> = Effect.sync(() =>
  process.getActiveResourcesInfo().filter((resource) => resource === "TCPSocketWrap").length
)

/**
 * Runs a test with a client of its own and asserts law 16 afterwards, in the place of an `afterEach`: first that the
 * client has nothing left, then, when it is closed, that it has no socket left.
 */
export const withClient = <A, E, R>(
  options: Partial<MongoClient.Options>,
  test: (watched: Watched) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | MongoError, Exclude<R, Scope.Scope> | MongoServer.MongoServer> =>
  Effect.gen(function*() {
    const socketsBefore = yield* sockets
    const result = yield* Effect.scoped(Effect.gen(function*() {
      const watched = yield* connect(options)
      const result = yield* Effect.scoped(test(watched))
      yield* assertNothingLeft(watched)
      return result
    }))
    yield* until(sockets, (open) => open <= socketsBefore)
    return result
  })
