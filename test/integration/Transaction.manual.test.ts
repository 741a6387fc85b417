import { describe, expect, layer } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { key } from "../../src/internal/session/gate.js"
import type * as MongoClient from "../../src/MongoClient.js"
import * as Outbox from "../../src/Outbox.js"
import * as Session from "../../src/Session.js"
import type * as MongoServer from "../../src/testing/MongoServer.js"
import * as Transaction from "../../src/Transaction.js"
import * as TestServer from "../support/server/testServer.js"
import { inPlace, noDeadlock, type Place } from "../support/transactions/transactions.js"
import * as Monitor from "../support/watch/monitor.js"
import { notebook } from "../support/watch/notebook.js"

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("start", () => {
    it.effect("refuses invalid options, all of them, and starts nothing", () =>
      inPlace(() =>
        Session.scoped(Effect.gen(function*() {
          const failure = yield* Effect.flip(Transaction.start({ writeConcern: 0, timeout: -1 }))
          expect(failure._tag === "SessionMisconfigured" && failure.issues.map(({ path }) => path[0]).sort()).toEqual([
            "timeout",
            "writeConcern"
          ])
          expect(yield* Transaction.state).toBe("none")
        }))
      ))

    it.effect("takes its options, and where they say nothing those of the session", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          yield* Transaction.start({ writeConcern: "majority" }).pipe(
            Effect.zipRight(place.insert(1)),
            Effect.zipRight(Transaction.commit),
            Session.scoped({
              defaultTransactionOptions: { writeConcern: 1, readConcern: "snapshot", maxCommitTime: "7 seconds" }
            })
          )
          const [insert, commit] = yield* place.monitor.commands
          expect(insert?.command["readConcern"]).toMatchObject({ level: "snapshot" })
          expect(commit?.command).toMatchObject({ writeConcern: { w: "majority" }, maxTimeMS: 7000 })
        })
      ))
  })

  describe("commit", () => {
    it.effect("may be repeated when its result was unknown; then it waits for a majority, and the hooks run once", () =>
      inPlace((place) =>
        Session.scoped(Effect.gen(function*() {
          const { hooks, lines } = notebook()
          yield* Transaction.start()
          yield* Transaction.run(hooks())
          yield* place.insert(1)
          yield* place.lostCommit(1, 79)
          const failure = yield* Effect.flip(Transaction.commit)
          expect(failure).toMatchObject({ _tag: "MongoError", reason: "WriteConcernFailed" })
          expect(yield* Transaction.state).toBe("committed")
          expect(lines).toEqual(["beforeCommit"])
          yield* Transaction.commit
          yield* Transaction.commit
          expect(lines).toEqual(["beforeCommit", "onCommit"])
          expect((yield* place.wire).slice(2)).toEqual([
            "1 commitTransaction w:majority",
            "1 commitTransaction w:majority"
          ])
          expect(yield* place.stored).toEqual([1])
        }))
      ))

    it.effect("that the server refuses for good rolls back", () =>
      inPlace((place) =>
        Session.scoped(Effect.gen(function*() {
          const { hooks, lines } = notebook()
          yield* Transaction.start()
          yield* Transaction.run(Effect.zipRight(hooks(), place.insert(1)))
          yield* place.failing({ failCommands: ["commitTransaction"], errorCode: 257, errorLabels: [] })
          expect(yield* Effect.flip(Transaction.commit)).toMatchObject({ reason: "TransactionTooLarge" })
          expect(lines).toEqual(["beforeCommit", "onRollback"])
        }))
      ))

    type Needed = Session.Session | MongoClient.MongoClient | MongoServer.MongoServer | Scope.Scope
    const unwritten: ReadonlyArray<readonly [string, (place: Place) => Effect.Effect<unknown, never, Needed>]> = [
      ["a part has asked for a rollback", () => Effect.orDie(Transaction.run(Transaction.rollbackOnly))],
      ["a failure of a part was swallowed", ({ failing, insert }) =>
        Effect.zipRight(
          Effect.orDie(failing({ failCommands: ["insert"], errorCode: 13 })),
          Effect.exit(Transaction.run(Effect.exit(insert(2))))
        )]
    ]
    for (const [what, then] of unwritten) {
      it.effect(`is refused where ${what}, and its hooks before the commit have not run`, () =>
        inPlace((place) =>
          Session.scoped(Effect.gen(function*() {
            const Letters = Outbox.make("letters", { database: place.items.dbName })
            yield* Transaction.start()
            yield* Transaction.run(Effect.zipRight(Letters.publish({ to: "Ada" }), place.insert(1)))
            yield* then(place)
            expect(yield* Effect.flip(Transaction.commit)).toMatchObject({ _tag: "TransactionDoomed" })
            expect(yield* Transaction.state).toBe("aborted")
            expect(yield* place.stored).toEqual([])
          }))
        ))
    }

    /** Commits, is interrupted when a hook that is told so waits, and commits again. */
    const again = <E, R>(place: Place, hooks: (waits: Effect.Effect<void>) => Effect.Effect<unknown, E, R>) =>
      Effect.gen(function*() {
        const begun = yield* Deferred.make<void>()
        let times = 0
        const waits = Effect.suspend(() =>
          times++ === 0 ? Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never) : Effect.void
        )
        yield* Transaction.start()
        yield* Transaction.run(Effect.orDie(hooks(waits)))
        const fiber = yield* Effect.fork(Transaction.commit)
        yield* Deferred.await(begun)
        yield* Fiber.interrupt(fiber)
        const before = yield* place.wire
        return { before, exit: yield* Effect.either(Transaction.commit), after: yield* place.wire }
      })

    it.effect("that is interrupted in a hook can be done again: each hook runs once, the interrupted one again", () =>
      inPlace((place) =>
        Session.scoped(Effect.gen(function*() {
          const hooks = (waits: Effect.Effect<void>) =>
            Effect.all([
              Transaction.beforeCommit(place.insert(1)),
              Transaction.beforeCommit(Effect.zipRight(waits, place.insert(2))),
              Transaction.beforeCommit(place.insert(3))
            ])
          const { after, before, exit } = yield* again(place, hooks)
          expect(exit).toEqual(Either.void)
          expect(before).toEqual(["1 insert start"])
          expect(after).toEqual(["1 insert start", "1 insert", "1 insert", "1 commitTransaction"])
          expect(yield* place.stored).toEqual([1, 2, 3])
        }))
      ))

    it.effect("that is interrupted in a hook which has begun an operation is none: it is not known what that has done", () =>
      inPlace((place) =>
        Session.scoped(Effect.gen(function*() {
          const hooks = (waits: Effect.Effect<void>) =>
            Transaction.beforeCommit(Effect.zipRight(place.insert(1), waits))
          const { exit } = yield* again(place, hooks)
          expect(exit).toMatchObject({ _tag: "Left", left: { _tag: "TransactionDoomed" } })
          expect(yield* place.stored).toEqual([])
        }))
      ))

    it.effect("that is interrupted before it has written what was published writes that when it is done again", () =>
      inPlace((place) =>
        Session.scoped(Effect.gen(function*() {
          const Letters = Outbox.make("letters", { database: place.items.dbName })
          const hooks = (waits: Effect.Effect<void>) =>
            Effect.zipRight(Transaction.beforeCommit(waits), Letters.publish({ n: 1 }))
          const { exit } = yield* again(place, hooks)
          expect(exit).toEqual(Either.void)
          expect(yield* Letters.pending).toBe(1)
        }))
      ))

    it.effect("whose result stays unknown leaves no transaction on the server when its session is closed", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          yield* Session.scoped(Effect.gen(function*() {
            yield* Transaction.start()
            yield* place.insert(1)
            // Both tries of the driver.
            yield* place.closeConnectionOn(["commitTransaction"], 2)
            expect(yield* Effect.flip(Transaction.commit)).toMatchObject({ reason: "NetworkError" })
          }))
          const names = (yield* place.monitor.commands).map(({ name }) => name)
          expect(names.slice(-2)).toEqual(["killSessions", "endSessions"])
          // Its document is not locked any more.
          yield* Transaction.run(place.insert(1), { retry: Schedule.stop })
          expect(yield* place.stored).toEqual([1])
        })
      ))

    it.effect("is not cut short by an interruption, and the hooks run", () =>
      inPlace((place) =>
        Session.scoped(Effect.gen(function*() {
          const { hooks, lines } = notebook()
          yield* Transaction.start()
          yield* Transaction.run(Effect.zipRight(hooks(), place.insert(1)))
          yield* place.failing({ failCommands: ["commitTransaction"], blockFor: "200 millis" })
          const fiber = yield* Effect.fork(Transaction.commit)
          yield* place.monitor.awaitStarted("commitTransaction")
          yield* Fiber.interrupt(fiber)
          expect(lines).toEqual(["beforeCommit", "onCommit"])
          expect(yield* Transaction.state).toBe("committed")
          expect(yield* place.stored).toEqual([1])
        }))
      ))
  })

  describe("a run in a session with a transaction that was started by hand", () => {
    it.effect("joins it: it neither commits nor aborts, and its hooks wait for whoever does", () =>
      inPlace((place) =>
        Session.scoped(Effect.gen(function*() {
          const { hooks, lines } = notebook()
          yield* Transaction.start()
          yield* Transaction.run(Effect.zipRight(hooks(" 1"), place.insert(1)))
          yield* Transaction.run(Effect.zipRight(hooks(" 2"), place.insert(2)), { propagation: "mandatory" })
          expect(yield* Transaction.state).toBe("inProgress")
          expect(lines).toEqual([])
          yield* Transaction.commit
          expect(lines).toEqual(["beforeCommit 1", "beforeCommit 2", "onCommit 1", "onCommit 2"])
          expect(yield* place.wire).toEqual(["1 insert start", "1 insert", "1 commitTransaction"])
        }))
      ))

    it.effect("is a part of it: forbidden with never, and refused with other options", () =>
      inPlace((place) =>
        Session.scoped(Effect.gen(function*() {
          yield* Transaction.start({ readConcern: "majority" })
          const never = Transaction.run(place.insert(1), { propagation: "never" })
          expect(yield* Effect.flip(never)).toMatchObject({ _tag: "TransactionForbidden" })
          const other = Transaction.run(place.insert(1), { readConcern: "snapshot" })
          expect(yield* Effect.flip(other)).toMatchObject({ _tag: "IncompatibleJoin", options: ["readConcern"] })
        }))
      ))

    it.effect("that failed after an operation dooms it: the commit aborts", () =>
      inPlace((place) =>
        Session.scoped(Effect.gen(function*() {
          const { hooks, lines } = notebook()
          yield* Transaction.start()
          yield* Effect.ignore(Transaction.run(Effect.zipRight(place.insert(1), Effect.fail("half done"))))
          yield* Transaction.run(hooks())
          const failure = yield* Effect.flip(Transaction.commit)
          expect(failure).toMatchObject({ _tag: "TransactionDoomed", first: "half done" })
          expect(lines).toEqual(["onRollback"])
          expect(yield* place.wire).toEqual(["1 insert start", "1 abortTransaction"])
          expect(yield* Transaction.state).toBe("aborted")
        }))
      ))

    it.effect("that waited for its turn while another fiber started it joins it, too", () =>
      inPlace((place) =>
        Session.scoped(noDeadlock(Effect.gen(function*() {
          const session = yield* Session.Session
          const release = yield* Deferred.make<void>()
          const holder = yield* Effect.fork(session.use(() => Effect.runPromise(Deferred.await(release))))
          yield* Monitor.until(session.state, (state) => state === "busy")
          const queued = (count: number) =>
            Monitor.until(Effect.sync(() => session[key].lane.waiting?.size), (size) => size === count)
          const starting = yield* Effect.fork(Transaction.start())
          yield* queued(1)
          const running = yield* Effect.fork(Transaction.run(place.insert(1)))
          yield* queued(2)
          yield* Deferred.succeed(release, undefined)
          yield* Effect.all([Fiber.join(holder), Fiber.join(starting), Fiber.join(running)])
          expect(yield* Transaction.state).toBe("inProgress")
          yield* Transaction.abort
          expect(yield* place.wire).toEqual(["1 insert start", "1 abortTransaction"])
        })))
      ))
  })

  it.effect("a session that is released with a transaction open aborts it, and runs what was put off", () =>
    inPlace((place) =>
      Effect.gen(function*() {
        const { hooks, lines } = notebook()
        yield* Session.scoped(Effect.zipRight(
          Transaction.start(),
          Transaction.run(Effect.zipRight(hooks(), place.insert(1)))
        ))
        expect(lines).toEqual(["onRollback"])
        expect(yield* place.wire).toEqual(["1 insert start", "1 abortTransaction"])
        expect(yield* place.stored).toEqual([])
      })
    ))

  it.effect("operations of any fiber belong to it, and of no other session", () =>
    inPlace((place) =>
      Session.scoped(Effect.gen(function*() {
        yield* Transaction.start()
        yield* Effect.all([place.insert(1), Session.scoped(place.insert(2)), place.insert(3)], {
          concurrency: "unbounded"
        })
        yield* Transaction.abort
        expect(yield* place.stored).toEqual([2])
        expect(Option.isNone(yield* Effect.serviceOption(Transaction.Transaction))).toBe(true)
      }))
    ))
})
