import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import type * as Driver from "mongodb"
import { inner } from "../../src/internal/session/client.js"
import type * as Session from "../../src/Session.js"
import type { Connected } from "../support/server/connected.js"
import { clientOf, connected, logged, ping, serverSessionOf } from "../support/server/connected.js"
import * as Responder from "../support/server/responder.js"

const minute = 60_000

const hex = (server: Driver.ServerSession): string => Buffer.from(server.id.id.buffer).toString("hex")

/** Uses a session, releases it, and lets so many minutes pass, as far as its driver can tell. */
const pooled = (open: Connected["open"], minutes: number, options?: Session.Options) =>
  Effect.scoped(Effect.tap(open(options), ping).pipe(Effect.flatMap(serverSessionOf))).pipe(
    Effect.tap((server) => Effect.sync(() => void (server.lastUse -= minutes * minute)))
  )

/** The server sessions of so many sessions that are open at the same time. */
const next = (open: Connected["open"], count = 3) =>
  Effect.scoped(Effect.map(
    Effect.forEach(Array(count), () => Effect.flatMap(open(), serverSessionOf)),
    (servers) => servers.map(hex)
  ))

describe("law 5, a server session that was idle in the pool", () => {
  for (const minutes of [29.5, 31, 61, 75, 125]) {
    it.scoped(`for ${minutes} of 30 minutes is never handed out again`, () =>
      Effect.gen(function*() {
        const { open } = yield* connected()
        const old = yield* pooled(open, minutes)
        expect(yield* next(open)).not.toContain(hex(old))
        expect(yield* next(open)).not.toContain(hex(old))
      }))
  }

  it.scoped("for 5 minutes is used again", () =>
    Effect.gen(function*() {
      const { open } = yield* connected()
      const recent = yield* pooled(open, 5)
      const session = yield* open()
      expect(session.id.hex).toBe(hex(recent))
      expect(Math.round(Duration.toMinutes(yield* session.idle))).toBe(5)
    }))

  it.scoped("is passed over in favour of a fresh one below it", () =>
    Effect.gen(function*() {
      const { open } = yield* connected()
      const [top, below] = yield* Effect.scoped(Effect.all([
        Effect.flatMap(open(), serverSessionOf),
        Effect.flatMap(open(), serverSessionOf)
      ]))
      // The scope gave them back last opened first, so that the first is on top.
      top.lastUse -= 61 * minute
      expect(yield* next(open, 1)).toEqual([hex(below)])
      expect(yield* next(open, 3)).not.toContain(hex(top))
    }))

  it.scoped("is handed out again once the driver itself has used it: the server has heard of it then", () =>
    Effect.gen(function*() {
      const { client, open, server } = yield* connected()
      const old = yield* pooled(open, 61)
      yield* server.clear
      yield* Effect.promise(() => client.driver.db("test").command({ ping: 1 }))
      const implicit = Responder.lsidOf((yield* server.named("ping"))[0]!.command)
      expect(implicit).toBe(hex(old))
      expect((yield* open()).id.hex).toBe(implicit)
    }))

  it.scoped("while the machine was suspended, so that the driver saw no time pass, is not handed out", () =>
    Effect.gen(function*() {
      const { client, open } = yield* connected({}, { keepAlive: false })
      const old = yield* pooled(open, 0)
      yield* TestClock.adjust(Duration.minutes(40))
      expect(yield* next(open)).not.toContain(hex(old))
      expect(client.driver.startSession().serverSession).not.toBe(old)
    }))

  it.scoped("for a moment only is not for ever replaced where the server keeps sessions for no more than a minute", () =>
    Effect.gen(function*() {
      const { open, server } = yield* connected({ hello: { logicalSessionTimeoutMinutes: 1 } })
      for (let n = 0; n < 20; n++) yield* Effect.scoped(Effect.flatMap(open(), ping))
      yield* Effect.scoped(Effect.forEach(Array(20), () => Effect.flatMap(open(), ping)))
      expect(yield* server.named("ping")).toHaveLength(40)
    }))

  it.scoped("is never handed out, however implicit operations, keep-alive and other sessions come between", () =>
    Effect.gen(function*() {
      const { client, open, server } = yield* connected()
      const staleIds = new Set<string>()
      for (let round = 0; round < 30; round++) {
        const held = yield* Scope.make()
        const sessions = yield* Effect.forEach(Array(1 + round % 4), () => Scope.extend(open(), held))
        for (const session of sessions) {
          expect(staleIds).not.toContain(session.id.hex)
          if (round % 3 > 0) yield* ping(session)
        }
        const servers = yield* Effect.forEach(sessions, serverSessionOf)
        yield* TestClock.adjust(Duration.minutes(11))
        if (round % 2 === 0) yield* client[inner].keeper.round
        yield* Scope.close(held, Exit.void)
        for (const [index, one] of servers.entries()) {
          if ((round + index) % 3 > 0) continue
          one.lastUse -= [31, 61, 75, 125][(round + index) % 4]! * minute
          staleIds.add(hex(one))
        }
        yield* server.clear
        yield* Effect.promise(() => client.driver.db("test").command({ ping: 1 }))
        // The driver may take a stale one for itself, and the server starts it anew.
        staleIds.delete(Responder.lsidOf((yield* server.named("ping"))[0]!.command)!)
      }
      expect(staleIds.size).toBeGreaterThan(5)
    }))
})

