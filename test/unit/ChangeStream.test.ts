import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import type { Document } from "mongodb"
import { Long, Timestamp } from "mongodb"
import * as ChangeStream from "../../src/ChangeStream.js"
import { raw } from "../../src/Codec.js"
import * as MongoClient from "../../src/MongoClient.js"
import { ResumeToken } from "../../src/ResumeToken.js"
import * as Telemetry from "../../src/Telemetry.js"
import { idOf } from "../support/data/changes.js"
import { connected } from "../support/server/connected.js"
import type * as Responder from "../support/server/responder.js"
import { liveHeap } from "../support/watch/heap.js"
import * as Monitor from "../support/watch/monitor.js"

const target = { database: "shop", collection: "things" }
const operationTime = new Timestamp({ t: 1700000000, i: 3 })
const at = (n: number) => ({ _data: `8${n}` })
const insert = (n: number): Document => ({
  _id: at(n),
  operationType: "insert",
  ns: { db: "shop", coll: "things" },
  documentKey: { _id: n }
})

const id = Long.fromNumber(7)
const opened = (token?: Document): Responder.Reply => ({
  ok: 1,
  operationTime,
  cursor: { id, ns: "shop.things", firstBatch: [], ...(token && { postBatchResumeToken: token }) }
})
const batch = (events: ReadonlyArray<Document>, token?: Document): Responder.Reply => ({
  ok: 1,
  cursor: { id, ns: "shop.things", nextBatch: events, ...(token && { postBatchResumeToken: token }) }
})
const failed = (code: number, errorLabels: ReadonlyArray<string> = []): Responder.Reply => ({
  ok: 0,
  code,
  codeName: "Scripted",
  errmsg: "as the script says",
  errorLabels
})
const resumable = failed(4711, ["ResumableChangeStreamError"])

/** One reply after the other; then none any more. */
const script = (...replies: ReadonlyArray<Responder.Reply>): Responder.Handler => (_, { count }) =>
  replies[count] ?? "hang"

interface Script {
  readonly aggregate: ReadonlyArray<Responder.Reply>
  readonly getMore: ReadonlyArray<Responder.Reply>
}

/** Follows a change stream of a scripted server. */
const followed = ({ aggregate, getMore }: Script, options: ChangeStream.Options<"fail"> = {}) =>
  Effect.gen(function*() {
    const { client, server } = yield* connected({
      handlers: { aggregate: script(...aggregate), getMore: script(...getMore), killCursors: { ok: 1 } }
    }, { settleTimeout: "100 millis", closeTimeout: "100 millis" })
    const given: Array<unknown> = []
    const fiber = yield* Effect.forkScoped(
      Stream.runForEach(
        ChangeStream.watch(target, raw, [], options),
        (event) => Effect.sync(() => void given.push(idOf(event)))
      ).pipe(
        Effect.provideService(MongoClient.MongoClient, client)
      )
    )
    /** What the stage of the aggregation of this number said. */
    const stage = (number: number) =>
      Effect.map(server.awaitCommand("aggregate", number), ({ command }) => command["pipeline"][0].$changeStream)
    return { server, fiber, given, stage }
  })

/** Lets so much time pass, once somebody sleeps for no longer: the client hears of a failure later than the server tells it. */
const pass = (time: Duration.DurationInput, delay: Duration.DurationInput = time) =>
  Effect.flatMap(TestClock.testClock(), (clock) => {
    const isDue = Effect.zipWith(
      clock.sleeps,
      clock.currentTimeMillis,
      (times, now) => [...times].some((due) => due > now && due <= now + Duration.toMillis(delay))
    )
    return Effect.zipRight(Monitor.until(isDue, Boolean), TestClock.adjust(time))
  })

/** As long as any first delay may be. */
const firstDelay = pass("70 millis")

describe("a change stream does not go on", () => {
  it.scoped("when it could not be opened the first time", () =>
    Effect.gen(function*() {
      const { fiber, server } = yield* followed({ aggregate: [failed(11600), failed(11600)], getMore: [] })
      expect(yield* Effect.flip(Fiber.join(fiber))).toMatchObject({
        _tag: "MongoError",
        operation: "watch",
        code: 11600
      })
      // The second is the driver's own, which repeats reads once.
      expect(yield* server.named("aggregate")).toHaveLength(2)
    }))

  it.scoped.each([13, 50, 237, 286])("after the error %d", (code) =>
    Effect.gen(function*() {
      const { fiber, server } = yield* followed({ aggregate: [opened()], getMore: [failed(code)] })
      expect(yield* Effect.flip(Fiber.join(fiber))).toMatchObject({ _tag: "MongoError", code })
      expect(yield* server.named("aggregate")).toHaveLength(1)
    }))

  it.scoped("when its schedule has ended, and fails with what it had failed with last", () =>
    Effect.gen(function*() {
      const { fiber, server } = yield* followed(
        { aggregate: [opened(), opened(), opened()], getMore: [resumable, failed(43), failed(43)] },
        { resume: Schedule.recurs(2) }
      )
      expect(yield* Effect.flip(Fiber.join(fiber))).toMatchObject({ reason: "CursorLost", code: 43 })
      expect(yield* server.named("aggregate")).toHaveLength(3)
    }))
})

