/**
 * What the specification "Snapshot Reads" asks for in words, in its sections "Prose Tests" and "Sending readConcern to the
 * Server". That servers of before 5.0 are refused is in `Session.acquire`.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { Long, Timestamp } from "mongodb"
import * as Collection from "../../src/Collection.js"
import * as Session from "../../src/Session.js"
import * as Transaction from "../../src/Transaction.js"
import { on } from "../support/data/collections.js"
import { connected } from "../support/server/connected.js"
import { readConcerns } from "../support/server/faults.js"
import type * as Responder from "../support/server/responder.js"

const Things = Collection.make("things", { database: "test" })

const atClusterTime = Timestamp.fromBits(7, 1_700_000_100)

const cursor = { cursor: { firstBatch: [], id: Long.ZERO, ns: "test.things", atClusterTime } }

const pinning: Responder.Options = {
  handlers: { find: cursor, aggregate: cursor, distinct: { values: [], atClusterTime } }
}

const reads = [
  ["find", Stream.runDrain(Things.find())],
  ["aggregate", Stream.runDrain(Things.aggregate([]))],
  ["distinct", Effect.asVoid(Things.distinct("a"))]
] as const

describe("a snapshot session", () => {
  for (const [first, read] of reads) {
    it.scoped(`takes its time from its first read, and reads all that follows as of that: ${first}`, () =>
      Effect.gen(function*() {
        const { client, open, server } = yield* connected(pinning)
        const session = yield* open({ snapshot: true })
        const inSession = Session.provide(session)
        expect(yield* session.snapshotTime).toEqual(Option.none())
        yield* read.pipe(inSession, on({ client }))
        expect(yield* session.snapshotTime).toEqual(Option.some(atClusterTime))
        yield* server.on("find", { cursor: { ...cursor.cursor, atClusterTime: Timestamp.fromBits(8, 1_700_000_200) } })
        for (const [, next] of reads) yield* next.pipe(inSession, on({ client }))
        for (const [name] of reads) {
          const sent = yield* readConcerns(server, name)
          expect(sent).toEqual([
            ...(name === first ? [{ level: "snapshot" }] : []),
            { level: "snapshot", atClusterTime }
          ])
        }
        expect(yield* session.snapshotTime).toEqual(Option.some(atClusterTime))
      }))
  }

  it.scoped("reads as of the time that it was opened with, from its first read on", () =>
    Effect.gen(function*() {
      const { client, open, server } = yield* connected(pinning)
      const snapshotTime = Timestamp.fromBits(1, 1_600_000_000)
      const session = yield* open({ snapshot: true, snapshotTime })
      for (const [, read] of reads) yield* read.pipe(Session.provide(session), on({ client }))
      for (const [name] of reads) {
        expect(yield* readConcerns(server, name)).toEqual([{ level: "snapshot", atClusterTime: snapshotTime }])
      }
    }))

  it.scoped("is told what another one reads as of, and reads the same", () =>
    Effect.gen(function*() {
      const { client, open, server } = yield* connected(pinning)
      const one = yield* open({ snapshot: true })
      yield* Things.findOne().pipe(Session.provide(one), on({ client }))
      const other = yield* open({ snapshot: true, snapshotTime: Option.getOrThrow(yield* one.snapshotTime) })
      yield* Things.findOne().pipe(Session.provide(other), on({ client }))
      expect(yield* readConcerns(server, "find")).toEqual([
        { level: "snapshot" },
        { level: "snapshot", atClusterTime }
      ])
    }))

  it.scoped("is not causally consistent, and cannot be opened as such", () =>
    Effect.gen(function*() {
      const { open } = yield* connected()
      expect((yield* open({ snapshot: true })).options.causalConsistency).toBe(false)
      const refused = Effect.flip(open({ snapshot: true, causalConsistency: true }))
      expect(yield* refused).toMatchObject({ _tag: "SessionMisconfigured", issues: [{ path: ["causalConsistency"] }] })
    }))

  it.scoped("sends its read concern with writes, too, so that the server refuses them", () =>
    Effect.gen(function*() {
      const { client, open, server } = yield* connected({
        handlers: { insert: { ok: 0, code: 72, codeName: "InvalidOptions", errmsg: "no snapshot for writes" } }
      })
      const session = yield* open({ snapshot: true })
      const error = yield* Things.insertOne({}).pipe(Session.provide(session), on({ client }), Effect.flip)
      expect(error).toMatchObject({ _tag: "MongoError", reason: "InvalidOptions", code: 72 })
      expect(yield* readConcerns(server, "insert")).toEqual([{ level: "snapshot" }])
    }))

  it.scoped("has no transactions, and nothing is sent for one", () =>
    Effect.gen(function*() {
      const { client, open, server } = yield* connected()
      const session = yield* open({ snapshot: true })
      const refused = { _tag: "TransactionUnsupported" }
      const inSession = Session.provide(session)
      expect(yield* Transaction.start().pipe(inSession, on({ client }), Effect.flip)).toMatchObject(refused)
      expect(yield* Transaction.run(Things.findOne()).pipe(inSession, on({ client }), Effect.flip))
        .toMatchObject(refused)
      expect(yield* server.commands).toEqual([])
    }))
})

describe("a session that is no snapshot session", () => {
  it.scoped("has no snapshot time, and takes none from replies", () =>
    Effect.gen(function*() {
      const { client, open, server } = yield* connected(pinning)
      const session = yield* open()
      for (const [, read] of reads) yield* read.pipe(Session.provide(session), on({ client }))
      expect(yield* session.snapshotTime).toEqual(Option.none())
      for (const [name] of reads) {
        for (const concern of yield* readConcerns(server, name)) {
          expect(concern ?? {}).not.toHaveProperty("atClusterTime")
        }
      }
    }))
})
