import { describe, expect, layer } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Session from "../../src/Session.js"
import * as Transaction from "../../src/Transaction.js"
import * as Update from "../../src/Update.js"
import { lsids, numbers, onClient, sent, things } from "../support/data/collections.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

const ids = <A extends { readonly _id?: unknown }, E, R>(stream: Stream.Stream<A, E, R>) =>
  Effect.map(Stream.runCollect(stream), (rows) => Chunk.toReadonlyArray(rows).map(({ _id }) => _id))

type Part = "write" | { readonly batchSize: number; readonly take: number }

const parts: FastCheck.Arbitrary<Part> = FastCheck.oneof(
  FastCheck.constant("write" as const),
  FastCheck.record({ batchSize: FastCheck.integer({ min: 2, max: 5 }), take: FastCheck.integer({ min: 1, max: 14 }) })
)

/** All that went out was in one session, and one after the other. */
const inOneSession = (watched: Monitor.Watched) =>
  Effect.gen(function*() {
    expect(yield* lsids(watched)).toHaveLength(1)
    expect(yield* watched.monitor.overlaps).toEqual([])
  })

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("a stream in a session", () => {
    it.effect("leaves the session to others between two batches", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Things } = yield* things(watched, 5)
          yield* Session.scoped(
            Effect.gen(function*() {
              const pull = yield* Stream.toPull(Things.find({}, { batchSize: 2 }))
              yield* pull
              yield* Things.updateOne({ _id: 4 }, { $set: { n: "55" } })
              yield* pull
              expect(yield* Things.countDocuments()).toBe(5)
              expect(Chunk.toReadonlyArray(yield* pull).map(({ _id }) => _id)).toEqual([4])
            }).pipe(Effect.scoped, Effect.timeout("10 seconds"))
          )
          expect(yield* sent(watched)).toEqual(["find", "update", "getMore", "aggregate", "getMore"])
          yield* inOneSession(watched)
        })
      ))

    it.effect("a loop that reads and writes in one session comes to its end", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Things } = yield* things(watched, 20)
          yield* Things.find({}, { batchSize: 3, sort: { _id: 1 } }).pipe(
            Stream.runForEach(({ _id, n }) => Things.updateOne({ _id }, { $set: { n: String(n * 2) } })),
            Session.scoped(),
            Effect.timeout("20 seconds")
          )
          yield* inOneSession(watched)
          const rows = yield* Stream.runCollect(Things.find({}, { sort: { _id: 1 } }))
          expect(Chunk.toReadonlyArray(rows).map(({ n }) => n)).toEqual(numbers(20).map((n) => n * 2))
        })
      ))

    it.effect("has a session opened around it by a layer, which ends after its cursor", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Things } = yield* things(watched, 7)
          const rows = Things.find({}, { batchSize: 2 }).pipe(
            Stream.mapEffect((row) => Effect.as(Things.countDocuments(), row)),
            Stream.provideSomeLayer(Session.layer({ release: "end" }))
          )
          expect(yield* ids(Stream.take(rows, 3))).toEqual([0, 1, 2])
          const names = yield* sent(watched)
          expect(names.slice(-2)).toEqual(["killCursors", "endSessions"])
          expect(yield* watched.client.openSessions).toBe(0)
          // What ends a session is sent without one.
          expect(yield* lsids(watched)).toEqual([expect.any(String), undefined])
          expect(yield* watched.monitor.overlaps).toEqual([])
        })
      ))

    it.effect("and in one transaction, which is rolled back with all that it wrote", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Things } = yield* things(watched, 7)
          const loop = Things.find({}, { batchSize: 2 }).pipe(
            Stream.runForEach(({ _id }) => Things.updateOne({ _id }, { $set: { n: "-1" } }))
          )
          expect(yield* Effect.flip(Transaction.run(Effect.zipRight(loop, Effect.fail("no"))))).toBe("no")
          expect(yield* lsids(watched)).toHaveLength(1)
          const commands = yield* watched.monitor.commands
          expect(new Set(commands.map(({ command }) => String(command["txnNumber"]))).size).toBe(1)
          expect(commands.map(({ command }) => command["autocommit"])).toEqual(commands.map(() => false))
          expect(commands.filter(({ name }) => name === "getMore").length).toBeGreaterThanOrEqual(3)
          expect(yield* Things.countDocuments({ n: "-1" })).toBe(0)
          yield* Transaction.run(loop)
          expect(yield* Things.countDocuments({ n: "-1" })).toBe(7)
          expect(yield* watched.monitor.overlaps).toEqual([])
        })
      ))

    it.effect("without an ambient session, one is opened for the stream and ended with it", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Things } = yield* things(watched, 5)
          yield* Effect.scoped(Effect.gen(function*() {
            const pull = yield* Stream.toPull(Things.find({}, { batchSize: 2 }))
            yield* pull
            expect(yield* watched.client.openSessions).toBe(1)
            yield* pull
          }))
          expect(yield* watched.client.openSessions).toBe(0)
          expect(yield* lsids(watched)).toHaveLength(1)
          expect(yield* lsids(watched)).not.toContain(undefined)
        })
      ))

    it.effect("whatever is run at once in it, no two commands meet, and every stream gives its rows", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Things } = yield* things(watched, 12)
          const run = Runtime.runPromise(yield* Effect.runtime<Effect.Effect.Context<ReturnType<typeof program>>>())
          const program = (parts: ReadonlyArray<Part>) =>
            Session.scoped(
              Effect.forEach(parts, (part) => {
                if (part === "write") return Things.updateMany({}, Update.unsafe({ $inc: { times: 1 } }))
                const { batchSize, take } = part
                const stream = Things.find({}, { batchSize, sort: { _id: 1 } })
                return Effect.map(ids(Stream.take(stream, take)), (found) => {
                  expect(found).toEqual(numbers(Math.min(take, 12)))
                })
              }, { concurrency: "unbounded", discard: true })
            )
          yield* Effect.promise(() =>
            FastCheck.assert(
              FastCheck.asyncProperty(
                FastCheck.array(parts, { minLength: 2, maxLength: 6 }),
                (parts) => run(program(parts))
              ),
              { numRuns: 40 }
            )
          )
          expect(yield* watched.monitor.overlaps).toEqual([])
          expect((yield* watched.monitor.named("getMore")).length).toBeGreaterThan(40)
        })
      ))
  })

  describe("a stream that is left", () => {
    it.effect("closes its cursor at once, before what comes next", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Things } = yield* things(watched, 6)
          yield* Session.scoped(Effect.gen(function*() {
            expect(yield* ids(Stream.take(Things.find({}, { batchSize: 2 }), 1))).toEqual([0])
            expect(yield* sent(watched)).toEqual(["find", "killCursors"])
            yield* Things.countDocuments()
          }))
          yield* inOneSession(watched)
        })
      ))

    it.effect("closes its cursor when its consumer fails", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Things } = yield* things(watched, 6)
          const failing = Stream.runForEach(Things.find({}, { batchSize: 2 }), () => Effect.fail("enough"))
          expect(yield* Effect.flip(failing)).toBe("enough")
          expect(yield* sent(watched)).toEqual(["find", "killCursors"])
        })
      ))

    it.effect("closes its cursor in its turn also where an operation would fail instead of waiting", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Things } = yield* things(watched, 6)
          const { monitor } = watched
          yield* Monitor.block(watched, ["update"], "300 millis")
          yield* Session.scoped(
            Effect.gen(function*() {
              const scope = yield* Scope.make()
              yield* yield* Scope.extend(Stream.toPull(Things.find({}, { batchSize: 2 })), scope)
              const writing = yield* Effect.fork(Things.updateOne({ _id: 0 }, { $set: { n: "9" } }))
              yield* monitor.awaitStarted("update")
              expect(yield* Effect.flip(Things.countDocuments())).toMatchObject({ _tag: "SessionBusy" })
              yield* Scope.close(scope, Exit.void)
              expect((yield* Fiber.join(writing)).modifiedCount).toBe(1)
              expect(yield* sent(watched)).toEqual(["find", "update", "killCursors"])
              expect((yield* monitor.named("killCursors")).map(({ outcome }) => outcome)).toEqual(["succeeded"])
            }),
            { onBusy: "fail" }
          )
          yield* inOneSession(watched)
        })
      ))

    it.effect("closes its cursor in its turn in a transaction of such a session", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Things } = yield* things(watched, 6)
          const { monitor } = watched
          yield* Monitor.block(watched, ["update"], "300 millis")
          yield* Effect.gen(function*() {
            const scope = yield* Scope.make()
            yield* yield* Scope.extend(Stream.toPull(Things.find({}, { batchSize: 2 })), scope)
            const writing = yield* Effect.fork(Things.updateOne({ _id: 0 }, { $set: { n: "9" } }))
            yield* monitor.awaitStarted("update")
            yield* Scope.close(scope, Exit.void)
            yield* Fiber.join(writing)
          }).pipe(Transaction.run({ session: { onBusy: "fail" } }))
          expect(yield* sent(watched)).toEqual(["find", "update", "killCursors", "commitTransaction"])
          expect(yield* monitor.overlaps).toEqual([])
        })
      ))

    it.effect("closes its cursor before its session", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Things } = yield* things(watched, 6)
          yield* Effect.scoped(Effect.gen(function*() {
            const session = yield* Monitor.session(watched, { release: "end" })
            const pull = yield* Stream.toPull(Things.find({}, { batchSize: 2 }))
            yield* Session.provide(pull, session)
          }))
          expect(yield* sent(watched)).toEqual(["find", "killCursors", "endSessions"])
        })
      ))

    it.effect("has its cursor closed by its session, when that is the first to be ended", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Things } = yield* things(watched, 6)
          const scope = yield* Scope.make()
          const session = yield* Scope.extend(Monitor.session(watched, { release: "end" }), scope)
          yield* Session.provide(
            Effect.scoped(Effect.gen(function*() {
              yield* yield* Stream.toPull(Things.find({}, { batchSize: 2 }))
              yield* Scope.close(scope, Exit.void)
              expect(yield* sent(watched)).toEqual(["find", "killCursors", "endSessions"])
            })),
            session
          )
          expect(yield* sent(watched)).toEqual(["find", "killCursors", "endSessions"])
        })
      ))

    it.effect("interrupted during a getMore, it waits until that has settled, then closes its cursor", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Things } = yield* things(watched, 6)
          yield* Monitor.block(watched, ["getMore"], "300 millis")
          yield* Session.scoped(Effect.gen(function*() {
            const { monitor } = watched
            const reading = yield* Effect.fork(Stream.runDrain(Things.find({}, { batchSize: 2 })))
            yield* monitor.awaitStarted("getMore")
            expect(Exit.isInterrupted(yield* Fiber.interrupt(reading))).toBe(true)
            expect((yield* monitor.commands).map(({ outcome }) => outcome)).not.toContain(undefined)
            expect((yield* monitor.named("killCursors")).map(({ outcome }) => outcome)).toEqual(["succeeded"])
            expect(yield* (yield* Session.Session).state).toBe("idle")
            expect(yield* Things.countDocuments()).toBe(6)
          }))
          expect(yield* watched.monitor.overlaps).toEqual([])
        })
      ))

    it.effect("interrupted between two batches, it closes its cursor", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Things } = yield* things(watched, 6)
          const reading = yield* Effect.fork(
            Stream.runForEach(Things.find({}, { batchSize: 2 }), () => Effect.never)
          )
          yield* Monitor.until(watched.monitor.named("find"), ([find]) => find?.outcome === "succeeded")
          yield* Fiber.interrupt(reading)
          expect(yield* sent(watched)).toEqual(["find", "killCursors"])
        })
      ))
  })
})
