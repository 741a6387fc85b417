import { describe, expect, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import type * as Driver from "mongodb"
import { inspect } from "node:util"
import * as CausalToken from "../../src/CausalToken.js"
import * as MongoClient from "../../src/MongoClient.js"
import * as Session from "../../src/Session.js"
import * as FailPoint from "../../src/testing/FailPoint.js"
import { connected, ping, serverSessionOf } from "../support/server/connected.js"
import * as Responder from "../support/server/responder.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

const clientLayer = (client: MongoClient.Service) => Layer.succeed(MongoClient.MongoClient, client)

/** Sends a command in the ambient session. */
const ambientPing = Effect.flatMap(
  MongoClient.MongoClient,
  ({ driver }) => Session.use((session, signal) => driver.db("test").command({ ping: 1 }, { session, signal }))
)

const lsids = (server: Responder.Responder) =>
  Effect.map(server.named("ping"), (all) => all.map(({ command }) => Responder.lsidOf(command)))

describe("the state of a session", () => {
  it.scoped("is busy while an operation is in flight, idle between them, lapsed when they stay away, then ended", () =>
    Effect.gen(function*() {
      const { open, server } = yield* connected({}, { keepAlive: false })
      const answer = yield* Deferred.make<Responder.Reply>()
      yield* server.on("ping", () => Deferred.await(answer))
      const session = yield* Effect.scoped(Effect.gen(function*() {
        const session = yield* open()
        expect(yield* session.state).toBe("idle")
        const operation = yield* Effect.fork(ping(session))
        yield* server.awaitCommand("ping")
        const during = yield* session.state
        yield* Deferred.succeed(answer, {})
        yield* Fiber.join(operation)
        expect(during).toBe("busy")
        expect(yield* session.state).toBe("idle")
        yield* TestClock.adjust(Duration.minutes(31))
        expect(yield* session.state).toBe("lapsed")
        return session
      }))
      expect(yield* session.state).toBe("ended")
    }))

  it.scoped("tells apart what one session does from what another does", () =>
    Effect.gen(function*() {
      const { open, server } = yield* connected()
      const answer = yield* Deferred.make<Responder.Reply>()
      yield* server.on("ping", () => Deferred.await(answer))
      const [busy, idle] = yield* Effect.all([open(), open()])
      const operation = yield* Effect.fork(ping(busy))
      yield* server.awaitCommand("ping")
      const states = [yield* busy.state, yield* idle.state]
      yield* Deferred.succeed(answer, {})
      yield* Fiber.join(operation)
      expect(states).toEqual(["busy", "idle"])
    }))
})

describe("what a session tells of itself", () => {
  it.scoped("is nothing at first", () =>
    Effect.gen(function*() {
      const { client, open, server } = yield* connected()
      const session = yield* open()
      expect(yield* session.operationTime).toEqual(Option.none())
      expect(yield* session.clusterTime).toEqual(Option.none())
      expect(yield* session.snapshotTime).toEqual(Option.none())
      expect(yield* session.serverAddress).toEqual(Option.none())
      expect(yield* session.causalToken).toEqual(CausalToken.empty)
      expect(yield* session.isDirty).toBe(false)
      expect(yield* session.idle).toEqual(Duration.millis(0))
      expect(session.client).toBe(client)
      expect(session.options).toMatchObject({ causalConsistency: true, keepAlive: true, release: "pool" })
      expect(yield* server.commands).toEqual([])
    }))

  it.scoped("is fit for a log: neither it nor its client shows the URL", () =>
    Effect.gen(function*() {
      const { client, open, server } = yield* connected()
      const session = yield* open()
      for (const value of [session, client, { nested: { session, client } }]) {
        for (const shown of [inspect(value, { depth: 20 }), JSON.stringify(value), String(value)]) {
          expect(shown).not.toContain(String(server.port))
        }
      }
      expect(JSON.stringify(session)).toContain(session.id.uuid)
      expect(inspect(session)).toContain(session.id.uuid)
    }))

  it.scoped("its idle time begins anew with every use", () =>
    Effect.gen(function*() {
      const { open } = yield* connected()
      const session = yield* open()
      for (const minutes of [3, 7]) {
        yield* TestClock.adjust(Duration.minutes(minutes))
        expect(Duration.toMinutes(yield* session.idle)).toBeCloseTo(minutes, 1)
        yield* ping(session)
        expect(Duration.toMinutes(yield* session.idle)).toBeCloseTo(0, 1)
      }
    }))

  it.scoped("its times are those of the replies that it had, and its id is the one that the server sees", () =>
    Effect.gen(function*() {
      const { open, server } = yield* connected()
      const session = yield* open()
      yield* ping(session)
      const [lsid] = yield* lsids(server)
      expect(session.id.hex).toBe(lsid)
      const operationTime = Option.getOrThrow(yield* session.operationTime).toBigInt()
      const clusterTime = Option.getOrThrow(yield* session.clusterTime).clusterTime.toBigInt()
      const token = yield* session.causalToken
      expect(token.operationTime).toEqual(Option.some(operationTime))
      expect(Option.map(token.clusterTime, ({ time }) => time)).toEqual(Option.some(clusterTime))
      yield* ping(session)
      expect(Option.getOrThrow(yield* session.operationTime).toBigInt()).toBeGreaterThan(operationTime)
    }))

  it.scoped("can still be asked for after the release", () =>
    Effect.gen(function*() {
      const { open } = yield* connected()
      const { id, session } = yield* Effect.scoped(Effect.gen(function*() {
        const session = yield* open()
        yield* ping(session)
        return { session, id: session.id }
      }))
      expect(session.id).toEqual(id)
      expect(yield* session.isDirty).toBe(false)
      expect(Option.isSome(yield* session.operationTime)).toBe(true)
    }))
})

describe("an operation that was given a name", () => {
  const named = (session: Session.Service, operation: string, command: Driver.Document = { ping: 1 }) =>
    session.use((one) => session.client.driver.db("test").command(command, { session: one }), { operation })

  it.scoped("is called by it in the errors of the session, and by those that it is in the way of", () =>
    Effect.gen(function*() {
      const { open, server } = yield* connected()
      const answer = yield* Deferred.make<Responder.Reply>()
      yield* server.on("ping", () => Deferred.await(answer))
      const session = yield* Effect.scoped(Effect.gen(function*() {
        const session = yield* open({ onBusy: "fail" })
        const running = yield* Effect.fork(named(session, "saveUser"))
        yield* server.awaitCommand("ping")
        const errors = [yield* Effect.flip(named(session, "loadUser")), yield* Effect.flip(ping(session))]
        yield* Deferred.succeed(answer, {})
        yield* Fiber.join(running)
        expect(errors).toMatchObject([
          { _tag: "SessionBusy", operation: "loadUser", holder: "saveUser" },
          { _tag: "SessionBusy", operation: "use", holder: "saveUser" }
        ])
        return session
      }))
      expect(yield* Effect.flip(named(session, "loadUser")))
        .toMatchObject({ _tag: "SessionEnded", operation: "loadUser" })
    }))

  it.scoped("is called by it in the errors of the driver, of a lapse and of an unacknowledged write, ambient or not", () =>
    Effect.gen(function*() {
      const { client, open } = yield* connected({}, { keepAlive: false })
      const session = yield* open()
      expect(yield* Effect.flip(named(session, "loadUser", { noSuchCommand: 1 })))
        .toMatchObject({ _tag: "MongoError", operation: "loadUser", code: 59 })
      const ambient = Session.use((one) => client.driver.db("test").command({ noSuchCommand: 1 }, { session: one }), {
        operation: "loadUser"
      })
      expect(yield* Effect.flip(Session.provide(ambient, session)))
        .toMatchObject({ _tag: "MongoError", operation: "loadUser" })
      const unacknowledged = session.use(
        (one) => client.driver.db("test").collection("users").insertOne({}, { session: one, writeConcern: { w: 0 } }),
        { operation: "saveUser" }
      )
      expect(yield* Effect.flip(unacknowledged)).toMatchObject({ _tag: "UnacknowledgedWrite", operation: "saveUser" })
      yield* TestClock.adjust(Duration.minutes(31))
      expect(yield* Effect.flip(named(session, "loadUser")))
        .toMatchObject({ _tag: "SessionLapsed", operation: "loadUser" })
    }))
})

describe("a session whose connection broke", () => {
  it.scopedLive("is dirty, goes on, and leaves nothing to the pool", () =>
    Monitor.withClient({}, (watched) =>
      Effect.gen(function*() {
        const { appName, client, monitor } = watched
        const admin = yield* TestServer.driver()
        const dirty = yield* Effect.scoped(Effect.gen(function*() {
          const session = yield* Monitor.session(watched)
          const failPoint = { failCommands: ["ping"], closeConnection: true, appName }
          const error = yield* Effect.flip(FailPoint.during(admin, failPoint)(ping(session)))
          expect(error).toMatchObject({ _tag: "MongoError", reason: "NetworkError" })
          expect(yield* session.isDirty).toBe(true)
          yield* ping(session)
          expect((yield* monitor.named("ping")).at(-1)?.lsid).toBe(session.id.hex)
          return session.id.hex
        }))
        const next = yield* Effect.forEach(Array(3), () => Monitor.session({ client }))
        expect(next.map(({ id }) => id.hex)).not.toContain(dirty)
      })).pipe(Effect.provide(TestServer.layer)))
})

describe("a session as", () => {
  it.scoped("a layer is shared by all that is built on it, and ended with it", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      const both = Effect.all([ambientPing, ambientPing])
      const session = yield* Effect.zipRight(both, Session.Session).pipe(
        Effect.provide(Session.layer({ release: "end" })),
        Effect.provide(clientLayer(client))
      )
      expect(yield* session.state).toBe("ended")
      expect(yield* lsids(server)).toEqual([session.id.hex, session.id.hex])
      expect(yield* server.named("endSessions")).toHaveLength(1)
    }))

  it.scoped("a bracket around an effect is opened for it and ended after it, also when it fails", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      const program = Effect.zipRight(ambientPing, Effect.zip(client.openSessions, Effect.fail("broken")))
      const error = yield* Effect.flip(Session.scoped(program, { release: "end" })).pipe(
        Effect.provide(clientLayer(client))
      )
      expect(error).toBe("broken")
      expect(yield* client.openSessions).toBe(0)
      expect(yield* server.named("endSessions")).toHaveLength(1)
      yield* ambientPing.pipe(Session.scoped(), Effect.provide(clientLayer(client)))
      expect(yield* lsids(server)).toHaveLength(2)
    }))

  it.scoped("the ambient one can be another for a while, or none", () =>
    Effect.gen(function*() {
      const { client, open, server } = yield* connected()
      const [outer, inner] = yield* Effect.all([open(), open()])
      const current = Effect.map(Session.current(), Option.map(({ id }) => id.hex))
      const seen = yield* Effect.all([
        current,
        Session.provide(current, inner),
        Session.provide(Session.detached(current), inner),
        Session.detached(current),
        Session.detached(Session.provide(current, inner)),
        current
      ]).pipe(Session.provide(outer), Effect.provide(clientLayer(client)))
      expect(seen.map(Option.getOrUndefined)).toEqual([
        outer.id.hex,
        inner.id.hex,
        undefined,
        undefined,
        inner.id.hex,
        outer.id.hex
      ])
      yield* Session.provide(Session.provide(ambientPing, inner), outer).pipe(Effect.provide(clientLayer(client)))
      expect(yield* lsids(server)).toEqual([inner.id.hex])
    }))

  it.scoped("the ambient one of a client under its own tag needs that client only", () =>
    Effect.gen(function*() {
      class Other extends MongoClient.Tag("Other")<Other>() {}
      const { client } = yield* connected()
      const session = yield* Effect.provideService(Session.make({ client: Other }), Other, client)
      expect(session.client).toBe(client)
      const current = yield* Session.current({ client: Other }).pipe(
        Session.provide(session),
        Effect.provideService(Other, client)
      )
      expect(current).toEqual(Option.some(session))
      expect((yield* serverSessionOf(session)).isDirty).toBe(false)
    }))
})

