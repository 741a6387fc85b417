import * as OldSchema from "@effect/schema/Schema"
import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Driver from "mongodb"
import * as Collection from "../../src/Collection.js"
import * as Filter from "../../src/Filter.js"
import type { MongoClient } from "../../src/MongoClient.js"
import * as Session from "../../src/Session.js"
import * as SessionCommands from "../../src/SessionCommands.js"
import * as Transaction from "../../src/Transaction.js"
import * as Update from "../../src/Update.js"
import { follow } from "../support/data/changes.js"
import { on } from "../support/data/collections.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

const { BSONRegExp } = Driver

const clients: ReadonlyArray<Driver.BSONSerializeOptions> = [{}, { bsonRegExp: true }, { promoteValues: false }]

type Failing = Effect.Effect<unknown, { readonly _tag: string }, MongoClient>

const name = "expressions"

interface Place extends Monitor.Watched {
  readonly database: string
  readonly Raw: Collection.Collection<Driver.Document, Driver.Document>
}

const rows = <A, E, R>(stream: Stream.Stream<A, E, R>) => Effect.map(Stream.runCollect(stream), (found) => [...found])

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  const test = <A, E, R>(
    body: (place: Place) => Effect.Effect<A, E, R>,
    driver: Driver.MongoClientOptions = {}
  ) =>
    Monitor.withClient(
      { driver },
      (watched) =>
        on(watched)(Effect.flatMap(TestServer.database, (database) =>
          body({ ...watched, database, Raw: Collection.make(name, { database }) })))
    )

  describe("a RegExp with flags that BSON does not have", () => {
    for (const flag of ["u", "v", "y", "d"]) {
      it.effect(`is refused wherever it is given, and nothing is sent: ${flag}`, () =>
        test(({ Raw, monitor }) =>
          Effect.gen(function*() {
            const expression = new RegExp("a.b", `i${flag}`)
            const filter = Filter.unsafe({ name: expression })
            const given: ReadonlyArray<readonly [Failing, string]> = [
              [Raw.insertOne({ name: [expression] }), "name.0"],
              [Raw.insertMany([{ name: expression }]), "name"],
              [Raw.replaceOne({}, { name: expression }), "name"],
              [Raw.updateOne({}, Update.unsafe({ $set: { name: expression } })), "$set.name"],
              [Raw.findOne(filter), "name"],
              [rows(Raw.find(filter)), "name"],
              [Raw.deleteMany(filter), "name"],
              [rows(Raw.aggregate([{ $match: filter }])), "0.$match.name"]
            ]
            for (const [operation, path] of given) {
              const error = yield* Effect.flip(Effect.asVoid(operation))
              expect(error).toMatchObject({ _tag: "MongoError", reason: "EncodingFailed" })
              const { hint } = error as unknown as { readonly hint: string }
              expect(hint).toContain(`\`${path}\` is a RegExp`)
              expect(hint).toContain("BSONRegExp")
            }
            expect(yield* monitor.commands).toEqual([])
          })
        ))
    }

    for (const flag of ["g", "s"]) {
      it.effect(`is refused where it is searched for, and nothing is sent: ${flag}`, () =>
        test(({ Raw, monitor }) =>
          Effect.gen(function*() {
            const filter = Filter.unsafe({ name: new RegExp("a.b", flag) })
            const given: ReadonlyArray<Failing> = [
              Raw.findOne(filter),
              Raw.deleteMany(filter),
              Raw.updateOne(filter, Update.unsafe({ $set: { a: 1 } })),
              Raw.bulkWrite([{ deleteOne: { filter } }]),
              rows(Raw.aggregate([{ $match: filter }]))
            ]
            for (const operation of given) {
              expect(yield* Effect.flip(Effect.asVoid(operation))).toMatchObject({
                _tag: "MongoError",
                reason: "EncodingFailed",
                hint: expect.stringContaining("BSONRegExp")
              })
            }
            expect(yield* monitor.commands).toEqual([])
          })
        ))
    }

    it.effect("is not one that was read: it is written again as it was", () =>
      test(({ Raw }) =>
        Effect.gen(function*() {
          const all = ["", "i", "m", "s", "ims"].map((options, _id) => ({ _id, t: new BSONRegExp("a.b", options) }))
          const exact = rows(Raw.find({}, { sort: { _id: 1 }, bsonRegExp: true }))
          const each = <E, R>(write: (read: Driver.Document) => Effect.Effect<unknown, E, R>) =>
            Effect.gen(function*() {
              yield* Raw.deleteMany({})
              yield* Raw.insertMany(all)
              yield* Effect.forEach(yield* rows(Raw.find({})), write)
              expect(yield* exact).toEqual(all)
            })
          yield* each((read) => Raw.replaceOne({ _id: read["_id"] }, { ...read }))
          yield* each((read) => Raw.deleteOne({ _id: read["_id"] }).pipe(Effect.zipRight(Raw.insertOne({ ...read }))))
          yield* each(({ _id, t }) => Raw.updateOne({ _id }, Update.unsafe({ $set: { t } })))
          yield* each(({ _id, t }) => Raw.findOneAndUpdate({ _id }, Update.unsafe({ $set: { t } })))
          yield* each(({ _id, t }) =>
            Raw.bulkWrite([{ updateOne: { filter: { _id }, update: Update.unsafe({ $set: { t } }) } }])
          )
        })
      ))

    it.effect("is not one with the flags that it has", () =>
      test(({ Raw }) =>
        Effect.gen(function*() {
          yield* Raw.insertMany([{ name: "AB\nab" }, { name: "a" }])
          expect(yield* Raw.countDocuments(Filter.unsafe({ name: /^ab$/ }))).toBe(0)
          expect(yield* Raw.countDocuments(Filter.unsafe({ name: /^ab$/im }))).toBe(1)
          expect(yield* Raw.countDocuments(Filter.unsafe({ name: new BSONRegExp("B.a", "s") }))).toBe(1)
          yield* Raw.insertOne({ kept: /^ab$/im })
          expect(Option.getOrThrow(yield* Raw.findOne(Filter.unsafe({ kept: { $exists: true } })))).toMatchObject({
            kept: /^ab$/im
          })
        })
      ))
  })

  for (
    const [packaged, S] of [["effect/Schema", Schema], ["@effect/schema", OldSchema as never as typeof Schema]] as const
  ) {
    describe(`regular expressions by a schema of ${packaged}`, () => {
      const of = (schema: Schema.Schema.Any) =>
        ({ schema: S.Struct({ _id: S.Number, it: schema }) as unknown as Schema.Schema<Driver.Document> }) as const

      for (const driver of clients) {
        it.effect(`are read with all of their options by a client with ${JSON.stringify(driver)}`, () =>
          test(({ database }) =>
            Effect.gen(function*() {
              const Kept = Collection.make(name, { database, ...of(S.instanceOf(BSONRegExp)) })
              const all = ["", "i", "m", "s", "x", "l", "u", "ilmsux"].map((options, _id) => ({
                _id,
                it: new BSONRegExp("(?i)a b", options)
              }))
              yield* Kept.insertMany(all)
              const sorted = { sort: { _id: 1 } } as const
              expect(yield* rows(Kept.find({}, sorted))).toEqual(all)
              expect(yield* rows(Kept.aggregate([{ $sort: { _id: 1 } }], of(S.instanceOf(BSONRegExp))))).toEqual(all)
              for (const one of all) {
                expect(yield* Kept.findById(one._id)).toEqual(Option.some(one))
                expect(yield* Kept.findOne({ _id: one._id })).toEqual(Option.some(one))
                expect(yield* Kept.findOneAndUpdate({ _id: one._id }, Update.unsafe({ $set: { n: 1 } }))).toEqual(
                  Option.some(one)
                )
              }
            }), driver))

        it.effect(`become those of JavaScript where these say the same, with ${JSON.stringify(driver)}`, () =>
          test(({ Raw }) =>
            Effect.gen(function*() {
              yield* Raw.insertMany([
                { _id: 1, it: new BSONRegExp("a.b", "ims") },
                { _id: 2, it: new BSONRegExp("a b", "x") },
                { _id: 3, it: new BSONRegExp("(?i)a") },
                { _id: 4, it: "text" }
              ])
              const options = { sort: { _id: 1 }, onInvalid: "skip" } as const
              const read = (schema: Schema.Schema.Any) => rows(Raw.find({}, { ...of(schema), ...options }))
              expect(yield* read(S.instanceOf(RegExp))).toEqual([{ _id: 1, it: /a.b/ims }])
              expect(yield* read(S.String)).toEqual([{ _id: 4, it: "text" }])
              expect(yield* Effect.flip(rows(Raw.find({}, of(S.String))))).toMatchObject({
                _tag: "DecodeFailed",
                path: ["it"]
              })
              expect(yield* Effect.flip(Raw.findOne({ _id: 3 }, of(S.instanceOf(RegExp))))).toMatchObject({
                _tag: "DecodeFailed",
                documentId: "3"
              })
            }), driver))
      }

      it.effect("are read by a change stream with all of their options", () =>
        test(({ Raw, database, monitor }) =>
          Effect.gen(function*() {
            const Kept = Collection.make(name, { database, ...of(S.instanceOf(BSONRegExp)) })
            const it = new BSONRegExp("(?i)a", "x")
            const { until } = yield* follow({ monitor }, Kept.watch())
            yield* Raw.insertOne({ _id: 1, it })
            const [event] = yield* until(1)
            expect(event).toMatchObject({ _tag: "insert", fullDocument: Option.some({ _id: 1, it }) })
          }).pipe(Effect.scoped)
        ))
    })
  }

  describe("a stored regular expression that JavaScript cannot parse", () => {
    const failed = { _tag: "MongoError", reason: "EncodingFailed", hint: expect.stringContaining("bsonRegExp: true") }

    for (const where of ["in a session", "without a session"]) {
      it.effect(`is EncodingFailed where it is read as it is, ${where}, and nothing is left open`, () =>
        test(({ Raw, client }) =>
          Effect.gen(function*() {
            const it = new BSONRegExp("(?i)foo")
            yield* Raw.insertMany([{ _id: 1 }, { _id: 2, it }, { _id: 3 }])
            const reads: Readonly<Record<string, Failing>> = {
              find: rows(Raw.find()),
              "find by batches": rows(Raw.find({}, { batchSize: 2, sort: { _id: -1 } })),
              findOne: Raw.findOne({ _id: 2 }),
              findById: Raw.findById(2),
              aggregate: rows(Raw.aggregate([])),
              distinct: Raw.distinct("it"),
              findOneAndUpdate: Raw.findOneAndUpdate({ _id: 2 }, Update.unsafe({ $set: { n: 1 } })),
              "Collection.use": Raw.use((collection, added) => collection.find({}, { ...added }).toArray(), {
                kind: "read"
              })
            }
            const all = Effect.gen(function*() {
              for (const [read, effect] of Object.entries(reads)) {
                expect(yield* Effect.flip(Effect.asVoid(effect)), read).toMatchObject(failed)
              }
              expect(yield* Raw.countDocuments()).toBe(3)
              expect(Option.getOrThrow(yield* Raw.findOne({ _id: 2 }, { bsonRegExp: true }))).toMatchObject({ it })
            })
            yield* where === "in a session" ? Session.scoped(all) : all
            expect(yield* client.openSessions).toBe(0)
          })
        ))
    }

    it.effect("ends a change stream with that failure", () =>
      test(({ Raw, monitor }) =>
        Effect.gen(function*() {
          const { fiber } = yield* follow({ monitor }, Raw.watch())
          yield* Raw.insertOne({ _id: 1, it: new BSONRegExp("(?i)foo") })
          expect(yield* Effect.flip(Fiber.join(fiber))).toMatchObject(failed)
        }).pipe(Effect.scoped)
      ))

    it.effect("in what somebody asks for at the moment does not keep transactions from being listed", () =>
      test(({ Raw }) =>
        Effect.gen(function*() {
          yield* Raw.insertOne({ name: "Foo" })
          const filter = Filter.unsafe({ name: new BSONRegExp("(?i)foo"), $where: "sleep(2000) || true" })
          const reading = yield* Effect.fork(Transaction.run(Raw.findOne(filter, { projection: { _id: 1 } })))
          const listed = yield* Monitor.until(
            rows(SessionCommands.currentTransactions()),
            (found) => found.some(({ active }) => active)
          )
          expect(listed.length).toBeGreaterThan(0)
          expect(yield* Fiber.join(reading)).toMatchObject({ _tag: "Some" })
        })
      ))
  })
})
