import { describe, expect, layer } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schedule from "effect/Schedule"
import * as Session from "../../src/Session.js"
import * as Transaction from "../../src/Transaction.js"
import * as TestServer from "../support/server/testServer.js"
import { inPlace } from "../support/transactions/transactions.js"

const bug = new Error("bug")

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("a bug in what a run was given", () => {
    it.effect("to decide on another attempt ends the transaction, and leaves the session usable", () =>
      inPlace(({ insert, stored, transientOn, wire }) =>
        Effect.gen(function*() {
          const told: Array<string> = []
          yield* transientOn(["insert"])
          const hooks = Effect.zipRight(
            Transaction.onCommit(Effect.sync(() => told.push("committed"))),
            Transaction.onRollback(Effect.sync(() => told.push("rolled back")))
          )
          const exit = yield* Effect.exit(Transaction.run(Effect.zipRight(hooks, insert(1)), {
            retry: Schedule.forever.pipe(Schedule.whileInput(() => {
              throw bug
            }))
          }))
          expect(Exit.isFailure(exit) && Cause.squash(exit.cause)).toBe(bug)
          yield* insert(2)
          yield* Transaction.run(insert(3))
          expect(yield* stored).toEqual([2, 3])
          expect((yield* wire).slice(0, 2)).toEqual(["1 insert start", "1 abortTransaction"])
          expect(told).toEqual(["rolled back"])
        }).pipe(Session.scoped())
      ))

    it.effect("to hear of another commit leaves it unknown whether it happened: no hook runs", () =>
      inPlace(({ insert, lostCommit }) =>
        Effect.gen(function*() {
          const told: Array<string> = []
          yield* lostCommit(1, 64)
          const hooks = Effect.zipRight(
            Transaction.onCommit(Effect.sync(() => told.push("committed"))),
            Transaction.onRollback(Effect.sync(() => told.push("rolled back")))
          )
          const onRetry = () => Effect.die(bug)
          const exit = yield* Effect.exit(Transaction.run(Effect.zipRight(hooks, insert(1)), { onRetry }))
          expect(Exit.isFailure(exit) && Cause.squash(exit.cause)).toBe(bug)
          expect(told).toEqual([])
          yield* Transaction.run(insert(2))
        }).pipe(Session.scoped())
      ))
  })
})
