import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Driver from "mongodb"
import * as Collection from "../../src/Collection.js"
import * as Lease from "../../src/Lease.js"
import * as Once from "../../src/Once.js"
import * as Session from "../../src/Session.js"
import * as Steps from "../../src/Steps.js"
import * as Transaction from "../../src/Transaction.js"
import { on } from "../support/data/collections.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

const options: ReadonlyArray<Driver.BSONSerializeOptions> = [
  { promoteValues: false },
  { promoteLongs: false },
  { useBigInt64: true },
  { promoteValues: false, promoteBuffers: true, bsonRegExp: true },
  { raw: true },
  { fieldsAsRaw: { writeErrors: true, upserted: true, delivered: true } },
  { enableUtf8Validation: false }
]

const duplicate = { _tag: "MongoError", reason: "DuplicateKey", code: 11_000 }

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  for (const driver of options) {
    describe(`the errors of the server, read with ${JSON.stringify(driver)}`, () => {
      const test = <A, E, R>(
        given: Driver.BSONSerializeOptions,
        body: (database: string, watched: Monitor.Watched) => Effect.Effect<A, E, R>
      ) =>
        Monitor.withClient(
          { driver: given },
          (watched) => on(watched)(Effect.flatMap(TestServer.database, (database) => body(database, watched)))
        )

      for (
        const [where, ofClient, ofOperation] of [["the client", driver, {}], ["the operation", {}, driver]] as const
      ) {
        it.effect(`are what they are, by an option of ${where}`, () =>
          test(ofClient, (database) =>
            Effect.gen(function*() {
              const Raw = Collection.make("things", { database })
              const taken = { _id: 1 as unknown }
              yield* Raw.insertMany([taken, { _id: 2 }])
              const bulk = [{ insertOne: { document: { _id: 3 } } }, { insertOne: { document: taken } }]
              expect(yield* Effect.flip(Raw.insertOne(taken, ofOperation))).toMatchObject({
                ...duplicate,
                details: { _tag: "DuplicateKey" }
              })
              expect(yield* Effect.flip(Raw.insertMany([{ _id: 4 }, taken], ofOperation))).toMatchObject({
                ...duplicate,
                details: {
                  _tag: "BulkWrite",
                  insertedCount: 1,
                  writeErrors: [{ index: 1, code: 11_000, reason: "DuplicateKey", keyPattern: { _id: 1 } }]
                }
              })
              expect(yield* Effect.flip(Raw.bulkWrite(bulk, ofOperation))).toMatchObject({
                ...duplicate,
                details: { insertedCount: 1, writeErrors: [{ index: 1, code: 11_000, reason: "DuplicateKey" }] }
              })
              expect(yield* Effect.flip(Session.scoped(Transaction.run(Raw.insertOne(taken, ofOperation)))))
                .toMatchObject(
                  duplicate
                )
            })))
      }

      it.effect("keep nobody from a lease, a key or a workflow", () =>
        test(driver, (database, watched) =>
          Effect.gen(function*() {
            const lease = Lease.make("lease", { database, collection: "leases", for: "10 seconds" })
            expect(yield* lease.run(Effect.succeed("leased"))).toBe("leased")
            // What the server answers to one of two who make the document of a lease at the same moment.
            const Leases = Collection.make("leases", { database })
            yield* Leases.createIndex({ only: 1 }, { unique: true })
            yield* Leases.replaceOne({ _id: "lease" }, {})
            yield* watched.monitor.clear
            const second = Lease.make("second", { database, collection: "leases", for: "10 seconds" })
            expect(yield* Effect.flip(second.run(Effect.void))).toMatchObject(duplicate)
            expect(yield* watched.monitor.named("findAndModify")).toHaveLength(4)

            let runs = 0
            const counted = Effect.sync(() => String(++runs))
            const Counting = Once.make("counting", { database, result: Schema.String })
            const counting = Counting.run("a", counted)
            expect(yield* Effect.zip(counting, counting, { concurrent: true })).toEqual(["1", "1"])

            const Tracing = Steps.make("tracing", { database, version: 1 })
            const body = (step: Steps.Step) => step("one", counted, { result: Schema.String })
            expect(yield* Tracing.run("a", body)).toBe("2")
            expect(yield* Tracing.run("a", body)).toBe("2")
          })))
    })
  }
})
