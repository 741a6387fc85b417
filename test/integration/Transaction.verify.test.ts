import { describe, expect, layer } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Session from "../../src/Session.js"
import * as Transaction from "../../src/Transaction.js"
import { logged } from "../support/server/connected.js"
import * as TestServer from "../support/server/testServer.js"
import { inPlace, noDeadlock, type Place, witness } from "../support/transactions/transactions.js"

const begun = ["1 insert start", "1 commitTransaction"]

/** The next commit is not executed, and says that its time ran out: it may have been, for all that the client knows. */
const expired = ({ failing }: Place) => failing({ failCommands: ["commitTransaction"], errorCode: 50 })

/** An answer that counts how often it was asked for. */
const answer = (isCommitted: boolean) => {
  const asked = { times: 0 }
  return { asked, verifyCommit: Effect.sync(() => (asked.times++, isCommitted)) }
}

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("a commit of unknown result", () => {
    it.effect("that verifyCommit says happened is committed; the body is not run again", () =>
      inPlace(({ insert, lostCommit, stored, wire }) =>
        Effect.gen(function*() {
          yield* lostCommit(1, 79)
          const { asked, verifyCommit } = answer(true)
          const { hooks, register } = witness()
          yield* Transaction.run(Effect.zipRight(register, insert(1)), { verifyCommit })
          expect(asked.times).toBe(1)
          expect(yield* stored).toEqual([1])
          expect(yield* wire).toEqual(begun)
          expect(hooks).toEqual(["onCommit"])
        })
      ))

    it.effect("that verifyCommit says did not happen is aborted by session and number before the body runs again", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { insert, monitor, stored, wire } = place
          yield* expired(place)
          const { asked, verifyCommit } = answer(false)
          const { hooks, register } = witness()
          yield* Transaction.run(Effect.zipRight(register, insert(1)), { verifyCommit })
          expect(asked.times).toBe(1)
          expect(yield* stored).toEqual([1])
          expect(yield* wire).toEqual([
            ...begun,
            "1 abortTransaction w:majority",
            "2 insert start",
            "2 commitTransaction"
          ])
          const [abort] = yield* monitor.named("abortTransaction")
          expect(abort?.outcome).toBe("succeeded")
          expect(abort?.command["$db"]).toBe("admin")
          expect(hooks).toEqual(["onCommit"])
        })
      ))

    it.effect("that verifyCommit says did not happen is committed when the server, asked to abort it, says it was", () =>
      inPlace(({ insert, lostCommit, stored, wire }) =>
        Effect.gen(function*() {
          yield* lostCommit(1, 79)
          const { hooks, register } = witness()
          yield* Transaction.run(Effect.zipRight(register, insert(1)), { verifyCommit: Effect.succeed(false) })
          expect(yield* stored).toEqual([1])
          // The abort was refused; a majority has confirmed the commit.
          expect(yield* wire).toEqual([...begun, "1 abortTransaction w:majority", "1 commitTransaction w:majority"])
          expect(hooks).toEqual(["onCommit"])
        })
      ))

    it.effect("that can neither be verified to have happened nor be aborted is CommitUnknown", () =>
      inPlace(({ failing, insert, wire }) =>
        logged((entries) =>
          Effect.gen(function*() {
            yield* failing({ failCommands: ["commitTransaction", "abortTransaction"], mode: "alwaysOn", errorCode: 50 })
            const { hooks, register } = witness()
            const run = Transaction.run(Effect.zipRight(register, insert(1)), { verifyCommit: Effect.succeed(false) })
            expect(yield* Effect.flip(run)).toMatchObject({ _tag: "CommitUnknown", attempts: 1, last: { code: 50 } })
            expect(yield* wire).toEqual([...begun, "1 abortTransaction w:majority"])
            expect(entries.map(({ annotations }) => annotations)).toEqual([{ problem: "TimedOut" }])
            expect(hooks).toEqual([])
          })
        )
      ))

    it.effect("is asked for by an abort, which tells that nothing was committed: the body runs again, unasked", () =>
      inPlace(({ failing, insert, stored, wire }) =>
        Effect.gen(function*() {
          yield* failing({ failCommands: ["commitTransaction"], mode: { times: 2 }, closeConnection: true })
          const { asked, verifyCommit } = answer(true)
          yield* Transaction.run(insert(1), { verifyCommit, timeout: "3 seconds", retry: Schedule.recurs(3) })
          expect(asked.times).toBe(0)
          expect(yield* stored).toEqual([1])
          expect((yield* wire).slice(0, 2)).toEqual(begun)
        })
      ))

    it.effect("that verifyCommit says did not happen is given up when the schedule has no more attempts", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { insert, stored, wire } = place
          yield* expired(place)
          const { hooks, register } = witness()
          const run = Transaction.run(Effect.zipRight(register, insert(1)), {
            verifyCommit: Effect.succeed(false),
            retry: Schedule.stop
          })
          expect(yield* Effect.flip(run)).toMatchObject({ _tag: "TransactionAborted", attempts: 1, last: { code: 50 } })
          expect(yield* stored).toEqual([])
          expect(yield* wire).toEqual([...begun, "1 abortTransaction w:majority"])
          expect(hooks).toEqual(["onRollback"])
        })
      ))

    for (
      const [how, verifyCommit] of [
        ["fails", Effect.fail("no connection")],
        ["dies", Effect.die("a bug")],
        ["is interrupted", Effect.interrupt]
      ] as const
    ) {
      it.effect(`is CommitUnknown when verifyCommit ${how}, which is logged`, () =>
        inPlace((place) =>
          logged((entries) =>
            Effect.gen(function*() {
              const { insert, wire } = place
              yield* expired(place)
              const { hooks, register } = witness()
              const run = Transaction.run(Effect.zipRight(register, insert(1)), { verifyCommit })
              expect(yield* Effect.flip(run)).toMatchObject({ _tag: "CommitUnknown", attempts: 1, last: { code: 50 } })
              expect(yield* wire).toEqual(begun)
              expect(entries.map(({ message }) => message)).toEqual([
                "it could not be verified whether a transaction was committed"
              ])
              expect(hooks).toEqual([])
            })
          )
        ))
    }

    it.effect("is verified outside of session and transaction; who has kept the session is refused at once", () =>
      inPlace((place) =>
        noDeadlock(Effect.gen(function*() {
          const { insert, items, monitor } = place
          yield* expired(place)
          const kept = yield* Deferred.make<Session.Service>()
          const seen: Array<unknown> = []
          const verifyCommit = Effect.gen(function*() {
            seen.push(
              yield* Effect.serviceOption(Session.Session),
              yield* Effect.serviceOption(Transaction.Transaction)
            )
            const session = yield* Deferred.await(kept)
            const read = session.use((driverSession) => items.findOne({}, { session: driverSession }))
            seen.push((yield* Effect.flip(read))._tag)
            return false
          })
          const body = Effect.zipRight(
            Effect.flatMap(Session.Session, (session) => Deferred.succeed(kept, session)),
            insert(1)
          )
          yield* Transaction.run(body, { verifyCommit })
          expect(seen).toEqual([Option.none(), Option.none(), "SessionBusy"])
          expect(yield* monitor.named("find")).toEqual([])
        }))
      ))
  })
})
