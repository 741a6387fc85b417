import { describe, expect, layer } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as ChangeStream from "../../src/ChangeStream.js"
import * as Collection from "../../src/Collection.js"
import * as MongoClient from "../../src/MongoClient.js"
import * as Once from "../../src/Once.js"
import * as Outbox from "../../src/Outbox.js"
import * as Transaction from "../../src/Transaction.js"
import { on } from "../support/data/collections.js"
import { OutOfStock } from "../support/once/keys.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

const refused = new OutOfStock({ item: "book" })

const Person = Schema.Struct({ _id: Schema.Number, tags: Schema.Array(Schema.Struct({ t: Schema.String })) })
const ada = { _id: 1, tags: [{ t: "a" }] }

const listed = <A, E, R>(list: Stream.Stream<A, E, R>) => Effect.map(Stream.runCollect(list), Chunk.toReadonlyArray)

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  for (
    const driver of [{ raw: true }, { fieldsAsRaw: { tags: true, messages: true, cursors: true, upserted: true } }]
  ) {
    describe(`a client whose driver gives bytes for documents, by ${JSON.stringify(driver)}`, () => {
      const test = <A, E, R>(body: (database: string) => Effect.Effect<A, E, R>) =>
        Monitor.withClient({ driver }, (watched) => on(watched)(Effect.flatMap(TestServer.database, body)))

      it.effect("reads by a schema, and tells what became of writes", () =>
        test((database) =>
          Effect.gen(function*() {
            const People = Collection.make("people", { database, schema: Person })
            const Raw = Collection.make("people", { database })
            const upserting = { upsert: true, returnDocument: "after", includeResultMetadata: true } as const
            expect(yield* People.findOneAndReplace({ _id: 1 }, ada, upserting)).toEqual({
              value: Option.some(ada),
              isFound: false,
              insertedId: Option.some(1)
            })
            expect(yield* Raw.findOneAndUpdate({ _id: 2 }, { $set: { tags: [] } }, upserting)).toMatchObject({
              isFound: false,
              insertedId: Option.some(2)
            })
            expect(
              yield* Raw.bulkWrite([{
                updateOne: { filter: { _id: 3 }, update: { $set: { tags: [] } }, upsert: true }
              }])
            )
              .toMatchObject({ upsertedIds: { 0: 3 } })
            const given = { ...driver }
            expect(yield* People.findOne({ _id: 1 })).toEqual(Option.some(ada))
            expect(yield* People.findOne({ _id: 1 }, given)).toEqual(Option.some(ada))
            expect(yield* listed(People.find({ _id: 1 }))).toEqual([ada])
            expect(yield* People.findByIds([1, 9])).toEqual([Option.some(ada), Option.none()])
            expect(yield* Effect.all([Raw.findById(1), Raw.findById(9)], { batching: true, concurrency: 2 }))
              .toEqual([Option.some(ada), Option.none()])
            expect(yield* Effect.all([1, 9].map(People.exists), { batching: true, concurrency: 2 })).toEqual([
              true,
              false
            ])
            expect(yield* People.countDocuments()).toBe(3)
            expect(yield* People.isCapped()).toBe(false)
            expect(yield* People.listIndexNames()).toEqual(["_id_"])
          })
        ))

      it.effect("gives a stored failure again", () =>
        test((database) =>
          Effect.gen(function*() {
            const Doing = Once.make("doing", { database, failure: OutOfStock })
            for (const effect of [refused, Effect.die("runs again")]) {
              expect(yield* Effect.flip(Doing.run("key", effect))).toEqual(refused)
            }
          })
        ))

      it.effect("delivers messages, and those that were set aside", () =>
        test((database) =>
          Effect.gen(function*() {
            const People = Outbox.make("people", { database, schema: Person, sequence: true })
            const id = yield* Transaction.run(People.publish(ada))
            const relay = (outcome: Effect.Effect<void, string>) =>
              listed(People.relay(() => outcome, { onPoison: "setAside", poll: Schedule.stop }))
            yield* relay(Effect.fail("no"))
            expect(yield* listed(People.deadLetters.list)).toMatchObject([{ id, message: ada }])
            expect(yield* People.deadLetters.retry(id)).toBe(true)
            expect(yield* People.pending).toBe(1)
            expect(yield* relay(Effect.void)).toMatchObject([{ id, message: ada }])
            expect(yield* People.pending).toBe(0)
          })
        ))

      it.effect("consumes changes, and goes on where it stood", () =>
        test((database) =>
          Effect.gen(function*() {
            const { driver: client } = yield* MongoClient.MongoClient
            const People = Collection.make("people", { database, schema: Person })
            const checkpoints = client.db(database).collection("effect_mongo_session.checkpoints", { raw: false })
            yield* People.insertOne({ ...ada, _id: 0 })
            const seen: Array<unknown> = []
            const consuming = ChangeStream.consume(
              People.watch(),
              "consumer",
              (event) => Effect.sync(() => seen.push("fullDocument" in event && event.fullDocument))
            )
            const seeing = (count: number) =>
              Monitor.until(Effect.sync(() => seen.length), (length) => length === count)
            yield* Effect.scoped(Effect.gen(function*() {
              yield* Effect.forkScoped(consuming)
              yield* Monitor.until(
                Effect.promise(() => checkpoints.findOne()),
                (found) => (found?.["token"] ?? found?.["time"]) !== undefined
              )
              yield* People.insertOne(ada)
              yield* seeing(1)
            }))
            yield* People.insertOne({ ...ada, _id: 2 })
            yield* Effect.scoped(Effect.zipRight(Effect.forkScoped(consuming), seeing(2)))
            expect(seen).toEqual([ada, { ...ada, _id: 2 }].map(Option.some))
          })
        ))
    })
  }
})
