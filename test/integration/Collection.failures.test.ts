import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { inspect } from "node:util"
import * as Collection from "../../src/Collection.js"
import * as Database from "../../src/Database.js"
import type { MongoClient } from "../../src/MongoClient.js"
import type { MongoError } from "../../src/MongoError.js"
import type { DecodeFailed, OperationError } from "../../src/SessionErrors.js"
import * as FailPoint from "../../src/testing/FailPoint.js"
import { on, things } from "../support/data/collections.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

const secret = "ada\"} x: {@example.org"

const failing = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flip(Effect.asVoid(effect)) as unknown as Effect.Effect<MongoError, never, R>

layer(TestServer.own(), { excludeTestServices: true })((it) => {
  const test = <A, E, R>(body: (watched: Monitor.Watched) => Effect.Effect<A, E, R>) =>
    Monitor.withClient({}, (watched) => on(watched)(body(watched)))

  const people = (watched: Monitor.Watched) =>
    Effect.gen(function*() {
      const { database } = yield* things(watched, 0)
      const People = Collection.make("people", { database })
      yield* People.createIndex({ email: 1, "address.city": -1 }, { unique: true })
      yield* People.insertOne({ _id: 1, email: secret, address: { city: "A" } })
      return { People, database, again: { email: secret, address: { city: "A" } } }
    })

  describe("a failure tells", () => {
    it.effect("which key is taken, whatever wrote it", () =>
      test((watched) =>
        Effect.gen(function*() {
          const { again, People } = yield* people(watched)
          yield* People.insertOne({ _id: 2, email: "b" })
          const writes: ReadonlyArray<Effect.Effect<unknown, OperationError | DecodeFailed, MongoClient>> = [
            People.insertOne(again),
            People.updateOne({ _id: 2 }, { $set: again }),
            People.replaceOne({ _id: 2 }, again),
            People.findOneAndUpdate({ _id: 2 }, { $set: again })
          ]
          for (const write of writes) {
            const error = yield* failing(write)
            expect(error.reason).toBe("DuplicateKey")
            expect(error.details).toEqual({
              _tag: "DuplicateKey",
              keyPattern: { email: 1, "address.city": -1 },
              keyValue: { email: secret, "address.city": "A" }
            })
            // Nothing but the details, and the driver's error behind them, quotes the document.
            for (const text of [error.message, String(error), JSON.stringify(error)]) {
              expect(text).not.toContain("@example.org")
            }
            expect(Object.keys(error)).not.toContain("details")
            expect(inspect({ ...error, cause: undefined })).not.toContain("@example.org")
          }
        })
      ))

    it.effect("which rules of the validator a document breaks", () =>
      test((watched) =>
        Effect.gen(function*() {
          const { database } = yield* things(watched, 0)
          const validator = { $jsonSchema: { required: ["x"] } }
          yield* Database.make(database).createCollection("checked", { validator })
          const Checked = Collection.make("checked", { database })
          const rules = { operatorName: "$jsonSchema", schemaRulesNotSatisfied: [expect.any(Object)] }
          const one = yield* failing(Checked.insertOne({ _id: 1 }))
          expect(one).toMatchObject({ reason: "DocumentInvalid", code: 121 })
          expect(one.details).toEqual({
            _tag: "DocumentInvalid",
            errInfo: { failingDocumentId: 1, details: rules }
          })
          const many = yield* failing(Checked.insertMany([{ _id: 1, x: 1 }, { _id: 2 }]))
          expect(many.reason).toBe("DocumentInvalid")
          expect(many.details).toMatchObject({
            _tag: "BulkWrite",
            writeErrors: [{ index: 1, code: 121, reason: "DocumentInvalid", errInfo: { details: rules } }],
            insertedCount: 1
          })
        })
      ))

    it.effect("what a bulk has done, and each of its writes that failed", () =>
      test((watched) =>
        Effect.gen(function*() {
          const { again, database, People } = yield* people(watched)
          const duplicate = {
            code: 11000,
            reason: "DuplicateKey",
            indexName: "email_1_address.city_-1",
            keyPattern: { email: 1, "address.city": -1 },
            keyValue: { email: secret, "address.city": "A" }
          }
          const ordered = yield* failing(People.insertMany([{ _id: 2, email: "b" }, again, { _id: 3, email: "c" }]))
          expect(ordered.reason).toBe("DuplicateKey")
          expect(ordered.details).toEqual({
            _tag: "BulkWrite",
            writeErrors: [{ index: 1, ...duplicate }],
            insertedIds: { 0: 2 },
            insertedCount: 1,
            matchedCount: 0,
            modifiedCount: 0,
            deletedCount: 0,
            upsertedCount: 0,
            upsertedIds: {}
          })
          const unordered = yield* failing(People.bulkWrite([
            { insertOne: { document: { _id: 1, email: "d" } } },
            { insertOne: { document: { _id: 3, email: "c" } } },
            { updateOne: { filter: { _id: 3 }, update: { $set: again } } },
            { updateOne: { filter: { _id: 2 }, update: { $set: { x: 1 } } } },
            { deleteOne: { filter: { _id: 2 } } }
          ], { ordered: false }))
          expect(unordered.details).toMatchObject({
            writeErrors: [
              { index: 0, indexName: "_id_", keyPattern: { _id: 1 }, keyValue: { _id: 1 } },
              { index: 2, indexName: duplicate.indexName, keyPattern: duplicate.keyPattern }
            ],
            insertedIds: { 1: 3 },
            insertedCount: 1,
            matchedCount: 1,
            modifiedCount: 1,
            deletedCount: 1
          })
          for (const { details, message } of [ordered, unordered]) {
            expect(details?._tag === "BulkWrite" && details.writeErrors.some((one) => "op" in one)).toBe(false)
            expect(message).not.toContain("@example.org")
          }
          const Named = Collection.make("named", { database })
          yield* Named.createIndex({ a: 1 }, { unique: true, name: "b_1" })
          const named = yield* failing(Named.insertMany([{ a: 1 }, { a: 1 }]))
          expect(named.details).toMatchObject({ writeErrors: [{ index: 1, indexName: "b_1" }] })
          expect(named.details).not.toMatchObject({ writeErrors: [{ keyPattern: expect.anything() }] })
        })
      ))

    it.effect("what has reached the server of a bulk whose connection broke", () =>
      test((watched) =>
        Effect.gen(function*() {
          const { People } = yield* people(watched)
          const many = (length: number, from: number) =>
            Array.from({ length }, (_, n) => ({ insertOne: { document: { _id: from + n, email: String(from + n) } } }))
          // Two commands of inserts, and between them one of deletes, which may not be repeated.
          const bulk = People.bulkWrite([...many(2, 10), { deleteMany: { filter: { _id: 10 } } }, ...many(2, 20)])
          const error = yield* failing(bulk).pipe(FailPoint.during(watched.client.driver, {
            failCommands: ["delete"],
            closeConnection: true,
            appName: watched.appName
          }))
          expect(error.reason).toBe("NetworkError")
          expect(error.details).toMatchObject({ writeErrors: [], insertedCount: 2, insertedIds: { 0: 10, 1: 11 } })
          expect(error.details).not.toMatchObject({ insertedIds: { 3: expect.anything() } })
        })
      ))

    it.effect("that there is no such index, or another one, and that a field cannot be changed", () =>
      test((watched) =>
        Effect.gen(function*() {
          const { People } = yield* people(watched)
          expect((yield* failing(People.dropIndex("nope"))).reason).toBe("IndexNotFound")
          expect((yield* failing(People.createIndex({ email: 1, "address.city": -1 }, { unique: false }))).reason)
            .toBe("IndexConflict")
          expect((yield* failing(People.updateOne({ _id: 1 }, { $set: { _id: 2 } }))).reason).toBe("ImmutableField")
          const text = "x".repeat(150_000)
          yield* People.insertMany(Array.from({ length: 800 }, (_, n) => ({ email: n, text })))
          const sort = People.aggregate([{ $sort: { text: 1, email: 1 } }], { allowDiskUse: false })
          expect((yield* failing(Stream.runDrain(sort))).reason).toBe("MemoryLimitExceeded")
        })
      ))
  })
})
