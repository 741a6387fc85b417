import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import type * as Driver from "mongodb"
import { MongoClient as Raw } from "mongodb"
import { inner } from "../../src/internal/session/client.js"
import * as MongoClient from "../../src/MongoClient.js"
import type * as SessionKeeper from "../../src/SessionKeeper.js"
import * as Telemetry from "../../src/Telemetry.js"
import { connected, open, ping, serverSessionOf } from "../support/server/connected.js"
import * as Responder from "../support/server/responder.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

const hex = ({ id }: Driver.ServerSessionId): string => Buffer.from(id.buffer).toString("hex")

/** The ids of each refresh that came over the wire. */
const refreshes = (server: Responder.Responder) =>
  Effect.map(
    server.named("refreshSessions"),
    (all) => all.map(({ command }) => (command["refreshSessions"] as ReadonlyArray<Driver.ServerSessionId>).map(hex))
  )

/** A keep-alive whose rounds can be waited for. */
const observed = (options: SessionKeeper.Options) =>
  Effect.map(Queue.unbounded<void>(), (rounds) => ({
    keepAlive: {
      ...options,
      // A schedule is asked for the next delay when a round is over, and once before the first.
      schedule: Schedule.tapInput(
        options.schedule ?? Schedule.spaced("10 minutes"),
        () => Queue.offer(rounds, undefined)
      )
    },
    round: Queue.take(rounds)
  }))

const observedClient = (
  options: SessionKeeper.Options = {},
  server: Responder.Options = {},
  driver: Driver.MongoClientOptions = {}
) =>
  Effect.gen(function*() {
    const { keepAlive, round } = yield* observed(options)
    const all = yield* connected(server, { keepAlive, driver })
    yield* round
    return { ...all, round }
  })

