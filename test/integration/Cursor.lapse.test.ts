import { describe, expect, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { Long } from "mongodb"
import * as ChangeStream from "../../src/ChangeStream.js"
import { raw } from "../../src/Codec.js"
import * as Collection from "../../src/Collection.js"
import { MongoError } from "../../src/MongoError.js"
import * as Session from "../../src/Session.js"
import { on } from "../support/data/collections.js"
import { connected, ping } from "../support/server/connected.js"
import type * as Responder from "../support/server/responder.js"

const ns = "test.things"
const failure = (code: number, codeName: string) => ({ ok: 0, code, codeName, errmsg: "cursor id 7 not found" })
const lost = failure(43, "CursorNotFound")

/** A cursor of two batches, the first of which has been read in a session that nothing keeps alive. */
const begun = (options: Session.Options, getMore: Responder.Handler | Responder.Reply) =>
  Effect.gen(function*() {
    const all = yield* connected({
      handlers: { find: { cursor: { firstBatch: [{ _id: 1 }], id: Long.fromNumber(7), ns } }, getMore }
    }, { keepAlive: false })
    const session = yield* all.open(options)
    const pull = yield* Stream.toPull(Collection.make("things", { database: "test" }).find()).pipe(
      Session.provide(session),
      on(all)
    )
    const next = Session.provide(on(all)(pull), session)
    expect(Chunk.toReadonlyArray(yield* next)).toEqual([{ _id: 1 }])
    return { ...all, session, next, error: Effect.flatten(Effect.flip(next)) }
  })

/** What it fails with when the answer comes 30 minutes after the last use, as to a machine that was suspended meanwhile. */
const late = (answer: Responder.Reply) =>
  Effect.gen(function*() {
    const suspended = yield* Deferred.make<void>()
    const { error, server } = yield* begun({}, () => Effect.as(Deferred.await(suspended), answer))
    yield* TestClock.adjust("29 minutes")
    const reading = yield* Effect.fork(error)
    yield* server.awaitCommand("getMore")
    yield* TestClock.adjust("1 minutes")
    yield* Deferred.succeed(suspended, undefined)
    return yield* reading
  })

const hintOf = (error: unknown) => error instanceof MongoError ? error.hint : "not a MongoError"

const lapse = /the session .* lapsed/

describe("a cursor that the server has lost", () => {
  for (const [code, codeName] of [[43, "CursorNotFound"], [237, "CursorKilled"]] as const) {
    it.scoped(`with code ${code}, says nothing of a lapse when the session was in use`, () =>
      Effect.gen(function*() {
        const { error, session } = yield* begun({}, failure(code, codeName))
        yield* TestClock.adjust("29 minutes")
        yield* ping(session)
        yield* TestClock.adjust("29 minutes")
        const lost = yield* error
        expect(lost).toMatchObject({ _tag: "MongoError", reason: "CursorLost", operation: "getMore", code })
        expect(hintOf(lost)).toBeUndefined()
      }))

    it.scoped(`with code ${code}, says so when the session was idle for too long until the answer came`, () =>
      Effect.gen(function*() {
        const lost = yield* late(failure(code, codeName))
        expect(lost).toMatchObject({ _tag: "MongoError", reason: "CursorLost", operation: "getMore", code })
        expect(hintOf(lost)).toMatch(lapse)
      }))
  }

  it.scoped("for another reason, says nothing of a lapse", () =>
    Effect.gen(function*() {
      for (const [code, codeName] of [[175, "QueryPlanKilled"], [13, "Unauthorized"]] as const) {
        const failed = yield* late(failure(code, codeName))
        expect(failed).toMatchObject({ _tag: "MongoError", code })
        expect(hintOf(failed)).toBeUndefined()
      }
    }))

  it.scoped("says nothing of a lapse when the session was used while the cursor waited for its turn", () =>
    Effect.gen(function*() {
      const { error, server, session } = yield* begun({}, lost)
      const answered = yield* Deferred.make<void>()
      yield* server.on("ping", () => Effect.as(Deferred.await(answered), {}))
      yield* TestClock.adjust("29 minutes")
      const using = yield* Effect.fork(ping(session))
      yield* server.awaitCommand("ping")
      const reading = yield* Effect.fork(error)
      yield* Effect.yieldNow()
      yield* TestClock.adjust("1 minutes")
      yield* Deferred.succeed(answered, undefined)
      yield* using
      const failed = yield* reading
      expect(failed).toMatchObject({ reason: "CursorLost", code: 43 })
      expect(hintOf(failed)).toBeUndefined()
    }))

  it.scoped("with its session, which was renewed, is not taken for one that has come to its end", () =>
    Effect.gen(function*() {
      const { error, server, session } = yield* begun({ onLapse: "renew" }, lost)
      yield* TestClock.adjust("31 minutes")
      const gone = yield* error
      expect(gone).toMatchObject({ _tag: "MongoError", reason: "CursorLost", operation: "getMore" })
      expect(hintOf(gone)).toMatch(lapse)
      expect(gone).not.toHaveProperty("code", expect.anything())
      expect(JSON.stringify(gone)).toMatch(lapse)
      expect(yield* server.named("getMore")).toEqual([])
      expect(yield* session.state).toBe("idle")
    }))

  it.scoped("fails with SessionLapsed where the session is not to be renewed", () =>
    Effect.gen(function*() {
      const { error } = yield* begun({}, lost)
      yield* TestClock.adjust("31 minutes")
      expect(yield* error).toMatchObject({ _tag: "SessionLapsed", operation: "getMore", timeout: Duration.minutes(30) })
    }))

  it.scoped.each(["an ambient", "no"])(
    "with its session is no end of a change stream, in %s session",
    (which) =>
      Effect.gen(function*() {
        const event = (n: number) => ({
          _id: { _data: `0${n}` },
          operationType: "insert",
          ns: { db: "test", coll: "things" },
          documentKey: { _id: n },
          fullDocument: { _id: n }
        })
        const all = yield* connected({
          handlers: {
            aggregate: (command) => ({
              cursor: {
                firstBatch: [event(command["pipeline"][0].$changeStream.resumeAfter === undefined ? 1 : 2)],
                id: Long.fromNumber(7),
                ns
              }
            })
          }
        }, { keepAlive: false })
        const session = yield* all.open({ onLapse: "renew" })
        const events = ChangeStream.watch({ database: "test", collection: "things" }, raw)
        const within = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
          which === "no" ? effect : Session.provide(effect, session)
        const pull = yield* Stream.toPull(events).pipe(within, on(all))
        const next = within(on(all)(pull))
        expect(Chunk.map(yield* next, ({ resumeToken }) => resumeToken.document)).toEqual(Chunk.of({ _data: "01" }))
        yield* TestClock.adjust("31 minutes")
        const reading = yield* Effect.fork(next)
        while ((yield* all.server.named("aggregate")).length < 2) {
          yield* TestClock.adjust("1 seconds")
          yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        }
        expect(Chunk.map(yield* reading, ({ resumeToken }) => resumeToken.document)).toEqual(Chunk.of({ _data: "02" }))
      })
  )
})
