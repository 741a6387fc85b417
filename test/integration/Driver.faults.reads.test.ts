/**
 * Faults of the driver in causally consistent and snapshot sessions, each as a pair: the driver as it is, then this library.
 * Those in sessions and transactions are in the files beside this one.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type * as Driver from "mongodb"
import { Long, Timestamp } from "mongodb"
import * as Collection from "../../src/Collection.js"
import * as Database from "../../src/Database.js"
import * as Session from "../../src/Session.js"
import * as Transaction from "../../src/Transaction.js"
import { on } from "../support/data/collections.js"
import { connected, find, open } from "../support/server/connected.js"
import { needsDriver7 } from "../support/server/driverVersion.js"
import { inSession, raw, readConcerns, shownBy } from "../support/server/faults.js"

const majority = { readConcern: { level: "majority" } } as const
const local = { readConcern: { level: "local" } } as const

/** Where a read concern is set, and then inherited from. */
const places = ["client", "database", "collection"] as const

type Place = typeof places[number]

const at = (here: Place, place: Place, concern: typeof majority | typeof local) => here === place ? concern : {}

const rawThings = (driver: Driver.MongoClient, place: Place, concern: typeof majority | typeof local) =>
  driver.db("test", at("database", place, concern)).collection("things", at("collection", place, concern))

const things = (place: Place, concern: typeof majority | typeof local) =>
  place === "collection"
    ? Collection.make("things", { database: "test", ...concern })
    : Database.make("test", at("database", place, concern)).collection("things")

describe("a causal session writes the time of its reads into the read concern that it shares with all others", () => {
  const fault = shownBy("the read concern that internal/data/operation makes anew for each operation")

  for (const place of places) {
    it.scoped(`the driver, which then reads without a session as of that time, if the ${place} has the read concern`, (context) =>
      Effect.gen(function*() {
        needsDriver7(context, "it has not this fault")
        const { driver, server } = yield* raw({}, at("client", place, majority))
        const collection = rawThings(driver, place, majority)
        yield* inSession(driver, {}, async (session) => {
          await collection.findOne({}, { session })
          await collection.findOne({}, { session })
        })
        yield* Effect.promise(() => collection.findOne({}))
        yield* inSession(driver, { causalConsistency: false }, (session) => collection.findOne({}, { session }))
        const [, causal, alone, other] = yield* readConcerns(server, "find")
        expect(causal).toMatchObject({ level: "majority", afterClusterTime: expect.any(Timestamp) })
        fault(alone).toEqual(causal)
        fault(other).toEqual(causal)
      }))

    it.scoped(`this library does not, if the ${place} has the read concern`, () =>
      Effect.gen(function*() {
        const { client, server } = yield* connected({}, { driver: at("client", place, majority) })
        const read = things(place, majority).findOne()
        yield* on({ client })(Effect.gen(function*() {
          yield* Session.scoped(Effect.zipRight(read, read))
          yield* read
          yield* Session.scoped(read, { causalConsistency: false })
        }))
        yield* Effect.promise(() => rawThings(client.driver, place, majority).findOne())
        const [, causal, ...others] = yield* readConcerns(server, "find")
        expect(causal).toMatchObject({ level: "majority", afterClusterTime: expect.any(Timestamp) })
        expect(others).toEqual(Array(3).fill({ level: "majority" }))
      }))
  }
})

describe("a transaction writes the causal time of its session into the client's read concern", () => {
  const fault = shownBy("the client's defaults that internal/driver/transaction passes on as an object of their own")

  it.scoped("the driver, which then reads without a session as of that time", (context) =>
    Effect.gen(function*() {
      needsDriver7(context, "it has not this fault")
      const { driver, server } = yield* raw({}, majority)
      const collection = driver.db("test").collection("things")
      yield* inSession(driver, {}, async (session) => {
        await collection.insertOne({}, { session })
        session.startTransaction()
        await collection.insertOne({}, { session })
        await session.commitTransaction()
      })
      yield* Effect.promise(() => collection.findOne({}))
      const [alone] = yield* readConcerns(server, "find")
      fault(alone).toMatchObject({ level: "majority", afterClusterTime: expect.any(Timestamp) })
    }))

  for (const way of ["in a run", "by hand"] as const) {
    it.scoped(`this library does not, ${way}, where the transaction begins with that time`, () =>
      Effect.gen(function*() {
        const { client, server } = yield* connected({}, { driver: majority })
        const collection = things("client", majority)
        const insert = collection.insertOne({})
        yield* on({ client })(Effect.gen(function*() {
          yield* Session.scoped(Effect.zipRight(
            insert,
            way === "in a run"
              ? Effect.asVoid(Transaction.run(insert))
              : Effect.zipRight(Transaction.start(), Effect.zipRight(insert, Transaction.commit))
          ))
          yield* Effect.promise(() => client.driver.db("test").collection("things").findOne())
        }))
        const [, started] = yield* readConcerns(server, "insert")
        expect(started).toMatchObject({ level: "majority", afterClusterTime: expect.any(Timestamp) })
        expect(yield* readConcerns(server, "find")).toEqual([{ level: "majority" }])
      }))
  }
})

