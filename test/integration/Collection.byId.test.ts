import { describe, expect, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { ObjectId } from "mongodb"
import * as Collection from "../../src/Collection.js"
import * as Session from "../../src/Session.js"
import * as Transaction from "../../src/Transaction.js"
import { numbers, on, onClient, sent, things } from "../support/data/collections.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

class Teller extends Context.Tag("Teller")<Teller, string>() {}

/** A schema that decodes with a service. */
const Told = Schema.Struct({
  _id: Schema.Number,
  n: Schema.transformOrFail(Schema.String, Schema.String, {
    decode: (n) => Effect.map(Teller, (who) => `${n} to ${who}`),
    encode: (n) => Effect.succeed(n)
  })
})

/** A collection with "ada" and "bob" that takes capital and small letters for the same. */
const lenient = (watched: Monitor.Watched) =>
  Effect.gen(function*() {
    const { database } = yield* things(watched, 0)
    yield* Effect.promise(() =>
      watched.client.driver.db(database).createCollection("names", { collation: { locale: "en", strength: 1 } })
    )
    const Names = Collection.make("names", { database, schema: Schema.Struct({ _id: Schema.String }) })
    yield* Names.insertMany([{ _id: "ada" }, { _id: "bob" }])
    return Names
  })

const batching = { batching: true } as const

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("documents that are read by their ids", () => {
    it.effect("100 of them at once are one command in a transaction, each in its place", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Things } = yield* things(watched, 100)
          const ids = [...numbers(100), 7, 1000].reverse()
          const found = yield* Transaction.run(Effect.forEach(ids, Things.findById, batching))
          expect(found).toEqual(ids.map((n) => n === 1000 ? Option.none() : Option.some({ _id: n, n })))
          expect(yield* sent(watched)).toEqual(["find", "commitTransaction"])
        })
      ))

    it.effect("one command where asking one by one takes a hundred", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Things } = yield* things(watched, 100)
          yield* Session.scoped(Effect.forEach(numbers(100), Things.findById))
          const alone = (yield* sent(watched)).length
          yield* watched.monitor.clear
          yield* Session.scoped(Effect.forEach(numbers(100), Things.findById, batching))
          expect(alone).toBe(100)
          expect(yield* sent(watched)).toEqual(["find"])
        })
      ))

    it.effect("findByIds keeps the order, also of ids that are given twice, and needs no option", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Things } = yield* things(watched, 3)
          expect(yield* Things.findByIds([2, 9, 0, 2])).toEqual([
            Option.some({ _id: 2, n: 2 }),
            Option.none(),
            Option.some({ _id: 0, n: 0 }),
            Option.some({ _id: 2, n: 2 })
          ])
          expect(yield* Things.findByIds([])).toEqual([])
          expect(yield* sent(watched)).toEqual(["find"])
        })
      ))

    it.effect("exists reads no more than the id, and decodes nothing", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Things, raw } = yield* things(watched, 2)
          yield* Effect.promise(() => raw.insertOne({ _id: 5, n: "no number" }))
          yield* watched.monitor.clear
          expect(yield* Effect.forEach([0, 5, 9], Things.exists, batching)).toEqual([true, true, false])
          const [find] = yield* watched.monitor.commands
          expect(find?.command).toMatchObject({ filter: { _id: { $in: [0, 5, 9] } }, projection: { _id: 1 } })
        })
      ))

    it.effect("one that does not fit the schema fails alone, with its id", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Things, raw } = yield* things(watched, 2)
          yield* Effect.promise(() => raw.insertOne({ _id: 5, n: "no number" }))
          const [first, bad, last] = yield* Effect.forEach(
            [0, 5, 1],
            (id) => Effect.either(Things.findById(id)),
            batching
          )
          expect([first, last]).toEqual([0, 1].map((n) => Either.right(Option.some({ _id: n, n }))))
          expect(bad).toMatchObject({ left: { _tag: "DecodeFailed", documentId: "5" } })
        })
      ))

    it.effect("an id that BSON has no value for fails alone, and is not sent", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { database } = yield* things(watched, 2)
          const Raw = Collection.make("things", { database })
          const [bad, good] = yield* Effect.forEach(
            [undefined, 1],
            (id) => Effect.either(Raw.findById(id)),
            batching
          )
          expect(bad).toMatchObject({ left: { _tag: "MongoError", reason: "EncodingFailed", operation: "findById" } })
          expect(good).toEqual(Either.right(Option.some({ _id: 1, n: "1" })))
          expect(yield* sent(watched)).toEqual(["find"])
        })
      ))

    it.effect("an id of a request body is a value, whatever it looks like", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { database } = yield* things(watched, 2)
          const Raw = Collection.make("things", { database })
          const ids: ReadonlyArray<unknown> = [{ $ne: null }, { $gt: "" }, /./, 1]
          expect(yield* Effect.forEach(ids, Raw.findById, batching)).toEqual([
            Option.none(),
            Option.none(),
            Option.none(),
            Option.some({ _id: 1, n: "1" })
          ])
          expect(yield* Raw.exists({ $ne: null })).toBe(false)
        })
      ))

    it.effect("ids of every type find their documents, in whichever form the client reads them", () =>
      Effect.forEach(
        [{}, { promoteLongs: false }, { useBigInt64: true }, { promoteValues: false }],
        (driver) =>
          Monitor.withClient({ driver }, (watched) =>
            on(watched)(Effect.gen(function*() {
              const { database } = yield* things(watched, 0)
              const Raw = Collection.make("ids", { database })
              const ids = [
                1,
                2.5,
                2n ** 60n,
                "a",
                new ObjectId(),
                new Date(9),
                true,
                { a: 1, b: "x" },
                new Uint8Array([1])
              ]
              yield* Raw.insertMany(ids.map((_id) => ({ _id })))
              const found = yield* Effect.forEach([...ids, 9], Raw.exists, batching)
              expect(found).toEqual([...ids.map(() => true), false])
              expect((yield* sent(watched)).filter((name) => name === "find")).toHaveLength(1)
            }))),
        { discard: true }
      ))

    it.effect("where the collection compares texts in a way of its own, as findOne would", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const Names = yield* lenient(watched)
          expect(yield* Names.findByIds(["ADA", "bob", "eve"])).toEqual([
            Option.some({ _id: "ada" }),
            Option.some({ _id: "bob" }),
            Option.none()
          ])
        })
      ))

    it.effect("so also where two of the ids are the same to the collection, or none of them is there", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const Names = yield* lenient(watched)
          const ada = Option.some({ _id: "ada" })
          expect(yield* Names.findByIds(["ada", "ADA"])).toEqual([ada, ada])
          expect(yield* Names.findByIds(["ada", "ADA", "Ada", "eve"])).toEqual([ada, ada, ada, Option.none()])
          expect(yield* Effect.forEach(["bob", "BOB", "x"], Names.exists, batching)).toEqual([true, true, false])
          expect(yield* Names.findByIds(["x", "y"])).toEqual([Option.none(), Option.none()])
        })
      ))

    it.effect("texts that are not there cost one more command at most", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { database } = yield* things(watched, 0)
          const Raw = Collection.make("texts", { database })
          yield* Raw.insertOne({ _id: "a" })
          yield* watched.monitor.clear
          const found = yield* Raw.findByIds(["a", "b", "c", "d"])
          expect(found.map(Option.isSome)).toEqual([true, false, false, false])
          expect(yield* sent(watched)).toEqual(["find", "find"])
        })
      ))

    it.effect("what looks like a value of BSON and is none is refused alone", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { database } = yield* things(watched, 2)
          const Raw = Collection.make("things", { database })
          const forged: unknown = JSON.parse("{\"_bsontype\":\"ObjectId\"}")
          const [bad, nested, good] = yield* Effect.forEach(
            [forged, { a: [forged] }, 1],
            (id) => Effect.either(Raw.findById(id)),
            batching
          )
          const refused = (path: string) => ({
            left: { reason: "EncodingFailed", operation: "findById", hint: expect.stringContaining(`\`${path}\``) }
          })
          expect(bad).toMatchObject(refused("_id"))
          expect(nested).toMatchObject(refused("_id.a.0"))
          expect(good).toEqual(Either.right(Option.some({ _id: 1, n: "1" })))
          expect(yield* sent(watched)).toEqual(["find"])
        })
      ))

    it.effect("so many long ids that no command holds them are read by several", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { database } = yield* things(watched, 0)
          const Raw = Collection.make("bytes", { database })
          const ids = numbers(3).map((n) => new Uint8Array(6 * 2 ** 20).fill(n))
          const found = yield* Effect.forEach(ids, Raw.exists, batching)
          expect(found).toEqual([false, false, false])
          expect((yield* sent(watched)).every((name) => name === "find")).toBe(true)
        })
      ))

    it.effect("each is decoded with the services of who asks, also from a cache", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { database } = yield* things(watched, 2)
          const Services = Collection.make("things", { database, schema: Told })
          const by = (who: string) => Effect.provideService(Services.findById(1), Teller, who)
          const told = (who: string) => Option.some({ _id: 1, n: `1 to ${who}` })
          const together = yield* Effect.all([by("ada"), by("bob")], batching)
          expect(together).toEqual([told("ada"), told("bob")])
          expect(yield* sent(watched)).toEqual(["find"])
          const cached = Effect.withRequestCaching(Effect.all([by("ada"), by("bob")]), true)
          expect(yield* Session.scoped(cached)).toEqual([told("ada"), told("bob")])
          expect(yield* sent(watched)).toEqual(["find", "find"])
        })
      ))

    it.effect("a failure is not cached", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Things } = yield* things(watched, 1)
          const seen = yield* Effect.withRequestCaching(
            Session.scoped(Effect.gen(function*() {
              yield* Monitor.fail(watched, { failCommands: ["find"], errorCode: 2, mode: { times: 1 } })
              const failed = yield* Effect.exit(Things.findById(0))
              return [Exit.isFailure(failed), yield* Things.findById(0)]
            })),
            true
          )
          expect(seen).toEqual([true, Option.some({ _id: 0, n: 0 })])
        })
      ))

    it.effect("those of different sessions and transactions are not mixed", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Things } = yield* things(watched, 3)
          const [inside, outside] = yield* Transaction.run(
            Effect.andThen(
              Things.updateOne({ _id: 0 }, { $set: { n: "10" } }),
              Effect.all([Things.findById(0), Transaction.outside(Things.findById(0))], batching)
            )
          )
          expect(inside).toEqual(Option.some({ _id: 0, n: 10 }))
          expect(outside).toEqual(Option.some({ _id: 0, n: 0 }))
        })
      ))

    it.effect("what is cached in an attempt is not seen by the next one, nor outside", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Things } = yield* things(watched, 1)
          const seen: Array<Option.Option<unknown>> = []
          const body = Effect.gen(function*() {
            seen.push(yield* Things.findById(0), yield* Things.findById(0))
            yield* Things.updateOne({ _id: 0 }, { $set: { n: "7" } })
          })
          yield* Effect.withRequestCaching(
            Effect.andThen(
              Effect.andThen(Transaction.run(body), Transaction.run(body)),
              Effect.map(Things.findById(0), (last) => seen.push(last))
            ),
            true
          )
          const of = (n: number) => Option.some({ _id: 0, n })
          expect(seen).toEqual([of(0), of(0), of(7), of(7), of(7)])
          expect((yield* sent(watched)).filter((name) => name === "find")).toHaveLength(3)
        })
      ))

    it.effect("are refused as any operation: after the session has ended, nothing is sent", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Things } = yield* things(watched, 1)
          const ended = yield* Effect.scoped(Session.make())
          const error = yield* Effect.flip(Session.provide(Things.findById(0), ended))
          expect(error).toMatchObject({ _tag: "SessionEnded" })
          expect(yield* sent(watched)).toEqual([])
        })
      ))

    it.effect("an interruption leaves nothing running in the session", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Things } = yield* things(watched, 3)
          yield* Session.scoped(Effect.gen(function*() {
            const fiber = yield* Effect.fork(Effect.forEach(numbers(3), Things.findById, batching))
            yield* Fiber.interrupt(fiber)
            expect(yield* Things.findById(1)).toEqual(Option.some({ _id: 1, n: 1 }))
          }))
          expect(yield* watched.monitor.overlaps).toEqual([])
        })
      ))
  })
})
