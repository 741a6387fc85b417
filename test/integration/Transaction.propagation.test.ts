import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Session from "../../src/Session.js"
import * as Transaction from "../../src/Transaction.js"
import * as TestServer from "../support/server/testServer.js"
import { inPlace } from "../support/transactions/transactions.js"
import type { Place } from "../support/transactions/transactions.js"

const lsids = ({ monitor }: Place, name: string) =>
  Effect.map(monitor.named(name), (seen) => seen.map(({ lsid }) => lsid))

const names = ({ monitor }: Place) => Effect.map(monitor.commands, (seen) => seen.map(({ name }) => name))

const hasTransaction = Effect.map(Effect.serviceOption(Transaction.Transaction), Option.isSome)
const ambient = Effect.map(Effect.serviceOption(Session.Session), Option.map((session) => session.id.uuid))

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("propagation", () => {
    it.effect("mandatory fails without a transaction, and sends nothing", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const refused = Effect.flip(Transaction.run(place.insert(1), { propagation: "mandatory" }))
          expect(yield* refused).toMatchObject({ _tag: "TransactionRequired", operation: "Transaction.run" })
          expect(yield* Session.scoped(refused)).toMatchObject({ _tag: "TransactionRequired" })
          expect(yield* names(place)).toEqual([])
        })
      ))

    it.effect("never fails in a transaction, sends nothing, and may be recovered from", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const refused = Transaction.run(place.insert(1), { propagation: "never" })
          const failure = yield* Transaction.run(Effect.zipLeft(Effect.flip(refused), place.insert(2)))
          expect(failure).toMatchObject({ _tag: "TransactionForbidden", operation: "Transaction.run" })
          expect(yield* place.stored).toEqual([2])
        })
      ))

    it.effect("never without a transaction runs in the session, but in no transaction", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const look = Effect.zip(hasTransaction, ambient)
          const body = Effect.zipLeft(look, place.insert(1))
          const [found, opened] = yield* Transaction.run(body, { propagation: "never" })
          expect(found).toBe(false)
          expect(Option.isSome(opened)).toBe(true)
          const session = yield* Session.scoped(Effect.zip(ambient, Transaction.run(look, { propagation: "never" })))
          expect(session[1][1]).toEqual(session[0])
          expect(yield* names(place)).toEqual(["insert"])
        })
      ))

    it.effect("mandatory and required join a transaction", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          yield* place.insert(1).pipe(
            Effect.zipRight(Transaction.run(place.insert(2), { propagation: "required" })),
            Effect.zipRight(Transaction.run(place.insert(3), { propagation: "mandatory" })),
            Transaction.run({ propagation: "required" })
          )
          expect(yield* place.wire).toEqual(["1 insert start", "1 insert", "1 insert", "1 commitTransaction"])
          expect(new Set(yield* lsids(place, "insert")).size).toBe(1)
        })
      ))

    it.effect("requiresNew commits, in a session of its own, though the transaction around it is rolled back", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const failure = yield* place.insert(1).pipe(
            Effect.zipRight(Transaction.run(place.insert(2), { propagation: "requiresNew" })),
            Effect.zipRight(Effect.fail("no" as const)),
            Transaction.run(),
            Effect.flip
          )
          expect(failure).toBe("no")
          expect(yield* place.stored).toEqual([2])
          expect(yield* place.wire).toEqual([
            "1 insert start",
            "2 insert start",
            "2 commitTransaction",
            "1 abortTransaction"
          ])
          expect(new Set(yield* lsids(place, "insert")).size).toBe(2)
          expect(yield* lsids(place, "commitTransaction")).toEqual((yield* lsids(place, "insert")).slice(1))
        })
      ))

    it.effect("requiresNew uses the ambient session where there is no transaction", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const body = Effect.zipLeft(ambient, place.insert(1))
          const [outside, inside] = yield* Session.scoped(
            Effect.zip(ambient, Transaction.run(body, { propagation: "requiresNew" }))
          )
          expect(inside).toEqual(outside)
          expect(yield* place.stored).toEqual([1])
        })
      ))

    it.effect("requiresNew that conflicts with the transaction around it is given up, and says what to do", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          let bodies = 0
          const own = Transaction.run(place.insert(1), {
            propagation: "requiresNew",
            retry: Schedule.recurs(2)
          })
          const failure = yield* Effect.sync(() => bodies++).pipe(
            Effect.zipRight(place.insert(1)),
            Effect.zipRight(own),
            Transaction.run(),
            Effect.flip
          )
          expect(failure).toMatchObject({ _tag: "TransactionAborted", attempts: 3, nested: true })
          expect(failure).toMatchObject({ last: { _tag: "MongoError", reason: "WriteConflict" } })
          expect("hint" in failure && failure.hint).toContain("it could never have succeeded")
          // it is another transaction's failure, which was retried for as long as it may be
          expect(bodies).toBe(1)
        })
      ))

    it.effect("requiresNew that conflicts ends at its time limit, and the one around may go on", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const own = Transaction.run(place.insert(1), { propagation: "requiresNew", timeout: "1 second" })
          const failure = yield* Transaction.run(Effect.zipRight(place.insert(1), Effect.flip(own)))
          expect(failure).toMatchObject({ _tag: "TransactionAborted", nested: true })
          expect((yield* place.monitor.named("commitTransaction")).map(({ outcome }) => outcome)).toEqual(["succeeded"])
        })
      ))

    it.effect("a repository may say in its type that it must run in a transaction", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const save = (n: number) =>
            Effect.flatMap(Transaction.Transaction, ({ attempt, options }) =>
              Effect.as(place.insert(n), { attempt, level: options.readConcern?.level }))
          const seen = yield* Transaction.run(save(1), { readConcern: "majority" })
          expect(seen).toEqual({ attempt: 1, level: "majority" })
          expect(yield* place.stored).toEqual([1])
        })
      ))
  })
})
