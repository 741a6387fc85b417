import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import type * as Driver from "mongodb"
import { Long, Timestamp } from "mongodb"
import * as Session from "../../src/Session.js"
import * as Telemetry from "../../src/Telemetry.js"
import * as Transaction from "../../src/Transaction.js"
import { connected, find, logged, ping, serverSessionOf } from "../support/server/connected.js"
import * as Responder from "../support/server/responder.js"

const hex = (server: Driver.ServerSession): string => Buffer.from(server.id.id.buffer).toString("hex")

/** The cursors that a client of the driver has open. */
const openCursors = (driver: Driver.MongoClient): ReadonlyArray<unknown> => {
  const { s } = driver as Driver.MongoClient & { readonly s: { readonly activeCursors: ReadonlySet<unknown> } }
  return [...s.activeCursors]
}

/** A session that nothing keeps alive. */
const unkept = (options?: Session.Options, server?: Responder.Options) =>
  Effect.gen(function*() {
    const all = yield* connected(server, { keepAlive: false })
    return { ...all, session: yield* all.open(options) }
  })

describe("a session idle for as long as the server keeps sessions, with onLapse: \"fail\"", () => {
  it.scoped("fails on its next use, and sends nothing", () =>
    Effect.gen(function*() {
      const { server, session } = yield* unkept()
      yield* ping(session)
      yield* server.clear
      yield* TestClock.adjust(Duration.minutes(31))
      const error = yield* Effect.flip(ping(session))
      expect(error).toMatchObject({ _tag: "SessionLapsed", operation: "use", timeout: Duration.minutes(30) })
      expect(error._tag === "SessionLapsed" && Duration.toMinutes(error.idle)).toBeCloseTo(31, 1)
      expect(yield* server.commands).toEqual([])
    }))

  it.scoped("cannot be refreshed either, and stays lapsed", () =>
    Effect.gen(function*() {
      const { server, session } = yield* unkept()
      yield* TestClock.adjust(Duration.minutes(30))
      expect(yield* session.state).toBe("lapsed")
      expect(yield* Effect.flip(session.refresh)).toMatchObject({ _tag: "SessionLapsed", operation: "refresh" })
      expect(yield* Effect.flip(ping(session))).toMatchObject({ _tag: "SessionLapsed" })
      expect(yield* session.state).toBe("lapsed")
      expect(yield* server.commands).toEqual([])
    }))

  it.scoped("has not lapsed a moment before", () =>
    Effect.gen(function*() {
      const { session } = yield* unkept()
      yield* TestClock.adjust(Duration.minutes(30).pipe(Duration.subtract(Duration.millis(1))))
      expect(yield* session.state).toBe("idle")
      yield* ping(session)
      yield* TestClock.adjust(Duration.minutes(29))
      yield* ping(session)
    }))

  it.scoped("goes by the timeout that the server tells", () =>
    Effect.gen(function*() {
      const { session } = yield* unkept({}, { hello: { logicalSessionTimeoutMinutes: 5 } })
      yield* TestClock.adjust(Duration.minutes(4))
      expect(yield* session.state).toBe("idle")
      yield* TestClock.adjust(Duration.minutes(1))
      expect(yield* Effect.flip(ping(session))).toMatchObject({ timeout: Duration.minutes(5) })
    }))

  it.scoped("its lapse is counted and logged once, however often it is used after that", () =>
    logged((entries) =>
      Effect.gen(function*() {
        const { session } = yield* unkept()
        const before = yield* Metric.value(Telemetry.sessionsLapsed)
        yield* TestClock.adjust(Duration.minutes(31))
        for (let n = 0; n < 5; n++) yield* Effect.flip(ping(session))
        expect((yield* Metric.value(Telemetry.sessionsLapsed)).count - before.count).toBe(1)
        expect(entries).toEqual([{
          message: "sessions were idle for longer than the server keeps them",
          annotations: { sessions: 1, timeout: "30m" }
        }])
      })
    ))

  it.scoped("its server session is not handed out again when it is released", () =>
    Effect.gen(function*() {
      const { open } = yield* unkept()
      const scope = yield* Scope.make()
      const lapsed = yield* Scope.extend(open(), scope)
      yield* TestClock.adjust(Duration.minutes(31))
      yield* Scope.close(scope, Exit.void)
      const next = yield* Effect.forEach(Array(3), () => open())
      expect(next.map(({ id }) => id.hex)).not.toContain(lapsed.id.hex)
    }))

  it.scoped("does not count as used by a function that sends nothing", () =>
    Effect.gen(function*() {
      const { session } = yield* unkept()
      yield* TestClock.adjust(Duration.minutes(29))
      yield* session.use(() => Promise.resolve())
      expect(Duration.toMinutes(yield* session.idle)).toBe(29)
      yield* TestClock.adjust(Duration.minutes(1))
      expect((yield* Effect.flip(ping(session)))._tag).toBe("SessionLapsed")
    }))
})