describe("a snapshot session reads no snapshot where a read concern is inherited", () => {
  const fault = shownBy("the read concern of snapshot sessions in internal/data/operation")

  for (const place of places) {
    it.scoped(`the driver, if the ${place} has the read concern`, () =>
      Effect.gen(function*() {
        const { driver, server } = yield* raw({}, at("client", place, local))
        yield* inSession(driver, { snapshot: true }, (session) =>
          rawThings(driver, place, local).findOne({}, { session }))
        fault(yield* readConcerns(server, "find")).toEqual([{ level: "local" }])
      }))

    it.scoped(`this library does, if the ${place} has the read concern`, () =>
      Effect.gen(function*() {
        const { client, server } = yield* connected({}, { driver: at("client", place, local) })
        const collection = things(place, local)
        yield* collection.findOne().pipe(
          Effect.zipRight(Stream.runDrain(collection.aggregate([]))),
          Effect.zipRight(collection.distinct("n")),
          Session.scoped({ snapshot: true }),
          on({ client })
        )
        for (const name of ["find", "aggregate", "distinct"]) {
          expect(yield* readConcerns(server, name)).toEqual([{ level: "snapshot" }])
        }
      }))
  }
})

describe("snapshotTime", () => {
  const given = Timestamp.fromBits(1, 1_600_000_000)
  const first = Timestamp.fromBits(7, 1_700_000_100)
  const pinning = {
    handlers: {
      find: { cursor: { firstBatch: [], id: Long.ZERO, ns: "test.things", atClusterTime: first } }
    }
  }
  const rawOptions = (
    snapshot: boolean
  ): Driver.ClientSessionOptions & { readonly snapshotTime: Driver.Timestamp } => ({
    snapshot,
    snapshotTime: given
  })
  const fault = shownBy("internal/driver/session's setSnapshotTime")

  it.scoped("is ignored by the driver", () =>
    Effect.gen(function*() {
      const { driver, server } = yield* raw(pinning)
      yield* inSession(driver, rawOptions(true), (session) =>
        driver.db("test").collection("things").findOne({}, { session }))
      fault(yield* readConcerns(server, "find")).toEqual([{ level: "snapshot" }])
    }))

  it.scoped("is what a session of this library reads as of", () =>
    Effect.gen(function*() {
      const { open, server } = yield* connected(pinning)
      const session = yield* open({ snapshot: true, snapshotTime: given })
      yield* find(session)
      yield* find(session)
      const sent = { level: "snapshot", atClusterTime: given }
      expect(yield* readConcerns(server, "find")).toEqual([sent, sent])
      expect(yield* session.snapshotTime).toEqual(Option.some(given))
    }))

  it.scoped("is accepted by the driver for a session that reads no snapshot", () =>
    Effect.gen(function*() {
      const { driver } = yield* raw()
      const ended = yield* inSession(driver, rawOptions(false), (session) => Promise.resolve(session))
      shownBy("the check of session options in SessionOptions")(ended.snapshotEnabled).toBe(false)
    }))

  it.scoped("is refused by this library for a session that reads no snapshot", () =>
    Effect.gen(function*() {
      const { client } = yield* connected()
      expect(yield* Effect.flip(open(client)({ snapshotTime: given }))).toMatchObject({
        _tag: "SessionMisconfigured",
        issues: [{ path: ["snapshotTime"] }]
      })
    }))
})

describe("without causal consistency, the time of the last operation", () => {
  for (const options of [{ causalConsistency: false }, { snapshot: true }]) {
    const name = JSON.stringify(options)

    it.scoped(`is not kept by the driver: ${name}`, () =>
      Effect.gen(function*() {
        const { driver } = yield* raw()
        const ended = yield* inSession(driver, options, async (session) => {
          await driver.db("test").collection("things").findOne({}, { session })
          return session
        })
        shownBy("the operation times that internal/driver/session keeps")(ended.operationTime).toBe(undefined)
      }))

    it.scoped(`is kept by this library, and not asked for: ${name}`, () =>
      Effect.gen(function*() {
        const { open, server } = yield* connected()
        const session = yield* open(options)
        yield* find(session)
        const time = Option.getOrThrow(yield* session.operationTime)
        yield* find(session)
        expect(Option.getOrThrow(yield* session.operationTime).greaterThan(time)).toBe(true)
        for (const concern of yield* readConcerns(server, "find")) {
          expect(concern ?? {}).not.toHaveProperty("afterClusterTime")
        }
      }))
  }
})
