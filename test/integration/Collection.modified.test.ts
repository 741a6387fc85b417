import { expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Collection from "../../src/Collection.js"
import * as Session from "../../src/Session.js"
import * as Transaction from "../../src/Transaction.js"
import { onClient, sent, things } from "../support/data/collections.js"
import * as TestServer from "../support/server/testServer.js"

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  it.effect("what was inserted is told from what was found", () =>
    onClient((watched) =>
      Effect.gen(function*() {
        const { Things } = yield* things(watched, 1)
        const told = { upsert: true, includeResultMetadata: true, returnDocument: "after" } as const
        expect(yield* Things.findOneAndUpdate({ _id: 0 }, { $set: { n: "5" } }, told)).toEqual({
          value: Option.some({ _id: 0, n: 5 }),
          isFound: true,
          insertedId: Option.none()
        })
        expect(yield* Things.findOneAndUpdate({ _id: 1 }, { $set: { n: "6" } }, told)).toEqual({
          value: Option.some({ _id: 1, n: 6 }),
          isFound: false,
          insertedId: Option.some(1)
        })
        expect(yield* Things.findOneAndReplace({ _id: 2 }, { _id: 2, n: 7 }, { ...told, returnDocument: "before" }))
          .toEqual({
            value: Option.none(),
            isFound: false,
            insertedId: Option.some(2)
          })
        const projection = Schema.Struct({ n: Schema.NumberFromString })
        expect(
          yield* Things.findOneAndUpdate({ _id: 9 }, { $set: { n: "6" } }, { includeResultMetadata: true, projection })
        )
          .toEqual({ value: Option.none(), isFound: false, insertedId: Option.none() })
        expect(yield* Things.findOneAndUpdate({ _id: 0 }, { $set: { n: "6" } }, { projection })).toEqual(
          Option.some({ n: 5 })
        )
      })
    ))

  it.effect("what is told of one run is none of another run of the same effect", () =>
    onClient((watched) =>
      Effect.gen(function*() {
        const { database } = yield* things(watched, 0)
        const bothWritten = yield* Effect.makeLatch()
        const arrived = yield* Effect.makeSemaphore(2)
        yield* arrived.take(2)
        // Each run decodes only when both have written.
        const Number = Schema.transformOrFail(Schema.Number, Schema.Number, {
          decode: (n) => Effect.as(Effect.zipRight(arrived.release(1), bothWritten.await), n),
          encode: (n) => Effect.succeed(n)
        })
        const Counters = Collection.make("counters", {
          database,
          schema: Schema.Struct({ _id: Schema.String, n: Number })
        })
        const next = Counters.findOneAndUpdate({ _id: "a" }, { $inc: { n: 1 } }, {
          upsert: true,
          returnDocument: "after",
          includeResultMetadata: true
        })
        const first = yield* Effect.fork(next)
        yield* arrived.take(1)
        const second = yield* Effect.fork(next)
        yield* arrived.take(1)
        yield* bothWritten.open
        expect(yield* first).toMatchObject({ isFound: false, insertedId: Option.some("a") })
        expect(yield* second).toMatchObject({ isFound: true, insertedId: Option.none() })
      })
    ))

  it.effect("of no writes nothing is sent", () =>
    onClient((watched) =>
      Effect.gen(function*() {
        const { Things } = yield* things(watched, 1)
        expect(yield* Things.bulkWrite([])).toMatchObject({ insertedCount: 0, modifiedCount: 0, insertedIds: {} })
        expect(yield* Things.insertMany([])).toMatchObject({ insertedCount: 0 })
        expect(yield* sent(watched)).toEqual([])
      })
    ))

  it.effect("the server explains what it would do, in a session, too", () =>
    onClient((watched) =>
      Effect.gen(function*() {
        const { Things } = yield* things(watched, 3)
        const planned = yield* Things.explainFind({ n: "1" }, { sort: { n: 1 } })
        expect(planned["queryPlanner"]).toMatchObject({ parsedQuery: { n: { $eq: "1" } } })
        expect(planned["executionStats"]).toBeUndefined()
        const run = yield* Session.scoped(Things.explainFind({ _id: 1 }, { verbosity: "executionStats" }))
        expect(run["executionStats"]).toMatchObject({ nReturned: 1 })
        const aggregated = yield* Things.explainAggregate([{ $match: { n: "1" } }, { $sort: { n: 1 } }])
        expect(JSON.stringify(aggregated)).toContain("queryPlanner")
        expect(yield* Effect.flip(Transaction.run(Things.explainFind()))).toMatchObject({
          _tag: "InvalidInTransaction"
        })
        expect(yield* Effect.flip(Transaction.run(Things.explainAggregate([])))).toMatchObject({
          _tag: "InvalidInTransaction"
        })
      })
    ))
})
