import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { AbstractCursor, Long, MongoClient as DriverClient, Timestamp } from "mongodb"
import { createRequire } from "node:module"
import { vi } from "vitest"
import * as Cursor from "../../src/Cursor.js"
import * as Compatibility from "../../src/internal/driver/compatibility.js"
import * as Privates from "../../src/internal/driver/privates.js"
import * as DriverSession from "../../src/internal/driver/session.js"
import * as Transaction from "../../src/internal/driver/transaction.js"
import { watchAbort } from "../../src/internal/driver/watch.js"
import * as MongoClient from "../../src/MongoClient.js"
import * as Session from "../../src/Session.js"
import { connected } from "../support/server/connected.js"
import * as Responder from "../support/server/responder.js"

const { version } = createRequire(import.meta.url)("mongodb/package.json") as { readonly version: string }

const look = <A>(at: (samples: Compatibility.Samples) => A): Promise<A> =>
  Compatibility.sampled(new DriverClient("mongodb://127.0.0.1:1"), at)

/** The thing, without one of its fields. */
const missingIn = (thing: unknown, field: string): unknown =>
  new Proxy(thing as object, {
    has: (of, name) => name !== field && Reflect.has(of, name),
    get: (of, name) => name === field ? undefined : Reflect.get(of, name)
  })

/** The thing, with one of its fields of another kind. */
const otherwise = (thing: unknown, field: string): unknown =>
  new Proxy(thing as object, { get: (of, name) => name === field ? "otherwise" : Reflect.get(of, name) })

const split = (name: string): readonly [kind: keyof Compatibility.Samples, field: string] => {
  const at = name.lastIndexOf(".")
  return [name.slice(0, at) as keyof Compatibility.Samples, name.slice(at + 1)]
}

describe("what the driver keeps to itself", () => {
  it.each(Compatibility.names)("%s is as this library needs it", async (name) => {
    expect(await look(Compatibility.missing)).not.toContain(name)
  })

  it.each(Compatibility.names)("%s is told when it is not there, or is something else", async (name) => {
    const [kind, field] = split(name)
    for (const changed of [missingIn, otherwise]) {
      const found = await look((samples) =>
        Compatibility.missing({ ...samples, [kind]: changed(samples[kind], field) })
      )
      expect(found).toEqual([name])
    }
  })

  it("all that a thing has is told when the thing is not there", async () => {
    const found = await look((samples) => Compatibility.missing({ ...samples, "ClientSession.transaction": undefined }))
    expect(found).toEqual(
      ["state", "options", "server", "recoveryToken", "transition"].map((name) => `ClientSession.transaction.${name}`)
    )
  })

  it("a transaction has the state and the options that it was started with", async () => {
    const client = new DriverClient("mongodb://127.0.0.1:1")
    const session = client.startSession()
    session.startTransaction({ writeConcern: { w: 2 }, readPreference: "nearest" })
    const { options, state } = Privates.ofSession(session).transaction
    expect(state).toBe("STARTING_TRANSACTION")
    expect(options).toMatchObject({ writeConcern: { w: 2 }, readPreference: { mode: "nearest" } })
    expect(Transaction.isUnsent(session)).toBe(true)
    await session.abortTransaction()
    await session.endSession()
  })

  it.scoped("a snapshot session keeps the time of the first answer, and sends it with the next command", () =>
    Effect.gen(function*() {
      const atClusterTime = new Timestamp({ t: 7, i: 1 })
      const cursor = { id: Long.ZERO, ns: "test.things", firstBatch: [], atClusterTime }
      const { client, open, server } = yield* connected({ handlers: { find: { ok: 1, cursor } } })
      const session = yield* open({ snapshot: true })
      const find = Session.use(
        (session) => client.driver.db("test").collection("things").findOne({}, { session }).then(() => session)
      )
      const driverSession = yield* Session.provide(find, session)
      expect(DriverSession.snapshotTimeOf(driverSession)).toMatchObject({ _tag: "Some", value: atClusterTime })
      yield* Session.provide(find, session)
      const [, second] = yield* server.named("find")
      expect(second?.command["readConcern"]).toEqual({ level: "snapshot", atClusterTime })
    }))

  it.scoped("an abort finds its server by the client of its session, and the topology of that, and tells nothing of a refusal", () =>
    Effect.gen(function*() {
      const abortTransaction = { ok: 0, code: 13, codeName: "Unauthorized", errmsg: "no" }
      const { client, server } = yield* connected({ handlers: { abortTransaction } })
      yield* Effect.promise(() =>
        client.driver.withSession(async (session) => {
          session.startTransaction()
          await client.driver.db("test").collection("things").insertOne({}, { session })
          const end = watchAbort(session)
          await session.abortTransaction()
          expect(end()).toMatchObject({ reason: "Unauthorized" })
        })
      )
      expect(yield* server.named("abortTransaction")).toHaveLength(1)
    }))

  it.scoped("what a deadline gives a session is asked for each command's time limit", () =>
    Effect.gen(function*() {
      const { open, server } = yield* connected({ handlers: { ping: { ok: 1 } } })
      const session = yield* open({ timeout: "1 minute" })
      yield* session.use((driverSession) =>
        session.client.driver.db("test").command({ ping: 1 }, { session: driverSession })
      )
      const { command } = yield* server.awaitCommand("ping")
      expect(command["maxTimeMS"]).toBeGreaterThan(50_000)
    }))

  it.scoped("a cursor's getMore ends at the signal among the cursor's options, and the cursor is closed after it", () =>
    Effect.gen(function*() {
      const cursor = { id: Long.fromNumber(7), ns: "test.things", firstBatch: [{ _id: 1 }] }
      const { client, server } = yield* connected({
        handlers: { find: { ok: 1, cursor }, getMore: "hang", killCursors: { ok: 1 } }
      })
      const reading = yield* Cursor.stream((added, db) => db.collection("things").find({}, added)).pipe(
        Stream.runDrain,
        Effect.provideService(MongoClient.MongoClient, client),
        Effect.fork
      )
      yield* server.awaitCommand("getMore")
      yield* Fiber.interrupt(reading)
      expect(yield* server.named("killCursors")).toHaveLength(1)
    }))
})

