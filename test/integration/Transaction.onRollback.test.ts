import { describe, expect, layer } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Session from "../../src/Session.js"
import * as Transaction from "../../src/Transaction.js"
import * as TestServer from "../support/server/testServer.js"
import { inPlace } from "../support/transactions/transactions.js"
import { notebook } from "../support/watch/notebook.js"

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("onRollback", () => {
    it.effect("onRollback runs when the body fails; the others do not", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { hooks, lines } = notebook()
          const body = hooks().pipe(Effect.zipRight(place.insert(1)), Effect.zipRight(Effect.fail("no")))
          expect(yield* Effect.flip(Transaction.run(body))).toBe("no")
          expect(lines).toEqual(["onRollback"])
        })
      ))

    it.effect("it runs when the body dies, and after the abort", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const sent: Array<ReadonlyArray<string>> = []
          const look = Effect.map(place.wire, (lines) => void sent.push(lines))
          const body = Transaction.onRollback(look).pipe(
            Effect.zipRight(place.insert(1)),
            Effect.zipRight(Effect.die("bug"))
          )
          const exit = yield* Effect.exit(Transaction.run(body))
          expect(Exit.isFailure(exit) && Cause.isDie(exit.cause)).toBe(true)
          expect(sent).toEqual([["1 insert start", "1 abortTransaction"]])
        })
      ))

    it.effect("it runs when the body is interrupted, before the interruption is over", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { hooks, lines } = notebook()
          const begun = yield* Deferred.make<void>()
          const body = hooks().pipe(
            Effect.zipRight(place.insert(1)),
            Effect.zipRight(Deferred.succeed(begun, undefined)),
            Effect.zipRight(Effect.never)
          )
          const fiber = yield* Effect.fork(Transaction.run(body))
          yield* Deferred.await(begun)
          yield* Fiber.interrupt(fiber)
          expect(lines).toEqual(["onRollback"])
        })
      ))

    it.effect("it runs when the next attempt is refused, for its session has ended meanwhile", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { hooks, lines } = notebook()
          const scope = yield* Scope.make()
          const session = yield* Scope.extend(Session.make(), scope)
          yield* place.transientOn(["insert"])
          const closed = yield* Deferred.make<void>()
          const close = Effect.forkDaemon(
            Effect.ensuring(Scope.close(scope, Exit.void), Deferred.succeed(closed, undefined))
          )
          const run = Transaction.run(Effect.zipRight(hooks(), place.insert(1)), {
            onRetry: () => Effect.asVoid(close)
          })
          const error = yield* Effect.flip(Session.provide(run, session))
          expect(error).toMatchObject({ _tag: "SessionEnded", reason: "released" })
          expect(lines).toEqual(["onRollback"])
          yield* Deferred.await(closed)
        })
      ))

    it.effect("it runs after rollbackOnly, though the run succeeds", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { hooks, lines } = notebook()
          const body = hooks().pipe(
            Effect.zipRight(place.insert(1)),
            Effect.zipRight(Transaction.rollbackOnly),
            Effect.as("value")
          )
          expect(yield* Transaction.run(body)).toBe("value")
          expect(lines).toEqual(["onRollback"])
          expect(yield* place.stored).toEqual([])
        })
      ))

    it.effect("it runs when the run was given up: that of the last attempt, once", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { hooks, lines } = notebook()
          yield* place.transientOn(["insert"], 3)
          const body = Effect.flatMap(Transaction.Transaction, ({ attempt }) => hooks(` ${attempt}`)).pipe(
            Effect.zipRight(place.insert(1))
          )
          const failure = yield* Effect.flip(Transaction.run(body, { retry: Schedule.recurs(1) }))
          expect(failure).toMatchObject({ _tag: "TransactionAborted", attempts: 2 })
          expect(lines).toEqual(["onRollback 2"])
        })
      ))

    it.effect("it runs when the whole is doomed", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { hooks, lines } = notebook()
          const body = hooks().pipe(
            Effect.zipRight(place.insert(1)),
            Effect.zipRight(Effect.ignore(place.insert(1)))
          )
          expect(yield* Effect.flip(Transaction.run(body))).toMatchObject({ _tag: "TransactionDoomed" })
          // beforeCommit would only find the transaction closed
          expect(lines).toEqual(["onRollback"])
        })
      ))

    it.effect("it runs when the server refuses the commit for good", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { hooks, lines } = notebook()
          yield* place.failing({ failCommands: ["commitTransaction"], errorCode: 257, errorLabels: [] })
          const failure = yield* Effect.flip(Transaction.run(Effect.zipRight(hooks(), place.insert(1))))
          expect(failure).toMatchObject({ _tag: "MongoError", reason: "TransactionTooLarge" })
          expect(lines).toEqual(["beforeCommit", "onRollback"])
        })
      ))

    it.effect("neither kind runs when it is not known whether the transaction was committed", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { hooks, lines } = notebook()
          yield* place.lostCommit(1, 79)
          const failure = yield* Effect.flip(Transaction.run(Effect.zipRight(hooks(), place.insert(1))))
          expect(failure).toMatchObject({ _tag: "CommitUnknown" })
          expect(lines).toEqual(["beforeCommit"])
        })
      ))

    it.effect("interrupted in the wait for the next attempt, that of the last attempt runs", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { hooks, lines } = notebook()
          const waiting = yield* Deferred.make<void>()
          yield* place.transientOn(["insert"])
          const fiber = yield* Transaction.run(Effect.zipRight(hooks(), place.insert(1)), {
            retry: Schedule.spaced("1 minute"),
            onRetry: () => Deferred.succeed(waiting, undefined)
          }).pipe(Effect.fork)
          yield* Deferred.await(waiting)
          yield* Fiber.interrupt(fiber)
          expect(lines).toEqual(["onRollback"])
        })
      ))
  })
})
