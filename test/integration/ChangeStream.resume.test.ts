import { describe, expect, layer } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Ref from "effect/Ref"
import * as Schedule from "effect/Schedule"
import type { Collection } from "mongodb"
import { MongoServerError } from "mongodb"
import * as ChangeStream from "../../src/ChangeStream.js"
import { raw } from "../../src/Codec.js"
import { Label } from "../../src/MongoError.js"
import * as FailPoint from "../../src/testing/FailPoint.js"
import * as MongoServer from "../../src/testing/MongoServer.js"
import { follow, idOf, told } from "../support/data/changes.js"
import { numbers, on, onClient } from "../support/data/collections.js"
import { often } from "../support/long.js"
import * as Restartable from "../support/server/restartable.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

interface Numbered {
  readonly _id: number
}

/** Writes each number once, however often the server goes away in the meantime. */
const write = (collection: Collection<Numbered>, _id: number) =>
  Effect.tryPromise(() => collection.insertOne({ _id }, { writeConcern: { w: "majority", journal: true } })).pipe(
    Effect.catchIf(
      ({ error }) => error instanceof MongoServerError && error.code === 11000,
      () => Effect.void
    ),
    Effect.retry(Schedule.spaced("50 millis")),
    Effect.asVoid
  )

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  /** A collection, the stream of its changes, and how to write without being met by the fail points. */
  const changing = ({ client }: Monitor.Watched) =>
    Effect.gen(function*() {
      const database = yield* TestServer.database
      yield* Effect.promise(() => client.driver.db(database).createCollection("things"))
      const writer = yield* TestServer.driver()
      const collection = writer.db(database).collection<Numbered>("things")
      const changes = ChangeStream.watch({ database, collection: "things" }, raw)
      return { writer, changes, put: (_id: number) => Effect.promise(() => collection.insertOne({ _id })) }
    })

  const failures = ({ monitor }: Monitor.Watched) =>
    Effect.map(
      monitor.commands,
      (commands) =>
        commands.filter(({ name, outcome }) => outcome === "failed" && (name === "getMore" || name === "aggregate"))
    )

  /** A stream that is followed, and how to make what it sends fail, until the scope closes. */
  const following = (watched: Monitor.Watched) =>
    Effect.gen(function*() {
      const { changes, put, writer } = yield* changing(watched)
      const failing = (options: FailPoint.Options) =>
        FailPoint.failCommand(writer, { ...options, appName: watched.appName })
      return { put, failing, ...yield* follow(watched, changes) }
    })

  const unreachable: FailPoint.Options = {
    failCommands: ["getMore", "aggregate"],
    mode: "alwaysOn",
    closeConnection: true
  }

  describe("a change stream", () => {
    it.effect("fails with the server's error if that can't be resumed from", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { failing, fiber } = yield* following(watched)
          yield* failing({ failCommands: ["getMore"], errorCode: 286, errorLabels: [] })
          expect(yield* Effect.flip(Fiber.join(fiber)))
            .toMatchObject({ _tag: "MongoError", reason: "ChangeStreamLost", operation: "getMore" })
          expect(yield* watched.monitor.named("aggregate")).toHaveLength(1)
        })
      ))

    it.effect("fails with an error that the server would have labelled, had it been one to resume from", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { failing, fiber } = yield* following(watched)
          yield* failing({ failCommands: ["getMore"], errorCode: 6, errorLabels: [] })
          expect(yield* Effect.flip(Fiber.join(fiber))).toMatchObject({ _tag: "MongoError", code: 6 })
          expect(yield* watched.monitor.named("aggregate")).toHaveLength(1)
        })
      ))

    it.effect("is over promptly when it is interrupted while the server can't be reached", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { failing, fiber } = yield* following(watched)
          yield* failing(unreachable)
          yield* Monitor.until(failures(watched), ({ length }) => length >= 5)
          const [time] = yield* Effect.timed(Fiber.interrupt(fiber))
          expect(Duration.toMillis(time)).toBeLessThan(3000)
        })
      ))

    it.effect("that has given nothing yet loses nothing of what happens while its connection is broken", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { failing, put, until } = yield* following(watched)
          yield* Effect.scoped(Effect.gen(function*() {
            yield* failing(unreachable)
            yield* Monitor.until(failures(watched), ({ length }) => length >= 1)
            yield* put(1)
            yield* put(2)
          }))
          expect(told(yield* until(2))).toEqual(["insert 1", "insert 2"])
        })
      ))

    for (const errorCode of [43, 91, 189, 10107, 11600, 11602, 13436]) {
      it.effect(`goes on after the server's error ${errorCode}, and leaves no cursor behind`, () =>
        // A driver that hears that a server is no primary asks it again at the next heartbeat.
        Monitor.withClient({ driver: { heartbeatFrequencyMS: 500 } }, (watched) =>
          Effect.gen(function*() {
            const { failing, put, until } = yield* following(watched)
            yield* put(1)
            yield* until(1)
            // As a server puts it on each of them but CursorNotFound.
            const errorLabels = errorCode === 43 ? [] : [Label.ResumableChangeStreamError]
            yield* failing({ failCommands: ["getMore"], errorCode, errorLabels })
            yield* Monitor.until(failures(watched), ({ length }) => length === 1)
            yield* put(2)
            expect(told(yield* until(2))).toEqual(["insert 1", "insert 2"])
          }).pipe(on(watched))))
    }
  })

  describe(`${often(5000)} writes`, () => {
    it.effect(
      "are told once and in order, though the connection is cut 20 times and the server is killed",
      () =>
        Effect.scoped(Effect.gen(function*() {
          const { kill, server, start } = yield* Restartable.make
          const count = often(5000)
          const cuts = 20
          yield* Effect.gen(function*() {
            const watched = yield* Monitor.connect({ driver: { serverSelectionTimeoutMS: 2000 } })
            const { client, appName, monitor } = watched
            const writer = yield* TestServer.driver({ serverSelectionTimeoutMS: 500 })
            yield* Effect.promise(() => client.driver.db("shop").createCollection("things"))
            const collection = writer.db("shop").collection<Numbered>("things")
            const changes = ChangeStream.watch({ database: "shop", collection: "things" }, raw, [], { batchSize: 40 })

            yield* Effect.scoped(Effect.gen(function*() {
              const { given, until } = yield* on(watched)(follow(watched, changes))
              const written = yield* Ref.make(0)
              const writing = yield* Effect.fork(
                Effect.forEach(numbers(count), (n) => Effect.zipRight(write(collection, n), Ref.set(written, n + 1)), {
                  discard: true
                })
              )

              const cut = Effect.gen(function*() {
                const before = (yield* failures(watched)).length
                yield* FailPoint.failCommand(writer, {
                  failCommands: ["getMore", "aggregate"],
                  closeConnection: true,
                  appName
                })
                yield* Monitor.until(failures(watched), ({ length }) => length > before)
              })
              for (const n of numbers(cuts)) {
                yield* Monitor.until(written.get, (done) => done >= (n + 1) * count / (cuts + 2), "60 seconds")
                yield* Effect.scoped(cut)
                if (n === cuts / 2) {
                  yield* kill
                  const before = (yield* given).length
                  // In the meantime it is written, and nothing of it is told.
                  yield* Effect.sleep("300 millis")
                  yield* start
                  yield* Monitor.until(given, ({ length }) => length > before, "30 seconds")
                }
              }
              expect((yield* failures(watched)).length).toBeGreaterThanOrEqual(cuts)
              yield* Fiber.join(writing)
              const events = yield* until(count)
              expect(firstDifference(events.map(idOf), numbers(count))).toBeUndefined()
              expect(yield* monitor.overlaps).toEqual([])
            }))
            yield* Monitor.assertNothingLeft(watched)
          }).pipe(Effect.provideService(MongoServer.MongoServer, server))
        }))
    )
  })
})

// Thousands of numbers are not to be printed.
const firstDifference = (found: ReadonlyArray<unknown>, wanted: ReadonlyArray<unknown>): unknown => {
  const index = wanted.findIndex((one, place) => found[place] !== one)
  return index >= 0
    ? { index, found: found[index], wanted: wanted[index] }
    : found.length === wanted.length
    ? undefined
    : { length: found.length }
}