describe("law 6, release: \"end\"", () => {
  it.scoped("takes the server session out of the pool, then ends it on the server, by its id and without an lsid", () =>
    Effect.gen(function*() {
      const { open, server } = yield* connected()
      let endedFirst: boolean | undefined
      let driverSession: Driver.ClientSession | undefined
      yield* server.on("endSessions", () => {
        endedFirst ??= driverSession?.hasEnded
        return {}
      })
      const id = yield* Effect.scoped(Effect.gen(function*() {
        const session = yield* open({ release: "end" })
        yield* ping(session)
        yield* session.use((one) => {
          driverSession = one
          return Promise.resolve()
        })
        expect(yield* server.named("endSessions")).toEqual([])
        return session.id
      }))
      const sent = yield* server.named("endSessions")
      expect(sent).toHaveLength(1)
      expect(sent[0]!.command).not.toHaveProperty("lsid")
      expect(sent[0]!.command["endSessions"]).toHaveLength(1)
      expect(Buffer.from(sent[0]!.command["endSessions"][0].id.buffer).toString("hex")).toBe(id.hex)
      expect(endedFirst).toBe(true)
      expect(yield* next(open)).not.toContain(id.hex)
    }))

  it.scoped("the client's end does not end it a second time", () =>
    Effect.gen(function*() {
      const server = yield* Responder.make()
      yield* Effect.scoped(Effect.gen(function*() {
        const { open } = yield* clientOf(server)
        yield* Effect.flatMap(open({ release: "end" }), ping)
      }))
      expect(yield* server.named("endSessions")).toHaveLength(1)
    }))

  it.scoped("closing goes on when the server refuses, and says so in the log", () =>
    logged((entries) =>
      Effect.gen(function*() {
        const { client, open, server } = yield* connected()
        yield* server.on("endSessions", { ok: 0, code: 13, codeName: "Unauthorized", errmsg: "secret" })
        yield* Effect.scoped(Effect.flatMap(open({ release: "end" }), ping))
        expect(entries).toEqual([{
          message: "a step of closing did not succeed",
          annotations: { step: "endSessions", problem: "Unauthorized" }
        }])
        expect(yield* client.openSessions).toBe(0)
      })
    ))

  it.scoped("closing waits for an answer that does not come for no longer than closeTimeout", () =>
    logged((entries) =>
      Effect.gen(function*() {
        const { client, open, server } = yield* connected({}, { closeTimeout: "5 seconds" })
        yield* server.on("endSessions", "hang")
        const fiber = yield* Effect.fork(Effect.scoped(Effect.flatMap(open({ release: "end" }), ping)))
        yield* server.awaitCommand("endSessions")
        yield* TestClock.adjust(Duration.millis(4_999))
        expect(fiber.unsafePoll()).toBe(null)
        yield* TestClock.adjust(Duration.millis(1))
        yield* Fiber.join(fiber)
        expect(entries.map(({ annotations }) => annotations)).toEqual([
          { step: "endSessions", problem: "not done in time" }
        ])
        expect(yield* client.openSessions).toBe(0)
      })
    ))

  it.scoped("waits for the operation that is in flight", () =>
    Effect.gen(function*() {
      const { open, server } = yield* connected()
      const answer = yield* Deferred.make<Responder.Reply>()
      yield* server.on("ping", () => Deferred.await(answer))
      const scope = yield* Scope.make()
      const session = yield* Scope.extend(open({ release: "end" }), scope)
      const operation = yield* Effect.fork(ping(session))
      yield* server.awaitCommand("ping")
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* TestClock.adjust(Duration.seconds(1))
      expect(yield* server.named("endSessions")).toEqual([])
      yield* Deferred.succeed(answer, {})
      yield* Fiber.join(operation)
      yield* Fiber.join(closing)
      const [sent] = yield* server.named("endSessions")
      expect(sent!.at).toBeGreaterThan((yield* server.named("ping"))[0]!.repliedAt!)
    }))
})

