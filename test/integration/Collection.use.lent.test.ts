import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import { MongoExpiredSessionError, MongoTransactionError } from "mongodb"
import * as Collection from "../../src/Collection.js"
import { MongoError } from "../../src/MongoError.js"
import * as Session from "../../src/Session.js"
import * as Telemetry from "../../src/Telemetry.js"
import * as Transaction from "../../src/Transaction.js"
import { logged } from "../support/server/connected.js"
import * as TestServer from "../support/server/testServer.js"
import { inPlace, type Place } from "../support/transactions/transactions.js"

/** The place's collection, as the library has it. */
const collectionIn = ({ items }: Place) =>
  Collection.make(items.collectionName, { database: items.dbName, schema: Schema.Struct({ _id: Schema.Number }) })

/** A promise that is settled from outside. */
const gate = () => {
  const it = { open: () => {} }
  const opened = new Promise<void>((resolve) => {
    it.open = resolve
  })
  return { it, opened }
}

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("what is sent with the session of a Collection.use after that has settled", () => {
    it.effect("is refused: it neither stays behind a failed transaction nor joins the next", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { insert, stored } = place
          const { it: door, opened } = gate()
          let left: Promise<unknown> | undefined
          const transfer = collectionIn(place).use((items, added) => {
            left = opened.then(() => items.insertOne({ _id: 2 }, { ...added }))
            return Promise.all([
              left,
              items.insertOne({ _id: 1 }, { ...added }).then(() => Promise.reject(new Error()))
            ])
          })
          yield* Effect.exit(Transaction.run(transfer))
          const next = Effect.gen(function*() {
            yield* insert(3)
            door.open()
            const refused = yield* Effect.promise(() => left!.then(() => undefined, (error: unknown) => error))
            expect(refused).toBeInstanceOf(MongoExpiredSessionError)
            yield* insert(4)
          })
          yield* Transaction.run(next)
          expect(yield* stored).toEqual([3, 4])
        }).pipe(Session.scoped())
      ))

    it.effect("is no cursor's that goes on in a later use; that is in its turn", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          yield* Effect.forEach([1, 2, 3], place.insert)
          const Items = collectionIn(place)
          const cursor = yield* Items.use(async (items, added) => items.find({}, { ...added, batchSize: 1 }))
          const next = Items.use(async () => {
            await Promise.resolve()
            return cursor.next()
          })
          expect(yield* next).toEqual({ _id: 1 })
          expect(yield* next).toEqual({ _id: 2 })
          const late = yield* Effect.promise(() => cursor.next().then(() => undefined, (error: unknown) => error))
          expect(late).toBeInstanceOf(MongoExpiredSessionError)
        }).pipe(Session.scoped())
      ))
  })

  describe("what is in flight when the promise of a Collection.use settles", () => {
    it.effect("is waited for, before another operation has its turn", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { count, failing, monitor, stored } = place
          yield* failing({ failCommands: ["insert"], mode: "alwaysOn", blockFor: "200 millis" })
          const early = collectionIn(place).use((items, added) =>
            Promise.race([items.insertOne({ _id: 1 }, { ...added }).then(() => 0), Promise.resolve(1)])
          )
          expect(yield* early).toBe(1)
          expect(yield* count).toBe(1)
          expect(yield* monitor.overlaps).toEqual([])
          expect(yield* stored).toEqual([1])
        }).pipe(Session.scoped())
      ))

    it.effect("ends before its transaction does", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { failing, stored, wire } = place
          yield* failing({ failCommands: ["insert"], mode: "alwaysOn", blockFor: "200 millis" })
          const body = collectionIn(place).use(async (items, added) => {
            void items.insertOne({ _id: 1 }, { ...added }).catch(() => undefined)
            throw new Error("early")
          })
          expect(Exit.isFailure(yield* Effect.exit(Transaction.run(body)))).toBe(true)
          expect(yield* stored).toEqual([])
          expect(yield* wire).toEqual(["1 insert start", "1 abortTransaction"])
        })
      ))
  })

  describe("a transaction of the session in a Collection.use", () => {
    for (const name of ["startTransaction", "commitTransaction", "abortTransaction", "withTransaction"] as const) {
      it.effect(`is refused: ${name}, also where the promise has swallowed that`, () =>
        inPlace((place) =>
          Effect.gen(function*() {
            for (const swallow of [true, false]) {
              const misuse = collectionIn(place).use(async (items, added) => {
                await items.insertOne({ _id: 2 }, { ...added })
                try {
                  await (name === "withTransaction"
                    ? added.session?.withTransaction(() => Promise.resolve())
                    : added.session?.[name]())
                } catch (error) {
                  if (!swallow) throw error
                }
              })
              const error = yield* Effect.flip(Transaction.run(Effect.zipRight(place.insert(1), misuse)))
              expect(error).toMatchObject({ _tag: "MongoError", reason: "TransactionMisuse" })
              expect(error instanceof MongoError && error.hint).toContain("Transaction.run")
              expect(error instanceof MongoError && error.cause).toBeInstanceOf(MongoTransactionError)
              expect(yield* place.stored).toEqual([])
            }
          })
        ))
    }

    it.effect("is given up soon where the promise swallows each time what has ended it", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          yield* place.insert(1).pipe(Session.scoped())
          const swallowing = collectionIn(place).use((items, added) =>
            items.insertOne({ _id: 1 }, { ...added }).then(() => "done", () => "swallowed")
          )
          const error = yield* Effect.flip(Transaction.run(swallowing))
          expect(error).toMatchObject({ _tag: "TransactionAborted", attempts: 3 })
          expect(yield* place.stored).toEqual([1])
        })
      ))
  })

  describe("a Collection.use that has not used its session", () => {
    it.effect("is told in the log, once for each name", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const Items = collectionIn(place)
          const forgetful = (operation: string) => Items.use((items) => items.countDocuments(), { operation })
          const told = yield* logged((entries) =>
            Effect.all([forgetful("one"), forgetful("one"), forgetful("two")]).pipe(
              Effect.zipRight(Items.use((items, added) => items.countDocuments({}, { ...added }))),
              Effect.as(entries)
            )
          )
          expect(told.map(({ message }) => message)).toEqual([Telemetry.messages.unused, Telemetry.messages.unused])
          expect(told.map(({ annotations }) => annotations["operation"])).toEqual(["one", "two"])
          expect(told.every(({ annotations }) => String(annotations["hint"]).includes("{ ...added }"))).toBe(true)
        }).pipe(Session.scoped())
      ))

    it.effect("is not told of where there is none", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const told = yield* logged((entries) =>
            Effect.as(collectionIn(place).use((items) => items.countDocuments()), entries)
          )
          expect(told).toEqual([])
        })
      ))
  })
})
