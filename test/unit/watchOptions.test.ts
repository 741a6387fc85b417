import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { type Document, Long, Timestamp } from "mongodb"
import * as ChangeStream from "../../src/ChangeStream.js"
import * as Collection from "../../src/Collection.js"
import * as Database from "../../src/Database.js"
import * as MongoClient from "../../src/MongoClient.js"
import { ResumeToken } from "../../src/ResumeToken.js"
import { connected } from "../support/server/connected.js"

const token = new ResumeToken({ _data: "81" })
const time = new Timestamp({ t: 1, i: 1 })
const Things = Collection.make("things", { database: "shop" })

/** Options as a caller gives them whom no compiler has checked. */
const untyped = (options: object): ChangeStream.Options<"fail"> => options

const times: ReadonlyArray<readonly [string, unknown]> = [
  ["no time", 0],
  ["less than a millisecond", "500 micros"],
  ["less than no time", -5],
  ["no number", Number.NaN],
  ["for ever", Duration.infinity],
  ["longer than the server knows", "30 days"],
  ["garbage", "soon"]
]

const refused = (named: string) => ({
  _tag: "MongoError",
  reason: "InvalidOptions",
  hint: expect.stringContaining(named)
})

/** A program on a client that has sent nothing when it has ended. */
const silently = <A, E>(program: Effect.Effect<A, E, MongoClient.MongoClient>) =>
  Effect.gen(function*() {
    const { client, server } = yield* connected({ handlers: {} })
    const result = yield* Effect.provideService(program, MongoClient.MongoClient, client)
    const names = (yield* server.commands).map(({ name }) => name)
    expect(names.filter((name) => !["hello", "ismaster", "isMaster", "ping", "endSessions"].includes(name))).toEqual([])
    return result
  })

describe("the options of a change stream", () => {
  const wrong: ReadonlyArray<readonly [string, object, string]> = [
    ...times.map(([name, maxAwaitTime]) => [`a wait of ${name}`, { maxAwaitTime }, "maxAwaitTime"] as const),
    ["a time limit of less than a millisecond", { timeout: "500 micros" }, "timeout"],
    ["a time limit that is garbage", { timeout: "soon" }, "timeout"],
    ["two tokens to begin after", { resumeAfter: token, startAfter: token }, "at most one of"],
    ["a token and a time to begin at", { startAfter: token, startAtOperationTime: time }, "at most one of"],
    ["a token of the driver", { resumeAfter: { _data: "81" } }, "resumeAfter: expected a ResumeToken"],
    ["a token that is a text", { startAfter: token.toString() }, "startAfter: expected a ResumeToken"],
    ["a time that is none", { startAtOperationTime: Long.fromNumber(1) }, "startAtOperationTime: expected a Timestamp"],
    ["no Schedule", { resume: "often" }, "resume: expected a Schedule"],
    ["another way with events that do not fit", { onInvalid: "drop" }, "onInvalid"],
    ["everything at once", { maxAwaitTime: 0, resume: 1, onInvalid: 1 }, "; "]
  ]

  it.scopedLive.each(wrong)(
    "are refused before anything is sent: %s",
    ([, options, named]) =>
      silently(Effect.gen(function*() {
        const stream = Things.watch([], untyped(options))
        expect(yield* Effect.flip(Stream.runDrain(stream))).toMatchObject({ ...refused(named), operation: "watch" })
        expect(yield* Effect.flip(Stream.runDrain(ChangeStream.after(stream, token)))).toMatchObject(refused(named))
        expect(yield* Effect.flip(Effect.scoped(ChangeStream.opened(stream)))).toMatchObject(refused(named))
        expect(yield* Effect.flip(ChangeStream.consume(stream, "totals", () => Effect.void)))
          .toMatchObject(refused(named))
      }))
  )
})

