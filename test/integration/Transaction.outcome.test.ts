import { describe, expect, layer } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schedule from "effect/Schedule"
import { Label, MongoError } from "../../src/MongoError.js"
import * as Session from "../../src/Session.js"
import { TransactionAborted, TransactionDoomed } from "../../src/SessionErrors.js"
import * as Transaction from "../../src/Transaction.js"
import * as TestServer from "../support/server/testServer.js"
import { conflict } from "../support/transactions/attempts.js"
import { inPlace, type Item, noDeadlock, witness } from "../support/transactions/transactions.js"

class OutOfStock extends Data.TaggedError("OutOfStock")<{ readonly item: object }> {}

/** A document that can't be encoded. */
const circular = (_id: number): Item => {
  const document: Item & { self?: unknown } = { _id }
  document.self = document
  return document
}

const once = ["1 insert start", "1 abortTransaction"]
const third = ["3 insert start", "3 abortTransaction"]
const twice = [...once, "2 insert start", "2 commitTransaction"]

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("a body that fails", () => {
    it.effect("with an error of its own is rolled back, though the abort was lost with its connection", () =>
      inPlace(({ closeConnectionOn, insert, items, wire }) =>
        Effect.gen(function*() {
          yield* closeConnectionOn(["abortTransaction"], 2)
          const error = yield* Effect.flip(Transaction.run(Effect.zipRight(insert(1), Effect.fail("no"))))
          expect(error).toBe("no")
          // The driver tries twice, and tells nobody that both have failed.
          expect(yield* wire).toEqual([...once, "1 abortTransaction", "1 abortTransaction w:majority"])
          // A transaction that were still open would have the document.
          yield* noDeadlock(Effect.promise(() => items.insertOne({ _id: 1 })))
        })
      ))

    it.effect("with an error of its own is rolled back, and its error passed on as it is", () =>
      inPlace(({ insert, stored, wire }) =>
        Effect.gen(function*() {
          const item = {}
          const { hooks, register } = witness()
          const body = Effect.zipRight(register, Effect.zipRight(insert(1), new OutOfStock({ item })))
          const error = yield* Effect.flip(Transaction.run(body))
          expect(error).toBeInstanceOf(OutOfStock)
          expect(error instanceof OutOfStock && error.item).toBe(item)
          expect(yield* stored).toEqual([])
          expect(yield* wire).toEqual(once)
          expect(hooks).toEqual(["onRollback"])
        })
      ))

    it.effect("before it has sent anything leaves nothing to abort", () =>
      inPlace(({ wire }) =>
        Effect.gen(function*() {
          expect(yield* Effect.flip(Transaction.run(Effect.fail("no")))).toBe("no")
          expect(yield* wire).toEqual([])
        })
      ))

    it.effect("before it has sent anything aborts no other in its session, though that has lost a connection", () =>
      inPlace(({ closeConnectionOn, insert, monitor }) =>
        Effect.gen(function*() {
          yield* closeConnectionOn(["insert"])
          yield* insert(1)
          expect(yield* Effect.flip(Transaction.run(Effect.fail("no")))).toBe("no")
          expect(yield* monitor.named("abortTransaction")).toEqual([])
        }).pipe(Session.scoped())
      ))

    it.effect("is aborted, though that was lost with its connection and the next attempt sends nothing", () =>
      inPlace(({ closeConnectionOn, insert, items, wire }) =>
        Effect.gen(function*() {
          yield* closeConnectionOn(["abortTransaction"], 2)
          let runs = 0
          const first = Effect.zipRight(insert(1), Effect.fail(conflict))
          yield* Transaction.run(Effect.suspend(() => runs++ === 0 ? first : Effect.void))
          expect(yield* wire).toEqual([...once, "1 abortTransaction", "1 abortTransaction w:majority"])
          yield* noDeadlock(Effect.promise(() => items.insertOne({ _id: 1 })))
        })
      ))

    it.effect("for a reason that may go away is run again from its beginning", () =>
      inPlace(({ insert, stored, transientOn, wire }) =>
        Effect.gen(function*() {
          yield* transientOn(["insert"])
          const { hooks, register } = witness()
          const attempts: Array<number> = []
          yield* Transaction.run(Effect.gen(function*() {
            attempts.push((yield* Transaction.Transaction).attempt)
            yield* register
            yield* insert(1)
          }))
          expect(attempts).toEqual([1, 2])
          expect(yield* stored).toEqual([1])
          expect(yield* wire).toEqual(twice)
          expect(hooks).toEqual(["onCommit"])
        })
      ))

    it.effect("again and again is given up when the schedule has no more attempts", () =>
      inPlace(({ insert, stored, transientOn, wire }) =>
        Effect.gen(function*() {
          yield* transientOn(["insert"], 10)
          const { hooks, register } = witness()
          const run = Transaction.run(Effect.zipRight(register, insert(1)), { retry: Schedule.recurs(2) })
          const error = yield* Effect.flip(run)
          expect(error).toBeInstanceOf(TransactionAborted)
          if (!(error instanceof TransactionAborted)) return
          expect(error.attempts).toBe(3)
          expect(error.labels).toEqual([Label.TransientTransactionError])
          expect(error.last).toBeInstanceOf(MongoError)
          expect(error.last).toMatchObject({ reason: "NoSuchTransaction", code: 251, operation: "use" })
          expect(Duration.toMillis(error.elapsed)).toBeGreaterThan(0)
          expect(error.nested).toBe(false)
          expect(yield* stored).toEqual([])
          expect(yield* wire).toEqual([...once, "2 insert start", "2 abortTransaction", ...third])
          expect(hooks).toEqual(["onRollback"])
        })
      ))

    it.effect("again and again is given up when another attempt would come too late", () =>
      inPlace(({ insert, stored, transientOn }) =>
        Effect.gen(function*() {
          yield* transientOn(["insert"], 1000)
          const retry = Schedule.spaced("200 millis")
          const [time, error] = yield* Effect.timed(
            Effect.flip(Transaction.run(insert(1), { retry, timeout: "1 second" }))
          )
          expect(error).toBeInstanceOf(TransactionAborted)
          if (!(error instanceof TransactionAborted)) return
          expect(error.attempts).toBeGreaterThanOrEqual(2)
          expect(error.attempts).toBeLessThanOrEqual(5)
          expect(Duration.lessThanOrEqualTo(error.elapsed, time)).toBe(true)
          expect(Duration.toMillis(error.elapsed)).toBeGreaterThanOrEqual(800)
          expect(yield* stored).toEqual([])
        })
      ))

    it.effect("with a defect is rolled back at once, whatever it had seen, and stays that defect", () =>
      inPlace(({ insert, stored, transientOn, wire }) =>
        Effect.gen(function*() {
          yield* transientOn(["insert"])
          const bug = Symbol("a bug")
          const { hooks, register } = witness()
          const body = Effect.zipRight(register, Effect.zipRight(Effect.ignore(insert(1)), Effect.die(bug)))
          const exit = yield* Effect.exit(Transaction.run(body))
          expect(Exit.isFailure(exit) && Cause.isDieType(exit.cause) && exit.cause.defect).toBe(bug)
          expect(yield* stored).toEqual([])
          expect(yield* wire).toEqual(once)
          expect(hooks).toEqual(["onRollback"])
        })
      ))

    it.effect("by interruption is rolled back at once, whatever it had seen", () =>
      inPlace(({ insert, stored, transientOn, wire }) =>
        Effect.gen(function*() {
          yield* transientOn(["insert"])
          const { hooks, register } = witness()
          const body = Effect.zipRight(register, Effect.zipRight(Effect.ignore(insert(1)), Effect.interrupt))
          const exit = yield* Effect.exit(Transaction.run(body))
          expect(Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause)).toBe(true)
          expect(yield* stored).toEqual([])
          expect(yield* wire).toEqual(once)
          expect(hooks).toEqual(["onRollback"])
        })
      ))
  })

  describe("a body that succeeds", () => {
    it.effect("is committed, in one session, under one transaction number, with one beginning", () =>
      inPlace(({ count, insert, monitor, stored, wire }) =>
        Effect.gen(function*() {
          const { hooks, register } = witness()
          const seen = yield* Transaction.run(
            Effect.zipRight(register, Effect.zipRight(Effect.zipRight(insert(1), insert(2)), count))
          )
          expect(seen).toBe(2)
          expect(yield* stored).toEqual([1, 2])
          expect(yield* wire).toEqual(["1 insert start", "1 insert", "1 aggregate", "1 commitTransaction"])
          const sent = (yield* monitor.commands).filter(({ lsid }) => lsid !== undefined)
          expect(new Set(sent.map(({ command }) => String(command["txnNumber"]))).size).toBe(1)
          expect(sent.every(({ command }) => command["autocommit"] === false)).toBe(true)
          expect(hooks).toEqual(["onCommit"])
        })
      ))

    it.effect("without having sent anything has nothing to commit", () =>
      inPlace(({ wire }) =>
        Effect.gen(function*() {
          const { hooks, register } = witness()
          expect(yield* Transaction.run(Effect.as(register, "nothing"))).toBe("nothing")
          expect(yield* wire).toEqual([])
          expect(hooks).toEqual(["onCommit"])
        })
      ))

    it.effect("having swallowed a failure that may go away is run again", () =>
      inPlace(({ insert, stored, transientOn, wire }) =>
        Effect.gen(function*() {
          yield* transientOn(["insert"])
          yield* Transaction.run(Effect.ignore(insert(1)))
          expect(yield* stored).toEqual([1])
          expect(yield* wire).toEqual(twice)
        })
      ))

    it.effect("having swallowed such a failure each time is given up", () =>
      inPlace(({ insert, transientOn, wire }) =>
        Effect.gen(function*() {
          yield* transientOn(["insert"], 10)
          const error = yield* Effect.flip(Transaction.run(Effect.ignore(insert(1)), { retry: Schedule.stop }))
          expect(error).toMatchObject({ _tag: "TransactionAborted", attempts: 1 })
          expect(yield* wire).toEqual(once)
        })
      ))

    it.effect("having swallowed any other failure of the server is not committed, but TransactionDoomed", () =>
      inPlace(({ insert, stored, wire }) =>
        Effect.gen(function*() {
          const { hooks, register } = witness()
          const body = Effect.zipRight(register, Effect.zipRight(insert(1), Effect.ignore(insert(1))))
          const error = yield* Effect.flip(Transaction.run(body))
          expect(error).toBeInstanceOf(TransactionDoomed)
          expect(error).toMatchObject({ first: { _tag: "MongoError", reason: "DuplicateKey", code: 11000 } })
          expect(yield* stored).toEqual([])
          expect(yield* wire).toEqual(["1 insert start", "1 insert", "1 abortTransaction"])
          expect(hooks).toEqual(["onRollback"])
        })
      ))

    it.effect("having swallowed a failure that never reached the server is committed", () =>
      inPlace(({ insert, items, stored, wire }) =>
        Effect.gen(function*() {
          const refused = Effect.flip(Session.use((session) => items.insertOne(circular(2), { session })))
          const error = yield* Transaction.run(Effect.zipRight(insert(1), refused))
          expect(error).toMatchObject({ _tag: "MongoError", reason: "EncodingFailed" })
          expect(yield* stored).toEqual([1])
          // The driver reports a command before it encodes it; the second insert was never sent.
          expect(yield* wire).toEqual(["1 insert start", "1 insert", "1 commitTransaction"])
        })
      ))

    it.effect("having swallowed such a failure before anything reached the server is committed, too", () =>
      inPlace(({ insert, items, stored }) =>
        Effect.gen(function*() {
          const refused = Effect.flip(Session.use((session) => items.insertOne(circular(2), { session })))
          yield* Transaction.run(Effect.zipRight(refused, insert(1)), { retry: Schedule.recurs(2) })
          expect(yield* stored).toEqual([1])
        })
      ))

    it.effect("having asked for it is rolled back, and its value returned, whatever it had seen", () =>
      inPlace(({ insert, stored, transientOn, wire }) =>
        Effect.gen(function*() {
          yield* transientOn(["insert"])
          const { hooks, register } = witness()
          const body = Effect.all([register, Transaction.rollbackOnly, Effect.ignore(insert(1))])
          expect(yield* Transaction.run(Effect.as(body, "kept"))).toBe("kept")
          expect(yield* stored).toEqual([])
          expect(yield* wire).toEqual(once)
          expect(hooks).toEqual(["onRollback"])
        })
      ))
  })

  describe("a body that has ended the transaction by hand", () => {
    it.effect("with a commit keeps what it commits, although it then fails for a reason that may go away", () =>
      inPlace(({ insert, stored, transientOn, wire }) =>
        Effect.gen(function*() {
          const { hooks, register } = witness()
          const body = Effect.gen(function*() {
            yield* register
            yield* insert(1)
            yield* Transaction.commit
            yield* transientOn(["commitTransaction"])
            yield* Transaction.commit
          })
          expect(yield* Effect.flip(Transaction.run(body))).toMatchObject({ _tag: "MongoError", code: 251 })
          expect(yield* stored).toEqual([1])
          expect(yield* wire).toEqual(["1 insert start", "1 commitTransaction", "1 commitTransaction w:majority"])
          expect(hooks).toEqual(["onCommit"])
        })
      ))

    it.effect("with a commit whose answer is lost returns its value; no hook runs", () =>
      inPlace(({ insert, lostCommit, wire }) =>
        Effect.gen(function*() {
          yield* lostCommit(2)
          const { hooks, register } = witness()
          const body = Effect.zipRight(register, Effect.zipRight(insert(1), Effect.flip(Transaction.commit)))
          const error = yield* Transaction.run(body)
          expect("labels" in error && error.labels).toContain(Label.UnknownTransactionCommitResult)
          expect(yield* wire).toEqual(["1 insert start", "1 commitTransaction", "1 commitTransaction w:majority"])
          expect(hooks).toEqual([])
        })
      ))

    it.effect("with a commit that is refused returns its value, and counts as rolled back", () =>
      inPlace(({ failing, insert, stored, wire }) =>
        Effect.gen(function*() {
          yield* failing({ failCommands: ["commitTransaction"], errorCode: 257, errorLabels: [] })
          const { hooks, register } = witness()
          const body = Effect.zipRight(register, Effect.zipRight(insert(1), Effect.flip(Transaction.commit)))
          expect(yield* Transaction.run(body)).toMatchObject({ reason: "TransactionTooLarge" })
          expect(yield* stored).toEqual([])
          expect((yield* wire).slice(0, 2)).toEqual(["1 insert start", "1 commitTransaction"])
          expect(hooks).toEqual(["onRollback"])
        })
      ))

    it.effect("with a commit that is refused for a reason that may go away is run again if it fails with that", () =>
      inPlace(({ insert, stored, transientOn, wire }) =>
        Effect.gen(function*() {
          yield* transientOn(["commitTransaction"])
          yield* Transaction.run(Effect.zipRight(insert(1), Transaction.commit))
          expect(yield* stored).toEqual([1])
          expect((yield* wire).filter((line) => !line.endsWith("abortTransaction"))).toEqual([
            ...["1 insert start", "1 commitTransaction"],
            ...["2 insert start", "2 commitTransaction"]
          ])
        })
      ))

    for (const end of ["succeeds", "fails with an error of its own"] as const) {
      it.effect(`with an abort, and then ${end}, has its result returned`, () =>
        inPlace(({ insert, stored, wire }) =>
          Effect.gen(function*() {
            const { hooks, register } = witness()
            const last = end === "succeeds" ? Effect.succeed("result") : Effect.fail("result")
            const body = Effect.all([register, insert(1), Transaction.abort])
            expect(yield* Effect.merge(Transaction.run(Effect.zipRight(body, last)))).toBe("result")
            expect(yield* stored).toEqual([])
            expect(yield* wire).toEqual(once)
            expect(hooks).toEqual(["onRollback"])
          })
        ))
    }

    it.effect("with an abort is run again if it fails for a reason that may go away, and given up at last", () =>
      inPlace(({ insert, transientOn, wire }) =>
        Effect.gen(function*() {
          yield* transientOn(["insert"], 10)
          const body = Effect.tapError(insert(1), () => Transaction.abort)
          const error = yield* Effect.flip(Transaction.run(body, { retry: Schedule.recurs(1) }))
          expect(error).toMatchObject({ _tag: "TransactionAborted", attempts: 2 })
          expect(yield* wire).toEqual([...once, "2 insert start", "2 abortTransaction"])
        })
      ))
  })
})
