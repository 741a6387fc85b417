import { describe, expect, layer } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type * as Driver from "mongodb"
import { MongoExpiredSessionError, MongoTransactionError } from "mongodb"
import * as Cursor from "../../src/Cursor.js"
import * as Session from "../../src/Session.js"
import * as Telemetry from "../../src/Telemetry.js"
import * as Transaction from "../../src/Transaction.js"
import { logged } from "../support/server/connected.js"
import * as TestServer from "../support/server/testServer.js"
import { inPlace, type Place } from "../support/transactions/transactions.js"

const opening = ({ items }: Place, open: (added: { readonly session?: Driver.ClientSession }) => void = () => {}) =>
  Cursor.stream((added) => {
    open(added)
    return items.find({}, { ...added, batchSize: 1 })
  })

const refusalOf = (promise: Promise<unknown>) =>
  Effect.promise(() => promise.then(() => undefined, (error: unknown) => error))

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("the session with which Cursor.stream opens its cursor", () => {
    it.effect("reads batch by batch, in and out of a transaction, and is taken for used", () =>
      inPlace((place) =>
        logged((entries) =>
          Effect.gen(function*() {
            yield* Effect.forEach([1, 2, 3], place.insert)
            const read = Effect.map(Stream.runCollect(opening(place)), Chunk.toReadonlyArray)
            const all = [{ _id: 1 }, { _id: 2 }, { _id: 3 }]
            expect(yield* read).toEqual(all)
            expect(yield* Session.detached(read)).toEqual(all)
            expect(yield* Transaction.run(read)).toEqual(all)
            expect(yield* Transaction.run(Stream.runHead(opening(place)))).toMatchObject({ value: { _id: 1 } })
            expect(yield* place.monitor.overlaps).toEqual([])
            expect(entries.map(({ message }) => message)).not.toContain(Telemetry.messages.unused)
          }).pipe(Session.scoped())
        )
      ))

    it.effect("is taken for used by a cursor of another client, which is refused", () =>
      inPlace(({ items }) =>
        logged((entries) =>
          Effect.gen(function*() {
            const other = yield* TestServer.driver()
            const foreign = Cursor.stream(() => other.db(items.dbName).collection(items.collectionName).find())
            expect(yield* Effect.flip(Stream.runDrain(foreign))).toMatchObject({ _tag: "ForeignSession" })
            expect(entries.map(({ message }) => message)).not.toContain(Telemetry.messages.unused)
          }).pipe(Session.scoped())
        )
      ))

    it.effect("neither begins nor ends a transaction", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          yield* place.insert(1)
          const ending = opening(place, ({ session }) => void session?.abortTransaction())
          const error = yield* Effect.flip(Transaction.run(Effect.zipRight(place.insert(2), Stream.runDrain(ending))))
          expect(error).toMatchObject({ reason: "TransactionMisuse", cause: expect.any(MongoTransactionError) })
          expect(yield* place.stored).toEqual([1])
        }).pipe(Session.scoped())
      ))

    it.effect("sends nothing beside the cursor once the batch is there", () =>
      inPlace(({ items, ...place }) =>
        Effect.gen(function*() {
          yield* Effect.forEach([1, 2], place.insert)
          let session: Driver.ClientSession | undefined
          const stream = opening({ items, ...place }, (added) => {
            session = added.session
          })
          const pulled = yield* Effect.scoped(Effect.gen(function*() {
            const pull = yield* Stream.toPull(stream)
            yield* pull
            const late = yield* refusalOf(items.insertOne({ _id: 3 }, { session: session! }))
            expect(late).toBeInstanceOf(MongoExpiredSessionError)
            return yield* pull
          }))
          expect(Chunk.toReadonlyArray(pulled)).toEqual([{ _id: 2 }])
          expect(yield* place.stored).toEqual([1, 2])
        }).pipe(Session.scoped())
      ))
  })
})
