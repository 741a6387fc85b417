import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import type * as Driver from "mongodb"
import { MongoClient as Raw } from "mongodb"
import { fileURLToPath } from "node:url"
import * as MongoClient from "../../src/MongoClient.js"
import type * as Session from "../../src/Session.js"
import * as Connected from "../support/server/connected.js"
import { needsDriver7 } from "../support/server/driverVersion.js"
import * as Responder from "../support/server/responder.js"
import { until } from "../support/watch/monitor.js"
import * as Child from "../tools/child.js"

/** A client that is not there: the least look at it is a defect. */
const untouchable = new Proxy({}, {
  get: (_, property) => {
    throw new Error(`the client was asked for ${String(property)}`)
  }
}) as MongoClient.Service

/** What a session cannot be opened for. */
const open = (client: MongoClient.Service, options?: Session.Options) =>
  Effect.flip(Effect.map(Connected.open(client)(options), () => "opened"))

/** A client of the driver that nobody has connected yet. */
const unconnected = (url: string, options?: Driver.MongoClientOptions) =>
  Effect.acquireRelease(
    Effect.sync(() => new Raw(url, options)),
    (driver) => Effect.promise(() => driver.close())
  )

/** Runs a fixture in a process without a secure random source. */
const withoutSecureRandom = Effect.promise(async () => {
  const flag = "--no-experimental-global-webcrypto"
  // Later versions of Node.js always have the source; there it is taken away before anything else is loaded.
  const without = process.allowedNodeEnvironmentFlags.has(flag)
    ? [flag]
    : ["--import", "data:text/javascript,delete globalThis.crypto"]
  const fixture = fileURLToPath(new URL("../support/programs/noSecureRandom.ts", import.meta.url))
  const { ended, firstLine } = Child.start(process.execPath, [...without, "--import", "tsx", fixture], {
    stdio: ["ignore", "pipe", "inherit"]
  })
  expect(await ended).toBeUndefined()
  return JSON.parse(await firstLine ?? "")
})

describe("opening a session with invalid options", () => {
  it.scoped("fails before the client is even looked at, and lists everything that is wrong", () =>
    Effect.gen(function*() {
      const options = { snapshot: true, causalConsistency: true, settleTimeout: -1, typo: 1 }
      const error = yield* open(untouchable, options)
      expect(error._tag).toBe("SessionMisconfigured")
      expect(error).toMatchObject({
        issues: expect.arrayContaining([
          expect.objectContaining({ path: ["causalConsistency"] }),
          expect.objectContaining({ path: ["settleTimeout"] }),
          expect.objectContaining({ path: ["typo"] })
        ])
      })
    }))

  it.scoped("sends nothing", () =>
    Effect.gen(function*() {
      const { open, server } = yield* Connected.connected()
      const error = yield* Effect.flip(open({ release: "end", settleTimeout: 0 }))
      expect(error._tag).toBe("SessionMisconfigured")
      expect(yield* server.commands).toEqual([])
    }))
})

describe("opening a session without a secure random source", () => {
  it.scopedLive("fails with CryptoUnavailable, after the options and before the deployment", () =>
    Effect.gen(function*() {
      const report = yield* withoutSecureRandom
      expect(report.hasCrypto).toBe(false)
      expect(report.invalid).toEqual({ tag: "SessionMisconfigured", isTyped: true })
      // Its client is connected nowhere, so asking the deployment would have failed otherwise.
      expect(report.valid).toEqual({ tag: "CryptoUnavailable", isTyped: true })
    }))

  it.scopedLive("fails, in the driver, with an error of no class of its own, or takes a source that is not secure", (context) =>
    Effect.gen(function*() {
      needsDriver7(context, "it takes the random source of Node.js itself")
      const report = yield* withoutSecureRandom
      // At the first look at the session's id.
      expect(report.rawSession).toBe("ReferenceError: crypto is not defined")
      // And BSON silently takes Math.random, which makes one id twice where that is predictable.
      expect(report.bsonUuids).toEqual(Array(2).fill("80808080-8080-4080-8080-808080808080"))
    }))
})

