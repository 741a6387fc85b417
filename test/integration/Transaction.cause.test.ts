import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { BSONRegExp } from "mongodb"
import * as Collection from "../../src/Collection.js"
import { MongoError } from "../../src/MongoError.js"
import * as Session from "../../src/Session.js"
import { TransactionAborted, TransactionDoomed } from "../../src/SessionErrors.js"
import * as Transaction from "../../src/Transaction.js"
import * as TestServer from "../support/server/testServer.js"
import { inPlace, noDeadlock } from "../support/transactions/transactions.js"

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("law 18: after a failure of the server", () => {
    it.effect("the next operation is refused with what was first, and nothing more is sent", () =>
      inPlace(({ count, insert, stored, wire }) =>
        Effect.gen(function*() {
          const body = Effect.all([insert(1), Effect.ignore(insert(1)), count])
          const error = yield* Effect.flip(Transaction.run(body))
          expect(error).toBeInstanceOf(TransactionDoomed)
          expect(error).toMatchObject({ first: { reason: "DuplicateKey", code: 11_000 } })
          expect(yield* stored).toEqual([])
          expect(yield* wire).toEqual(["1 insert start", "1 insert", "1 abortTransaction"])
        })
      ))

    it.effect("so is that of a joined part, and of another fiber", () =>
      inPlace(({ count, insert, wire }) =>
        Effect.gen(function*() {
          const refused: Array<string> = []
          const note = Effect.tapError(count, ({ _tag }) => Effect.sync(() => void refused.push(_tag)))
          const body = Effect.zipRight(
            Effect.ignore(Effect.zipRight(insert(1), insert(1))),
            Effect.all([Effect.ignore(note), Effect.ignore(Transaction.run(note))], { concurrency: 2 })
          )
          const error = yield* Effect.flip(Transaction.run(body))
          expect(error).toBeInstanceOf(TransactionDoomed)
          expect(refused).toEqual(["TransactionDoomed", "TransactionDoomed"])
          expect(yield* wire).toEqual(["1 insert start", "1 insert", "1 abortTransaction"])
        })
      ))

    it.effect("that may go away it is refused with that, and the whole is run again", () =>
      inPlace(({ count, insert, stored, transientOn, wire }) =>
        Effect.gen(function*() {
          yield* transientOn(["insert"])
          const seen: Array<unknown> = []
          const swallowed = Effect.catchAll(insert(1), (error) => Effect.sync(() => void seen.push(error)))
          yield* Transaction.run(
            Effect.zipRight(swallowed, Effect.tapError(count, (error) => Effect.sync(() => void seen.push(error))))
          )
          expect(yield* stored).toEqual([1])
          expect(seen).toHaveLength(2)
          expect(seen[1]).toBe(seen[0])
          const first = ["1 insert start", "1 abortTransaction"]
          expect(yield* wire).toEqual([...first, "2 insert start", "2 aggregate", "2 commitTransaction"])
        })
      ))

    for (const way of ["use", "a raw collection"] as const) {
      it.effect(`so it is after a write that is done and whose reply cannot be read, by ${way}`, () =>
        inPlace(({ insert, items, stored }) =>
          Effect.gen(function*() {
            const Raw = Collection.make("items", { database: items.dbName })
            const update = { $set: { pattern: new BSONRegExp("(?i)a") } }
            const options = { returnDocument: "after" } as const
            const unread = way === "use"
              ? Effect.ignore(
                Session.use((session) => items.findOneAndUpdate({ _id: 1 }, update, { session, ...options }))
              )
              : Effect.ignore(Raw.findOneAndUpdate({ _id: 1 }, update, options))
            const error = yield* Effect.flip(Transaction.run(Effect.all([insert(1), unread])))
            expect(error).toBeInstanceOf(TransactionDoomed)
            expect(error).toMatchObject({ first: { reason: "EncodingFailed" } })
            expect(yield* stored).toEqual([])
          })
        ))
    }

    it.effect("but not after a read whose reply cannot be read, for nothing is done", () =>
      inPlace(({ insert, items, stored }) =>
        Effect.gen(function*() {
          const Raw = Collection.make("others", { database: items.dbName })
          yield* Raw.insertOne({ _id: 0, pattern: new BSONRegExp("(?i)a") })
          yield* Transaction.run(Effect.all([insert(1), Effect.flip(Raw.findOne({ _id: 0 }))]))
          expect(yield* stored).toEqual([1])
        })
      ))

    it.effect("a time-out of a read that was swallowed is told with what was given up", () =>
      inPlace(({ failing, insert, items }) =>
        Effect.gen(function*() {
          yield* failing({ failCommands: ["find"], mode: "alwaysOn", blockFor: "500 millis" })
          const slow = Session.use((session, signal) => items.findOne({}, { session, signal }), {
            operation: "findOne",
            namespace: "shop.items"
          })
          const body = Effect.all([insert(1), Effect.timeoutOption(slow, "100 millis"), insert(2)])
          const error = yield* Effect.flip(noDeadlock(Transaction.run(body)))
          expect(error).toBeInstanceOf(TransactionDoomed)
          const first = { reason: "Interrupted", operation: "findOne", namespace: "shop.items" }
          expect(error).toMatchObject({ first })
        })
      ))

    it.effect("of a transaction by hand the next operation shows the server's own answer", () =>
      inPlace(({ count, insert }) =>
        Effect.gen(function*() {
          yield* Transaction.start()
          yield* insert(1)
          yield* Effect.flip(insert(1))
          expect(yield* Effect.flip(count)).toMatchObject({ _tag: "MongoError", reason: "NoSuchTransaction" })
          yield* Transaction.abort
        }).pipe(Session.scoped())
      ))
  })

  describe("a failure that the promise of a use has swallowed", () => {
    it.effect("is looked for where it may be, after three attempts", () =>
      inPlace(({ insert, items }) =>
        Effect.gen(function*() {
          const swallows = Session.use((session) => items.insertOne({ _id: 1 }, { session }).catch(() => undefined))
          const error = yield* Effect.flip(Transaction.run(Effect.zipRight(insert(1), swallows)))
          expect(error).toBeInstanceOf(TransactionAborted)
          if (!(error instanceof TransactionAborted)) return
          expect(error).toMatchObject({ attempts: 3, reasons: [{ reason: "NoSuchTransaction", count: 3 }] })
          expect(error.operation).toBe("commitTransaction")
          expect(error.hint).toContain("promise of a `use`")
        })
      ))
  })

  describe("a transaction that was given up", () => {
    it.effect("tells all reasons that it has seen, and how often, and what has failed last, where", () =>
      Effect.gen(function*() {
        const reasons = ["WriteConflict", "NotPrimary", "WriteConflict"] as const
        let run = 0
        const body = Effect.suspend(() => {
          const reason = reasons[run++] ?? "NetworkError"
          const labels = ["TransientTransactionError"]
          return Effect.fail(new MongoError({ reason, operation: "updateOne", namespace: "shop.stock", labels }))
        })
        const error = yield* Effect.flip(inPlace(() => Transaction.run(body, { timeout: "100 millis" })))
        expect(error).toBeInstanceOf(TransactionAborted)
        if (!(error instanceof TransactionAborted)) return
        expect(error.reasons?.slice(0, 2)).toEqual([
          { reason: "WriteConflict", count: 2 },
          { reason: "NotPrimary", count: 1 }
        ])
        expect(error.reasons?.reduce((sum, { count }) => sum + count, 0)).toBe(error.attempts)
        expect([error.operation, error.namespace]).toEqual(["updateOne", "shop.stock"])
        expect(error.message).toContain("WriteConflict 2, NotPrimary 1, NetworkError")
      }))
  })
})