describe("the options of a session", () => {
  it("are decoded with all that is wrong with them", () => {
    const issues = Either.match(Session.decodeOptions({ onBusy: "wait", snapshotTime: 1, keepAlive: "yes" }), {
      onLeft: (error) => error.issues.map(({ path }) => path.join(".")).sort(),
      onRight: () => []
    })
    expect(issues).toEqual(["keepAlive", "onBusy", "snapshotTime"])
  })

  it.scoped("come from configuration, and open a session as they are", () =>
    Effect.gen(function*() {
      const { open } = yield* connected()
      const variables = new Map([["MONGO_ON_LAPSE", "renew"], ["MONGO_RELEASE", "end"], ["MONGO_KEEP_ALIVE", "no"]])
      const options = yield* Effect.withConfigProvider(
        Session.config("MONGO"),
        ConfigProvider.fromMap(variables, { pathDelim: "_" })
      )
      const session = yield* open(options)
      expect(session.options).toMatchObject({ onLapse: "renew", release: "end", keepAlive: false, onBusy: "queue" })
    }))

  it.effect("that are invalid in the configuration are a ConfigError", () =>
    Effect.gen(function*() {
      const provider = ConfigProvider.fromMap(new Map([["SESSION_ON_BUSY", "panic"]]), { pathDelim: "_" })
      const error = yield* Effect.flip(Effect.withConfigProvider(Session.config(), provider))
      expect(error).toMatchObject({ _op: "InvalidData", path: ["SESSION", "ON_BUSY"] })
    }))
})
