/**
 * A client of the driver that is not connected yet is connected by its first operation, whichever that is.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Driver from "mongodb"
import * as ChangeStream from "../../src/ChangeStream.js"
import * as Collection from "../../src/Collection.js"
import * as Database from "../../src/Database.js"
import * as MongoClient from "../../src/MongoClient.js"
import * as Session from "../../src/Session.js"
import * as SessionCommands from "../../src/SessionCommands.js"
import { SessionId } from "../../src/SessionId.js"
import * as Transaction from "../../src/Transaction.js"
import * as Responder from "../support/server/responder.js"

const things = Collection.make("things", { database: "test" })

const operations: Readonly<Record<string, Effect.Effect<unknown, { readonly _tag: string }, MongoClient.MongoClient>>> =
  {
    findOne: things.findOne({}),
    insertOne: things.insertOne({ a: 1 }),
    find: Stream.runDrain(things.find()),
    watch: Effect.scoped(ChangeStream.opened(things.watch([]))),
    findById: things.findById(1),
    command: Database.make("test").command({ ping: 1 }),
    use: things.use((collection) => collection.estimatedDocumentCount()),
    session: Session.scoped(things.findOne({})),
    refreshSessions: SessionCommands.refreshSessions([SessionId.fromBytes(new Uint8Array(16))]),
    listSessions: Stream.runDrain(SessionCommands.listSessions()),
    currentTransactions: Stream.runDrain(SessionCommands.currentTransactions()),
    listLocalSessions: Stream.runDrain(SessionCommands.listLocalSessions()),
    bulkWrite: things.bulkWrite([{ insertOne: { document: { a: 1 } } }]),
    transaction: Transaction.run(things.insertOne({ a: 1 }))
  }

const lazily = (url: string, options: Driver.MongoClientOptions = {}) =>
  Effect.acquireRelease(
    Effect.sync(() => new Driver.MongoClient(url, { serverSelectionTimeoutMS: 100, ...options })),
    (driver) => Effect.promise(() => driver.close())
  )

const on = <A, E, R>(driver: Driver.MongoClient, effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(
    MongoClient.fromDriver(Effect.succeed(driver), { database: "test" }),
    (client) => Effect.provideService(Effect.asVoid(effect), MongoClient.MongoClient, client)
  )

describe("a client that is not connected yet", () => {
  for (const [name, effect] of Object.entries(operations)) {
    it.scopedLive(`fails by type where a file of its options is not there: ${name}`, () =>
      Effect.gen(function*() {
        const driver = yield* lazily("mongodb://127.0.0.1:1/", { tls: true, tlsCAFile: "/there/is/none.pem" })
        const error = yield* Effect.flip(on(driver, effect))
        expect(error).toMatchObject({ _tag: "MongoError", reason: "InvalidOptions" })
      }))

    it.scopedLive(`is connected when the server is there, however often it was not: ${name}`, () =>
      Effect.gen(function*() {
        const { port } = yield* Effect.scoped(Responder.make())
        const driver = yield* lazily(`mongodb://127.0.0.1:${port}/`)
        for (const _ of [1, 2]) {
          const error = yield* Effect.flip(on(driver, effect))
          expect(error).toMatchObject({ _tag: "MongoError", reason: "ServerSelectionFailed" })
        }
        yield* Responder.make({ port })
        yield* on(driver, effect)
      }))
  }

  it.scopedLive("stays closed when it was closed", () =>
    Effect.gen(function*() {
      const { port } = yield* Responder.make()
      const driver = yield* lazily(`mongodb://127.0.0.1:${port}/`)
      yield* on(driver, things.findOne({}))
      yield* Effect.promise(() => driver.close())
      const error = yield* Effect.flip(on(driver, things.findOne({})))
      expect(error).toMatchObject({ _tag: "MongoError", reason: "ConnectionClosed" })
    }))
})