describe("a session that lapsed, with onLapse: \"renew\"", () => {
  it.scoped("goes on under a new id, with the causal times that it had", () =>
    Effect.gen(function*() {
      const { server, session } = yield* unkept({ onLapse: "renew" })
      yield* find(session)
      const { id } = session
      const operationTime = Option.getOrThrow(yield* session.operationTime)
      const clusterTime = Option.getOrThrow(yield* session.clusterTime).clusterTime
      const old = yield* serverSessionOf(session)
      yield* server.clear
      yield* TestClock.adjust(Duration.minutes(31))
      yield* find(session)
      expect(session.id).not.toEqual(id)
      const [sent] = yield* server.named("find")
      expect(Responder.lsidOf(sent!.command)).toBe(session.id.hex)
      expect(sent!.command["readConcern"]).toEqual({ afterClusterTime: operationTime })
      expect(sent!.command["$clusterTime"].clusterTime.toBigInt()).toBeGreaterThanOrEqual(clusterTime.toBigInt())
      expect(Option.getOrThrow(yield* session.operationTime).greaterThanOrEqual(operationTime)).toBe(true)
      expect(old.isDirty).toBe(true)
      expect(yield* session.isDirty).toBe(false)
      expect(yield* session.state).toBe("idle")
    }))

  it.scoped("never gives the lapsed server session to anybody", () =>
    Effect.gen(function*() {
      const { client, open, session } = yield* unkept({ onLapse: "renew" })
      const { id } = session
      yield* ping(session)
      yield* TestClock.adjust(Duration.minutes(31))
      yield* ping(session)
      const next = yield* Effect.forEach(Array(3), () => open())
      expect(next.map((one) => one.id.hex)).not.toContain(id.hex)
      expect(hex(client.driver.startSession().serverSession)).not.toBe(id.hex)
    }))

  it.scoped("keeps reading as of the time of its snapshot", () =>
    Effect.gen(function*() {
      const atClusterTime = Timestamp.fromBits(7, 1_700_000_100)
      const cursor = { firstBatch: [], id: Long.ZERO, ns: "test.things", atClusterTime }
      const { server, session } = yield* unkept({ onLapse: "renew", snapshot: true }, {
        handlers: { find: { cursor } }
      })
      yield* find(session)
      const { id } = session
      yield* TestClock.adjust(Duration.minutes(31))
      yield* find(session)
      expect(session.id).not.toEqual(id)
      const [, sent] = yield* server.named("find")
      expect(sent!.command["readConcern"]).toEqual({ level: "snapshot", atClusterTime })
      expect(yield* session.snapshotTime).toEqual(Option.some(atClusterTime))
    }))

  it.scoped("is renewed once for all that waited, and again after the next lapse", () =>
    Effect.gen(function*() {
      const { client, server, session } = yield* unkept({ onLapse: "renew" })
      let started = 0
      const startSession = client.driver.startSession.bind(client.driver)
      client.driver.startSession = (options) => {
        if ((options as { readonly explicit?: boolean } | undefined)?.explicit !== false) started++
        return startSession(options)
      }
      const pings = Array.from({ length: 20 }, () => ping(session))
      const all = Effect.all([...pings, session.refresh], { concurrency: "unbounded", discard: true })
      for (const lapses of [1, 2]) {
        yield* server.clear
        yield* TestClock.adjust(Duration.minutes(31))
        yield* all
        const lsids = (yield* server.named("ping")).map(({ command }) => Responder.lsidOf(command))
        expect(new Set(lsids)).toEqual(new Set([session.id.hex]))
        expect(started).toBe(lapses)
      }
      expect(yield* server.overlaps).toEqual([])
    }))

  it.scoped("is not renewed in the middle of a transaction, which is gone with it: the use fails", () =>
    Effect.gen(function*() {
      const { client, server, session } = yield* unkept({ onLapse: "renew" })
      const insert = session.use((one) => client.driver.db("test").collection("things").insertOne({}, { session: one }))
      yield* Session.provide(Transaction.start({ warnings: false }), session)
      yield* insert
      const { id } = session
      yield* server.clear
      yield* TestClock.adjust(Duration.minutes(31))
      for (const attempt of [Effect.flip(insert), Effect.flip(session.refresh), Effect.flip(insert)]) {
        expect(yield* attempt).toMatchObject({ _tag: "SessionLapsed", timeout: Duration.minutes(30) })
      }
      expect(session.id).toEqual(id)
      expect(yield* session.state).toBe("lapsed")
      expect(yield* server.commands).toEqual([])
    }))

  it.scoped("has the cursors closed that its old driver session had left open", () =>
    Effect.gen(function*() {
      const cursor = { firstBatch: [{ n: 1 }], id: Long.fromNumber(7), ns: "test.things" }
      const { client, server, session } = yield* unkept({ onLapse: "renew" }, { handlers: { find: { cursor } } })
      const left = yield* session.use(async (one) => {
        const found = client.driver.db("test").collection("things").find({}, { session: one })
        await found.next()
        return found
      })
      const { id } = session
      expect(openCursors(client.driver)).toEqual([left])
      yield* TestClock.adjust(Duration.minutes(31))
      yield* ping(session)
      expect(session.id).not.toEqual(id)
      expect(left.closed).toBe(true)
      expect(openCursors(client.driver)).toEqual([])
      const [kill] = yield* server.named("killCursors")
      expect(Responder.lsidOf(kill!.command)).toBe(id.hex)
      expect(yield* server.overlaps).toEqual([])
    }))

  it.scoped("is not renewed by a refresh while an operation is in flight on it", () =>
    Effect.gen(function*() {
      const { server, session } = yield* unkept({ onLapse: "renew" })
      const answer = yield* Deferred.make<Responder.Reply>()
      yield* server.on("ping", () => Deferred.await(answer))
      const { id } = session
      const driverSession = yield* session.use((one) => Promise.resolve(one))
      const operation = yield* Effect.fork(ping(session))
      yield* server.awaitCommand("ping")
      yield* TestClock.adjust(Duration.minutes(31))
      const refresh = yield* Effect.fork(session.refresh)
      yield* TestClock.adjust(Duration.minutes(1))
      const during = { ended: driverSession.hasEnded, id: session.id }
      yield* Deferred.succeed(answer, {})
      yield* Fiber.join(operation)
      yield* Fiber.join(refresh)
      expect(during).toEqual({ ended: false, id })
    }))

  it.scoped("ends its new server session when it is released", () =>
    Effect.gen(function*() {
      const { open, server } = yield* unkept()
      const ids = yield* Effect.scoped(Effect.gen(function*() {
        const session = yield* open({ onLapse: "renew", release: "end" })
        const before = session.id.hex
        yield* TestClock.adjust(Duration.minutes(31))
        yield* ping(session)
        return [before, session.id.hex]
      }))
      const sent = (yield* server.named("endSessions")).flatMap(({ command }) => command["endSessions"])
      expect(sent.map(({ id }) => Buffer.from(id.buffer).toString("hex"))).toEqual([ids[1]])
    }))
})

