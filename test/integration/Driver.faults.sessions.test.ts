/**
 * Faults of the driver in its pool of server sessions and in what it takes for a session, each as a pair: the driver as it
 * is, then this library. Those in reads and transactions are in the files beside this one; that it lets the operations of
 * one session run side by side is shown in `Session.laws`.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { MongoClient as Driver } from "mongodb"
import * as Collection from "../../src/Collection.js"
import * as Session from "../../src/Session.js"
import * as Transaction from "../../src/Transaction.js"
import { on } from "../support/data/collections.js"
import { clientOf, connected, ping, serverSessionOf } from "../support/server/connected.js"
import { inSession, raw, rejection, shownBy } from "../support/server/faults.js"
import * as Responder from "../support/server/responder.js"

const minute = 60_000

const Things = Collection.make("things", { database: "test" })

const released = { _tag: "SessionEnded", reason: "released" }

/** The logical sessions of all commands of a name, in order. */
const lsids = (server: Responder.Responder, name: string) =>
  Effect.map(server.named(name), (seen) => seen.map(({ command }) => Responder.lsidOf(command)))

describe("a server session that was idle in the pool for longer than the server keeps it, 30 minutes,", () => {
  // The driver takes the minutes of the hour for the time.
  for (const minutes of [61, 75, 125]) {
    it.scoped(`is lent by the driver after ${minutes} minutes`, () =>
      Effect.gen(function*() {
        const { driver } = yield* raw()
        const old = yield* inSession(driver, {}, ({ serverSession }) => Promise.resolve(serverSession))
        old.lastUse -= minutes * minute
        const lent = yield* inSession(driver, {}, ({ serverSession }) => Promise.resolve(serverSession))
        shownBy("internal/driver/pool")(lent === old).toBe(true)
      }))

    it.scoped(`is not used by this library after ${minutes} minutes`, () =>
      Effect.gen(function*() {
        const { open, server } = yield* connected()
        const old = yield* Effect.scoped(
          Effect.flatMap(open(), (session) => Effect.zipLeft(serverSessionOf(session), ping(session)))
        )
        old.lastUse -= minutes * minute
        yield* Effect.scoped(Effect.flatMap(open(), ping))
        const [before, after] = yield* lsids(server, "ping")
        expect(before).toBe(Buffer.from(old.id.id.buffer).toString("hex"))
        expect(after).not.toBe(before)
      }))
  }
})

describe("a transaction on a session that has ended", () => {
  const fault = shownBy("the check of the session before a transaction is started")

  it.scoped("is started by the driver", () =>
    Effect.gen(function*() {
      const { driver } = yield* raw()
      const ended = yield* inSession(driver, {}, (session) => Promise.resolve(session))
      ended.startTransaction()
      fault(ended.inTransaction()).toBe(true)
    }))

  it.scoped("is run by the driver, if nothing is done in it", () =>
    Effect.gen(function*() {
      const { driver } = yield* raw()
      const ended = yield* inSession(driver, {}, (session) => Promise.resolve(session))
      const result = yield* Effect.promise(() => ended.withTransaction(() => Promise.resolve("run")))
      fault(result).toBe("run")
    }))

  it.scoped("is neither started nor run by this library", () =>
    Effect.gen(function*() {
      const { client, open, server } = yield* connected()
      const ended = yield* Effect.scoped(open())
      let runs = 0
      const body = Effect.sync(() => runs++)
      const inEnded = Session.provide(ended)
      expect(yield* Transaction.start().pipe(inEnded, on({ client }), Effect.flip)).toMatchObject(released)
      expect(yield* Transaction.run(body).pipe(inEnded, on({ client }), Effect.flip)).toMatchObject(released)
      expect(runs).toBe(0)
      expect(yield* server.commands).toEqual([])
    }))
})

describe("the session null", () => {
  // Its typings do not allow it, but nothing else keeps programs from it.
  const options: object = { session: null }

  it.scoped("is taken for none by the driver, which lends one of its own", () =>
    Effect.gen(function*() {
      const { driver, server } = yield* raw()
      yield* Effect.promise(() => driver.db("test").collection("things").findOne({}, options))
      const [lsid] = yield* lsids(server, "find")
      shownBy("what internal/data/operation does with a session among the options")(lsid).toBeTypeOf("string")
    }))

  it.scoped("does not take an operation of this library out of the ambient session", () =>
    Effect.gen(function*() {
      const { client, open, server } = yield* connected()
      const session = yield* open()
      yield* Things.findOne({}, options).pipe(Session.provide(session), on({ client }))
      expect(yield* lsids(server, "find")).toEqual([session.id.hex])
    }))
})

describe("an operation in a session that has ended, while no server is there,", () => {
  it.scoped("makes the driver look for a server until its time is up, and tell that instead", () =>
    Effect.gen(function*() {
      const driver = new Driver("mongodb://127.0.0.1:1", { serverSelectionTimeoutMS: 100 })
      yield* Effect.addFinalizer(() => Effect.promise(() => driver.close()))
      const ended = yield* inSession(driver, {}, (session) => Promise.resolve(session))
      const error = yield* rejection(() => driver.db("test").collection("things").findOne({}, { session: ended }))
      shownBy("the check of the session before an operation")(error)
        .toMatchObject({ name: "MongoServerSelectionError" })
    }))

  it.scoped("is told so by this library at once", () =>
    Effect.gen(function*() {
      const down = yield* Scope.make()
      const server = yield* Scope.extend(Responder.make(), down)
      const { client, open } = yield* clientOf(server, { driver: { serverSelectionTimeoutMS: 60_000 } })
      const ended = yield* Effect.scoped(open())
      yield* Scope.close(down, Exit.void)
      expect(yield* Things.findOne().pipe(Session.provide(ended), on({ client }), Effect.flip)).toMatchObject(released)
    }))
})

describe("estimatedDocumentCount, which no session may have,", () => {
  it.scoped("is sent by the driver with the session that it is given", () =>
    Effect.gen(function*() {
      const { driver, server } = yield* raw()
      // Nor do its typings allow it.
      const lsid = yield* inSession(driver, {}, async (session) => {
        const options: object = { session }
        await driver.db("test").collection("things").estimatedDocumentCount(options)
        return Responder.lsidOf({ lsid: session.id })
      })
      shownBy("its rule in internal/data/rules")(yield* lsids(server, "count")).toEqual([lsid])
    }))

  it.scoped("is refused by this library in a session, and sent without one", () =>
    Effect.gen(function*() {
      const { client, open, server } = yield* connected()
      const session = yield* open()
      const refused = Things.estimatedDocumentCount().pipe(Session.provide(session), on({ client }), Effect.flip)
      expect(yield* refused).toMatchObject({ _tag: "InvalidInTransaction", operation: "estimatedDocumentCount" })
      yield* Things.estimatedDocumentCount().pipe(on({ client }))
      const counts = yield* lsids(server, "count")
      expect(counts).toHaveLength(1)
      expect(counts).not.toContain(session.id.hex)
    }))
})