describe("opening a session on a client whose write concern is w: 0", () => {
  it.scoped("fails with UnacknowledgedWrite, without connecting", () =>
    Effect.gen(function*() {
      const server = yield* Responder.make()
      const client = yield* MongoClient.fromDriver(unconnected(server.url, { writeConcern: { w: 0 } }))
      const error = yield* open(client)
      expect(error).toMatchObject({ _tag: "UnacknowledgedWrite", operation: "Session.make", source: "client" })
      expect(yield* server.connections).toBe(0)
    }))

  it.scoped("also when the URL says so", () =>
    Effect.gen(function*() {
      const server = yield* Responder.make()
      const client = yield* MongoClient.fromDriver(unconnected(`${server.url}&w=0`))
      expect((yield* open(client))._tag).toBe("UnacknowledgedWrite")
    }))

  it.scoped("an operation with w: 0 of its own fails in the session before anything is sent", () =>
    Effect.gen(function*() {
      const { client, open, server } = yield* Connected.connected()
      const session = yield* open()
      const collection = client.driver.db("test").collection("things")
      const error = yield* Effect.flip(
        session.use((driverSession) => collection.insertOne({}, { session: driverSession, writeConcern: { w: 0 } }))
      )
      expect(error).toMatchObject({ _tag: "UnacknowledgedWrite", source: "operation" })
      expect(yield* server.commands).toEqual([])
      yield* Connected.ping(session)
    }))
})

describe("opening a session on a deployment without sessions", () => {
  it.scoped("fails with SessionsUnsupported where a server tells no session timeout, and sends nothing", () =>
    Effect.gen(function*() {
      const { client, server } = yield* Connected.connected({ hello: { logicalSessionTimeoutMinutes: undefined } })
      expect(yield* open(client)).toMatchObject({ _tag: "SessionsUnsupported", reason: "NoSessionTimeout" })
      expect(yield* client.sessionTimeout).toEqual(Option.none())
      expect(yield* server.commands).toEqual([])
    }))

  it.scoped("fails with SessionsUnsupported for a client that nobody has connected yet", () =>
    Effect.gen(function*() {
      const server = yield* Responder.make({ hello: { logicalSessionTimeoutMinutes: undefined } })
      const client = yield* MongoClient.fromDriver(unconnected(server.url))
      expect(yield* open(client)).toMatchObject({ _tag: "SessionsUnsupported", reason: "NoSessionTimeout" })
    }))

  // Drivers refuse such servers by themselves, since they have a version of the protocol that they need at least.
  const old = { hello: { maxWireVersion: 5, logicalSessionTimeoutMinutes: undefined } }

  it.scopedLive("a server of before 3.6 is refused when the client connects, without waiting for a better one", () =>
    Effect.gen(function*() {
      const server = yield* Responder.make(old)
      const connecting = Effect.timeout(MongoClient.make({ url: Redacted.make(server.url) }), "5 seconds")
      expect(yield* Effect.flip(connecting)).toMatchObject({ _tag: "MongoError", reason: "Incompatible" })
    }))

  it.scopedLive("and when the session is opened, where the client is the caller's own", () =>
    Effect.gen(function*() {
      const server = yield* Responder.make(old)
      const client = yield* MongoClient.fromDriver(unconnected(server.url))
      const error = yield* Effect.timeout(open(client), "5 seconds")
      expect(error).toMatchObject({ _tag: "SessionsUnsupported", reason: "WireVersion" })
    }))
})

describe("opening a snapshot session", () => {
  const deployments: ReadonlyArray<readonly [name: string, hello: Driver.Document]> = [
    ["of before 5.0", { maxWireVersion: 12 }],
    ["outside of a replica set", { setName: undefined }]
  ]
  for (const [name, hello] of deployments) {
    it.scoped(`fails with SessionsUnsupported on a server ${name}, where other sessions can be had`, () =>
      Effect.gen(function*() {
        const { client, server } = yield* Connected.connected({ hello })
        expect(yield* open(client, { snapshot: true }))
          .toMatchObject({ _tag: "SessionsUnsupported", reason: "SnapshotReads", required: "wire version 13" })
        expect(yield* server.commands).toEqual([])
        yield* Effect.flatMap(Connected.open(client)(), Connected.ping)
        expect(yield* server.named("ping")).toHaveLength(1)
      }))
  }

  it.scoped("succeeds from 5.0 on", () =>
    Effect.gen(function*() {
      const { open, server } = yield* Connected.connected({ hello: { maxWireVersion: 13 } })
      yield* Connected.find(yield* open({ snapshot: true }))
      expect((yield* server.named("find"))[0]?.command["readConcern"]).toEqual({ level: "snapshot" })
    }))
})