describe("law 7 on a scripted server", () => {
  it.scoped(
    "25,000 idle sessions are refreshed by 3 commands per tick, none with an lsid, and are as good as new",
    () =>
      Effect.gen(function*() {
        const { client, open, round, server } = yield* observedClient()
        const before = yield* Metric.value(Telemetry.sessionsRefreshed)
        const sessions = yield* Effect.forEach(Array(25_000), () => open())
        const servers = yield* Effect.forEach(sessions, serverSessionOf)
        // The driver looks through its whole pool at each return to it, which would take half a minute for so many.
        yield* Effect.addFinalizer(() => Effect.sync(() => servers.forEach((one) => (one.isDirty = true))))
        const past = performance.now() - Duration.toMillis(Duration.minutes(10))
        servers.forEach((one) => (one.lastUse = past))
        for (let tick = 1; tick <= 3; tick++) {
          yield* TestClock.adjust(Duration.minutes(10))
          yield* round
          const sent = (yield* refreshes(server)).slice(3 * (tick - 1))
          expect(sent.map((ids) => ids.length)).toEqual([10_000, 10_000, 5_000])
          expect(new Set(sent.flat())).toEqual(new Set(sessions.map(({ id }) => id.hex)))
        }
        const commands = yield* server.commands
        expect(commands.map(({ name }) => name)).toEqual(Array(9).fill("refreshSessions"))
        expect(commands.filter(({ command }) => "lsid" in command)).toEqual([])
        expect((yield* Metric.value(Telemetry.sessionsRefreshed)).count - before.count).toBe(75_000)
        expect(yield* client.openSessions).toBe(25_000)
        expect(servers.every(({ lastUse }) => lastUse > past)).toBe(true)
        const idle = yield* Effect.forEach(sessions, (session) => session.idle)
        expect(idle.every((time) => Duration.equals(time, Duration.zero))).toBe(true)
      })
  )

  it.scoped("a session with an operation in flight is left out, and taken along again when it has become idle", () =>
    Effect.gen(function*() {
      const { open, round, server } = yield* observedClient()
      const answer = yield* Deferred.make<Responder.Reply>()
      yield* server.on("ping", () => Deferred.await(answer))
      const [busy, idle] = yield* Effect.all([open(), open()])
      const operation = yield* Effect.fork(ping(busy))
      yield* server.awaitCommand("ping")
      yield* TestClock.adjust(Duration.minutes(10))
      yield* round
      yield* Deferred.succeed(answer, {})
      yield* Fiber.join(operation)
      yield* TestClock.adjust(Duration.minutes(10))
      yield* round
      const [first, second] = yield* refreshes(server)
      expect(first).toEqual([idle.id.hex])
      expect(new Set(second)).toEqual(new Set([busy.id.hex, idle.id.hex]))
    }))

  it.scoped("a session of keepAlive: false is left to itself, and so are all of a client with keepAlive: false", () =>
    Effect.gen(function*() {
      const { open, round, server } = yield* observedClient()
      const kept = yield* open()
      yield* open({ keepAlive: false })
      yield* TestClock.adjust(Duration.minutes(10))
      yield* round
      expect(yield* refreshes(server)).toEqual([[kept.id.hex]])

      const other = yield* connected({}, { keepAlive: false })
      const session = yield* other.open()
      yield* TestClock.adjust(Duration.minutes(29))
      yield* ping(session)
      expect(yield* refreshes(other.server)).toEqual([])
    }))

  it.scoped("by default it looks every third of the timeout that the server tells, give or take a fifth", () =>
    Effect.gen(function*() {
      const { open, server } = yield* connected({ hello: { logicalSessionTimeoutMinutes: 3 } })
      const session = yield* open()
      const clock = yield* Effect.clock
      const wait = Effect.gen(function*() {
        const sent = (yield* refreshes(server)).length
        let seconds = 0
        while ((yield* refreshes(server)).length === sent && seconds++ < 200) {
          yield* TestClock.adjust(Duration.seconds(1))
        }
        yield* Monitor.until(Effect.withClock(session.idle, clock), (idle) => Duration.toSeconds(idle) < 5)
        return seconds
      })
      // The first look may come just before the session has been idle for a third of the timeout.
      expect(yield* wait).toBeLessThan(60 * 2.4)
      expect(yield* wait).toBeLessThan(60 * 2.4)
    }))

  it.scoped("a session used or released while its refresh is on its way is not harmed by the answer", () =>
    Effect.gen(function*() {
      const { open, round, server } = yield* observedClient()
      const answer = yield* Deferred.make<Responder.Reply>()
      yield* server.on("refreshSessions", () => Deferred.await(answer))
      const scope = yield* Scope.make()
      const used = yield* open()
      const released = yield* Scope.extend(open(), scope)
      const serverSession = yield* serverSessionOf(released)
      yield* TestClock.adjust(Duration.minutes(10))
      yield* server.awaitCommand("refreshSessions")
      yield* TestClock.adjust(Duration.minutes(1))
      yield* ping(used)
      const id = released.id.hex
      yield* Scope.close(scope, Exit.void)
      const next = yield* open()
      expect(next.id.hex).toBe(id)
      yield* TestClock.adjust(Duration.minutes(1))
      yield* Deferred.succeed(answer, {})
      yield* round
      expect(Duration.toMinutes(yield* used.idle)).toBeCloseTo(1, 1)
      expect(serverSession.isDirty).toBe(false)
      expect(yield* next.state).toBe("idle")
    }))

  it.scoped("stops when the client closes, also where the driver's client lives on", () =>
    Effect.gen(function*() {
      const server = yield* Responder.make()
      const driver = yield* Effect.acquireRelease(
        Effect.promise(() => new Raw(server.url).connect()),
        (one) => Effect.promise(() => one.close())
      )
      const { keepAlive, round } = yield* observed({})
      const scope = yield* Scope.make()
      const client = yield* Scope.extend(MongoClient.fromDriver(Effect.succeed(driver), { keepAlive }), scope)
      yield* round
      const session = yield* open(client)()
      yield* TestClock.adjust(Duration.minutes(10))
      yield* round
      expect(yield* refreshes(server)).toEqual([[session.id.hex]])
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust(Duration.hours(2))
      expect(yield* refreshes(server)).toHaveLength(1)
      expect(yield* client[inner].keeper.round).toEqual({ refreshed: 0, commands: 0, lapsed: 0 })
      expect(yield* session.state).toBe("ended")
    }))
})