describe("refreshing a session by hand", () => {
  it.scoped("sends its id, without an lsid, and counts as a use", () =>
    Effect.gen(function*() {
      const { server, session } = yield* unkept()
      yield* TestClock.adjust(Duration.minutes(29))
      yield* session.refresh
      const sent = yield* server.commands
      expect(sent.map(({ name }) => name)).toEqual(["refreshSessions"])
      expect(sent[0]!.command).not.toHaveProperty("lsid")
      const ids = sent[0]!.command["refreshSessions"] as ReadonlyArray<Driver.ServerSessionId>
      expect(ids.map(({ id }) => Buffer.from(id.buffer).toString("hex"))).toEqual([session.id.hex])
      expect(Duration.toMinutes(yield* session.idle)).toBe(0)
      yield* TestClock.adjust(Duration.minutes(29))
      yield* ping(session)
    }))

  it.scoped("fails with the server's refusal, and then does not count as a use", () =>
    Effect.gen(function*() {
      const { server, session } = yield* unkept()
      yield* server.on("refreshSessions", { ok: 0, code: 13, codeName: "Unauthorized", errmsg: "no" })
      yield* TestClock.adjust(Duration.minutes(29))
      expect(yield* Effect.flip(session.refresh)).toMatchObject({ _tag: "MongoError", reason: "Unauthorized" })
      expect(Duration.toMinutes(yield* session.idle)).toBe(29)
    }))

  it.scoped("fails with SessionEnded after the release, and sends nothing", () =>
    Effect.gen(function*() {
      const { open, server } = yield* unkept()
      const session = yield* Effect.scoped(open())
      expect(yield* Effect.flip(session.refresh)).toMatchObject({ _tag: "SessionEnded", operation: "refresh" })
      expect(yield* server.commands).toEqual([])
    }))
})
