/**
 * A connection that breaks while a command is written to it. The driver passes the socket's error on, without a label, so that
 * nothing is repeated for it; this library has a network error like any other.
 */
import { expect, layer } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as ChangeStream from "../../src/ChangeStream.js"
import { raw } from "../../src/Codec.js"
import * as Collection from "../../src/Collection.js"
import { MongoError } from "../../src/MongoError.js"
import * as Session from "../../src/Session.js"
import * as MongoServer from "../../src/testing/MongoServer.js"
import * as Transaction from "../../src/Transaction.js"
import { on } from "../support/data/collections.js"
import * as Proxy from "../support/server/proxy.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

// All of its connections are reset when a command is about to be written, the first time that it is.
const breaking = (...commands: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const { url } = yield* MongoServer.MongoServer
    const database = yield* TestServer.database
    const proxy = yield* Proxy.make(Number(new URL(url).port))
    const watched = yield* Monitor.connect({
      url: Redacted.make(`mongodb://127.0.0.1:${proxy.port}/?directConnection=true`),
      database
    })
    const { driver } = watched.client
    yield* Effect.promise(() => driver.db(database).createCollection("things"))
    const left = commands.slice()
    driver.on("commandStarted", ({ commandName }) => {
      if (commandName !== left[0]) return
      left.shift()
      Effect.runSync(proxy.weather(() => ({ isRefused: true })))
      Effect.runSync(proxy.mend)
    })
    return { ...watched, things: driver.db(database).collection<{ readonly _id: number }>("things") }
  })

const Things = Collection.make("things")

const reasonOf = (exit: Exit.Exit<unknown, unknown>): unknown => {
  const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
  return error instanceof MongoError ? error.reason : error
}

layer(TestServer.layer, { excludeTestServices: true })("a connection that breaks while a command is written", (it) => {
  it.scoped("the driver rejects with the socket's error", () =>
    Effect.gen(function*() {
      const { things } = yield* breaking("insert")
      const error = yield* Effect.promise(() => things.insertOne({ _id: 1 }).catch((error: unknown) => error))
      expect(error).toBeInstanceOf(Error)
      expect(error).not.toHaveProperty("errorLabels")
      expect(error).toHaveProperty("syscall")
    }))

  it.scoped("an operation fails with a network error, in a session and without one", () =>
    Effect.gen(function*() {
      const watched = yield* breaking("insert", "insert")
      const insert = Things.insertOne({ _id: 1 })
      expect(reasonOf(yield* on(watched)(Effect.exit(insert)))).toBe("NetworkError")
      expect(reasonOf(yield* on(watched)(Effect.exit(Session.scoped(insert))))).toBe("NetworkError")
    }))

  it.scoped("a transaction is run again, also in the body's second operation and in `use`", () =>
    Effect.gen(function*() {
      const watched = yield* breaking("insert", "update", "find")
      let runs = 0
      yield* on(watched)(Transaction.run(Effect.gen(function*() {
        runs++
        yield* Things.insertOne({ _id: 1 })
        yield* Things.updateOne({ _id: 1 }, { $set: { done: true } })
        yield* Session.use((session) => watched.things.findOne({ _id: 1 }, { session }))
      })))
      expect(runs).toBe(4)
      expect(yield* Effect.promise(() => watched.things.find().toArray())).toEqual([{ _id: 1, done: true }])
    }))

  it.scoped("a commit is repeated, and a session that broke is not lent again", () =>
    Effect.gen(function*() {
      const watched = yield* breaking("commitTransaction", "insert")
      let runs = 0
      const body = Effect.zipRight(Effect.sync(() => void runs++), Things.insertOne({ _id: 1 }))
      yield* on(watched)(Transaction.run(body))
      expect(runs).toBe(1)
      yield* on(watched)(Effect.exit(Session.scoped(Things.insertOne({ _id: 2 }))))
      yield* on(watched)(Session.scoped(Things.findOne({})))
      const seen = (yield* watched.monitor.commands).filter(({ name }) => name === "insert" || name === "find")
      expect(seen.at(-1)?.lsid).not.toBe(seen.at(-2)?.lsid)
    }))

  for (const causalConsistency of [true, false]) {
    it.scoped(`an abort is sent once more, and leaves no transaction open (causalConsistency: ${causalConsistency})`, () =>
      Effect.gen(function*() {
        const watched = yield* breaking("abortTransaction")
        const body = Effect.zipRight(Things.insertOne({ _id: 1 }), Effect.fail("no"))
        const exit = yield* on(watched)(Effect.exit(Transaction.run(body, { session: { causalConsistency } })))
        expect(reasonOf(exit)).toBe("no")
        const aborts = yield* Monitor.until(
          watched.monitor.named("abortTransaction"),
          (seen) => seen.filter(({ outcome }) => outcome === "succeeded").length === 1
        )
        expect(aborts.map(({ outcome }) => outcome)).toEqual(["failed", "succeeded"])
        // It would wait for the lock of a transaction that is open.
        yield* on(watched)(Things.insertOne({ _id: 1 }, { timeout: "2 seconds" }))
        yield* on(watched)(Session.scoped(Things.findOne({})))
        const lsids = (yield* watched.monitor.commands).map(({ lsid, name }) => [name, lsid])
        const [, broken] = lsids.find(([name]) => name === "abortTransaction") ?? []
        expect(lsids.at(-1)).not.toEqual(["find", broken])
      }))
  }

  it.scoped("a change stream goes on", () =>
    Effect.gen(function*() {
      const watched = yield* breaking("getMore")
      const { database } = { database: watched.things.dbName }
      const events = yield* on(watched)(
        ChangeStream.opened(ChangeStream.watch({ database, collection: "things" }, raw))
      )
      yield* Effect.promise(() => watched.things.insertMany([{ _id: 1 }, { _id: 2 }]))
      const found = yield* on(watched)(Stream.runCollect(Stream.take(events, 2)))
      expect([...found]).toHaveLength(2)
    }))

  it.scoped("a socket's error of a `use` that has sent no command stays a defect", () =>
    Effect.gen(function*() {
      const watched = yield* breaking()
      const elsewhere = Object.assign(new Error("write EPIPE"), { errno: -32, code: "EPIPE", syscall: "write" })
      const exit = yield* on(watched)(Effect.exit(Session.scoped(Session.use(() => Promise.reject(elsewhere)))))
      expect(Exit.isFailure(exit) && Cause.isDie(exit.cause)).toBe(true)
    }))
})
