import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as MongoServer from "../../src/testing/MongoServer.js"
import type { Remains } from "../support/programs/churn.js"
import * as Processes from "../support/programs/processes.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

const megabyte = 1_024 * 1_024

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("L16: the check that nothing is left finds", () => {
    const check = (watched: Monitor.Watched) => Effect.exit(Monitor.assertNothingLeft(watched, "100 millis"))

    it.scoped("a session of the library that is open", () =>
      Effect.gen(function*() {
        const watched = yield* Monitor.connect()
        expect(Exit.isFailure(yield* Effect.scoped(Effect.zipRight(Monitor.session(watched), check(watched)))))
          .toBe(true)
        expect(Exit.isSuccess(yield* check(watched))).toBe(true)
      }))

    it.scoped("a session of the driver that is open", () =>
      Effect.gen(function*() {
        const watched = yield* Monitor.connect()
        const raw = watched.client.driver.startSession()
        expect(Exit.isFailure(yield* check(watched))).toBe(true)
        yield* Effect.promise(() => raw.endSession())
        expect(Exit.isSuccess(yield* check(watched))).toBe(true)
      }))

    it.scoped("a connection that is in use", () =>
      Effect.gen(function*() {
        const watched = yield* Monitor.connect()
        const admin = watched.client.driver.db("admin")
        yield* Monitor.block(watched, ["ping"], "500 millis")
        const session = watched.client.driver.startSession()
        const pinging = yield* Effect.fork(Effect.promise(() => admin.command({ ping: 1 }, { session })))
        yield* watched.monitor.awaitStarted("ping")
        expect(yield* watched.monitor.checkedOut).toBe(1)
        expect(Exit.isFailure(yield* check(watched))).toBe(true)
        yield* Fiber.join(pinging)
        yield* Effect.promise(() => session.endSession())
        expect(Exit.isSuccess(yield* check(watched))).toBe(true)
      }))

    it.scoped("a cursor that is open on the server", () =>
      Effect.gen(function*() {
        const watched = yield* Monitor.connect()
        const numbers = watched.client.driver.db(yield* TestServer.database).collection("numbers")
        yield* Effect.promise(() => numbers.insertMany([1, 2, 3].map((n) => ({ n }))))
        const cursor = numbers.find({}, { batchSize: 1 })
        yield* Effect.promise(() => cursor.next())
        expect(Exit.isFailure(yield* check(watched))).toBe(true)
        yield* Effect.promise(() => cursor.close())
        expect(Exit.isSuccess(yield* check(watched))).toBe(true)
      }))
  })

  describe("L16: 10,000 sessions opened and released", () => {
    it.scoped(
      "leave no session, no connection in use, no cursor, and the heap where it was",
      () =>
        Effect.gen(function*() {
          const { url } = yield* MongoServer.MongoServer
          const program = yield* Processes.start(new URL("../support/programs/churn.ts", import.meta.url), [url])
          const remains: Remains = JSON.parse(yield* program.firstLine)
          yield* program.ended
          expect(remains).toMatchObject({
            sessions: 10_000,
            openSessions: 0,
            driverSessions: 0,
            gauge: 0,
            checkedOut: 0
          })
          expect(remains.pings, "sessions that were used").toBeGreaterThan(900)
          expect(remains.heapAfter - remains.heapBefore).toBeLessThan(5 * megabyte)
          expect(remains.lsids.length, "server sessions").toBeGreaterThan(0)
          expect(yield* Monitor.openCursors({ lsids: Effect.succeed(new Set(remains.lsids)) }), "cursors").toBe(0)
        }),
      300_000
    )
  })
})
