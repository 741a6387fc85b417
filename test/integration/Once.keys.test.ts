import { describe, expect, layer } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Once from "../../src/Once.js"
import { live } from "../../src/testing/internal/live.js"
import { Keys, onKeys } from "../support/once/keys.js"
import { logged } from "../support/server/connected.js"
import * as TestServer from "../support/server/testServer.js"

/** Runs an effect so much later, by its clock. */
const after = <A, E, R>(time: Duration.DurationInput, effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const clock = Clock.make()
    const now = clock.unsafeCurrentTimeNanos.bind(clock)
    const unsafeCurrentTimeNanos = () => now() + Duration.unsafeToNanos(time)
    return Effect.withClock(effect, Object.assign(clock, { unsafeCurrentTimeNanos }))
  })

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("the keys of what is run once", () => {
    it.effect("expire by an index, by the server's clock", () =>
      onKeys(({ database, indexes, keys }) =>
        Effect.gen(function*() {
          yield* Once.make("doing", { database, timeToLive: "1 hour" }).run("key", Effect.void)
          yield* Once.make("doing", { database, timeToLive: Duration.infinity }).run("ever", Effect.void)
          const [one, ever] = yield* keys
          expect(one?.["expiresAt"] - one?.["at"]).toBe(3_600_000)
          expect(ever).not.toHaveProperty("expiresAt")
          expect(yield* indexes).toContainEqual(
            expect.objectContaining({ key: { expiresAt: 1 }, expireAfterSeconds: 0 })
          )
        })
      ))

    it.effect("stay where the index is refused, which the log says once", () =>
      onKeys(({ database, failing, insert, stored }) =>
        logged((entries) =>
          Effect.gen(function*() {
            yield* failing({ failCommands: ["createIndexes"], mode: "alwaysOn", errorCode: 13 })
            const Doing = Once.make("doing", { database, collection: "mine" })
            yield* Doing.run("a", insert(1))
            yield* Doing.run("b", insert(2))
            expect(yield* stored).toEqual([1, 2])
            expect(entries.map(({ annotations }) => annotations))
              .toEqual([{ collection: "mine", problem: "Unauthorized" }])
          })
        )
      ))

    it.effect("stay where the index takes too long, which the log says, and no run waits for it for a while", () =>
      onKeys(({ database, failing, monitor }) =>
        logged((entries) =>
          Effect.gen(function*() {
            yield* failing({ failCommands: ["createIndexes"], mode: "alwaysOn", errorCode: 50 })
            const Doing = Once.make("doing", { database, collection: "mine" })
            const asked = Effect.map(monitor.named("createIndexes"), ({ length }) => length)
            yield* Doing.run("a", Effect.void)
            yield* Doing.run("b", Effect.void)
            expect(yield* asked).toBe(1)
            expect(entries.map(({ annotations }) => annotations)).toEqual([{ collection: "mine", problem: "TimedOut" }])
            yield* after("9 minutes", Doing.run("c", Effect.void))
            expect(yield* asked).toBe(1)
            yield* after("10 minutes", Doing.run("d", Effect.void))
            expect(yield* asked).toBe(2)
          })
        )
      ))

    it.effect("have an index that is tried again by the next run after an outage", () =>
      onKeys(({ database, failing, indexes, monitor }) =>
        Effect.gen(function*() {
          yield* failing({ failCommands: ["createIndexes"], closeConnection: true })
          const Doing = Once.make("doing", { database })
          yield* Doing.run("a", Effect.void)
          expect(yield* indexes).toHaveLength(1)
          yield* Doing.run("b", Effect.void)
          expect(yield* indexes).toHaveLength(2)
          yield* Doing.run("c", Effect.void)
          expect(yield* monitor.named("createIndexes")).toHaveLength(2)
        })
      ))

    it.effect("have an index for which those who come at the same moment ask once", () =>
      onKeys(({ database, monitor, keys }) =>
        live(Effect.gen(function*() {
          const Doing = Once.make("doing", { database })
          const all = ["a", "b", "c"]
          yield* Effect.forEach(all, (key) => Doing.run(key, Effect.void), { concurrency: "unbounded" })
          expect(yield* keys).toHaveLength(3)
          expect(yield* monitor.named("createIndexes")).toHaveLength(1)
        }))
      ))

    it.effect("are told apart from what a program has written", () =>
      onKeys(({ database, keys }) =>
        Effect.gen(function*() {
          yield* Once.make("doing", { database }).run("key", Effect.void)
          expect(yield* keys).toEqual([expect.objectContaining(Keys.marked("doing", "key"))])
        })
      ))
  })
})
