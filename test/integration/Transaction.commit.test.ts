import { describe, expect, layer } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as MongoClient from "../../src/MongoClient.js"
import { Label, MongoError } from "../../src/MongoError.js"
import * as Session from "../../src/Session.js"
import * as Transaction from "../../src/Transaction.js"
import { connected, logged, send } from "../support/server/connected.js"
import * as TestServer from "../support/server/testServer.js"
import { inPlace, toLines, witness } from "../support/transactions/transactions.js"

const begun = ["1 insert start", "1 commitTransaction"]
const again = "1 commitTransaction w:majority"

/** Tells nothing of the transaction. */
const refused = { ok: 0, code: 13, codeName: "Unauthorized", errmsg: "not authorized" }

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("a commit that is answered", () => {
    it.effect("carries its own time limit and write concern, which no operation of the body does", () =>
      inPlace(({ insert, monitor, wire }) =>
        Effect.gen(function*() {
          yield* Transaction.run(insert(1), { maxCommitTime: "2 seconds", writeConcern: 1 })
          expect(yield* wire).toEqual(["1 insert start", "1 commitTransaction w:1"])
          const limits = (yield* monitor.commands).map(({ command, name }) => [name, command["maxTimeMS"]])
          expect(limits.slice(0, 2)).toEqual([["insert", undefined], ["commitTransaction", 2000]])
        })
      ))

    it.effect("with a refusal for good fails with that, is not repeated, and counts as rolled back", () =>
      inPlace(({ failing, insert, wire }) =>
        Effect.gen(function*() {
          yield* failing({ failCommands: ["commitTransaction"], errorCode: 257, errorLabels: [] })
          const { hooks, register } = witness()
          const error = yield* Effect.flip(Transaction.run(Effect.zipRight(register, insert(1))))
          expect(error).toBeInstanceOf(MongoError)
          expect(error).toMatchObject({ reason: "TransactionTooLarge", code: 257, operation: "commitTransaction" })
          expect((yield* wire).filter((line) => line.includes("commit"))).toEqual(["1 commitTransaction"])
          expect(hooks).toEqual(["onRollback"])
        })
      ))

    it.effect("with a failure that may go away has the whole body run again", () =>
      inPlace(({ insert, stored, transientOn, wire }) =>
        Effect.gen(function*() {
          yield* transientOn(["commitTransaction"])
          const { hooks, register } = witness()
          yield* Transaction.run(Effect.zipRight(register, insert(1)))
          expect(yield* stored).toEqual([1])
          expect(yield* wire).toEqual([...begun, "2 insert start", "2 commitTransaction"])
          expect(hooks).toEqual(["onCommit"])
        })
      ))

    it.effect("with such a failure each time is given up", () =>
      inPlace(({ insert, stored, transientOn, wire }) =>
        Effect.gen(function*() {
          yield* transientOn(["commitTransaction"], 10)
          const { hooks, register } = witness()
          const run = Transaction.run(Effect.zipRight(register, insert(1)), { retry: Schedule.recurs(1) })
          expect(yield* Effect.flip(run)).toMatchObject({
            _tag: "TransactionAborted",
            attempts: 2,
            last: { reason: "NoSuchTransaction", operation: "commitTransaction" },
            labels: [Label.TransientTransactionError]
          })
          expect(yield* stored).toEqual([])
          expect(yield* wire).toEqual([...begun, "2 insert start", "2 commitTransaction"])
          expect(hooks).toEqual(["onRollback"])
        })
      ))
  })

  describe("a commit whose answer is lost", () => {
    it.effect("because the connection is closed is sent again, with majority: committed once", () =>
      inPlace(({ insert, lostCommit, stored, wire }) =>
        Effect.gen(function*() {
          yield* lostCommit(1)
          let runs = 0
          yield* Transaction.run(Effect.zipRight(Effect.sync(() => void runs++), insert(1)))
          expect(runs).toBe(1)
          expect(yield* stored).toEqual([1])
          expect(yield* wire).toEqual([...begun, again])
        })
      ))

    it.effect("more often than the driver repeats it is sent again until it is answered", () =>
      inPlace(({ insert, lostCommit, stored, wire }) =>
        Effect.gen(function*() {
          yield* lostCommit(5)
          const { hooks, register } = witness()
          yield* Transaction.run(Effect.zipRight(register, insert(1)))
          expect(yield* stored).toEqual([1])
          expect(yield* wire).toEqual([...begun, again, again, again, again, again])
          expect(hooks).toEqual(["onCommit"])
        })
      ))

    it.effect("although it was done is sent again, which does not do it twice", () =>
      inPlace(({ insert, lostCommit, stored, wire }) =>
        Effect.gen(function*() {
          yield* lostCommit(2, 64)
          const { hooks, register } = witness()
          yield* Transaction.run(Effect.zipRight(register, insert(1)), { writeConcern: { w: 1, journal: true } })
          expect(yield* stored).toEqual([1])
          expect(yield* wire).toEqual(["1 insert start", "1 commitTransaction w:1", again, again])
          expect(hooks).toEqual(["onCommit"])
        })
      ))

    const answered = [
      ["its own time limit ran out (MaxTimeMSExpired)", { errorCode: 50 }],
      ["its own time limit ran out after it was written", { writeConcernError: { code: 50, errmsg: "late" } }],
      ["its write concern is unknown (79)", { writeConcernError: { code: 79, errmsg: "unknown" } }],
      ["its write concern cannot be met (100)", { writeConcernError: { code: 100, errmsg: "too few" } }]
    ] as const
    for (const [why, answer] of answered) {
      it.effect(`because ${why} is CommitUnknown at once, for the answer would be the same`, () =>
        inPlace(({ failing, insert, wire }) =>
          Effect.gen(function*() {
            yield* failing({ failCommands: ["commitTransaction"], mode: "alwaysOn", ...answer })
            const { hooks, register } = witness()
            const error = yield* Effect.flip(Transaction.run(Effect.zipRight(register, insert(1))))
            expect(error).toMatchObject({ _tag: "CommitUnknown", attempts: 1, last: { _tag: "MongoError" } })
            expect(yield* wire).toEqual(begun)
            expect(hooks).toEqual([])
          })
        ))
    }

    for (
      const [how, state, atLeast, prepare] of [
        ["with its connection given up", "idle", 390, (): void => undefined],
        [
          "with its session broken where the driver keeps no deadline",
          "broken",
          590,
          (session: object): void =>
            void Object.defineProperty(session, "timeoutContext", { get: () => null, set: () => undefined })
        ]
      ] as const
    ) {
      it.scoped(`for ever ends after its time as CommitUnknown, ${how}`, () =>
        logged(() =>
          Effect.gen(function*() {
            const { client, open, server } = yield* connected(
              { handlers: { commitTransaction: "hang", abortTransaction: refused } },
              { closeTimeout: "200 millis" }
            )
            const session = yield* open({ settleTimeout: "200 millis" })
            const { hooks, register } = witness()
            const insert = send(session, { insert: "items", documents: [{}] })
            yield* session.use((driverSession) => Promise.resolve(prepare(driverSession)))
            const [time, error] = yield* Transaction.run(Effect.zipRight(register, insert), { timeout: "400 millis" })
              .pipe(
                Session.provide(session),
                Effect.provideService(MongoClient.MongoClient, client),
                Effect.flip,
                Effect.timed
              )
            expect(error).toMatchObject({ _tag: "CommitUnknown", attempts: 1, last: { reason: "TimedOut" } })
            expect(error).toMatchObject({ labels: [Label.UnknownTransactionCommitResult] })
            expect(Duration.toMillis(time)).toBeGreaterThanOrEqual(atLeast)
            expect(Duration.toMillis(time)).toBeLessThan(5000)
            expect(yield* session.state).toBe(state)
            if (state === "broken") {
              expect(yield* session.isDirty).toBe(true)
              expect(yield* Effect.flip(insert)).toMatchObject({ _tag: "SessionEnded", reason: "broken" })
            } else {
              yield* insert
            }
            expect(toLines(yield* server.commands).slice(0, 3)).toEqual([...begun, "1 abortTransaction w:majority"])
            expect(hooks).toEqual([])
          })
        ))
    }

    it.effect("when the run's time is over is aborted for good, though it may still be on its way", () =>
      inPlace(({ failing, insert, stored, wire }) =>
        Effect.gen(function*() {
          yield* failing({ failCommands: ["commitTransaction"], blockFor: "2 seconds" })
          const [time, error] = yield* Effect.timed(
            Effect.flip(Transaction.run(insert(1), { timeout: "300 millis" }))
          )
          expect(error).toMatchObject({ _tag: "TransactionAborted", last: { reason: "TimedOut", code: undefined } })
          expect(Duration.toMillis(time)).toBeLessThan(5000)
          expect(yield* wire).toEqual([...begun, "1 abortTransaction w:majority"])
          expect(yield* stored).toEqual([])
        })
      ))

    it.effect("without a time limit may take as long as the server needs", () =>
      inPlace(({ failing, insert, stored, wire }) =>
        Effect.gen(function*() {
          yield* failing({ failCommands: ["commitTransaction"], blockFor: "400 millis" })
          yield* Transaction.run(insert(1))
          expect(yield* stored).toEqual([1])
          expect(yield* wire).toEqual(begun)
        })
      ))
  })
})
