import { expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Collection from "../../src/Collection.js"
import * as Database from "../../src/Database.js"
import * as Session from "../../src/Session.js"
import { onClient } from "../support/data/collections.js"
import * as TestServer from "../support/server/testServer.js"
import type * as Monitor from "../support/watch/monitor.js"

const sentOf = ({ monitor }: Monitor.Watched, field: string) =>
  Effect.map(
    monitor.commands,
    (commands) => commands.flatMap(({ command, name }) => name === "endSessions" ? [] : [[name, command[field]]])
  )

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  const writes = (database: string) => {
    const writeConcern = { w: "majority", j: true } as const
    const Items = Collection.make("items", { database, writeConcern })
    const db = Database.make(database, { writeConcern })
    return Effect.gen(function*() {
      yield* db.createCollection("items")
      yield* Items.insertOne({ n: 1 })
      yield* Items.insertMany([{ n: 2 }])
      yield* Items.bulkWrite([{ insertOne: { document: { n: 3 } } }])
      yield* Items.updateOne({ n: 1 }, { $set: { m: 1 } })
      yield* Items.updateMany({ n: 1 }, { $set: { m: 2 } })
      yield* Items.replaceOne({ n: 1 }, { n: 4 })
      yield* Items.findOneAndUpdate({ n: 4 }, { $set: { m: 1 } })
      yield* Items.findOneAndReplace({ n: 4 }, { n: 5 })
      yield* Items.findOneAndDelete({ n: 5 })
      yield* Items.deleteOne({ n: 2 })
      yield* Items.deleteMany({})
      yield* Stream.runDrain(Items.aggregate([{ $out: "others" }]))
      yield* Stream.runDrain(db.aggregate([{ $documents: [] }, { $out: "others" }]))
      yield* Items.createIndex({ n: 1 })
      yield* Items.createIndexes([{ key: { m: 1 } }])
      yield* Items.dropIndex("n_1")
      yield* Items.dropIndexes()
      const Renamed = yield* Items.rename("renamed")
      expect(yield* Renamed.drop()).toBe(true)
      yield* db.collection("others").drop()
      yield* db.drop()
      return writeConcern
    })
  }

  it.effect("a collection's or database's write concern goes with each of its writes", () =>
    onClient((watched) =>
      Effect.gen(function*() {
        for (const around of ["no session", "a session"]) {
          const all = writes(yield* TestServer.database)
          yield* watched.monitor.clear
          const writeConcern = yield* around === "a session" ? Session.scoped(all) : all
          const sent = yield* sentOf(watched, "writeConcern")
          expect(sent.length).toBe(22)
          for (const [name, concern] of sent) expect(concern, `${name} in ${around}`).toEqual(writeConcern)
        }
      })
    ))

  it.effect("an operation's own write concern takes its place", () =>
    onClient((watched) =>
      Effect.gen(function*() {
        const database = yield* TestServer.database
        const Items = Collection.make("items", { database, writeConcern: { w: "majority" } })
        yield* Items.insertOne({ n: 1 })
        yield* watched.monitor.clear
        const Renamed = yield* Items.rename("renamed", { writeConcern: { w: 1 } })
        yield* Renamed.drop({ writeConcern: { w: 1 } })
        expect(yield* sentOf(watched, "writeConcern")).toEqual([["renameCollection", { w: 1 }], ["drop", { w: 1 }]])
      })
    ))

  it.effect("a collection's or database's read preference goes with each of its reads", () =>
    onClient((watched) =>
      Effect.gen(function*() {
        const database = yield* TestServer.database
        const of = { database, readPreference: "secondaryPreferred" } as const
        yield* Collection.make("items", { database }).insertMany([{ n: 1 }, { n: 2 }, { n: 3 }])
        const Items = Collection.make("items", of)
        const db = Database.make(database, { readPreference: "secondaryPreferred" })
        const reads = Effect.gen(function*() {
          yield* Stream.runDrain(Items.find())
          yield* Items.findOne()
          yield* Items.countDocuments()
          yield* Items.distinct("n")
          yield* Stream.runDrain(Items.aggregate([]))
          yield* Items.explainFind()
          yield* Items.explainAggregate([])
          yield* Stream.runDrain(Items.listIndexes())
          yield* Items.isCapped()
          yield* Items.options()
          yield* Stream.runDrain(db.aggregate([{ $documents: [{ n: 1 }] }]))
          yield* Stream.runDrain(db.listCollections())
          yield* db.stats()
        })
        for (const around of ["no session", "a session"]) {
          yield* watched.monitor.clear
          yield* around === "a session"
            ? Session.scoped(reads)
            : Effect.zipRight(reads, Items.estimatedDocumentCount())
          const sent = yield* sentOf(watched, "$readPreference")
          expect(sent.length).toBe(around === "a session" ? 13 : 14)
          for (const [name, preference] of sent) {
            expect(preference, `${name} in ${around}`).toEqual({ mode: "secondaryPreferred" })
          }
        }
        yield* watched.monitor.clear
        yield* db.stats({ readPreference: "primary" })
        expect(yield* sentOf(watched, "$readPreference")).toEqual([["dbStats", undefined]])
      })
    ))
})
