import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { TransactionAborted } from "../../src/SessionErrors.js"
import * as Transaction from "../../src/Transaction.js"
import * as TestServer from "../support/server/testServer.js"
import { inPlace, noDeadlock } from "../support/transactions/transactions.js"

const overloaded = (errorLabels: ReadonlyArray<string> = []) => ({
  errorCode: 462,
  errorLabels: ["SystemOverloadedError", "RetryableError", ...errorLabels],
  mode: "alwaysOn"
} as const)

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("a server that is overloaded", () => {
    for (const retries of [0, 1]) {
      it.effect(`is asked for a transaction ${retries} times more, as often as for any command`, () =>
        inPlace(({ failing, insert, wire }) =>
          Effect.gen(function*() {
            yield* failing({ failCommands: ["insert"], ...overloaded(["TransientTransactionError"]) })
            const error = yield* Effect.flip(Transaction.run(insert(1)))
            expect(error).toBeInstanceOf(TransactionAborted)
            const reasons = [{ reason: "Overloaded", count: retries + 1 }]
            expect(error).toMatchObject({ attempts: retries + 1, reasons })
            expect((yield* wire).filter((line) => line.includes("insert"))).toHaveLength((retries + 1) ** 2)
          }), { driver: { maxAdaptiveRetries: retries } }))
    }

    it.effect("that refuses the commit has no transaction left open", () =>
      inPlace(({ failing, insert, items, stored, wire }) =>
        Effect.gen(function*() {
          yield* failing({ failCommands: ["commitTransaction"], ...overloaded() })
          const error = yield* Effect.flip(Transaction.run(insert(1)))
          expect(error).toMatchObject({ _tag: "MongoError", reason: "Overloaded" })
          expect((yield* wire).at(-1)).toBe("1 abortTransaction w:majority")
          yield* noDeadlock(Effect.promise(() => items.insertOne({ _id: 1 })))
          expect(yield* stored).toEqual([1])
        }), { driver: { maxAdaptiveRetries: 0 } }))

    it.effect("that is not allowed to commit has none, either", () =>
      inPlace(({ failing, insert, items }) =>
        Effect.gen(function*() {
          yield* failing({ failCommands: ["commitTransaction"], errorCode: 13, mode: "alwaysOn" })
          expect(yield* Effect.flip(Transaction.run(insert(1)))).toMatchObject({ reason: "Unauthorized" })
          yield* noDeadlock(Effect.promise(() => items.insertOne({ _id: 1 })))
        })
      ))
  })
})
