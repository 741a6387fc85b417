import { describe, expect, layer } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as Cursor from "../../src/Cursor.js"
import * as Session from "../../src/Session.js"
import { on, things } from "../support/data/collections.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

const timedOut = { _tag: "MongoError", reason: "TimedOut" }

// Who waits and the driver have the same time limit. Whichever of them gives up first must not matter.
const often = 20

// See the specification "Client Side Operations Timeout", section "Cursors".
layer(TestServer.own(), { excludeTestServices: true })((it) => {
  describe("a read whose time is over leaves no cursor on the server", () => {
    for (
      const [when, blocked, options] of [
        ["before its first batch", ["find"], { timeout: "60 millis" }],
        ["between two batches", ["getMore"], { timeout: "60 millis", timeoutMode: "iteration" }],
        ["in the end of its lifetime", ["getMore"], { timeout: "60 millis" }],
        ["before its first change", ["aggregate"], { timeout: "60 millis", maxAwaitTime: "10 millis" }],
        ["between two changes", ["getMore"], { timeout: "60 millis", maxAwaitTime: "10 millis" }]
      ] as const
    ) {
      it.effect(`${when}, while its session goes on`, () =>
        Monitor.withClient({}, (watched) =>
          on(watched)(Effect.gen(function*() {
            const { Things } = yield* things(watched, 5)
            const read = "maxAwaitTime" in options
              ? Stream.runDrain(Things.watch([], options))
              : Stream.runDrain(Things.find({}, { ...options, batchSize: 1 }))
            yield* Monitor.block(watched, blocked, "120 millis")
            yield* Session.scoped(Effect.gen(function*() {
              for (let i = 0; i < often; i++) expect(yield* Effect.flip(read)).toMatchObject(timedOut)
              yield* Monitor.until(Monitor.openCursors(watched.monitor), (open) => open === 0)
            }))
          }))))
    }
  })

  describe("a cursor whose closing gets no answer in time", () => {
    for (
      const [where, inSession] of [
        ["in a session that goes on", <A, E, R>(read: Effect.Effect<A, E, R>) => Session.scoped(read)],
        ["without a session", <A, E, R>(read: Effect.Effect<A, E, R>) => read]
      ] as const
    ) {
      it.effect(`is closed later, ${where}`, () =>
        Monitor.withClient({}, (watched) =>
          on(watched)(Effect.gen(function*() {
            const { Things } = yield* things(watched, 5)
            const read = Stream.runDrain(Stream.take(Things.find({}, { timeout: "1 second", batchSize: 2 }), 1))
            // It is blocked for longer than it has time, and then not done.
            yield* Monitor.fail(watched, {
              failCommands: ["killCursors"],
              mode: { times: 1 },
              blockFor: "2 seconds",
              errorCode: 1
            })
            yield* inSession(Effect.gen(function*() {
              yield* read
              expect(yield* Monitor.openCursors(watched.monitor)).toBe(1)
              yield* Monitor.until(Monitor.openCursors(watched.monitor), (open) => open === 0)
            }))
            const [first, second, ...others] = yield* watched.monitor.named("killCursors")
            expect(others).toEqual([])
            expect(second?.command["cursors"]).toEqual(first?.command["cursors"])
            // Beside what its session may be doing by then.
            expect(second?.command["lsid"]).toBeUndefined()
          }))))
    }
  })

  // None: as long as the deadline. The driver waits as long again, but no longer than that, to close the cursor.
  it.effect.each([0, 300, 700])(
    "a cursor whose batch has no connection in time is closed later (pool: %s ms)",
    (pool) =>
      Monitor.withClient(
        { driver: { maxPoolSize: 1, waitQueueTimeoutMS: pool } },
        (watched) =>
          on(watched)(Effect.gen(function*() {
            const { Things, database } = yield* things(watched, 5)
            yield* Monitor.block(watched, ["count"], "2 seconds")
            const count = Effect.promise(() => watched.client.driver.db(database).command({ count: "things" }))
            const reading = Things.find({}, { timeout: pool === 300 ? "1800 millis" : "1 second", batchSize: 1 }).pipe(
              // The only connection is in use.
              Stream.tap(() => Effect.zipRight(Effect.fork(count), watched.monitor.awaitStarted("count"))),
              Stream.runDrain
            )
            yield* Session.scoped(Effect.gen(function*() {
              expect(yield* Effect.flip(reading)).toMatchObject({ reason: pool === 300 ? "PoolFailure" : "TimedOut" })
              expect(yield* watched.monitor.named("getMore")).toEqual([])
              expect(yield* Monitor.openCursors(watched.monitor)).toBe(1)
              yield* Monitor.until(Monitor.openCursors(watched.monitor), (open) => open === 0)
            }))
          }))
      )
  )

  describe("a cursor that the program opens", () => {
    const slowly = { timeout: "600 millis" } as const

    it.effect("has a time for its life, or one for each batch", () =>
      Monitor.withClient({}, (watched) =>
        on(watched)(Effect.gen(function*() {
          const { database } = yield* things(watched, 5)
          yield* Monitor.block(watched, ["getMore"], "200 millis")
          const read = (options: Cursor.Options) =>
            Stream.runCount(Cursor.stream(
              (added) => watched.client.driver.db(database).collection("things").find({}, { ...added, batchSize: 1 }),
              options
            ))
          expect(yield* Effect.flip(read(slowly))).toMatchObject(timedOut)
          expect(yield* read({ ...slowly, timeoutMode: "iteration" })).toBe(5)
          expect(yield* read({ timeout: Duration.infinity })).toBe(5)
        }))))

    it.effect.each([true, false])(
      "has one for each batch, if it is tailable (awaitData: %s)",
      (awaitData) =>
        Monitor.withClient({ timeout: "1 second" }, (watched) =>
          on(watched)(Effect.gen(function*() {
            const { database, Things } = yield* things(watched, 0)
            const db = watched.client.driver.db(database)
            yield* Effect.promise(() => db.createCollection("things", { capped: true, size: 100_000 }))
            yield* Things.insertOne({ _id: 0, n: 0 })
            yield* watched.monitor.clear
            const tail = Cursor.stream((added) =>
              db.collection("things").find({}, {
                ...added,
                tailable: true,
                awaitData,
                ...(awaitData && { maxAwaitTimeMS: 100 })
              })
            )
            const reading = yield* Effect.fork(Stream.runCount(Stream.take(tail, 2)))
            // Each takes a tenth of a second.
            yield* watched.monitor.awaitStarted("getMore", 15)
            yield* Things.insertOne({ _id: 1, n: 1 })
            expect(yield* Fiber.join(reading)).toBe(2)
            // Without awaitData the server would count it over all batches.
            const [find] = yield* watched.monitor.named("find")
            expect(typeof find?.command["maxTimeMS"]).toBe(awaitData ? "number" : "undefined")
          })))
    )
  })
})
