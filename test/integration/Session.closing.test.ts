import { describe, expect, layer } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Runtime from "effect/Runtime"
import * as Scheduler from "effect/Scheduler"
import * as Scope from "effect/Scope"
import type * as Driver from "mongodb"
import { inner } from "../../src/internal/session/client.js"
import * as MongoClient from "../../src/MongoClient.js"
import type * as Session from "../../src/Session.js"
import * as Network from "../support/server/blackhole.js"
import { connected, logged, ping, send } from "../support/server/connected.js"
import { needsDriver7 } from "../support/server/driverVersion.js"
import * as Responder from "../support/server/responder.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

const never = () => new Promise<void>(() => {})

const released = { _tag: "SessionEnded", reason: "released" }

/** A session in a scope that the test closes. */
const opened = (watched: Monitor.Watched, options?: Session.Options) =>
  Effect.gen(function*() {
    const scope = yield* Effect.acquireRelease(Scope.make(), (scope, exit) => Scope.close(scope, exit))
    const session = yield* Scope.extend(Monitor.session(watched, options), scope)
    return { session, close: Scope.close(scope, Exit.void) }
  })

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("L3: closing a session", () => {
    it.effect("refuses uses after it, of whatever kind, and sends nothing for them", () =>
      Monitor.withClient({}, (watched) =>
        Effect.gen(function*() {
          const { close, session } = yield* opened(watched)
          yield* ping(session)
          const token = yield* session.causalToken
          yield* close
          yield* watched.monitor.clear
          expect(yield* Effect.flip(ping(session))).toMatchObject({ ...released, operation: "use" })
          expect(yield* Effect.flip(session.refresh)).toMatchObject({ ...released, operation: "refresh" })
          expect(yield* Effect.flip(session.advanceTo(token))).toMatchObject({ ...released, operation: "advanceTo" })
          expect(yield* session.state).toBe("ended")
          expect(yield* watched.monitor.commands).toEqual([])
        })))

    it.effect("waits for the running operation, and gives those that wait for it SessionEnded, without a command", () =>
      Monitor.withClient({}, (watched) =>
        Effect.gen(function*() {
          const { close, session } = yield* opened(watched)
          const started = yield* Deferred.make<void>()
          const release = yield* Deferred.make<void>()
          const running = yield* Effect.fork(session.use(async (s) => {
            Deferred.unsafeDone(started, Effect.void)
            await Effect.runPromise(Deferred.await(release))
            return watched.client.driver.db("test").command({ ping: 1 }, { session: s })
          }))
          yield* Deferred.await(started)
          const waiting = yield* Effect.forEach([1, 2, 3], () => Effect.fork(Effect.flip(ping(session))))
          yield* Effect.yieldNow()
          const closing = yield* Effect.fork(close)
          yield* Effect.yieldNow()
          // were it to wait, it would wait for what is released below
          expect(yield* Effect.flip(ping(session))).toMatchObject(released)
          expect(yield* Fiber.poll(closing)).toEqual(Option.none())
          expect(yield* watched.monitor.commands).toEqual([])
          yield* Deferred.succeed(release, undefined)
          yield* Fiber.join(closing)
          expect((yield* watched.monitor.named("ping")).map(({ outcome }) => outcome)).toEqual(["succeeded"])
          expect(yield* Fiber.join(running)).toMatchObject({ ok: 1 })
          for (const fiber of waiting) {
            expect(yield* Fiber.join(fiber)).toMatchObject(released)
          }
        })))

    it.effect("is done once, however often it is asked for", () =>
      Monitor.withClient({}, (watched) =>
        Effect.gen(function*() {
          const { close, session } = yield* opened(watched)
          yield* ping(session)
          yield* Effect.all([close, close, ...watched.client[inner].keeper.members().map((member) => member.close)], {
            concurrency: "unbounded"
          })
          yield* close
          // a session that was given back twice would be handed out twice
          const first = yield* Monitor.session(watched)
          const second = yield* Monitor.session(watched)
          expect(first.id).toEqual(session.id)
          expect(second.id).not.toEqual(first.id)
        })))

    it.effect("closes the cursors that were left open in it, before its server session is pooled", () =>
      Monitor.withClient({}, (watched) =>
        Effect.gen(function*() {
          const numbers = watched.client.driver.db(yield* TestServer.database).collection("numbers")
          yield* Effect.promise(() => numbers.insertMany([1, 2, 3, 4, 5, 6].map((n) => ({ n }))))
          const { close, session } = yield* opened(watched)
          const cursor = yield* session.use(async (s) => numbers.find({}, { session: s, batchSize: 2 }))
          expect(yield* session.use(() => cursor.next())).toMatchObject({ n: 1 })
          expect(yield* Monitor.openCursors(watched.monitor)).toBe(1)
          yield* close
          expect(yield* Monitor.openCursors(watched.monitor)).toBe(0)
          const [kill] = yield* watched.monitor.named("killCursors")
          expect(kill).toMatchObject({ outcome: "succeeded", lsid: session.id.hex })
        })))
  })

  describe("L3: a session that nothing is to be waited for in", () => {
    it.effect("is opened and ended at once, with nothing sent", () =>
      Monitor.withClient({}, (watched) =>
        Effect.gen(function*() {
          yield* Effect.scoped(Monitor.session(watched))
          yield* watched.monitor.clear
          const run = Runtime.runSync(yield* Effect.runtime<never>())
          // It would throw where anything is waited for.
          const session = run(Effect.scoped(Monitor.session(watched)))
          expect(run(session.state)).toBe("ended")
          expect(run(watched.client.openSessions)).toBe(0)
          expect(yield* watched.monitor.commands).toEqual([])
        })))

    it.effect("is ended at once where its scope has been closed before", () =>
      Monitor.withClient({}, (watched) =>
        Effect.gen(function*() {
          const scope = yield* Scope.make()
          yield* Scope.close(scope, Exit.void)
          const session = yield* Scope.extend(Monitor.session(watched), scope)
          expect(yield* session.state).toBe("ended")
          expect(yield* watched.client.openSessions).toBe(0)
        })))

    it.effect("leaves nothing in the care of its client, at whichever step of opening its scope closes", () =>
      Monitor.withClient({}, (watched) =>
        Effect.gen(function*() {
          for (let step = 1; step <= 80; step++) {
            const scope = yield* Scope.make()
            let taken = 0
            const scheduler: Scheduler.Scheduler = {
              shouldYield: () => {
                if (++taken === step) Effect.runSync(Scope.close(scope, Exit.void))
                return false
              },
              scheduleTask: (task, priority) => Scheduler.defaultScheduler.scheduleTask(task, priority)
            }
            const opening = Effect.withScheduler(Scope.extend(Monitor.session(watched), scope), scheduler)
            yield* Fiber.await(yield* Effect.fork(opening))
            yield* Scope.close(scope, Exit.void)
            expect(yield* watched.client.openSessions, `closed at step ${step} of ${taken}`).toBe(0)
          }
        })))

    it.effect("is done where its last command is no failure of the driver, which is logged", () =>
      logged((entries) =>
        Monitor.withClient({}, (watched) =>
          Effect.gen(function*() {
            const { close, session } = yield* opened(watched, { release: "end" })
            yield* send(session, { ping: 1 })
            const broken = ({ commandName }: Driver.CommandStartedEvent) => {
              if (commandName === "endSessions") throw new TypeError()
            }
            watched.client.driver.on("commandStarted", broken)
            yield* close
            watched.client.driver.off("commandStarted", broken)
            expect(entries.map(({ annotations }) => annotations)).toEqual([
              { step: "endSessions", problem: "TypeError" }
            ])
            expect(yield* watched.client.openSessions).toBe(0)
          }))
      ))

    it.effect("tells of a listener that fails when the driver's session ends, as its opener would", () =>
      logged((entries) =>
        Monitor.withClient({}, (watched) =>
          Effect.gen(function*() {
            const { close, session } = yield* Effect.annotateLogs(opened(watched), { opener: "this" })
            yield* session.use(async (s) => {
              s.once("ended", () => {
                throw new TypeError()
              })
            })
            yield* close
            expect(entries.map(({ annotations }) => annotations)).toEqual([
              { step: "session", problem: "TypeError", opener: "this" }
            ])
          }))
      ))
  })

  describe("L3: closing a client", () => {
    it.effect("first ends its open sessions, waiting for what runs, and then itself, giving the server their ids", () =>
      Effect.gen(function*() {
        const outer = yield* Effect.acquireRelease(Scope.make(), (scope, exit) => Scope.close(scope, exit))
        const clientScope = yield* Effect.acquireRelease(Scope.make(), (scope, exit) => Scope.close(scope, exit))
        const watched = yield* Scope.extend(Monitor.connect(), clientScope)
        const sessions = yield* Effect.forEach([1, 2, 3], () => Scope.extend(Monitor.session(watched), outer))
        yield* Effect.forEach(sessions, ping)
        expect(yield* watched.client.openSessions).toBe(3)
        yield* Monitor.block(watched, ["ping"], "300 millis")
        const running = yield* Effect.fork(ping(sessions[0]!))
        yield* watched.monitor.awaitStarted("ping", 4)
        yield* Scope.close(clientScope, Exit.void)
        expect(yield* Fiber.join(running)).toMatchObject({ ok: 1 })
        const commands = (yield* watched.monitor.commands).map(({ name, outcome }) => `${name} ${outcome}`)
        expect(commands.slice(-2)).toEqual(["ping succeeded", "endSessions succeeded"])
        const [ended] = yield* watched.monitor.named("endSessions")
        const ids: ReadonlyArray<Driver.ServerSessionId> = ended?.command["endSessions"]
        expect(ids.map(({ id }) => id.toString("hex"))).toEqual(
          expect.arrayContaining(sessions.map(({ id }) => id.hex))
        )
        for (const session of sessions) {
          expect(yield* session.state).toBe("ended")
          expect(yield* Effect.flip(ping(session))).toMatchObject(released)
        }
        expect(yield* watched.client.openSessions).toBe(0)
      }).pipe(Effect.scoped))

    it.effect("leaves nothing to open a session on", () =>
      Effect.gen(function*() {
        const watched = yield* Effect.scoped(Monitor.connect())
        yield* watched.monitor.clear
        const error = yield* Effect.flip(Effect.scoped(Monitor.session(watched)))
        expect(error).toMatchObject({ _tag: "MongoError", reason: "ConnectionClosed" })
        expect(yield* watched.monitor.commands).toEqual([])
      }))
  })

  describe("L3: a server that hangs", () => {
    it.effect("holds the closing of a session with a running operation for the settle timeout, which is logged", () =>
      logged((entries) =>
        Effect.scoped(Effect.gen(function*() {
          const hung = yield* connected({ handlers: { insert: "hang" } }, { closeTimeout: "200 millis" })
          const started = yield* Deferred.make<Fiber.RuntimeFiber<unknown, unknown>>()
          const [time] = yield* Effect.timed(Effect.scoped(Effect.gen(function*() {
            const session = yield* hung.open({ settleTimeout: "200 millis" })
            const insert = yield* Effect.forkDaemon(send(session, { insert: "users", documents: [{}] }))
            yield* hung.server.awaitCommand("insert")
            yield* Deferred.succeed(started, insert)
          })))
          expect(Duration.toMillis(time)).toBeGreaterThanOrEqual(195)
          expect(Duration.toMillis(time)).toBeLessThan(8_000)
          expect(entries.map(({ annotations }) => annotations)).toContainEqual({
            step: "running operation",
            problem: "not done in time"
          })
        }))
      ))

    it.effect("holds the closing of its client for the settle timeout only, and leaves no connection", (context) =>
      logged((entries) =>
        Effect.scoped(Effect.gen(function*() {
          const server = yield* Responder.make()
          const network = yield* Network.make(server.port)
          const url = Redacted.make(`mongodb://127.0.0.1:${network.port}/?directConnection=true`)
          const [time] = yield* Effect.timed(Effect.scoped(Effect.gen(function*() {
            const client = yield* MongoClient.make({ url, driver: { connectTimeoutMS: 1_000 } })
            yield* Effect.scoped(Effect.flatMap(Monitor.session({ client }), ping))
            const session = yield* Monitor.session({ client }, { settleTimeout: "200 millis" })
            yield* network.die
            yield* Effect.fork(ping(session))
            yield* Effect.yieldNow()
          })))
          expect(Duration.toMillis(time)).toBeLessThan(8_000)
          expect(entries.map(({ annotations }) => annotations)).toContainEqual({
            step: "running operation",
            problem: "not done in time"
          })
          needsDriver7(context, "its close leaves a connection open on which a command is in flight")
          yield* Monitor.until(network.connections, (open) => open === 0)
        }))
      ))

    it.effect("that keeps the driver's client from closing is waited for until the close timeout, which is logged", () =>
      logged((entries) =>
        Effect.scoped(Effect.gen(function*() {
          const { url } = yield* Responder.make()
          const [time] = yield* Effect.timed(Effect.scoped(Effect.gen(function*() {
            const { driver } = yield* MongoClient.make({ url: Redacted.make(url), closeTimeout: "200 millis" })
            const close = driver.close.bind(driver)
            yield* Effect.addFinalizer(() => Effect.sync(() => void Object.assign(driver, { close: never })))
            yield* Effect.addFinalizer(() => Effect.promise(() => close()))
          })))
          expect(Duration.toMillis(time)).toBeGreaterThanOrEqual(195)
          expect(Duration.toMillis(time)).toBeLessThan(8_000)
          expect(entries.map(({ annotations }) => annotations)).toEqual([{
            step: "client",
            problem: "not done in time"
          }])
        }))
      ))

    it.effect("holds the closing of a session with release \"end\" for the close timeout, which is logged", () =>
      logged((entries) =>
        Effect.scoped(Effect.gen(function*() {
          const hung = yield* connected({ handlers: { endSessions: "hang" } }, {
            closeTimeout: "200 millis",
            settleTimeout: "100 millis"
          })
          const [time] = yield* Effect.timed(Effect.scoped(Effect.flatMap(hung.open({ release: "end" }), ping)))
          expect(Duration.toMillis(time)).toBeLessThan(8_000)
          expect(entries.map(({ annotations }) => annotations)).toEqual([{
            step: "endSessions",
            problem: "not done in time"
          }])
        }))
      ))
  })
})