describe("what a stream may not ask for", () => {
  const wrong: ReadonlyArray<readonly [string, ReadonlyArray<unknown>, object, object]> = [
    ["a pipeline of what are no stages", [5], {}, refused("list of stages")],
    [
      "a wait of more than the time limit",
      [],
      { timeout: "1 second", maxAwaitTime: "2 seconds" },
      refused("less than")
    ],
    ["a stage that BSON cannot say", [{ $match: { a: undefined } }], {}, { reason: "EncodingFailed" }],
    ["a collation that BSON cannot say", [], { collation: { locale: undefined } }, { reason: "EncodingFailed" }]
  ]

  it.scopedLive.each(wrong)(
    "is refused before anything is sent, also by a consumer, which has not claimed its checkpoint: %s",
    ([, pipeline, options, error]) =>
      silently(Effect.gen(function*() {
        const stream = Things.watch(pipeline as never, untyped(options))
        expect(yield* Effect.flip(Stream.runDrain(stream))).toMatchObject({ ...error, operation: "watch" })
        expect(yield* Effect.flip(ChangeStream.consume(stream, "totals", () => Effect.void)))
          .toMatchObject({ ...error, operation: "watch" })
      }))
  )

  it.scopedLive("is refused by a consumer where the collection sets the time limit, or has no name", () =>
    silently(Effect.gen(function*() {
      const limited = Things.withOptions({ timeout: "1 second" }).watch([], { maxAwaitTime: "2 seconds" })
      expect(yield* Effect.flip(ChangeStream.consume(limited, "totals", () => Effect.void)))
        .toMatchObject({ ...refused("less than"), namespace: "shop.things" })
      const nameless = Collection.make("").watch()
      expect(yield* Effect.flip(ChangeStream.consume(nameless, "totals", () => Effect.void)))
        .toMatchObject({ reason: "InvalidOptions", operation: "watch" })
    })))

  it.scopedLive("is refused of a view, too", () =>
    silently(Effect.gen(function*() {
      const made = Database.make("shop").createCollection("x", { viewOn: "things", pipeline: [5 as never] })
      expect(yield* Effect.flip(made)).toMatchObject({ ...refused("list of stages"), operation: "createView" })
    })))
})

describe("a token that cannot be read", () => {
  const throwing = new Proxy({}, {
    get: () => {
      throw new Error("secret")
    },
    has: () => true
  })

  it.scopedLive.each(["resumeAfter", "startAfter", "startAtOperationTime"])(
    "is refused before anything is sent: %s",
    (option) =>
      silently(Effect.gen(function*() {
        const stream = Things.watch([], untyped({ [option]: throwing }))
        expect(yield* Effect.flip(Stream.runDrain(stream))).toMatchObject({
          reason: "InvalidOptions",
          operation: "watch"
        })
      }))
  )
})

describe("how long a cursor of a command waits for data", () => {
  it.scopedLive.each(times)(
    "is refused before anything is sent: %s",
    ([, maxAwaitTime]) =>
      silently(Effect.gen(function*() {
        const options: object = { tailable: true, awaitData: true, maxAwaitTime }
        const rows = Database.make("shop").runCursorCommand({ find: "things" }, options)
        expect(yield* Effect.flip(Stream.runDrain(rows)))
          .toMatchObject({ ...refused("maxAwaitTime"), operation: "runCursorCommand" })
      }))
  )

  it.scopedLive("is told to the server in whole milliseconds, as that of a change stream is", () =>
    Effect.gen(function*() {
      const cursor = (batch: Document) => ({ ok: 1, cursor: { id: Long.fromNumber(7), ns: "shop.things", ...batch } })
      const { client, server } = yield* connected({
        handlers: {
          find: cursor({ firstBatch: [] }),
          aggregate: cursor({ firstBatch: [], postBatchResumeToken: { _data: "81" } }),
          getMore: cursor({ nextBatch: [] }),
          killCursors: { ok: 1 }
        }
      })
      const wait = { maxAwaitTime: "1500 micros" } as const
      const rows = Database.make("shop").runCursorCommand({ find: "things", tailable: true, awaitData: true }, {
        ...wait,
        tailable: true,
        awaitData: true
      })
      for (const run of [Stream.runDrain(rows), Stream.runDrain(Things.watch([], wait))]) {
        const before = (yield* server.named("getMore")).length
        const fiber = yield* Effect.fork(Effect.provideService(run, MongoClient.MongoClient, client))
        const { command } = yield* server.awaitCommand("getMore", before + 1)
        expect(command["maxTimeMS"]).toBe(2)
        yield* Fiber.interrupt(fiber)
      }
    }))
})

describe("what is no object of options, or no pipeline", () => {
  const watching: Readonly<Record<string, (pipeline: never, options: never) => ReturnType<typeof Things.watch>>> = {
    collection: (pipeline, options) => Things.watch(pipeline, options),
    database: (pipeline, options) => Database.make("shop").watch(pipeline, options),
    deployment: (pipeline, options) => MongoClient.watch(pipeline, options)
  }
  const throwing = {
    get showOwn(): never {
      throw new Error("secret")
    }
  }
  for (const [of, watch] of Object.entries(watching)) {
    it.scopedLive(`is refused before anything is sent: the changes of a ${of}`, () =>
      silently(Effect.gen(function*() {
        for (const options of [null, 5, [], throwing]) {
          const error = yield* Effect.flip(Stream.runDrain(watch([] as never, options as never)))
          expect(error).toMatchObject(refused("ptions"))
        }
        for (const pipeline of [{ $match: {} }, "abc", null, 5]) {
          const error = yield* Effect.flip(Stream.runDrain(watch(pipeline as never, {} as never)))
          expect(error).toMatchObject(refused("list of stages"))
        }
      })))
  }
})
