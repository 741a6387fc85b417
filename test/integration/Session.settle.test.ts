import { describe, expect, layer } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import type * as Session from "../../src/Session.js"
import * as Telemetry from "../../src/Telemetry.js"
import { type Connected, connected, logged, send } from "../support/server/connected.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

const users = ({ client }: Monitor.Watched) =>
  Effect.map(TestServer.database, (name) => client.driver.db(name).collection<{ n: number }>("users"))

const quietly = <A, E, R>(effect: Effect.Effect<A, E, R>) => logged(() => effect)

/** An insert that the server answers late, and that has been sent. */
const slowInsert = (watched: Monitor.Watched) =>
  Effect.gen(function*() {
    const collection = yield* users(watched)
    const session = yield* Monitor.session(watched)
    const aborted = yield* Deferred.make<void>()
    yield* Monitor.block(watched, ["insert"], "300 millis")
    const insert = yield* Effect.fork(session.use((s, signal) => {
      signal.addEventListener("abort", () => Deferred.unsafeDone(aborted, Effect.void))
      return collection.insertOne({ n: 1 }, { session: s })
    }))
    yield* watched.monitor.awaitStarted("insert")
    return { collection, session, insert, aborted: Deferred.await(aborted) }
  })

const outcomes = (watched: Monitor.Watched, name: string) =>
  Effect.map(watched.monitor.named(name), (seen) => seen.map(({ outcome }) => outcome))

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("L1: an interruption is over when the operation has settled", () => {
    it.effect("an interrupted insert is done, and its document there, when its interruption is over", () =>
      Monitor.withClient({}, (watched) =>
        Effect.gen(function*() {
          const { collection, insert, session } = yield* slowInsert(watched)
          const exit = yield* Fiber.interrupt(insert)
          expect(Exit.isInterrupted(exit)).toBe(true)
          expect(yield* outcomes(watched, "insert")).toEqual(["succeeded"])
          expect(yield* session.state).toBe("idle")
          expect(yield* session.use((s) => collection.countDocuments({ n: 1 }, { session: s }))).toBe(1)
        })))

    it.effect("interrupting it a second and a third time does not cut the wait short", () =>
      Monitor.withClient({}, (watched) =>
        Effect.gen(function*() {
          const { aborted, insert, session } = yield* slowInsert(watched)
          const tell = Fiber.interruptAsFork(insert, yield* Effect.fiberId)
          yield* tell
          yield* aborted
          yield* tell
          yield* Effect.yieldNow()
          yield* Fiber.interrupt(insert)
          expect(yield* outcomes(watched, "insert")).toEqual(["succeeded"])
          expect(yield* session.state).toBe("idle")
        })))

    it.effect("a read is aborted by the signal, long before the server answers", () =>
      Monitor.withClient({}, (watched) =>
        Effect.gen(function*() {
          const collection = yield* users(watched)
          const session = yield* Monitor.session(watched)
          yield* Monitor.block(watched, ["find"], "2 seconds")
          const read = yield* Effect.fork(
            session.use((s, signal) => collection.findOne({}, { session: s, signal }))
          )
          yield* watched.monitor.awaitStarted("find")
          yield* Fiber.interrupt(read)
          // not "succeeded": it was over before the server's answer
          expect(yield* outcomes(watched, "find")).toEqual(["failed"])
          expect(yield* session.state).toBe("idle")
        })))

    it.effect("a cursor that is interrupted in the middle is closed after its getMore, and before the interruption is over", () =>
      Monitor.withClient({}, (watched) =>
        Effect.gen(function*() {
          const collection = yield* users(watched)
          yield* Effect.promise(() => collection.insertMany([1, 2, 3, 4, 5, 6].map((n) => ({ n }))))
          const session = yield* Monitor.session(watched)
          yield* Monitor.block(watched, ["getMore", "killCursors"], "100 millis")
          const read = yield* Effect.fork(
            session.use((s, signal) => collection.find({}, { session: s, signal, batchSize: 2 }).toArray())
          )
          yield* watched.monitor.awaitStarted("getMore")
          yield* Fiber.interrupt(read)
          expect(yield* outcomes(watched, "getMore")).toEqual(["succeeded"])
          expect(yield* outcomes(watched, "killCursors")).toEqual(["succeeded"])
          expect(yield* watched.monitor.overlaps).toEqual([])
        })))

    it.effect("a cursor that waits for nothing when it is interrupted is closed, too", () =>
      Monitor.withClient({}, (watched) =>
        Effect.gen(function*() {
          const collection = yield* users(watched)
          yield* Effect.promise(() => collection.insertMany([1, 2, 3, 4, 5, 6].map((n) => ({ n }))))
          const session = yield* Monitor.session(watched)
          const idle = yield* Deferred.make<void>()
          const read = yield* Effect.fork(session.use(async (s, signal) => {
            await collection.find({}, { session: s, signal, batchSize: 2 }).next()
            Deferred.unsafeDone(idle, Effect.void)
            await new Promise((resolve) => signal.addEventListener("abort", resolve))
          }))
          yield* Deferred.await(idle)
          yield* Fiber.interrupt(read)
          expect(yield* outcomes(watched, "killCursors")).toEqual(["succeeded"])
        })))
  })

  describe("an operation that never settles", () => {
    const hanging = connected({ handlers: { insert: "hang" } }, { closeTimeout: "200 millis" })
    const insert = (session: Session.Service) => send(session, { insert: "users", documents: [{}] })
    const interruptInsert = ({ server }: Connected, session: Session.Service) =>
      Effect.gen(function*() {
        const fiber = yield* Effect.fork(insert(session))
        yield* server.awaitCommand("insert")
        return yield* Effect.timed(Fiber.interrupt(fiber))
      })

    it.scoped("holds its interruption for the settle timeout and breaks the session, which is counted and logged", () =>
      logged((entries) =>
        Effect.gen(function*() {
          const hung = yield* hanging
          const session = yield* hung.open({ settleTimeout: "200 millis" })
          const before = yield* Metric.value(Telemetry.operationsUnsettled)
          const [time, exit] = yield* interruptInsert(hung, session)
          expect(Exit.isInterrupted(exit)).toBe(true)
          expect(Duration.toMillis(time)).toBeGreaterThanOrEqual(195)
          expect(Duration.toMillis(time)).toBeLessThan(10_000)
          expect(yield* session.state).toBe("broken")
          expect(yield* session.isDirty).toBe(true)
          expect((yield* Metric.value(Telemetry.operationsUnsettled)).count).toBe(before.count + 1)
          expect(entries.map(({ annotations }) => annotations)).toEqual([{ operation: "use", waited: "200ms" }])
        })
      ))

    it.scoped("lets no further use through, nor those that waited: nothing more is sent", () =>
      quietly(Effect.gen(function*() {
        const hung = yield* hanging
        const session = yield* hung.open({ settleTimeout: "200 millis" })
        const first = yield* Effect.fork(insert(session))
        yield* hung.server.awaitCommand("insert")
        const waiting = yield* Effect.fork(Effect.flip(insert(session)))
        yield* Effect.yieldNow()
        yield* Fiber.interrupt(first)
        const broken = { _tag: "SessionEnded", reason: "broken" }
        expect(yield* Fiber.join(waiting)).toMatchObject({ ...broken, operation: "use" })
        expect(yield* Effect.flip(insert(session))).toMatchObject({ ...broken, operation: "use" })
        expect(yield* Effect.flip(session.refresh)).toMatchObject({ ...broken, operation: "refresh" })
        expect((yield* hung.server.commands).map(({ name }) => name)).toEqual(["insert"])
      })))

    it.scoped("does not leave its server session to the pool", () =>
      quietly(Effect.gen(function*() {
        const hung = yield* hanging
        const broken = yield* Effect.scoped(Effect.gen(function*() {
          const session = yield* hung.open({ settleTimeout: "200 millis" })
          yield* interruptInsert(hung, session)
          return session.id
        }))
        expect((yield* hung.open()).id).not.toEqual(broken)
      })))

    it.effect("holds the closing scopes of session and client for a bounded time, and leaves no socket", () =>
      quietly(Effect.gen(function*() {
        const socketsBefore = yield* Monitor.sockets
        const [time] = yield* Effect.timed(Effect.scoped(Effect.gen(function*() {
          const hung = yield* hanging
          yield* interruptInsert(hung, yield* hung.open({ settleTimeout: "200 millis" }))
        })))
        expect(Duration.toMillis(time)).toBeLessThan(10_000)
        yield* Monitor.until(Monitor.sockets, (open) => open <= socketsBefore)
      })))
  })
})