describe("law 6, release: \"pool\"", () => {
  it.scoped("gives the server session to the next, and never ends it on the server", () =>
    Effect.gen(function*() {
      const { open, server } = yield* connected()
      const first = yield* Effect.scoped(Effect.flatMap(open(), (session) => Effect.as(ping(session), session.id.hex)))
      expect(yield* next(open, 1)).toEqual([first])
      yield* Effect.scoped(Effect.flatMap(open({ release: "pool" }), ping))
      expect(yield* server.named("endSessions")).toEqual([])
      const lsids = (yield* server.named("ping")).map(({ command }) => Responder.lsidOf(command))
      expect(new Set(lsids)).toEqual(new Set([first]))
    }))

  it.scoped("an id that is back in the pool and in use again is not ended by the one who had it before", () =>
    Effect.gen(function*() {
      const { open, server } = yield* connected()
      const first = yield* Effect.scoped(Effect.map(open(), (session) => session.id.hex))
      const second = yield* open()
      expect(second.id.hex).toBe(first)
      // A session of release "end" beside it ends its own id only.
      const other = yield* Effect.scoped(Effect.map(open({ release: "end" }), (session) => session.id.hex))
      const ended = (yield* server.named("endSessions")).flatMap(({ command }) =>
        command["endSessions"] as Array<Driver.ServerSessionId>
      )
      expect(ended.map(({ id }) => Buffer.from(id.buffer).toString("hex"))).toEqual([other])
    }))

  // Whoever gives up a find before its answer never learns of the cursor that the server has opened for it.
  it.scoped("a session whose read was given up is ended on the server all the same, with the cursor that it may hold", () =>
    Effect.gen(function*() {
      const { client, open, server } = yield* connected({ handlers: { find: "hang" } })
      const id = yield* Effect.scoped(Effect.gen(function*() {
        const session = yield* open({ release: "pool" })
        const read = yield* Effect.fork(
          session.use((one, signal) =>
            client.driver.db("test").collection("things").findOne({}, { session: one, signal })
          )
        )
        yield* server.awaitCommand("find")
        yield* Fiber.interrupt(read)
        expect(yield* server.named("endSessions")).toEqual([])
        return session.id.hex
      }))
      const ended = (yield* server.named("endSessions")).flatMap(({ command }) =>
        command["endSessions"] as Array<Driver.ServerSessionId>
      )
      expect(ended.map((one) => Buffer.from(one.id.buffer).toString("hex"))).toEqual([id])
      expect(yield* next(open)).not.toContain(id)
    }))

  for (const release of ["end", "pool"] as const) {
    it.scoped(`a session whose user ended the driver's by hand is not ended a second time, with release "${release}"`, () =>
      Effect.gen(function*() {
        const { client, open, server } = yield* connected({ handlers: { find: "hang" } })
        const scope = yield* Scope.make()
        const first = yield* Scope.extend(open({ release }), scope)
        // so that it would be ended on the server with "pool", too
        const read = yield* Effect.fork(
          first.use((one, signal) =>
            client.driver.db("test").collection("things").findOne({}, { session: one, signal })
          )
        )
        yield* server.awaitCommand("find")
        yield* Fiber.interrupt(read)
        const { hex } = first.id
        yield* first.use((one) => one.endSession())
        const second = yield* open()
        expect(second.id.hex).toBe(hex)
        yield* Scope.close(scope, Exit.void)
        expect(yield* server.named("endSessions")).toEqual([])
        yield* ping(second)
        expect(yield* second.isDirty).toBe(false)
        expect(yield* client.openSessions).toBe(1)
      }))
  }

  it.scoped("a session whose write was interrupted, and settled, goes back to the pool", () =>
    Effect.gen(function*() {
      const { client, open, server } = yield* connected()
      const reply = yield* Deferred.make<void>()
      yield* server.on("insert", () => Effect.as(Deferred.await(reply), { n: 1 }))
      const id = yield* Effect.scoped(Effect.gen(function*() {
        const session = yield* open()
        const write = yield* Effect.fork(
          session.use((one) => client.driver.db("test").collection("things").insertOne({}, { session: one }))
        )
        yield* server.awaitCommand("insert")
        const interruption = yield* Effect.fork(Fiber.interrupt(write))
        yield* Deferred.succeed(reply, undefined)
        yield* Fiber.join(interruption)
        return session.id.hex
      }))
      expect(yield* server.named("endSessions")).toEqual([])
      expect(yield* next(open, 1)).toEqual([id])
    }))
})