describe("law 7, a server that fails for longer than the timeout", () => {
  const failing = (reply: Responder.Reply) =>
    Effect.gen(function*() {
      // The driver looks at a server that failed again after half a second only, unless it is told otherwise.
      const driver = { minHeartbeatFrequencyMS: 10 }
      const { client, open, round, server } = yield* observedClient({ retry: Schedule.recurs(2) }, {}, driver)
      const sessions = yield* Effect.all([open(), open(), open({ onLapse: "renew" })])
      const [first, , renewing] = sessions
      const ids = sessions.map(({ id }) => id.hex)
      yield* server.on("refreshSessions", reply)
      for (let tick = 0; tick < 3; tick++) {
        yield* TestClock.adjust(Duration.minutes(10))
        yield* round
      }
      const tries = yield* refreshes(server)
      expect(tries.length).toBeGreaterThanOrEqual(4)
      expect(new Set(tries.flat())).toEqual(new Set(ids))
      yield* server.on("refreshSessions", {})
      yield* server.clear
      return { client, first, ids, renewing, round, server, sessions }
    })

  const replies: ReadonlyArray<readonly [string, Responder.Reply]> = [
    ["that it is no primary", { ok: 0, code: 13_436, codeName: "NotPrimaryOrSecondary", errmsg: "not now" }],
    ["nothing, and closes the connection", "close"]
  ]
  for (const [name, reply] of replies) {
    it.scoped(`by answering ${name}: each session has lapsed on its next use, and nothing of it is sent`, () =>
      Effect.gen(function*() {
        const { first, server } = yield* failing(reply)
        expect(yield* first.state).toBe("lapsed")
        const error = yield* Effect.flip(ping(first))
        expect(error).toMatchObject({ _tag: "SessionLapsed", operation: "use", timeout: Duration.minutes(30) })
        expect(error._tag === "SessionLapsed" && Duration.toMinutes(error.idle)).toBeCloseTo(30, 1)
        expect(yield* server.commands).toEqual([])
      }))
  }

  it.scoped("the keep-alive does not bring a lapsed session back when the server is well again", () =>
    Effect.gen(function*() {
      const { client, round, server, sessions } = yield* failing("close")
      expect(yield* client[inner].keeper.round).toEqual({ refreshed: 0, commands: 0, lapsed: 3 })
      yield* TestClock.adjust(Duration.minutes(10))
      yield* round
      expect(yield* refreshes(server)).toEqual([])
      for (const session of sessions.slice(0, 2)) {
        expect((yield* Effect.flip(ping(session)))._tag).toBe("SessionLapsed")
      }
    }))

  it.scoped("one with onLapse: \"renew\" goes on under a new id, which is kept alive from then on", () =>
    Effect.gen(function*() {
      const { ids, renewing, round, server } = yield* failing("close")
      yield* ping(renewing)
      const [sent] = yield* server.named("ping")
      expect(Responder.lsidOf(sent!.command)).toBe(renewing.id.hex)
      expect(ids).not.toContain(renewing.id.hex)
      yield* TestClock.adjust(Duration.minutes(10))
      yield* round
      expect(yield* refreshes(server)).toEqual([[renewing.id.hex]])
    }))
})

describe("law 7 on a server", () => {
  it.scopedLive(
    "keeps sessions alive for real, tick after tick, while they are used and released",
    () =>
      Monitor.withClient(
        { keepAlive: { schedule: Schedule.spaced("200 millis"), idleFor: "100 millis" } },
        (watched) =>
          Effect.gen(function*() {
            const ticks = yield* Queue.unbounded<Driver.CommandSucceededEvent>()
            watched.client.driver.on("commandSucceeded", (event) => {
              if (event.commandName === "refreshSessions") {
                Queue.unsafeOffer(ticks, event)
              }
            })
            const sessions = yield* Effect.forEach(Array(50), () => Monitor.session(watched))
            for (let tick = 0; tick < 4; tick++) {
              expect((yield* Queue.take(ticks)).reply).toMatchObject({ ok: 1 })
              yield* ping(sessions[tick]!)
            }
            const sent = yield* watched.monitor.named("refreshSessions")
            expect(sent.every(({ lsid }) => lsid === undefined)).toBe(true)
            const counts = sent.map(({ command }) => command["refreshSessions"].length as number)
            expect(Math.max(...counts)).toBe(50)
            expect(counts.slice(1, 4).every((count) => count >= 48)).toBe(true)
            expect(yield* sessions[49]!.state).toBe("idle")
          })
      ).pipe(Effect.provide(TestServer.layer))
  )
})
