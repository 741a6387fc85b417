/**
 * Connects a client of the library to a scripted server, and catches the log.
 */
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type * as Driver from "mongodb"
import * as MongoClient from "../../../src/MongoClient.js"
import type { MongoError } from "../../../src/MongoError.js"
import type * as Session from "../../../src/Session.js"
import type { AcquireError } from "../../../src/SessionErrors.js"
import * as Monitor from "../watch/monitor.js"
import * as Responder from "./responder.js"

/** A scripted server and a client that is connected to it. */
export interface Connected {
  readonly server: Responder.Responder
  readonly client: MongoClient.Service
  /** Opens a session of the client. */
  readonly open: (
    options?: Session.Options
  ) => Effect.Effect<Session.Service, AcquireError, Scope.Scope>
}

/** Starts a scripted server, and connects a client to it. */
export const connected = (
  server: Responder.Options = {},
  client: Partial<MongoClient.Options> = {}
): Effect.Effect<Connected, MongoError, Scope.Scope> =>
  Effect.flatMap(Responder.make(server), (responder) => clientOf(responder, client))

/** What a scripted server answers to a write that has lost a conflict. */
export const conflict = {
  ...{ ok: 0, code: 112, codeName: "WriteConflict", errmsg: "write conflict" },
  errorLabels: ["TransientTransactionError"]
}

/** What a scripted server answers to a commit that it shuts down in the midst of. */
export const lostCommit = {
  ...{ ok: 0, code: 91, codeName: "ShutdownInProgress", errmsg: "shutting down" },
  errorLabels: ["RetryableWriteError"]
}

/** A scripted server, and what runs an effect on a client that is connected to it. */
export const clientWith = (options: Partial<MongoClient.Options> = {}) =>
  Effect.map(connected({}, options), (connected) => ({
    ...connected,
    on: Effect.provideService(MongoClient.MongoClient, connected.client)
  }))

/** Connects a client to a scripted server. */
export const clientOf = (
  server: Responder.Responder,
  options: Partial<MongoClient.Options> = {}
): Effect.Effect<Connected, MongoError, Scope.Scope> =>
  Effect.map(
    MongoClient.make({ url: Redacted.make(server.url), ...options }),
    (client) => ({ server, client, open: open(client) })
  )

/** Opens a session on a client. */
export const open = (client: MongoClient.Service): Connected["open"] => (options) =>
  Monitor.session({ client }, options)

/** Sends a command in a session. */
export const ping = (session: Session.Service) => send(session, { ping: 1 })

/** Sends any command in a session. */
export const send = (session: Session.Service, command: Driver.Document) =>
  session.use((driverSession) => session.client.driver.db("test").command(command, { session: driverSession }))

/** Reads a collection in a session. */
export const find = (session: Session.Service, filter: Driver.Filter<Driver.Document> = {}) =>
  session.use((driverSession) =>
    session.client.driver.db("test").collection("things").find(filter, { session: driverSession }).toArray()
  )

/** The server session that a session has at this moment; the object itself, to look at it after it was given back. */
export const serverSessionOf = (session: Session.Service) =>
  session.use((driverSession) => Promise.resolve(driverSession.serverSession))

/** Takes a client's server down, and waits until the client knows. */
export const goDown = (client: Pick<MongoClient.Service, "driver">, close: Effect.Effect<void>): Effect.Effect<void> =>
  noticed(client, close, false)

/** Starts a client's server again, and waits until the client knows. */
export const comeBack = <A, E, R>(
  client: Pick<MongoClient.Service, "driver">,
  start: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> => noticed(client, start, true)

const noticed = <A, E, R>(
  { driver }: Pick<MongoClient.Service, "driver">,
  change: Effect.Effect<A, E, R>,
  isThere: boolean
): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    let isKnown = !isThere
    driver.on("serverDescriptionChanged", ({ newDescription }) => {
      isKnown = newDescription.type !== "Unknown"
    })
    return Effect.zipLeft(change, Monitor.until(Effect.sync(() => isKnown), (known) => known === isThere))
  })

/** What was logged. */
export interface Entry {
  readonly message: string
  readonly annotations: Readonly<Record<string, unknown>>
}

/** Runs an effect with its log caught instead of written. */
export const logged = <A, E, R>(
  effect: (entries: ReadonlyArray<Entry>) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const entries: Array<Entry> = []
    const logger = Logger.make<unknown, void>(({ annotations, message }) => {
      entries.push({ message: String(message), annotations: Object.fromEntries(HashMap.toEntries(annotations)) })
    })
    return Effect.provide(effect(entries), Logger.replace(Logger.defaultLogger, logger))
  })
