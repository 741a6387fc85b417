import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as Collection from "../../src/Collection.js"
import * as Session from "../../src/Session.js"
import * as TestServer from "../support/server/testServer.js"
import { inPlace } from "../support/transactions/transactions.js"
import * as Monitor from "../support/watch/monitor.js"

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("law 17: reads that were given up", () => {
    it.effect("leave no cursor on the server, though they were interrupted just as their find was sent", () =>
      inPlace(({ insert, items, monitor }) =>
        Effect.gen(function*() {
          yield* Effect.forEach([1, 2, 3, 4], insert)
          for (let n = 0; n < 40; n++) {
            const read = Session.use((session, signal) => items.find({}, { session, signal, batchSize: 2 }).toArray())
            const fiber = yield* Effect.fork(Session.scoped(read))
            yield* Monitor.until(monitor.named("find"), (finds) => finds.length > n)
            yield* Fiber.interrupt(fiber)
          }
          expect(yield* Monitor.openCursors(monitor)).toBe(0)
        }).pipe(Session.scoped())
      ))

    it.effect("leave none in a session that stays open, and other cursors in it as they are", () =>
      inPlace(({ failing, insert, items, monitor }) =>
        Effect.gen(function*() {
          yield* Effect.forEach([1, 2, 3, 4], insert)
          const Items = Collection.make(items.collectionName, { database: items.dbName })
          const session = yield* Session.Session
          const give = (n: number) =>
            Effect.gen(function*() {
              const fiber = yield* Effect.fork(
                session.use((session, signal) => items.find({}, { session, signal, batchSize: 2 }).toArray())
              )
              yield* Monitor.until(monitor.named("find"), (finds) => finds.length >= n)
              yield* Fiber.interrupt(fiber)
            })
          yield* failing({ failCommands: ["find"], mode: "alwaysOn", blockFor: "20 millis" })
          yield* give(1)
          expect(yield* monitor.named("killSessions")).toHaveLength(1)
          expect(yield* Monitor.openCursors(monitor)).toBe(0)
          const seen: Array<number> = []
          yield* Stream.runForEach(Items.find({}, { batchSize: 2 }), ({ _id }) =>
            Effect.zipRight(
              Effect.sync(() => void seen.push(Number(_id))),
              Effect.when(give(3), () => _id === 1)
            ))
          expect(seen).toEqual([1, 2, 3, 4])
          expect(yield* monitor.named("killSessions")).toHaveLength(1)
        }).pipe(Session.scoped())
      ))
  })
})
