/**
 * Clients of the library that are watched, and what they leave behind when a test is over.
 */
import type * as Duration from "effect/Duration"
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
import * as MongoServer from "../../../src/testing/MongoServer.js"
import * as TestServer from "../server/testServer.js"
import { type Monitor, watch } from "./commands.js"
import { until } from "./until.js"

export type { Monitor, Seen } from "./commands.js"
export { until } from "./until.js"

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
    // What the library ends in the background may have a session of the driver's, too.
    yield* until(Effect.sync(() => driverSessions(client.driver)), (sessions) => sessions === 0, patience)
    yield* awaitBackground(monitor, patience)
    expect(yield* monitor.checkedOut, "connections in use").toBe(0)
    const orphans = yield* monitor.orphans
    yield* until(openCursors(monitor), (open) => open <= orphans, patience)
  })

/** Waits until all that the library has begun to end in the background is answered: until then, it has a connection. */
export const awaitBackground = (
  { inFlight }: Pick<Monitor, "inFlight">,
  patience?: Duration.DurationInput
): Effect.Effect<void> =>
  Effect.asVoid(until(inFlight, (names) => !names.some((name) => endsInBackground.has(name)), patience))

const endsInBackground = new Set(["abortTransaction", "killCursors", "killSessions"])

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
