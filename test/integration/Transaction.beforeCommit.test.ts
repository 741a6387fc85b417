import { describe, expect, layer } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Transaction from "../../src/Transaction.js"
import * as TestServer from "../support/server/testServer.js"
import { inPlace } from "../support/transactions/transactions.js"
import { notebook } from "../support/watch/notebook.js"

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("beforeCommit", () => {
    it.effect("writes inside the transaction, and is committed or rolled back with it", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const body = Effect.zipRight(Transaction.beforeCommit(place.insert(2)), place.insert(1))
          yield* place.failing({ failCommands: ["commitTransaction"], errorCode: 257, errorLabels: [] })
          yield* Effect.flip(Transaction.run(body))
          expect(yield* place.stored).toEqual([])
          yield* Transaction.run(body)
          expect(yield* place.stored).toEqual([1, 2])
          expect((yield* place.wire).slice(3)).toEqual(["2 insert start", "2 insert", "2 commitTransaction"])
        })
      ))

    it.effect("keeps what the body has left behind from writing while it runs; it may write itself, and join", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const running = yield* Deferred.make<void>()
          const written = yield* Deferred.make<Exit.Exit<void, unknown>>()
          const behind = Deferred.await(running).pipe(
            Effect.zipRight(Effect.exit(place.insert(2))),
            Effect.flatMap((exit) => Deferred.succeed(written, exit))
          )
          const hook = Effect.all([
            Deferred.succeed(running, undefined),
            Deferred.await(written),
            place.insert(3),
            Transaction.run(place.insert(4))
          ])
          yield* Transaction.run(
            Effect.all([place.insert(1), Transaction.beforeCommit(hook), Effect.forkDaemon(behind)])
          )
          const exit = yield* Deferred.await(written)
          expect(Exit.isFailure(exit) && Cause.squash(exit.cause)).toMatchObject({ _tag: "TransactionEnded" })
          expect(yield* place.stored).toEqual([1, 3, 4])
        })
      ))

    it.effect("may register further hooks, which run in their turn", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { hooks, lines, note } = notebook()
          const further = Effect.zipRight(note("first"), hooks(" of the first"))
          yield* Transaction.beforeCommit(further).pipe(
            Effect.zipRight(Transaction.beforeCommit(note("second"))),
            Effect.zipRight(place.insert(1)),
            Transaction.run()
          )
          expect(lines).toEqual(["first", "second", "beforeCommit of the first", "onCommit of the first"])
        })
      ))

    it.effect("dooms the whole when it fails; those after it do not run", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { hooks, lines } = notebook()
          const failure = yield* Transaction.beforeCommit(Effect.fail("invariant broken")).pipe(
            Effect.zipRight(hooks()),
            Effect.zipRight(place.insert(1)),
            Transaction.run(),
            Effect.flip
          )
          expect(failure).toMatchObject({ _tag: "TransactionDoomed", first: "invariant broken" })
          expect(lines).toEqual(["onRollback"])
          expect(yield* place.stored).toEqual([])
        })
      ))

    it.effect("that fails for a reason that may go away is run again with the whole, though it wraps the failure", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          let times = 0
          yield* place.transientOn(["aggregate"])
          const check = Effect.sync(() => times++).pipe(
            Effect.zipRight(place.count),
            Effect.mapError((cause) => ({ _tag: "CheckFailed", cause }))
          )
          yield* Transaction.run(Effect.zipRight(Transaction.beforeCommit(check), place.insert(1)))
          expect(times).toBe(2)
          expect(yield* place.wire).toEqual([
            "1 insert start",
            "1 aggregate",
            "1 abortTransaction",
            "2 insert start",
            "2 aggregate",
            "2 commitTransaction"
          ])
        })
      ))

    it.effect("stays a defect when it dies, and rolls back", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const body = Effect.zipRight(Transaction.beforeCommit(Effect.die("bug")), place.insert(1))
          const exit = yield* Effect.exit(Transaction.run(body))
          expect(Exit.isFailure(exit) && Option.getOrUndefined(Cause.dieOption(exit.cause))).toBe("bug")
          expect(yield* place.stored).toEqual([])
        })
      ))

    it.effect("can be interrupted, and rolls back", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { hooks, lines } = notebook()
          const running = yield* Deferred.make<void>()
          const hook = Effect.zipRight(Deferred.succeed(running, undefined), Effect.never)
          const body = Transaction.beforeCommit(hook).pipe(
            Effect.zipRight(hooks()),
            Effect.zipRight(place.insert(1))
          )
          const fiber = yield* Effect.fork(Transaction.run(body))
          yield* Deferred.await(running)
          yield* Fiber.interrupt(fiber)
          expect(lines).toEqual(["onRollback"])
          expect(yield* place.stored).toEqual([])
        })
      ))

    it.effect("of a joined part runs before the commit of the whole, not at the end of the part", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { hooks, lines, note } = notebook()
          const part = Transaction.run(Effect.zipRight(hooks(), place.insert(1)))
          yield* Transaction.run(Effect.zipRight(part, note("after the part")))
          expect(lines).toEqual(["after the part", "beforeCommit", "onCommit"])
        })
      ))
  })
})