describe("opening a session while no server can be reached", () => {
  it.scoped("fails with a MongoError, not with SessionsUnsupported, when nothing was ever known", () =>
    Effect.gen(function*() {
      const driver = unconnected("mongodb://127.0.0.1:1", { serverSelectionTimeoutMS: 100 })
      const client = yield* MongoClient.fromDriver(driver)
      expect(yield* open(client)).toMatchObject({ _tag: "MongoError", reason: "ServerSelectionFailed" })
    }))

  it.scoped("succeeds when the deployment was known before: a primary that is gone has not unlearned sessions", () =>
    Effect.gen(function*() {
      const scope = yield* Effect.scope
      const client = yield* Effect.scoped(Effect.gen(function*() {
        const server = yield* Responder.make()
        const client = yield* MongoClient.make({
          url: Redacted.make(server.url),
          driver: { heartbeatFrequencyMS: 500, minHeartbeatFrequencyMS: 20, serverSelectionTimeoutMS: 100 }
        }).pipe(Effect.provideService(Scope.Scope, scope))
        return client
      }))
      const lost = new Set<string>()
      client.driver.on("serverDescriptionChanged", (event) => void lost.add(event.newDescription.type))
      yield* until(Effect.sync(() => [...lost]), (types) => types.includes("Unknown"))
      const session = yield* Connected.open(client)()
      expect(yield* Effect.flip(Connected.ping(session)))
        .toMatchObject({ _tag: "MongoError", reason: "ServerSelectionFailed" })
    }))
})

describe("opening a session", () => {
  it.scoped("sends nothing: sessions begin with their first operation", () =>
    Effect.gen(function*() {
      const { client, open, server } = yield* Connected.connected()
      yield* Effect.scoped(Effect.zipRight(open(), open()))
      expect(yield* server.commands).toEqual([])
      expect(yield* client.openSessions).toBe(0)
    }))

  it.scoped("on a client that is closed fails before any IO, and does not bring the client back", () =>
    Effect.gen(function*() {
      const server = yield* Responder.make()
      const client = yield* Effect.scoped(MongoClient.make({ url: Redacted.make(server.url) }))
      let opened = 0
      client.driver.on("topologyOpening", () => void opened++)
      expect(yield* open(client)).toMatchObject({ _tag: "MongoError", reason: "ConnectionClosed" })
      expect(yield* client.openSessions).toBe(0)
      expect(opened).toBe(0)
    }))

  it.scoped("on a client that closes while its deployment is being asked fails, and leaves none open", () =>
    Effect.gen(function*() {
      const server = yield* Responder.make()
      const driver = yield* unconnected(server.url)
      const asked = yield* Deferred.make<void>()
      const answer = yield* Deferred.make<void>()
      const connect = driver.connect.bind(driver)
      driver.connect = async () => {
        Deferred.unsafeDone(asked, Effect.void)
        await Effect.runPromise(Deferred.await(answer))
        return connect()
      }
      const scope = yield* Scope.make()
      const client = yield* Scope.extend(MongoClient.fromDriver(Effect.succeed(driver)), scope)
      const opening = yield* Effect.fork(open(client))
      yield* Deferred.await(asked)
      yield* Scope.close(scope, Exit.void)
      yield* Deferred.succeed(answer, undefined)
      expect(yield* Fiber.join(opening)).toMatchObject({
        _tag: "MongoError",
        reason: "ConnectionClosed",
        operation: "Session.make"
      })
      expect(yield* client.openSessions).toBe(0)
    }))

  it.scoped("by many at once, on a client that nobody has connected yet, asks the deployment once", () =>
    Effect.gen(function*() {
      const warnings: Array<string> = []
      const note = ({ name }: Error): void => void warnings.push(name)
      yield* Effect.acquireRelease(
        Effect.sync(() => process.on("warning", note)),
        () => Effect.sync(() => process.off("warning", note))
      )
      const server = yield* Responder.make()
      const driver = yield* unconnected(server.url, { monitorCommands: true })
      let hellos = 0
      driver.on("commandStarted", ({ commandName }) => void (commandName === "hello" && hellos++))
      const client = yield* MongoClient.fromDriver(Effect.succeed(driver))
      const sessions = yield* Effect.all(Array.from({ length: 30 }, () => Connected.open(client)()), {
        concurrency: "unbounded"
      })
      expect(new Set(sessions.map(({ id }) => id.hex)).size).toBe(30)
      expect(hellos).toBe(1)
      // Node.js tells of warnings at its next tick
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      expect(warnings).toEqual([])
    }))
})
