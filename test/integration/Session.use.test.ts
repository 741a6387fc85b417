import { describe, expect, layer } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { MongoExpiredSessionError, MongoTransactionError } from "mongodb"
import type { MongoClient } from "../../src/MongoClient.js"
import { MongoError } from "../../src/MongoError.js"
import * as Session from "../../src/Session.js"
import * as Telemetry from "../../src/Telemetry.js"
import * as Transaction from "../../src/Transaction.js"
import { logged } from "../support/server/connected.js"
import * as TestServer from "../support/server/testServer.js"
import { inPlace, noDeadlock } from "../support/transactions/transactions.js"

/** A promise that is settled from outside. */
const gate = () => {
  const it = { open: () => {} }
  const opened = new Promise<void>((resolve) => {
    it.open = resolve
  })
  return { it, opened }
}

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("what is sent with the driver session of a use after that has settled", () => {
    it.effect("is refused: outside of any transaction", () =>
      inPlace(({ insert, items, stored }) =>
        Effect.gen(function*() {
          const { it: door, opened } = gate()
          let left: Promise<unknown> | undefined
          const rejected = Session.use((session) => {
            left = opened.then(() => items.insertOne({ _id: 2 }, { session }))
            return Promise.all([items.insertOne({ _id: 1 }, { session }), left, items.insertOne({ _id: 1 })])
          })
          const error = yield* Effect.flip(rejected)
          expect(error).toMatchObject({ _tag: "MongoError", reason: "DuplicateKey" })
          door.open()
          const refused = yield* Effect.promise(() => left!.then(() => undefined, (error: unknown) => error))
          expect(refused).toBeInstanceOf(MongoExpiredSessionError)
          yield* insert(3)
          expect(yield* stored).toEqual([1, 3])
        }).pipe(Session.scoped())
      ))

    it.effect("is refused: it neither stays behind a failed transaction nor joins the next", () =>
      inPlace(({ insert, items, stored }) =>
        Effect.gen(function*() {
          const { it: door, opened } = gate()
          let left: Promise<unknown> | undefined
          const transfer = Session.use((session) => {
            left = opened.then(() => items.insertOne({ _id: 2 }, { session }))
            return Promise.all([left, items.insertOne({ _id: 1 }, { session }).then(() => Promise.reject(new Error()))])
          })
          yield* Effect.exit(Transaction.run(transfer))
          const next = Effect.gen(function*() {
            yield* insert(3)
            door.open()
            yield* Effect.promise(() => left!.then(() => undefined, () => undefined))
            yield* insert(4)
          })
          yield* Transaction.run(next)
          expect(yield* stored).toEqual([3, 4])
        }).pipe(Session.scoped())
      ))

    it.effect("is no cursor's that goes on in a later use; that is in its turn", () =>
      inPlace(({ insert, items }) =>
        Effect.gen(function*() {
          yield* Effect.forEach([1, 2, 3], insert)
          const cursor = yield* Session.use(async (session) => items.find({}, { session, batchSize: 1 }))
          const next = Session.use(async () => {
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

  describe("what is in flight when the promise of a use settles", () => {
    it.effect("is waited for, before another operation has its turn", () =>
      inPlace(({ count, failing, items, monitor, stored }) =>
        Effect.gen(function*() {
          yield* failing({ failCommands: ["insert"], mode: "alwaysOn", blockFor: "200 millis" })
          const early = Session.use((session) =>
            Promise.race([items.insertOne({ _id: 1 }, { session }).then(() => 0), Promise.resolve(1)])
          )
          expect(yield* early).toBe(1)
          expect(yield* count).toBe(1)
          expect(yield* monitor.overlaps).toEqual([])
          expect(yield* stored).toEqual([1])
        }).pipe(Session.scoped())
      ))

    it.effect("ends before its transaction does", () =>
      inPlace(({ failing, items, stored, wire }) =>
        Effect.gen(function*() {
          yield* failing({ failCommands: ["insert"], mode: "alwaysOn", blockFor: "200 millis" })
          const body = Session.use(async (session) => {
            void items.insertOne({ _id: 1 }, { session }).catch(() => undefined)
            throw new Error("early")
          })
          expect(Exit.isFailure(yield* Effect.exit(Transaction.run(body)))).toBe(true)
          expect(yield* stored).toEqual([])
          expect(yield* wire).toEqual(["1 insert start", "1 abortTransaction"])
        })
      ))
  })

  describe("a transaction of the driver session in a use", () => {
    for (const name of ["startTransaction", "commitTransaction", "abortTransaction", "withTransaction"] as const) {
      it.effect(`is refused: ${name}, also where the promise has swallowed that`, () =>
        inPlace(({ insert, items, stored }) =>
          Effect.gen(function*() {
            for (const swallow of [true, false]) {
              const misuse = Session.use(async (session) => {
                await items.insertOne({ _id: 2 }, { session })
                try {
                  await (name === "withTransaction"
                    ? session.withTransaction(() => Promise.resolve())
                    : session[name]())
                } catch (error) {
                  if (!swallow) throw error
                }
              })
              const error = yield* Effect.flip(Transaction.run(Effect.zipRight(insert(1), misuse)))
              expect(error).toMatchObject({ _tag: "MongoError", reason: "TransactionMisuse" })
              expect(error instanceof MongoError && error.hint).toContain("Transaction.run")
              expect(error instanceof MongoError && error.cause).toBeInstanceOf(MongoTransactionError)
              expect(yield* stored).toEqual([])
            }
          })
        ))
    }
  })

  describe("a use that has not used its session", () => {
    it.effect("is told in the log, once for each name", () =>
      inPlace(({ items }) =>
        Effect.gen(function*() {
          const forgetful = (operation: string) => Session.use(() => items.countDocuments(), { operation })
          const told = yield* logged((entries) =>
            Effect.all([forgetful("one"), forgetful("one"), forgetful("two")]).pipe(
              // A cursor that was made for later is made with the session.
              Effect.zipRight(Session.use(async (session) => items.find({}, { session }))),
              Effect.as(entries)
            )
          )
          expect(told.map(({ message }) => message)).toEqual([Telemetry.messages.unused, Telemetry.messages.unused])
          expect(told.map(({ annotations }) => annotations["operation"])).toEqual(["one", "two"])
          expect(told.every(({ annotations }) => String(annotations["hint"]).includes("{ session }"))).toBe(true)
        }).pipe(Session.scoped())
      ))
  })

  describe("an operation in the promise of a use of its session", () => {
    it.effect("is refused where it would wait for itself", () =>
      inPlace(({ count }) =>
        Effect.gen(function*() {
          const runtime = yield* Effect.runtime<Session.Session | MongoClient>()
          const inner = Effect.flip(count)
          const error = yield* noDeadlock(
            Session.use((session) =>
              Effect.runPromise(Effect.provide(inner, runtime)).then((error) => [session.id, error])
            )
          )
          expect(error[1]).toMatchObject({ _tag: "SessionBusy", holder: "the use that it is called in", reason: "use" })
        }).pipe(Session.scoped())
      ))
  })

  it.effect("what a use is lent shows the driver session as it is", () =>
    inPlace(() =>
      Effect.gen(function*() {
        const done = yield* Deferred.make<void>()
        const session = yield* Session.Session
        const seen = yield* session.use(async (one) => {
          await Effect.runPromise(Deferred.succeed(done, undefined))
          return [one.serverSession.id.id.toString("hex"), one.hasEnded, one.inTransaction(), one.explicit] as const
        })
        expect(seen).toEqual([session.id.hex, false, false, true])
      }).pipe(Session.scoped())
    ))
})
