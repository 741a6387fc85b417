import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Collection from "../../src/Collection.js"
import type { MongoClient } from "../../src/MongoClient.js"
import * as Session from "../../src/Session.js"
import type { AcquireError } from "../../src/SessionErrors.js"
import * as FailPoint from "../../src/testing/FailPoint.js"
import { on, things } from "../support/data/collections.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

layer(TestServer.own(), { excludeTestServices: true })((it) => {
  for (const where of ["in a session", "without a session"]) {
    describe(`Collection.use ${where}`, () => {
      const test = <A, E>(body: (watched: Monitor.Watched) => Effect.Effect<A, E, MongoClient | Scope.Scope>) =>
        Monitor.withClient({}, (watched) => {
          const effect: Effect.Effect<A, E | AcquireError, MongoClient | Scope.Scope> = where === "in a session"
            ? Session.scoped(body(watched))
            : body(watched)
          return on(watched)(effect)
        })

      const blocked = (watched: Monitor.Watched, command: string) =>
        FailPoint.during(watched.client.driver, {
          failCommands: [command],
          blockFor: "1 second",
          appName: watched.appName
        })

      it.effect("waits for a write that is interrupted, so that it does not land afterwards", () =>
        test((watched) =>
          Effect.gen(function*() {
            const { Things, database } = yield* things(watched, 0)
            const Raw = Collection.make(Things.name, { database })
            yield* Effect.gen(function*() {
              const fiber = yield* Effect.fork(
                Raw.use((collection, added) => collection.insertOne({ n: 1 }, { ...added }))
              )
              yield* watched.monitor.awaitStarted("insert")
              yield* Fiber.interrupt(fiber)
            }).pipe(blocked(watched, "insert"))
            const [insert] = yield* watched.monitor.named("insert")
            expect(insert?.outcome).toBe("succeeded")
            expect(yield* Raw.countDocuments()).toBe(1)
          })
        ))

      it.effect("gives a read up that says so", () =>
        test((watched) =>
          Effect.gen(function*() {
            const { Things } = yield* things(watched, 1)
            yield* Effect.gen(function*() {
              const fiber = yield* Effect.fork(
                Things.use((collection, added) => collection.findOne({}, { ...added }), { kind: "read" })
              )
              yield* watched.monitor.awaitStarted("find")
              yield* Fiber.interrupt(fiber)
              const [find] = yield* watched.monitor.named("find")
              expect(find?.outcome).not.toBe("succeeded")
            }).pipe(blocked(watched, "find"))
          })
        ))
    })
  }
})
