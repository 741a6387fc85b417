import { describe, expect, layer } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { ClientSession } from "mongodb"
import { ReadConcern } from "mongodb"
import * as Collection from "../../src/Collection.js"
import * as Database from "../../src/Database.js"
import * as MongoClient from "../../src/MongoClient.js"
import * as Session from "../../src/Session.js"
import * as Transaction from "../../src/Transaction.js"
import { lsids, on, onClient, sent, things } from "../support/data/collections.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

const rows = <A, E, R>(stream: Stream.Stream<A, E, R>) =>
  Effect.map(Stream.runCollect(stream), (found) => Chunk.toReadonlyArray(found))

const readConcerns = (watched: Monitor.Watched, name = "find") =>
  Effect.map(watched.monitor.named(name), (seen) => seen.map(({ command }) => command["readConcern"]))

const frozen = <A>(value: A): A => {
  if (typeof value === "object" && value !== null) Object.values(Object.freeze(value)).forEach(frozen)
  return value
}

type Failing = Effect.Effect<unknown, { readonly _tag: string }, MongoClient.MongoClient>

const bad = { _id: 1, n: "no number" } as never

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("found before anything is sent", () => {
    const refusals = (watched: Monitor.Watched, all: ReadonlyArray<Failing>, expected: object) =>
      Effect.gen(function*() {
        for (const one of all) expect(yield* Effect.flip(Effect.asVoid(one))).toMatchObject(expected)
        expect(yield* sent(watched)).toEqual([])
      })

    it.effect("a value that does not fit the schema, in every way in", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Things, database } = yield* things(watched, 0)
          yield* refusals(watched, [
            Things.insertOne(bad),
            Things.insertMany([{ _id: 0, n: 0 }, bad]),
            Things.replaceOne({ _id: 1 }, bad),
            Things.findOneAndReplace({ _id: 1 }, bad),
            Things.bulkWrite([{ insertOne: { document: { _id: 0, n: 0 } } }, { insertOne: { document: bad } }]),
            Things.bulkWrite([{ replaceOne: { filter: { _id: 1 }, replacement: bad } }])
          ], { _tag: "DecodeFailed", source: `${database}.things`, documentId: "1", path: ["n"] })
        })
      ))

    it.effect("a bulk of the client with what would change what it says, before it finds out what the server can", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const namespace = "a.b"
          const document = {}
          const bulk = (...models: ReadonlyArray<MongoClient.BulkWriteModel>) => MongoClient.bulkWrite(models)
          const refused = (path: string) => ({
            reason: "EncodingFailed",
            operation: "bulkWrite",
            hint: expect.stringContaining(`\`${path}\``)
          })
          const of = (name: "deleteMany", filter: object) => ({ namespace, name, filter }) as const
          yield* refusals(watched, [
            bulk({ namespace, name: "insertOne", document }, of("deleteMany", { age: undefined })),
            bulk(of("deleteMany", {}), of("deleteMany", { age: undefined }))
          ], refused("1.filter.age"))
          yield* refusals(watched, [
            bulk({ namespace, name: "insertOne", document: { at: new Date(Number.NaN) } }),
            bulk({ namespace, name: "replaceOne", filter: {}, replacement: { at: new Date(Number.NaN) } })
          ], refused("at"))
          yield* refusals(watched, [
            bulk({ namespace, name: "updateOne", filter: {}, update: { name: "x" } })
          ], { reason: "InvalidOptions", hint: expect.stringContaining("replaceOne") })
          expect(document).toEqual({})
        })
      ))

    it.effect("an unacknowledged write in a session, wherever w: 0 is set; reads do not mind", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Things, database } = yield* things(watched, 1)
          const value = { _id: 7, n: 7 }
          const Sloppy = Things.withWriteConcern({ w: 0 })
          const inSession = <A, E, R>(effect: Effect.Effect<A, E, R>) => Session.scoped(effect)
          const error = { _tag: "UnacknowledgedWrite" }
          yield* refusals(watched, [
            inSession(Things.insertOne(value, { writeConcern: { w: 0 } })),
            inSession(MongoClient.bulkWrite([{ namespace: "a.b", name: "deleteOne", filter: {} }], {
              writeConcern: { w: 0 },
              ordered: false
            }))
          ], { ...error, source: "operation" })
          yield* refusals(watched, [
            inSession(Sloppy.insertOne(value)),
            inSession(Sloppy.updateMany({}, { $set: { n: "1" } })),
            inSession(rows(Sloppy.aggregate([{ $out: "others" }])))
          ], { ...error, source: "collection" })
          const Sloppier = Database.make(database, { writeConcern: { w: 0 } })
          yield* refusals(watched, [inSession(Sloppier.createCollection("others"))], { ...error, source: "database" })
          expect(yield* inSession(Sloppy.findOne({ _id: 0 }))).toEqual(Option.some({ _id: 0, n: 0 }))
          expect(yield* rows(Sloppy.find())).toEqual([{ _id: 0, n: 0 }])
          yield* inSession(Sloppy.insertOne(value, { writeConcern: { w: 1 } }))
          expect(yield* Things.countDocuments()).toBe(2)
          // There, the write concern of the transaction is the one that holds.
          yield* Transaction.run(Sloppy.deleteOne({ _id: 7 }))
          expect(yield* Things.countDocuments()).toBe(1)
        })
      ))

    it.effect("a command that ends a transaction, in any session", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const admin = Database.make("admin")
          const { Things } = yield* things(watched, 0)
          const rolledBack: Array<string> = []
          for (const name of ["commitTransaction", "abortTransaction", "prepareTransaction"]) {
            const expected = { _tag: "InvalidInTransaction", operation: "command", option: name }
            const body = Effect.gen(function*() {
              yield* Transaction.onRollback(Effect.sync(() => void rolledBack.push(name)))
              yield* Things.insertOne({ _id: 1, n: 1 })
              yield* admin.command({ [name]: 1 })
            })
            expect(yield* Effect.flip(Transaction.run(body))).toMatchObject(expected)
            expect(yield* Effect.flip(Session.scoped(admin.command({ [name]: 1 })))).toMatchObject(expected)
            const cursor = rows(admin.runCursorCommand({ [name]: 1 }))
            expect(yield* Effect.flip(Transaction.run(cursor))).toMatchObject({
              ...expected,
              operation: "runCursorCommand"
            })
          }
          expect(rolledBack).toHaveLength(3)
          expect(yield* Things.countDocuments()).toBe(0)
          // The server knows no other spelling.
          for (const name of ["committransaction", "COMMITTRANSACTION", "commitTransaction "]) {
            expect(yield* Effect.flip(admin.command({ [name]: 1 }))).toMatchObject({ code: 59 })
          }
          // It would take this one, and end the transaction.
          const kill = Effect.flatMap(Session.Session, ({ id }) => admin.command({ killSessions: [{ id: id.uuid }] }))
          expect(yield* Effect.flip(Transaction.run(Effect.zipRight(Things.insertOne({ _id: 1, n: 1 }), kill))))
            .toMatchObject({ _tag: "InvalidInTransaction", operation: "command", option: "command" })
        })
      ))

    it.effect("concerns of an operation in a transaction, and reads from secondaries", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Things, database } = yield* things(watched, 1)
          const db = Database.make(database)
          const refused = (
            option: string,
            all: ReadonlyArray<Failing>
          ) => refusals(watched, all.map((one) => Transaction.run(one)), { _tag: "InvalidInTransaction", option })
          yield* refused("readConcern", [
            Things.findOne({}, { readConcern: { level: "majority" } }),
            rows(Things.find({}, { readConcern: { level: "local" } })),
            db.command({ find: "things", readConcern: { level: "local" } })
          ])
          yield* refused("writeConcern", [
            Things.insertOne({ _id: 7, n: 7 }, { writeConcern: { w: "majority" } }),
            db.command({ insert: "things", documents: [{}], writeConcern: { w: 1 } })
          ])
          yield* refused("readPreference", [
            Things.findOne({}, { readPreference: "secondary" }),
            Things.withReadPreference("nearest").countDocuments()
          ])
          yield* refused("command", [db.command({ listCollections: 1 })])
          yield* refused("runCursorCommand", [rows(db.runCursorCommand({ listIndexes: "things" }))])
        })
      ))

    it.effect("a session of another client", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Things } = yield* things(watched, 1)
          const other = yield* Monitor.session(yield* Monitor.connect())
          const foreign = <A, E, R>(effect: Effect.Effect<A, E, R>) => Session.provide(effect, other)
          const operations: ReadonlyArray<readonly [string, Failing]> = [
            ["findOne", Things.findOne()],
            ["find", Stream.runDrain(Things.find())],
            ["deleteMany", Things.deleteMany({})]
          ]
          for (const [operation, effect] of operations) {
            yield* refusals(watched, [foreign(effect)], { _tag: "ForeignSession", operation })
          }
          yield* refusals(watched, [foreign(MongoClient.listDatabases())], { _tag: "ForeignSession" })
        })
      ))
  })

  describe("what BSON cannot hold", () => {
    it.effect("is EncodingFailed, and does not doom a transaction that goes on without it", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { database } = yield* things(watched, 0)
          const Raw = Collection.make("raw", { database })
          const cyclic: { self?: unknown } = {}
          cyclic.self = cyclic
          const failed = { _tag: "MongoError", reason: "EncodingFailed", operation: "insertOne" }
          expect(yield* Effect.flip(Raw.insertOne(cyclic))).toMatchObject(failed)
          yield* Transaction.run(Effect.gen(function*() {
            yield* Raw.insertOne({ _id: 1 })
            expect(yield* Effect.flip(Raw.insertOne(cyclic))).toMatchObject(failed)
            yield* Raw.insertOne({ _id: 2 })
          }))
          expect(yield* Raw.countDocuments()).toBe(2)
        })
      ))
  })

  describe("what the encoder throws", () => {
    const big = { big: "x".repeat(17 * 1024 * 1024 + 1024) }
    const throwing = {
      toBSON: () => {
        throw new Error("no form")
      }
    }
    const values: ReadonlyArray<readonly [what: string, value: object, reason?: string]> = [
      ["a document over the driver's buffer", big, "DocumentTooLarge"],
      ["a value that throws in toBSON", { throwing }],
      ["an expression with a null byte", { expression: new RegExp(`a${String.fromCharCode(0)}b`) }]
    ]
    for (const [what, value, reason = "EncodingFailed"] of values) {
      for (const traces of [10, 0]) {
        it.effect(`is ${reason} before IO, and leaves a transaction as it is: ${what}, ${traces} frames`, () =>
          Effect.acquireUseRelease(
            Effect.sync(() => {
              const before = Error.stackTraceLimit
              Error.stackTraceLimit = traces
              return before
            }),
            () =>
              onClient((watched) =>
                Effect.gen(function*() {
                  const { database } = yield* things(watched, 0)
                  const Raw = Collection.make("raw", { database })
                  const all: ReadonlyArray<Failing> = [
                    Raw.insertOne(value),
                    Raw.insertMany([value]),
                    Raw.updateOne({ _id: 1 }, { $set: value }),
                    Raw.bulkWrite([{ insertOne: { document: value } }])
                  ]
                  for (const one of all) {
                    const failed = { _tag: "MongoError", reason }
                    expect(yield* Effect.flip(Effect.asVoid(one))).toMatchObject(failed)
                    let attempts = 0
                    yield* Transaction.run(Effect.gen(function*() {
                      attempts++
                      expect(yield* Effect.flip(Effect.asVoid(one))).toMatchObject(failed)
                      yield* Raw.insertOne({})
                    }))
                    expect(attempts).toBe(1)
                  }
                  expect(yield* Raw.countDocuments()).toBe(all.length)
                })
              ),
            (before) => Effect.sync(() => Error.stackTraceLimit = before)
          ))
      }
    }
  })

  describe("nothing that is given is changed", () => {
    it.effect("neither documents nor filters nor updates nor options nor pipelines", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const Raw = Collection.make("raw", { database: (yield* things(watched, 0)).database })
          const document = frozen({ a: { b: [1] } })
          const filter = frozen({ a: { b: [1] } })
          const options = frozen({ comment: "a", readConcern: { level: "majority" as const } })
          yield* Session.scoped(Effect.gen(function*() {
            yield* Raw.insertOne(document)
            yield* Raw.insertMany(frozen([document, { x: 1 }]))
            yield* Raw.bulkWrite(frozen([{ insertOne: { document } }]))
            yield* Raw.replaceOne(filter, document, frozen({ upsert: true }))
            yield* Raw.updateOne(filter, frozen({ $set: { c: 1 } }))
            yield* Raw.updateMany(filter, frozen([{ $set: { c: 1 } }]))
            yield* rows(Raw.find(filter, options))
            yield* Raw.findOne(filter, options)
            yield* Raw.countDocuments(filter, options)
            yield* Raw.distinct("a", filter, options)
            yield* rows(Raw.aggregate(frozen([{ $match: filter }]), options))
            yield* Database.make(yield* Raw.use(async (collection) => collection.dbName))
              .command(frozen({ find: "raw", filter, readConcern: { level: "majority" } }))
          }))
          expect(document).toEqual({ a: { b: [1] } })
          expect(options.readConcern).toEqual({ level: "majority" })
          expect(yield* Raw.countDocuments({ _id: { $type: "objectId" } })).toBe(4)
        })
      ))

    it.effect("nor a document that its schema lets through as it is", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const schema = Schema.declare((value): value is { readonly a: number } =>
            typeof value === "object" && value !== null && "a" in value
          )
          const Same = Collection.make("same", { database: (yield* things(watched, 0)).database, schema })
          const document = frozen({ a: 1 })
          yield* Same.insertOne(document)
          yield* Same.insertMany([document])
          expect(document).toEqual({ a: 1 })
          expect(yield* Same.countDocuments(document)).toBe(2)
        })
      ))

    it.effect("a collection with other concerns is another collection", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Things } = yield* things(watched, 1)
          const Careful = Things.withReadConcern("majority").withWriteConcern({ w: "majority", wtimeoutMS: 5000 })
          yield* Things.findOne()
          yield* Careful.findOne()
          yield* Things.withOptions({ readConcern: { level: "local" } }).findOne()
          yield* Things.findOne()
          expect(yield* readConcerns(watched)).toEqual([
            undefined,
            { level: "majority" },
            { level: "local" },
            undefined
          ])
          yield* Things.updateOne({ _id: 0 }, { $set: { n: "1" } })
          yield* Careful.updateOne({ _id: 0 }, { $set: { n: "1" } })
          const updates = yield* watched.monitor.named("update")
          expect(updates.map(({ command }) => command["writeConcern"])).toEqual([
            undefined,
            { w: "majority", wtimeout: 5000 }
          ])
        })
      ))

    const concern = new ReadConcern("majority")
    it.effect.each(
      [
        { where: "client", client: { readConcernLevel: "majority" }, collection: {}, operation: {} },
        { where: "collection", client: {}, collection: { readConcern: concern }, operation: {} },
        { where: "operation", client: {}, collection: {}, operation: { readConcern: concern } }
      ] as const
    )(
      "the time of one session is in no other's read concern, nor in none's, when it is set on the $where",
      ({ client, collection, operation }) =>
        Monitor.withClient({ driver: client }, (watched) =>
          Effect.gen(function*() {
            const Things = (yield* things(watched, 1)).Things.withOptions(collection)
            const all = Effect.all([
              Things.findOne({}, operation),
              Things.countDocuments({}, operation),
              Things.distinct("n", {}, operation),
              rows(Things.aggregate([{ $out: "others" }], operation))
            ])
            yield* Session.scoped(Effect.zipRight(all, all))
            yield* Session.scoped(all, { causalConsistency: false })
            yield* Session.detached(all)
            for (const name of ["find", "distinct", "aggregate"]) {
              const seen = yield* readConcerns(watched, name)
              const each = seen.length / 4
              expect(seen.slice(each, 2 * each)).toEqual(
                seen.slice(each, 2 * each).map(() => ({ level: "majority", afterClusterTime: expect.anything() }))
              )
              expect(seen.slice(2 * each)).toEqual(seen.slice(2 * each).map(() => ({ level: "majority" })))
            }
          }).pipe(on(watched)))
    )

    it.effect("a session among the options does not take an operation out of the ambient one", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Things } = yield* things(watched, 1)
          const session: ClientSession = watched.client.driver.startSession()
          const options = { session, comment: "out" }
          yield* Session.scoped(Effect.all([
            Things.findOne({}, options),
            rows(Things.find({}, options)),
            Things.updateOne({ _id: 0 }, { $set: { n: "1" } }, options)
          ]))
          expect(yield* lsids(watched)).toHaveLength(1)
          yield* Things.updateOne({ _id: 0 }, { $set: { n: "2" } }, options)
          const out = Buffer.from(session.id!.id.buffer).toString("hex")
          expect((yield* watched.monitor.named("update")).map(({ lsid }) => lsid)).not.toContain(out)
          yield* Effect.promise(() => session.endSession())
          expect((yield* watched.monitor.named("update")).map(({ command }) => command["comment"])).toEqual([
            "out",
            "out"
          ])
        })
      ))
  })
})
