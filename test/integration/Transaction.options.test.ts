import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Session from "../../src/Session.js"
import { SessionMisconfigured } from "../../src/SessionErrors.js"
import * as Transaction from "../../src/Transaction.js"
import type { TransactionOptions } from "../../src/TransactionOptions.js"
import * as TestServer from "../support/server/testServer.js"
import { inPlace } from "../support/transactions/transactions.js"
import type { Place } from "../support/transactions/transactions.js"

/** What of the options each command of the client carried, in order. */
const carried = ({ monitor }: Place) =>
  Effect.map(monitor.commands, (seen) =>
    seen.map(({ command, name }) => {
      const { $readPreference, maxTimeMS, readConcern, writeConcern } = command
      return {
        name,
        ...(readConcern === undefined ? {} : { level: readConcern.level }),
        ...(writeConcern === undefined ? {} : { writeConcern }),
        ...(maxTimeMS === undefined ? {} : { maxTimeMS }),
        ...($readPreference === undefined || $readPreference.mode === "primary" ? {} : { mode: $readPreference.mode })
      }
    }))

const options: TransactionOptions = {
  readConcern: "majority",
  writeConcern: { w: 1, journal: true, wtimeout: "4 seconds" },
  readPreference: "primary",
  maxCommitTime: "3 seconds"
}
const concern = { w: 1, j: true, wtimeout: 4000 }

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("invalid options", () => {
    it.effect("are refused where a sandbox, commitWith or abortWith do not know them", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const paths = <A, E extends { readonly _tag: string }, R>(
            effect: Effect.Effect<A, E | SessionMisconfigured, R>
          ) =>
            effect.pipe(
              Effect.flip,
              Effect.map((error) =>
                error instanceof SessionMisconfigured ? error.issues.map(({ path }) => path[0]) : [error._tag]
              )
            )
          const ofRun: object = { retyr: 3, propagation: "never", verifyCommit: Effect.succeed(true) }
          expect([...yield* paths(Transaction.sandbox(place.insert(1), ofRun))].sort())
            .toEqual(["propagation", "retyr", "verifyCommit"])
          const none: object = { propagation: undefined, verifyCommit: undefined }
          yield* Transaction.sandbox(place.insert(1), none)
          for (const end of [Transaction.commitWith, Transaction.abortWith]) {
            const ofStart: object = { timeuot: "1 second", readConcern: "local" }
            expect([...yield* Session.scoped(paths(end(ofStart)))].sort()).toEqual(["readConcern", "timeuot"])
          }
        })
      ))

    it.effect("are refused before anything is sent, all of them, whatever the propagation", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const invalid = { writeConcern: 0, maxCommitTime: -1, readConcern: "linearizable" as never }
          const run = Transaction.run(place.insert(1), invalid)
          const issues = yield* run.pipe(
            Effect.map(() => []),
            Effect.catchTag("SessionMisconfigured", (error) => Effect.succeed(error.issues.map(({ path }) => path[0])))
          )
          expect([...issues].sort()).toEqual(["maxCommitTime", "readConcern", "writeConcern"])
          const inside = Effect.flip(Transaction.run(place.insert(1), { ...invalid, propagation: "requiresNew" }))
          expect(yield* Transaction.run(inside)).toMatchObject({ _tag: "SessionMisconfigured" })
          const misspelled: object = {
            timeuot: "1 second",
            maxCommitTime: -1,
            propagation: "nested",
            retry: 3,
            onRetry: "log",
            verifyCommit: true,
            session: { onBusy: "wait", causal: true }
          }
          const all = yield* Effect.flip(Transaction.run(place.insert(1), misspelled))
          expect(all).toMatchObject({ _tag: "SessionMisconfigured" })
          expect("issues" in all && all.issues.map(({ path }) => path.join(".")).sort()).toEqual([
            "maxCommitTime",
            "onRetry",
            "propagation",
            "retry",
            "session.causal",
            "session.onBusy",
            "timeuot",
            "verifyCommit"
          ])
          const propagation = "nested" as "required"
          expect(yield* Effect.flip(Transaction.run(place.insert(1), { propagation }))).toMatchObject({
            _tag: "SessionMisconfigured",
            issues: [{ path: ["propagation"] }]
          })
          expect(yield* place.monitor.commands).toEqual([])
        })
      ))
  })

  describe("on the wire", () => {
    it.effect("the read concern goes with the first command, the write concern and the time limit with the commit", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          yield* Transaction.run(Effect.zipRight(place.insert(1), place.insert(2)), options)
          expect(yield* carried(place)).toEqual([
            { name: "insert", level: "majority" },
            { name: "insert" },
            { name: "commitTransaction", writeConcern: concern, maxTimeMS: 3000 }
          ])
        })
      ))

    it.effect("the abort has the write concern, too, but no time limit", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          yield* Transaction.run(Effect.zipRight(place.insert(1), Transaction.rollbackOnly), options)
          expect((yield* carried(place)).at(-1)).toEqual({ name: "abortTransaction", writeConcern: concern })
        })
      ))

    it.effect("every attempt starts with them", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          yield* place.transientOn(["insert"])
          yield* Transaction.run(place.insert(1), { ...options, retry: Schedule.recurs(1) })
          const inserts = (yield* carried(place)).filter(({ name }) => name === "insert")
          expect(inserts.map(({ level }) => level)).toEqual(["majority", "majority"])
        })
      ))

    it.effect("a write concern without a time limit gets none of the driver's own, until the commit is repeated", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const concerns = Effect.map(carried(place), (seen) =>
            seen.flatMap(({ writeConcern }) => writeConcern === undefined ? [] : [writeConcern]))
          yield* place.closeConnectionOn(["commitTransaction"])
          yield* Transaction.run(place.insert(2), { writeConcern: { journal: true } })
          expect(yield* concerns).toEqual([{ j: true }, { w: "majority", wtimeout: 10_000, j: true }])
          yield* place.monitor.clear
          const aborts = Effect.zipRight(place.insert(3), Transaction.rollbackOnly)
          yield* Transaction.run(aborts, { writeConcern: 1 })
          expect(yield* concerns).toEqual([{ w: 1 }])
          yield* place.monitor.clear
          yield* place.lostCommit(1, 79)
          yield* Transaction.start({ writeConcern: 1 }).pipe(
            Effect.zipRight(place.insert(4)),
            Effect.zipRight(Effect.orElse(Transaction.commit, () =>
              Transaction.commit)),
            Session.scoped()
          )
          expect(yield* concerns).toEqual([{ w: 1 }, { w: "majority", wtimeout: 10_000 }])
        })
      ))

    it.effect("none of them goes where none was set", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          yield* Transaction.run(place.insert(1))
          expect(yield* carried(place)).toEqual([{ name: "insert" }, { name: "commitTransaction" }])
        })
      ))

    it.effect("a read with another read preference is refused by the driver; writes go to the primary as ever", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const read = Transaction.run(place.count, { readPreference: "secondary" })
          expect(yield* Effect.flip(read)).toMatchObject({ _tag: "MongoError", reason: "TransactionMisuse" })
          yield* Transaction.run(place.insert(1), { readPreference: "secondary" })
          expect(yield* carried(place)).toEqual([{ name: "insert" }, { name: "commitTransaction" }])
        })
      ))
  })

  describe("what the run leaves out", () => {
    it.effect("comes from the session's default transaction options, field by field", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          yield* Transaction.run(place.insert(1), { readConcern: "snapshot" }).pipe(
            Session.scoped({ defaultTransactionOptions: options })
          )
          expect(yield* carried(place)).toEqual([
            { name: "insert", level: "snapshot" },
            { name: "commitTransaction", writeConcern: concern, maxTimeMS: 3000 }
          ])
        })
      ))

    it.effect("comes from those of the session that is opened for the run", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          yield* Transaction.run(place.insert(1), { session: { defaultTransactionOptions: options } })
          expect((yield* carried(place)).at(-1)).toMatchObject({ writeConcern: concern, maxTimeMS: 3000 })
        })
      ))

    it.effect("comes from the client after that", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const seen = yield* Effect.zipRight(
            place.insert(1),
            Effect.map(Transaction.Transaction, (transaction) => transaction.options)
          ).pipe(Transaction.run())
          expect(seen).toMatchObject({ readConcern: { level: "majority" }, writeConcern: { w: "majority" } })
          expect(yield* carried(place)).toEqual([
            { name: "insert", level: "majority" },
            { name: "commitTransaction", writeConcern: { w: "majority" } }
          ])
        }), { driver: { readConcern: { level: "majority" }, writeConcern: { w: "majority" } } }))
  })
})