describe("a driver that has renamed what it keeps to itself", () => {
  /** The refusal of a client while a field of the driver's is not there; nobody was asked anything. */
  const refusal = (owner: object, field: string) =>
    Effect.gen(function*() {
      const server = yield* Responder.make()
      const error = yield* without(owner, field, Effect.flip(MongoClient.make({ url: Redacted.make(server.url) })))
      expect(yield* server.connections).toBe(0)
      expect(yield* server.commands).toEqual([])
      return error
    })

  const without = <A, E, R>(owner: object, field: string, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.acquireUseRelease(
      Effect.sync(() => {
        const kept = Reflect.getOwnPropertyDescriptor(owner, field)
        expect(kept).toBeDefined()
        Reflect.deleteProperty(owner, field)
        return kept ?? {}
      }),
      () => effect,
      (kept) => Effect.sync(() => Object.defineProperty(owner, field, kept))
    )

  /** Runs an effect while the driver's sessions are made without a field. */
  const withoutInSessions = <A, E, R>(field: string, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.acquireUseRelease(
      Effect.sync(() => {
        const { startSession } = DriverClient.prototype
        return vi.spyOn(DriverClient.prototype, "startSession").mockImplementation(
          function(this: DriverClient, options) {
            const session = startSession.call(this, options)
            Reflect.deleteProperty(session, field)
            return session
          }
        )
      }),
      () => effect,
      (spy) => Effect.sync(() => spy.mockRestore())
    )

  it.scoped("a client is refused by the version and the name of what is missing", () =>
    Effect.gen(function*() {
      const error = yield* refusal(AbstractCursor.prototype, "session")
      expect(error).toMatchObject({ _tag: "MongoError", reason: "Incompatible", labels: [] })
      expect(error.message).toContain(`mongodb ${version} has no AbstractCursor.session as`)
      expect(error.hint).toContain("mongodb")
    }))

  it.scoped("all that is missing is named", () =>
    Effect.gen(function*() {
      const { transaction } = Privates.ofSession(new DriverClient("mongodb://127.0.0.1:1").startSession())
      const error = yield* withoutInSessions(
        "timeoutContext",
        refusal(Object.getPrototypeOf(transaction) as object, "transition")
      )
      expect(error.message).toContain("no ClientSession.timeoutContext, ClientSession.transaction.transition as")
    }))

  it.scoped("the caller's own client is refused, too, and nothing of the check is left on it", () =>
    Effect.gen(function*() {
      const driver = new DriverClient("mongodb://127.0.0.1:1")
      const error = yield* withoutInSessions(
        "txnNumberIncrement",
        Effect.flip(MongoClient.fromDriver(Effect.succeed(driver)))
      )
      expect(error.message).toContain(`mongodb ${version} has no ClientSession.txnNumberIncrement as`)
      expect(driver.listenerCount("topologyDescriptionChanged")).toBe(0)
      expect([...Privates.ofClient(driver).s.activeCursors]).toEqual([])
    }))
})

describe("the check of a client", () => {
  it.effect("leaves no session and no cursor, and the server hears nothing of it", () =>
    Effect.gen(function*() {
      const server = yield* Responder.make()
      yield* Effect.scoped(Effect.gen(function*() {
        const { driver } = yield* MongoClient.make({ url: Redacted.make(server.url) })
        const { s } = driver as unknown as { readonly s: Readonly<Record<string, ReadonlySet<unknown>>> }
        expect(s).toMatchObject({ activeCursors: new Set(), activeSessions: new Set() })
      }))
      expect(yield* server.commands).toEqual([])
    }).pipe(Effect.scoped))
})
