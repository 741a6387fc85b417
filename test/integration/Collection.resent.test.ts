/** What is told of a write whose first attempt was sent, and whose second has failed in another way. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Collection from "../../src/Collection.js"
import type { MongoClient } from "../../src/MongoClient.js"
import * as Session from "../../src/Session.js"
import { on } from "../support/data/collections.js"
import { clientOf, connected, goDown } from "../support/server/connected.js"
import * as Responder from "../support/server/responder.js"
import { until } from "../support/watch/until.js"

const Things = Collection.make("things")
const insert = Things.insertOne({ n: 1 })

const refused = (code: number, codeName: string, ...errorLabels: ReadonlyArray<string>) => ({
  ...{ ok: 0, code, codeName, errmsg: "no" },
  errorLabels
})
const overloaded = refused(462, "IngressRequestRateLimitExceeded", "SystemOverloadedError", "RetryableError")
const unauthorized = refused(13, "Unauthorized")
const mayHaveHappened = { reason: "NetworkError", code: undefined, labels: [], isRetryable: true }

type Write = Effect.Effect<object, { readonly _tag: string }, MongoClient>

const ways: ReadonlyArray<readonly [string, (write: Write) => Write]> = [
  ["without a session", (write) => write],
  ["in a session", (write) => Session.scoped(write)],
  [
    "in a session that a connection has broken in before",
    (write) =>
      Session.scoped(Effect.zipRight(
        Session.use((session) => {
          session.serverSession.isDirty = true
          return Promise.resolve(session.id)
        }),
        write
      ))
  ]
]

describe("a write whose first answer is lost", () => {
  for (const [about, within] of ways) {
    it.scopedLive(`and that the server is too busy for, or refuses, may have happened: ${about}`, () =>
      Effect.gen(function*() {
        for (const later of [overloaded, unauthorized]) {
          const place = yield* connected({
            handlers: { insert: (_, { count }) => count === 0 ? "close" : later }
          }, { driver: { maxAdaptiveRetries: 1 } })
          const error = yield* Effect.flip(on(place)(within(insert)))
          expect(error).toMatchObject({ ...mayHaveHappened, cause: { cause: { code: later.code } } })
        }
      }))

    it.scopedLive(`and for which no server is found then, may have happened: ${about}`, () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const server = yield* Scope.extend(Responder.make(), scope)
        const place = yield* clientOf(server, { driver: { serverSelectionTimeoutMS: 300 } })
        yield* server.on("insert", () => Effect.as(Effect.forkDaemon(Scope.close(scope, Exit.void)), "hang" as const))
        expect(yield* Effect.flip(on(place)(within(insert)))).toMatchObject({
          ...mayHaveHappened,
          cause: { cause: { name: "MongoServerSelectionError" } }
        })
      }))

    it.scopedLive(`and whose second says what has become of it is told by that: ${about}`, () =>
      Effect.gen(function*() {
        const writeErrors = [{ index: 0, code: 11_000, errmsg: "E11000", keyPattern: { n: 1 }, keyValue: { n: 1 } }]
        const place = yield* connected({
          handlers: { insert: (_, { count }) => count === 0 ? "close" : { n: 0, writeErrors } }
        })
        expect(yield* Effect.flip(on(place)(within(insert)))).toMatchObject({ reason: "DuplicateKey" })
      }))

    it.scopedLive(`keeps what its bulk has done: ${about}`, () =>
      Effect.gen(function*() {
        const place = yield* connected({
          handlers: {
            insert: { n: 1 },
            update: (_, { count }) => count === 0 ? "close" : unauthorized
          }
        })
        const bulk = Things.bulkWrite([
          { insertOne: { document: { _id: 1 } } },
          { updateOne: { filter: {}, update: { $set: { n: 1 } } } }
        ])
        expect(yield* Effect.flip(on(place)(within(bulk)))).toMatchObject({
          ...mayHaveHappened,
          details: { _tag: "BulkWrite", insertedCount: 1, insertedIds: { 0: 1 } }
        })
      }))

    it.scopedLive(`is told by what the server answers in the end about each write: ${about}`, () =>
      Effect.gen(function*() {
        const writeErrors = [{ index: 0, code: 14, errmsg: "wrong type" }]
        const place = yield* connected({
          handlers: {
            insert: (_, { count }) => count === 0 ? "close" : { n: 1 },
            update: { n: 0, nModified: 0, writeErrors }
          }
        })
        const bulk = Things.bulkWrite([
          { insertOne: { document: { _id: 1 } } },
          { updateOne: { filter: {}, update: { $inc: { n: 1 } } } }
        ])
        expect(yield* Effect.flip(on(place)(within(bulk)))).toMatchObject({ reason: "InvalidOptions", code: 14 })
        yield* place.server.on("update", (_, { count }) => count === 1 ? "close" : { n: 0, nModified: 0, writeErrors })
        expect(yield* Effect.flip(on(place)(within(Things.updateOne({}, { $inc: { n: 1 } }))))).toMatchObject({
          reason: "InvalidOptions",
          code: 14
        })
      }))

    it.scopedLive(`is no such thing where nothing was lost, or nothing sent: ${about}`, () =>
      Effect.gen(function*() {
        for (const [reply, reason] of [[overloaded, "Overloaded"], [unauthorized, "Unauthorized"]] as const) {
          const place = yield* connected({ handlers: { insert: reply } }, { driver: { maxAdaptiveRetries: 1 } })
          expect(yield* Effect.flip(on(place)(within(insert)))).toMatchObject({ reason, code: reply.code })
        }
        const place = yield* connected({}, { driver: { serverSelectionTimeoutMS: 300 } })
        const missing = Collection.make("things", { readPreference: "secondary" })
        expect(yield* Effect.flip(on(place)(within(missing.findOne())))).toMatchObject({
          reason: "ServerSelectionFailed"
        })
      }))
  }
})

describe("a write that waits for a server", () => {
  it.scopedLive("was never sent, where its client closes meanwhile", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const server = yield* Scope.extend(Responder.make(), scope)
      // An idle monitor learns of it by its next heartbeat.
      const place = yield* clientOf(server, { driver: { heartbeatFrequencyMS: 500 } })
      const { driver } = place.client
      yield* goDown(place.client, Scope.close(scope, Exit.void))
      const running = yield* Effect.fork(Effect.flip(on(place)(insert)))
      // Of a write without a session the driver makes one.
      const sessions = Effect.sync(() => Reflect.get(Object(driver), "s").activeSessions.size as number)
      yield* until(sessions, (count) => count > 0)
      yield* Effect.promise(() => driver.close())
      expect(yield* Fiber.join(running)).toMatchObject({ reason: "ConnectionClosed", isRetryable: false })
    }))
})