describe("a change stream goes on", () => {
  const cases: ReadonlyArray<
    readonly [string, Script, ChangeStream.Options<"fail">, Document, ReadonlyArray<number>?]
  > = [
    [
      "at the time when it was opened, if nothing has come and the server gives no tokens",
      { aggregate: [opened()], getMore: [resumable] },
      {},
      { startAtOperationTime: operationTime }
    ],
    [
      "at the token with which it was opened, if nothing has come",
      { aggregate: [opened(at(0))], getMore: [resumable] },
      {},
      { resumeAfter: at(0) }
    ],
    [
      "where it was told to begin, if nothing has come and the server gives no tokens",
      { aggregate: [opened()], getMore: [batch([]), resumable] },
      { startAfter: new ResumeToken(at(1)) },
      { startAfter: at(1) }
    ],
    [
      "with a place to start after, if nothing has come",
      { aggregate: [opened(at(1))], getMore: [batch([], at(2)), resumable] },
      { startAfter: new ResumeToken(at(1)) },
      { startAfter: at(2) }
    ],
    [
      "at the token of an empty answer",
      { aggregate: [opened(at(0))], getMore: [batch([], at(5)), resumable] },
      {},
      { resumeAfter: at(5) }
    ],
    [
      "after the last event, if the server gives no tokens",
      { aggregate: [opened()], getMore: [batch([insert(1), insert(2)]), resumable] },
      { startAtOperationTime: operationTime },
      { resumeAfter: at(2) },
      [1, 2]
    ],
    [
      "after what its last answer has covered",
      { aggregate: [opened(at(0))], getMore: [batch([insert(1), insert(2)], at(4)), resumable] },
      { startAfter: new ResumeToken(at(0)) },
      { resumeAfter: at(4) },
      [1, 2]
    ]
  ]

  it.scoped.each(cases)("%s", ([, { aggregate, getMore }, options, place, events = []]) =>
    Effect.gen(function*() {
      const { given, server, stage } = yield* followed({ aggregate: [...aggregate, opened()], getMore }, {
        ...options,
        resume: Schedule.forever
      })
      expect(yield* stage(2)).toEqual(place)
      yield* server.awaitCommand("getMore", getMore.length + 1)
      expect(given).toEqual(events)
    }))

  it.scoped("after the delays of its schedule by the clock, which grow while the server does not answer", () =>
    Effect.gen(function*() {
      const { given, server } = yield* followed({
        aggregate: [opened(at(0)), failed(10107), failed(10107), opened(at(0))],
        getMore: [batch([insert(1)], at(1)), resumable, batch([insert(2)], at(2))]
      }, { resume: Schedule.exponential("1 second") })
      yield* server.awaitCommand("getMore", 2)
      yield* pass("999 millis", "1 second")
      expect(yield* server.named("aggregate")).toHaveLength(1)
      yield* TestClock.adjust("1 millis")
      // This one is answered twice, for the driver repeats it by itself.
      yield* server.awaitCommand("aggregate", 3)
      yield* pass("1999 millis", "2 seconds")
      expect(yield* server.named("aggregate")).toHaveLength(3)
      yield* TestClock.adjust("1 millis")
      yield* server.awaitCommand("getMore", 4)
      expect(given).toEqual([1, 2])
    }))

  it.scoped("with its schedule begun anew after each answer", () =>
    Effect.gen(function*() {
      const { given, server } = yield* followed({
        aggregate: [opened(at(0)), opened(at(0)), opened(at(0)), opened(at(0))],
        getMore: [1, 2, 3].flatMap((n) => [batch([insert(n)], at(n)), resumable])
      }, { resume: Schedule.recurs(1) })
      yield* server.awaitCommand("getMore", 7)
      expect(given).toEqual([1, 2, 3])
    }))

  it.scoped("at once after a broken connection, and kills the cursor there when the server is back", () =>
    Effect.gen(function*() {
      const { server } = yield* followed({
        aggregate: [opened(at(0)), opened(at(0))],
        getMore: ["close", batch([], at(0))]
      })
      yield* server.awaitCommand("getMore")
      yield* firstDelay
      yield* server.awaitCommand("getMore", 3)
      const commands = (yield* server.commands).map(({ name }) => name)
        .filter((name) => ["aggregate", "getMore", "killCursors"].includes(name))
      expect(commands).toEqual(["aggregate", "getMore", "aggregate", "killCursors", "getMore", "getMore"])
      const [kill] = yield* server.named("killCursors")
      expect(kill?.command).toMatchObject({ killCursors: "things", cursors: [7], $db: "shop" })
      expect(yield* server.overlaps).toEqual([])
    }))

  it.scoped("and tells so in a metric", () =>
    Effect.gen(function*() {
      const counter = Metric.tagged(Telemetry.streamsResumed, "reason", "CursorLost")
      const { count } = yield* Metric.value(counter)
      const { server } = yield* followed(
        { aggregate: [opened(), opened()], getMore: [failed(43)] },
        { resume: Schedule.forever }
      )
      yield* server.awaitCommand("getMore", 2)
      expect((yield* Metric.value(counter)).count).toBe(count + 1)
    }))

  it.scopedLive("any number of times, without remembering any of them", () =>
    Effect.gen(function*() {
      const heaps: Array<number> = []
      const { client } = yield* connected({
        record: false,
        handlers: {
          aggregate: opened(at(0)),
          getMore: (_, { count }) =>
            count % 400 === 0
              ? Effect.map(liveHeap, (heap) => {
                heaps.push(heap)
                return failed(43)
              })
              : failed(43),
          killCursors: { ok: 1 }
        }
      })
      const changes = ChangeStream.watch(target, raw, [], { resume: Schedule.forever })
      yield* Effect.forkScoped(Effect.provideService(Stream.runDrain(changes), MongoClient.MongoClient, client))
      const [, first = 0, second = 0] = yield* Monitor.until(
        Effect.sync(() => heaps),
        ({ length }) => length >= 3,
        "60 seconds"
      )
      // One that remembers keeps about 27 kB of each.
      expect(second - first).toBeLessThan(4_000_000)
    }))
})
