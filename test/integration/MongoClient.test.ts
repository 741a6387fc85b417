import { describe, expect, layer } from "@effect/vitest"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { MongoClient as DriverClient } from "mongodb"
import * as Dns from "node:dns"
import { inner } from "../../src/internal/session/client.js"
import * as MongoClient from "../../src/MongoClient.js"
import * as Session from "../../src/Session.js"
import * as MongoServer from "../../src/testing/MongoServer.js"
import * as Network from "../support/server/blackhole.js"
import { ping } from "../support/server/connected.js"
import * as Responder from "../support/server/responder.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

const secret = "hunter2"

const failed = (url: string, options: Partial<MongoClient.Options> = {}) =>
  Effect.flip(Effect.scoped(MongoClient.make({ url: Redacted.make(url), ...options })))

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("MongoClient.make before any IO", () => {
    it.effect("a malformed URL fails, whoever of the driver's parsers finds it, and is not quoted", () =>
      Effect.gen(function*() {
        const malformed = [
          "",
          "localhost:27017",
          `http://user:${secret}@localhost`,
          `mongodb://user:${secret}@`,
          `mongodb://user:${secret}@localhost:port`,
          `mongodb://us%er:${secret}@localhost`,
          `mongodb+srv://user:${secret}@localhost:27017`
        ]
        for (const url of malformed) {
          const error = yield* failed(url)
          expect(error, url).toMatchObject({ _tag: "MongoError", reason: "InvalidUrl", operation: "connect" })
          expect(error.message + JSON.stringify(error), url).not.toContain(secret)
        }
      }))

    it.effect("options that the driver refuses fail with InvalidOptions, unless the URL is malformed, too", () =>
      Effect.gen(function*() {
        const driver = { maxPoolSize: -1 }
        expect(yield* failed("mongodb://localhost", { driver }))
          .toMatchObject({ _tag: "MongoError", reason: "InvalidOptions", operation: "connect" })
        expect(yield* failed("localhost:27017", { driver }))
          .toMatchObject({ _tag: "MongoError", reason: "InvalidUrl", operation: "connect" })
        expect(yield* failed("mongodb://localhost/?maxPoolSize=-1"))
          .toMatchObject({ _tag: "MongoError", reason: "InvalidUrl", operation: "connect" })
      }))

    it.effect("times that are no positive, finite durations fail, all of them named", () =>
      Effect.gen(function*() {
        const socketsBefore = yield* Monitor.sockets
        for (const time of [0, -1, Number.NaN, Infinity, Duration.infinity, Duration.zero]) {
          const error = yield* failed("mongodb://127.0.0.1:1", {
            closeTimeout: time,
            settleTimeout: time,
            timeout: time,
            keepAlive: { idleFor: time }
          })
          expect(error).toMatchObject({ _tag: "MongoError", reason: "InvalidOptions" })
          expect(error.message).toContain("closeTimeout, settleTimeout, timeout, keepAlive.idleFor")
        }
        expect(yield* Monitor.sockets).toBeLessThanOrEqual(socketsBefore)
      }))

    it.effect("options that there are none of fail as those that are wrong do, all of them told at once", () =>
      Effect.gen(function*() {
        const misspelled = {
          database: 1,
          closeTimuot: "1 second",
          settleTimeout: "soon",
          keepAlive: { idelFor: "1 minute", schedule: "often" }
        }
        const all = {
          _tag: "MongoError",
          reason: "InvalidOptions",
          cause: {
            _tag: "SessionMisconfigured",
            issues: expect.arrayContaining([
              { path: ["closeTimuot"], message: "is not a known key" },
              { path: ["database"], message: expect.stringMatching(/^expected the name of a database: 1 to 63 bytes/) },
              { path: ["settleTimeout"], message: "expected a finite time of at least 1 millisecond" },
              { path: ["keepAlive", "idelFor"], message: "is not a known key" },
              { path: ["keepAlive", "schedule"], message: "expected a schedule" }
            ])
          }
        }
        const error = yield* failed("mongodb://127.0.0.1:1", misspelled as object)
        expect(error).toMatchObject(all)
        expect(error.message).toContain("closeTimuot, keepAlive.idelFor: is not a known key")
        const never = Effect.dieMessage("the driver's client was acquired")
        expect(yield* Effect.flip(Effect.scoped(MongoClient.fromDriver(never, misspelled as object)))).toMatchObject(
          all
        )
        const driver: object = { driver: {} }
        expect(yield* Effect.flip(Effect.scoped(MongoClient.fromDriver(never, driver)))).toMatchObject({
          cause: { issues: [{ path: ["driver"], message: "is not a known key" }] }
        })
      }))

    it.effect("a URL that is not redacted fails, and is not shown", () =>
      Effect.gen(function*() {
        const bare: object = { url: "mongodb://root:hunter2@127.0.0.1:1" }
        const error = yield* MongoClient.make(bare as MongoClient.Options).pipe(Effect.scoped, Effect.flip)
        expect(error).toMatchObject({ reason: "InvalidOptions", cause: { issues: [{ path: ["url"] }] } })
        expect(error.message + JSON.stringify(error) + String(error.cause)).not.toContain("hunter2")
      }))
  })

  describe("MongoClient.make and a host that does not answer", () => {
    it.effect("fails with ServerSelectionFailed when the driver's time for it is up", () =>
      Effect.gen(function*() {
        const socketsBefore = yield* Monitor.sockets
        const [time, error] = yield* Effect.timed(
          failed("mongodb://127.0.0.1:1", { driver: { serverSelectionTimeoutMS: 200 } })
        )
        expect(error).toMatchObject({ _tag: "MongoError", reason: "ServerSelectionFailed", operation: "connect" })
        expect(error.isRetryable).toBe(true)
        expect(error.message).not.toContain("127.0.0.1")
        expect(Duration.toMillis(time)).toBeLessThan(10_000)
        yield* Monitor.until(Monitor.sockets, (open) => open <= socketsBefore)
      }))

    it.effect("a name that nobody knows is a failure, not a defect", () =>
      Effect.gen(function*() {
        const error = yield* failed("mongodb://no-such-host.invalid", { driver: { serverSelectionTimeoutMS: 200 } })
        expect(error).toMatchObject({ _tag: "MongoError", reason: "ServerSelectionFailed" })
      }))

    it.scoped("can be interrupted at once while a host accepts and is silent, and then lets go of it", () =>
      Effect.gen(function*() {
        const network = yield* Network.make()
        const url = Redacted.make(`mongodb://127.0.0.1:${network.port}`)
        // a closed client of the driver waits for a greeting until this time is up, which nothing can cut short
        const driver = { connectTimeoutMS: 2_000 }
        const connecting = yield* Effect.fork(Effect.scoped(MongoClient.make({ url, driver })))
        yield* Monitor.until(network.connections, (open) => open > 0)
        expect(Exit.isInterrupted(yield* Fiber.interrupt(connecting))).toBe(true)
        expect(yield* network.connections).toBeGreaterThan(0)
        yield* Monitor.until(network.connections, (open) => open === 0)
        // and none is opened again
        yield* Effect.sleep("200 millis")
        expect(yield* network.connections).toBe(0)
      }))

    it.scoped("can be interrupted while names are looked up, and closes what connects afterwards", () =>
      Effect.gen(function*() {
        const server = yield* Responder.make()
        const names = yield* nameServer
        const connecting = yield* Effect.fork(Effect.scoped(MongoClient.make({
          url: Redacted.make("mongodb+srv://cluster.example.test/?tls=false"),
          driver: { lookup: (_host, _options, done) => done(null, [{ address: "127.0.0.1", family: 4 }]) }
        })))
        yield* Effect.promise(() => names.asked)
        // were it to wait, it would wait for the answer that is given below
        expect(Exit.isInterrupted(yield* Fiber.interrupt(connecting))).toBe(true)
        // time for the client to be closed while there is nothing to close yet
        yield* Effect.sleep("50 millis")
        names.answer([{ name: "host.example.test", port: server.port, priority: 0, weight: 0 }])
        // It may be closed as soon as it is open.
        yield* Monitor.until(server.accepted, (count) => count > 0)
        yield* Monitor.until(server.connections, (open) => open === 0)
        const { length } = yield* server.commands
        const count = yield* server.accepted
        // and none is opened again
        yield* Effect.sleep("200 millis")
        expect(yield* server.accepted).toBe(count)
        expect(yield* server.commands).toHaveLength(length)
      }))

    it.scoped("an old server is refused with Incompatible", () =>
      Effect.gen(function*() {
        const { url } = yield* Responder.make({ hello: { maxWireVersion: 5 } })
        const [time, error] = yield* Effect.timed(failed(url))
        expect(error).toMatchObject({ _tag: "MongoError", reason: "Incompatible", operation: "connect" })
        expect(Duration.toMillis(time)).toBeLessThan(15_000)
      }))
  })

  describe("a connected client", () => {
    it.effect("learns from the topology how long the server keeps idle sessions, without asking", () =>
      Monitor.withClient({}, ({ client, monitor }) =>
        Effect.gen(function*() {
          expect(yield* client.sessionTimeout).toEqual(Option.some(Duration.minutes(30)))
          expect(yield* client.deployment).toMatchObject({ kind: "replicaSet" })
          expect(yield* monitor.commands).toEqual([])
        })))

    it.scoped("learns one minute where the server keeps them for one, and has the times that it was given", () =>
      Effect.gen(function*() {
        const { url } = yield* Responder.make({ hello: { logicalSessionTimeoutMinutes: 1 } })
        const client = yield* MongoClient.make({ url: Redacted.make(url), settleTimeout: "3 seconds" })
        expect(yield* client.sessionTimeout).toEqual(Option.some(Duration.minutes(1)))
        expect(client.settleTimeout).toEqual(Duration.seconds(3))
        expect(client.closeTimeout).toEqual(Duration.seconds(10))
      }))

    it.effect("is closed with its scope, and says so", () =>
      Effect.gen(function*() {
        const { url } = yield* MongoServer.MongoServer
        const socketsBefore = yield* Monitor.sockets
        const { client, whileOpen } = yield* Effect.scoped(Effect.map(
          MongoClient.make({ url: Redacted.make(url) }),
          (client) => ({ client, whileOpen: client[inner].isClosed() })
        ))
        expect(whileOpen).toBe(false)
        expect(client[inner].isClosed()).toBe(true)
        yield* Monitor.until(Monitor.sockets, (open) => open <= socketsBefore)
      }))
  })

  describe("the layers", () => {
    it.effect("layer: a client for the program, closed with the layer", () =>
      Effect.gen(function*() {
        const { url } = yield* MongoServer.MongoServer
        const client = yield* Effect.flatMap(MongoClient.MongoClient, (client) =>
          Effect.as(Session.scoped(Effect.flatMap(Session.Session, ping)), client)).pipe(
            Effect.provide(MongoClient.layer({ url: Redacted.make(url), database: "shop" }))
          )
        expect(client.database).toBe("shop")
        expect(client[inner].isClosed()).toBe(true)
      }))

    it.effect("layerConfig: the URL from the configuration; a missing one is a ConfigError", () =>
      Effect.gen(function*() {
        const { url } = yield* MongoServer.MongoServer
        const live = MongoClient.layerConfig({
          url: Config.redacted("MONGO_URL"),
          settleTimeout: Config.duration("SETTLE")
        })
        const client = yield* Effect.provide(MongoClient.MongoClient, live).pipe(
          Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["MONGO_URL", url], ["SETTLE", "7 seconds"]])))
        )
        expect(client.settleTimeout).toEqual(Duration.seconds(7))
        const missing = yield* Effect.flip(Effect.provide(MongoClient.MongoClient, live)).pipe(
          Effect.withConfigProvider(ConfigProvider.fromMap(new Map()))
        )
        expect(missing).toMatchObject({ _op: "And" })
      }))

    it.scoped("layerFromDriver: ends its own sessions and leaves the caller's client open", () =>
      Effect.gen(function*() {
        const { url } = yield* MongoServer.MongoServer
        const driver = yield* Effect.acquireRelease(
          Effect.promise(() => new DriverClient(url).connect()),
          (client) => Effect.promise(() => client.close())
        )
        const service = yield* Effect.scoped(Effect.gen(function*() {
          const client = Context.get(
            yield* Layer.build(MongoClient.layerFromDriver(Effect.succeed(driver))),
            MongoClient.MongoClient
          )
          yield* Effect.flatMap(Monitor.session({ client }), ping)
          expect(yield* client.sessionTimeout).toEqual(Option.some(Duration.minutes(30)))
          return client
        }))
        expect(service[inner].isClosed()).toBe(true)
        expect(yield* service.openSessions).toBe(0)
        expect(yield* Effect.promise(() => driver.db("admin").command({ ping: 1 }))).toMatchObject({ ok: 1 })
        expect(driver.listenerCount("topologyDescriptionChanged")).toBe(0)
      }))

    it.effect("layerFromDriver: passes on what the caller's acquisition fails with", () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Effect.provide(
          MongoClient.MongoClient,
          MongoClient.layerFromDriver(Effect.fail("no client today" as const))
        ))
        expect(error).toBe("no client today")
      }))
  })
})

/** Answers the driver's questions for the hosts of a `mongodb+srv` URL when the test says so. */
const nameServer = Effect.acquireRelease(
  Effect.sync(() => {
    const { resolve, resolveSrv, resolveTxt } = Dns.promises
    let noteAsked = (): void => {}
    let answer = (_records: ReadonlyArray<Dns.SrvRecord>): void => {}
    const asked = new Promise<void>((resolve) => void (noteAsked = resolve))
    const records = new Promise<ReadonlyArray<Dns.SrvRecord>>((resolve) => void (answer = resolve))
    const noText = () => Promise.reject(Object.assign(new Error("no TXT record"), { code: "ENODATA" }))
    const hosts = () => {
      noteAsked()
      return records
    }
    // Which of them is asked depends on the version of the driver.
    Object.assign(Dns.promises, {
      resolve: (_name: string, type: string) => type === "TXT" ? noText() : hosts(),
      resolveSrv: hosts,
      resolveTxt: noText
    })
    return { asked, answer, restore: () => void Object.assign(Dns.promises, { resolve, resolveSrv, resolveTxt }) }
  }),
  (names) => Effect.sync(names.restore)
)
