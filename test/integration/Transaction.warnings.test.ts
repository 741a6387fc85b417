import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import type * as Driver from "mongodb"
import * as Collection from "../../src/Collection.js"
import * as Database from "../../src/Database.js"
import { inner } from "../../src/internal/session/client.js"
import * as MongoClient from "../../src/MongoClient.js"
import * as Session from "../../src/Session.js"
import * as Telemetry from "../../src/Telemetry.js"
import * as Transaction from "../../src/Transaction.js"
import type * as TransactionOptions from "../../src/TransactionOptions.js"
import { on, onClient } from "../support/data/collections.js"
import { logged } from "../support/server/connected.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"
import { until } from "../support/watch/until.js"

const { long, manyBytes, manyDocuments, manyOperations } = Telemetry.messages

type Things = Collection.Collection<Driver.Document, Driver.Document>

// Three documents that are found, and one that none of the operations touches.
const found = [{ _id: 1, n: 1 }, { _id: 2, n: 1 }, { _id: 3, n: 1 }, { _id: 9, n: 9 }]

/** Uses the driver's own client in the session. */
const usingDriver = <A>(use: (driver: Driver.MongoClient, session: Driver.ClientSession) => Promise<A>) =>
  Effect.flatMap(MongoClient.MongoClient, ({ driver }) => Session.use((session) => use(driver, session)))

/** What is said of a transaction in a collection of its own. */
const saidOf = <E>(
  body: (things: Things, database: string) => Effect.Effect<unknown, E, MongoClient.MongoClient | Session.Session>,
  options: Transaction.Options<MongoClient.MongoClient>
) =>
  logged((entries) =>
    Effect.gen(function*() {
      const database = yield* TestServer.database
      const Things = Collection.make("things", { database })
      yield* Things.insertMany(found)
      yield* Transaction.run(body(Things, database), options)
      return entries
    })
  )

describe("what is known of the documents that a transaction has written", () => {
  const n = { n: 1 }
  const counted: ReadonlyArray<
    readonly [
      name: string,
      documents: number,
      write: (
        things: Things,
        database: string
      ) => Effect.Effect<unknown, { readonly _tag: string }, MongoClient.MongoClient | Session.Session>,
      options?: Transaction.Options<MongoClient.MongoClient>
    ]
  > = [
    ["insertOne", 1, (things) => things.insertOne({ _id: 4 })],
    ["insertMany", 2, (things) => things.insertMany([{ _id: 4 }, { _id: 5 }])],
    ["updateOne", 1, (things) => things.updateOne(n, { $inc: n })],
    ["updateOne that finds nothing", 0, (things) => things.updateOne({ n: 5 }, { $inc: n })],
    ["updateOne that inserts", 1, (things) => things.updateOne({ n: 5 }, { $inc: n }, { upsert: true })],
    ["updateMany", 3, (things) => things.updateMany(n, { $inc: n })],
    ["updateMany that changes nothing", 0, (things) => things.updateMany(n, { $set: n })],
    ["replaceOne", 1, (things) => things.replaceOne(n, { n: 4 })],
    ["deleteOne", 1, (things) => things.deleteOne(n)],
    ["deleteMany", 3, (things) => things.deleteMany(n)],
    ["findOneAndUpdate", 1, (things) => things.findOneAndUpdate(n, { $inc: n })],
    ["findOneAndUpdate that finds nothing", 0, (things) => things.findOneAndUpdate({ n: 5 }, { $inc: n })],
    ["findOneAndUpdate that inserts", 1, (things) => things.findOneAndUpdate({ n: 5 }, { $inc: n }, { upsert: true })],
    [
      "findOneAndUpdate with what it has found",
      1,
      (things) => things.findOneAndUpdate(n, { $inc: n }, { includeResultMetadata: true })
    ],
    [
      "findOneAndUpdate with what it has not found",
      0,
      (things) => things.findOneAndUpdate({ n: 5 }, { $inc: n }, { includeResultMetadata: true })
    ],
    ["findOneAndReplace", 1, (things) => things.findOneAndReplace(n, { n: 4 })],
    ["findOneAndDelete", 1, (things) => things.findOneAndDelete(n)],
    [
      "bulkWrite",
      5,
      (things) =>
        things.bulkWrite([
          { insertOne: { document: { _id: 4 } } },
          { updateMany: { filter: n, update: { $inc: n } } },
          { deleteOne: { filter: { _id: 1 } } }
        ])
    ],
    ["find", 0, (things) => Stream.runDrain(things.find(n))],
    ["find that locks", 3, (things) => Stream.runDrain(things.find(n)), { isolation: "serializable" }],
    [
      "use of a collection",
      3,
      (things) => things.use((driver, added) => driver.updateMany(n, { $inc: n }, { ...added }))
    ],
    [
      "use of a session",
      2,
      (_, database) =>
        usingDriver((driver, session) =>
          driver.db(database).collection("things").insertMany([{ n: 4 }, { n: 5 }], { session })
        )
    ],
    [
      "bulk in a use of a session",
      5,
      (_, database) =>
        usingDriver((driver, session) =>
          driver.db(database).collection("things").bulkWrite(
            [{ insertOne: { document: { n: 1 } } }, { deleteMany: { filter: { n: 1 } } }],
            { session }
          )
        )
    ],
    [
      "use that gives something else",
      0,
      () => Session.use((session) => Promise.resolve({ insertedCount: 7, in: session.inTransaction() }))
    ],
    [
      "command",
      0,
      (_, database) => Database.make(database).command({ insert: "things", documents: [{ _id: 4 }] })
    ]
  ]

  layer(TestServer.layer, { excludeTestServices: true })((it) => {
    for (const [name, documents, write, options] of counted) {
      it.scoped(`is how many it has: ${name}`, () =>
        onClient(() =>
          Effect.gen(function*() {
            const insert = (things: Things) => things.insertOne({})
            const entries = yield* saidOf(
              (things, database) =>
                write(things, database).pipe(
                  // One more than nothing may be allowed at least.
                  Effect.zipRight(insert(things)),
                  Effect.zipRight(insert(things))
                ),
              { ...options, warnings: { documents: documents + 1 } }
            )
            expect(entries).toEqual([{
              message: manyDocuments,
              annotations: {
                attempt: 1,
                documents: documents + 2,
                threshold: documents + 1,
                hint: expect.stringContaining("1,000")
              }
            }])
          })
        ))
    }
  })
})

