import { describe, expect, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Schedule from "effect/Schedule"
import type * as MongoClient from "../../src/MongoClient.js"
import * as Session from "../../src/Session.js"
import * as Telemetry from "../../src/Telemetry.js"
import * as Transaction from "../../src/Transaction.js"
import { logged } from "../support/server/connected.js"
import * as TestServer from "../support/server/testServer.js"
import * as Versions from "../support/server/versions.js"
import { inPlace } from "../support/transactions/transactions.js"
import * as Monitor from "../support/watch/monitor.js"
import { notebook } from "../support/watch/notebook.js"

class Other extends Context.Tag("Other")<Other, MongoClient.Service>() {}

const sessionId = Effect.map(Session.Session, ({ id }) => id.uuid)

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("nothing is kept of what runs in a sandbox", () => {
    it.effect("after an abort by hand: what follows in the body is refused, and another transaction may be started", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const after = Effect.zipRight(Transaction.abort, Effect.flip(place.insert(2)))
          const again = Effect.zipRight(Transaction.start(), place.insert(3))
          const body = Effect.zipLeft(Effect.zipRight(place.insert(1), after), again)
          const { value } = yield* Transaction.sandbox(body)
          expect(value).toMatchObject({ _tag: "TransactionEnded", operation: "use" })
          expect(yield* place.stored).toEqual([])
        })
      ))

    it.effect("nor run of the hooks of a transaction of another client in it: they are among its own", () =>
      inPlace(() =>
        Effect.gen(function*() {
          const ran: Array<string> = []
          const theirs = Transaction.onCommit(Effect.sync(() => void ran.push("theirs"))).pipe(
            Transaction.run({ client: Other }),
            Session.scoped({ client: Other })
          )
          const other = yield* Monitor.connect()
          const { hooks } = yield* Transaction.sandbox(
            Effect.zipRight(Transaction.onCommit(Effect.sync(() => void ran.push("ours"))), theirs)
          ).pipe(Effect.provideService(Other, other.client))
          expect(ran).toEqual([])
          expect(hooks.map(({ moment }) => moment)).toEqual(["onCommit", "onCommit"])
          for (const { effect } of hooks) yield* effect
          expect(ran).toEqual(["ours", "theirs"])
        })
      ))

    it.effect("in a transaction of its own in a session that is opened for it", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          yield* Transaction.sandbox(place.insert(1).pipe(Transaction.run(), Session.scoped()))
          yield* Transaction.sandbox(Transaction.run(place.insert(2), { propagation: "requiresNew" }))
          expect(yield* place.stored).toEqual([])
        })
      ))
  })

  describe("a sandbox that does not succeed", () => {
    it.effect("fails with the failure of the effect as it is, and leaves nothing", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { hooks, lines } = notebook()
          const body = hooks().pipe(Effect.zipRight(place.insert(1)), Effect.zipRight(Effect.fail("no" as const)))
          expect(yield* Effect.flip(Transaction.sandbox(body))).toBe("no")
          expect(lines).toEqual([])
          expect(yield* place.wire).toEqual(["1 insert start", "1 abortTransaction"])
        })
      ))

    it.effect("fails as a run does: invalid options, a snapshot session, a doomed body, attempts that ran out", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const tag = <A, R>(effect: Effect.Effect<A, { readonly _tag: string }, R>) =>
            Effect.map(Effect.flip(effect), ({ _tag }) => _tag)
          expect(yield* tag(Transaction.sandbox(place.insert(1), { timeout: -1 }))).toBe("SessionMisconfigured")
          expect(yield* tag(Transaction.sandbox(place.insert(1), { session: { snapshot: true } })))
            .toBe((yield* Versions.has(Versions.snapshotReads)) ? "TransactionUnsupported" : "SessionsUnsupported")
          expect(yield* place.wire).toEqual([])
          const doomed = Effect.zipRight(place.insert(1), Effect.ignore(place.insert(1)))
          expect(yield* tag(Transaction.sandbox(doomed))).toBe("TransactionDoomed")
          yield* place.transientOn(["insert"], 2)
          expect(yield* tag(Transaction.sandbox(place.insert(1), { retry: Schedule.recurs(1) })))
            .toBe("TransactionAborted")
        })
      ))

    it.effect("dies with the defect of the effect, and is interrupted with it", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const died = yield* Effect.exit(Transaction.sandbox(Effect.zipRight(place.insert(1), Effect.die("bug"))))
          expect(died).toEqual(Exit.die("bug"))
          const begun = yield* Deferred.make<void>()
          const fiber = yield* place.insert(1).pipe(
            Effect.zipRight(Deferred.succeed(begun, undefined)),
            Effect.zipRight(Effect.never),
            Transaction.sandbox(),
            Effect.fork
          )
          yield* Deferred.await(begun)
          expect(Exit.isInterrupted(yield* Fiber.interrupt(fiber))).toBe(true)
          expect(yield* place.stored).toEqual([])
        })
      ))

    it.effect("refuses a commit by hand, which would make it real", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { value } = yield* Transaction.sandbox(
            Effect.zipRight(place.insert(1), Effect.flip(Transaction.commit))
          )
          expect(value).toMatchObject({
            _tag: "InvalidInTransaction",
            operation: "Transaction.commit",
            place: "sandbox"
          })
          const nested = Transaction.run(Effect.flip(Transaction.commit))
          expect((yield* Transaction.sandbox(nested)).value).toMatchObject({ _tag: "InvalidInTransaction" })
          expect(yield* place.monitor.named("commitTransaction")).toEqual([])
          expect(yield* place.stored).toEqual([])
        })
      ))
  })

  describe("a sandbox that succeeds", () => {
    it.effect("reads what it wrote, and leaves nothing of it behind", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          yield* Effect.promise(() => place.items.insertOne({ _id: 9 }))
          const before = yield* Metric.value(Metric.tagged(Telemetry.transactions, "outcome", "rolledBack"))
          const { hooks, value } = yield* Transaction.sandbox(Effect.zipRight(place.insert(1), place.count))
          expect(value).toBe(2)
          expect(hooks).toEqual([])
          expect(yield* place.stored).toEqual([9])
          expect((yield* place.wire).at(-1)).toBe("1 abortTransaction")
          const after = yield* Metric.value(Metric.tagged(Telemetry.transactions, "outcome", "rolledBack"))
          expect(after.count).toBe(before.count + 1)
        })
      ))

    it.effect("runs beforeCommit, and reports the hooks that would have run, in order, without running them", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { hooks, lines } = notebook()
          const part = Transaction.run(Effect.zipRight(hooks(" of the part"), Effect.fail("early")))
          const { hooks: reported } = yield* hooks(" 1").pipe(
            Effect.zipRight(place.insert(1)),
            Effect.zipRight(Effect.ignore(part)),
            Effect.zipRight(Transaction.run(hooks(" 2"))),
            Transaction.sandbox()
          )
          expect(lines).toEqual(["beforeCommit 1", "beforeCommit 2"])
          expect(reported.map(({ moment }) => moment)).toEqual(["onCommit", "onRollback", "onCommit"])
          yield* Effect.forEach(reported, ({ effect }) => effect)
          expect(lines.slice(2)).toEqual(["onCommit 1", "onRollback of the part", "onCommit 2"])
        })
      ))

    it.effect("reports onRollback where the effect asks to be rolled back", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { hooks } = notebook()
          const body = hooks().pipe(Effect.zipRight(place.insert(1)), Effect.zipRight(Transaction.rollbackOnly))
          const { hooks: reported } = yield* Transaction.sandbox(body)
          expect(reported.map(({ moment }) => moment)).toEqual(["onRollback"])
        })
      ))

    it.effect("reports hooks that cannot fail any more: what they fail with is logged", () =>
      inPlace((place) =>
        logged((entries) =>
          Effect.gen(function*() {
            const body = Effect.zipRight(Transaction.onCommit(Effect.fail("mail server down")), place.insert(1))
            const { hooks } = yield* Transaction.sandbox(body)
            expect(entries).toEqual([])
            yield* Effect.forEach(hooks, ({ effect }) => effect)
            expect(entries.map(({ annotations }) => annotations)).toEqual([{ moment: "onCommit" }])
          })
        )
      ))

    it.effect("is run again when it fails for a reason that may go away; the hooks are those of the last attempt", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { hooks } = notebook()
          const retries: Array<string> = []
          yield* place.transientOn(["insert"], 2)
          const { hooks: reported, value } = yield* Transaction.sandbox(
            Effect.flatMap(Transaction.Transaction, ({ attempt }) =>
              hooks().pipe(Effect.zipRight(place.insert(1)), Effect.as(attempt))),
            {
              onRetry: ({ step }) =>
                Effect.sync(() => void retries.push(step))
            }
          )
          expect(value).toBe(3)
          expect(retries).toEqual(["body", "body"])
          expect(reported).toHaveLength(1)
          expect(yield* place.stored).toEqual([])
        })
      ))

    it.effect("takes into it what would be a transaction of its own", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { value } = yield* Transaction.sandbox(Effect.gen(function*() {
            yield* Transaction.run(place.insert(1))
            yield* Transaction.run(place.insert(2), { propagation: "requiresNew" })
            return yield* place.count
          }))
          expect(value).toBe(2)
          expect(yield* place.wire).toEqual([
            "1 insert start",
            "1 insert",
            "1 aggregate",
            "1 abortTransaction"
          ])
          expect(yield* place.stored).toEqual([])
        })
      ))

    it.effect("lets a transaction of its own join with options of its own", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const own = { propagation: "requiresNew", maxCommitTime: "1 second", writeConcern: "majority" } as const
          const { value } = yield* Transaction.sandbox(
            Effect.zipRight(Transaction.run(place.insert(1), own), place.count)
          )
          expect(value).toBe(1)
        })
      ))

    it.effect("uses the ambient session, which is as good as new afterwards", () =>
      inPlace((place) =>
        Session.scoped(Effect.gen(function*() {
          const { value } = yield* Transaction.sandbox(Effect.zipLeft(sessionId, place.insert(1)))
          expect(value).toBe(yield* sessionId)
          yield* Transaction.run(place.insert(1))
          expect(yield* place.stored).toEqual([1])
        }))
      ))

    it.effect("inside another transaction it has a session of its own, and that one is committed", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const ids = yield* Transaction.run(Effect.gen(function*() {
            yield* place.insert(1)
            const { value } = yield* Transaction.sandbox(Effect.zipLeft(sessionId, place.insert(2)))
            return [yield* sessionId, value]
          }))
          expect(new Set(ids).size).toBe(2)
          expect(yield* place.stored).toEqual([1])
        })
      ))

    it.effect("lets an effect step out of it, whose operations then stay", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const alone = Effect.promise(() => place.items.insertOne({ _id: 2 }))
          yield* Transaction.sandbox(Effect.zipRight(place.insert(1), Transaction.outside(alone)))
          expect(yield* place.stored).toEqual([2])
        })
      ))
  })
})