describe("a transaction that is on the way to become too large or too old", () => {
  layer(TestServer.layer, { excludeTestServices: true })((it) => {
    it.scoped("is warned of its 1,001st document, with a hint", () =>
      onClient(() =>
        Effect.gen(function*() {
          const documents = Array.from({ length: 1000 }, () => ({}))
          expect(yield* saidOf((things) => things.insertMany(documents), {})).toEqual([])
          const entries = yield* saidOf((things) => things.insertMany([...documents, {}]), {})
          expect(entries).toMatchObject([{ message: manyDocuments, annotations: { documents: 1001, threshold: 1000 } }])
        })
      ))

    it.scoped("is warned of many operations, the batches of a cursor among them, in its parts as well", () =>
      onClient(() =>
        Effect.gen(function*() {
          const read = (things: Things, batchSize: number) =>
            Stream.runDrain(things.find({}, { batchSize })).pipe(Transaction.run())
          const options = { warnings: { operations: 3 } }
          expect(yield* saidOf((things) => read(things, 2), options)).toEqual([])
          const entries = yield* saidOf((things) => Effect.zipRight(read(things, 1), read(things, 1)), options)
          expect(entries).toMatchObject([{ message: manyOperations, annotations: { operations: 4, threshold: 3 } }])
        })
      ))

    it.scoped("is warned of about as many bytes as its writes send, and of none that a read sends", () =>
      onClient(() =>
        Effect.gen(function*() {
          const text = "x".repeat(1000)
          const writes = (things: Things) =>
            Effect.all([
              things.insertOne({ text }),
              things.insertMany([{ text }, { text }]),
              things.updateOne({ _id: 1 }, { $set: { text } }),
              things.replaceOne({ _id: 2 }, { text }),
              things.findOneAndUpdate({ _id: 3 }, { $set: { text } }),
              things.findOneAndReplace({ _id: 9 }, { text }),
              things.bulkWrite([
                { insertOne: { document: { text } } },
                { updateOne: { filter: { _id: 1 }, update: { $set: { text } } } },
                { replaceOne: { filter: { _id: 2 }, replacement: { text } } }
              ]),
              things.findOne({ text })
            ])
          expect(yield* saidOf(writes, { warnings: { bytes: 11_000 } })).toEqual([])
          const [entry] = yield* saidOf(writes, { warnings: { bytes: 9_999 } })
          expect(entry).toMatchObject({ message: manyBytes, annotations: { threshold: 9_999 } })
          expect(entry?.annotations["bytes"]).toBeGreaterThan(10_000)
          expect(entry?.annotations["bytes"]).toBeLessThan(11_000)
        })
      ))

    it.scoped("is not warned of where its own options, its session's or its client's say so, the nearest first", () =>
      onClient(() =>
        Effect.gen(function*() {
          const two = (things: Things) => things.insertMany([{}, {}])
          const said = (options: Transaction.Options<MongoClient.MongoClient>) =>
            Effect.map(saidOf(two, options), ({ length }) => length)
          const inSession = (warnings: TransactionOptions.TransactionOptions["warnings"]) => ({
            session: { defaultTransactionOptions: { warnings } }
          })
          expect(yield* said(inSession({ documents: 1 }))).toBe(1)
          expect(yield* said({ ...inSession({ documents: 1 }), warnings: false })).toBe(0)
          expect(yield* said({ ...inSession({ documents: 1 }), warnings: { operations: 5 } })).toBe(1)
          expect(yield* said({ ...inSession(false), warnings: { documents: 1 } })).toBe(1)
          const strict = yield* Monitor.connect({ transactions: { warnings: { documents: 1 } } })
          expect(yield* on(strict)(said({}))).toBe(1)
          expect(yield* on(strict)(said(inSession({ documents: 5 })))).toBe(0)
          expect(yield* on(strict)(said({ warnings: false }))).toBe(0)
        })
      ))

    it.scoped("is warned of by its own options, and anew, when a body starts it by hand", () =>
      onClient(() =>
        Effect.gen(function*() {
          const two = (things: Things) => things.insertMany([{}, {}])
          const again = (things: Things) =>
            Effect.zipRight(
              Transaction.start({ warnings: { documents: 1 } }),
              Effect.zipRight(two(things), Transaction.abort)
            )
          const entries = yield* saidOf(
            (things) => Effect.all([two(things), Transaction.abort, again(things), again(things)]),
            { warnings: false }
          )
          expect(entries.map(({ message }) => message)).toEqual([manyDocuments, manyDocuments])
        })
      ))

    it.scoped("is warned of under manual control", () =>
      onClient(() =>
        logged((entries) =>
          Effect.gen(function*() {
            const Things = Collection.make("things", { database: yield* TestServer.database })
            yield* Session.scoped(Effect.gen(function*() {
              yield* Transaction.start({ warnings: { documents: 1 } })
              yield* Things.insertMany([{}, {}])
              yield* Transaction.abort
              // It is none any more.
              yield* Things.insertMany([{}, {}])
              yield* Transaction.start()
              yield* Things.insertMany([{}, {}])
              yield* Transaction.commit
            }))
            expect(entries).toMatchObject([{ message: manyDocuments, annotations: { documents: 2, threshold: 1 } }])
          })
        )
      ))
  })

  layer(TestServer.own({ parameters: { transactionLifetimeLimitSeconds: 44 } }))((it) => {
    it.scoped("is warned of at half of the age that the server says, for which it is asked once, outside of the transaction", () =>
      onClient(({ client, monitor }) =>
        logged((entries) =>
          Effect.gen(function*() {
            const database = yield* TestServer.database
            const Things = Collection.make("things", { database })
            const { lifetime } = client[inner]
            const asked = Effect.map(monitor.commands, (all) => all.filter(({ name }) => name === "getParameter"))
            yield* Transaction.run(Effect.zipRight(Things.insertOne({}), TestClock.adjust("4 seconds")))
            expect(yield* asked).toEqual([])
            for (let count = 1; count <= 2; count++) {
              yield* Effect.gen(function*() {
                yield* Things.insertOne({})
                yield* TestClock.adjust("5 seconds")
                yield* until(Effect.sync(() => lifetime.limit), (limit) => limit !== undefined)
                yield* TestClock.adjust("16999 millis")
                expect(entries.map(({ message }) => message)).toEqual(Array.from({ length: count - 1 }, () => long))
                yield* TestClock.adjust("1 millis")
                expect(entries.map(({ message }) => message)).toEqual(Array.from({ length: count }, () => long))
              }).pipe(Transaction.run())
            }
            expect(entries[1]).toMatchObject({ message: long, annotations: { open: "22s", limit: "44s" } })
            const commands = yield* asked
            expect(commands).toHaveLength(1)
            expect(commands[0]?.command).not.toHaveProperty("txnNumber")
          })
        )
      ))
  })
})
