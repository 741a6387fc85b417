import { describe, expect, layer } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Session from "../../src/Session.js"
import * as Transaction from "../../src/Transaction.js"
import * as TestServer from "../support/server/testServer.js"
import { inPlace } from "../support/transactions/transactions.js"
import { notebook } from "../support/watch/notebook.js"

class OutOfStock extends Data.TaggedError("OutOfStock") {}

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("a body that aborts by hand", () => {
    it.effect("keeps its result; nothing is committed, and onRollback runs", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { hooks, lines } = notebook()
          const body = hooks().pipe(Effect.zipRight(place.insert(1)), Effect.zipRight(Transaction.abort))
          expect(yield* Transaction.run(Effect.as(body, "value"))).toBe("value")
          expect(lines).toEqual(["onRollback"])
          expect(yield* place.wire).toEqual(["1 insert start", "1 abortTransaction"])
          expect(yield* place.stored).toEqual([])
        })
      ))

    it.effect("keeps its failure", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const body = place.insert(1).pipe(
            Effect.zipRight(Transaction.abort),
            Effect.zipRight(Effect.fail(new OutOfStock()))
          )
          expect(yield* Effect.flip(Transaction.run(body))).toBeInstanceOf(OutOfStock)
        })
      ))

    it.effect("and then fails for a reason that may go away is run again", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { hooks, lines } = notebook()
          let attempts = 0
          yield* place.transientOn(["insert"])
          yield* hooks().pipe(
            Effect.zipRight(Effect.sync(() => attempts++)),
            Effect.zipRight(Effect.tapError(place.insert(1), () => Transaction.abort)),
            Transaction.run()
          )
          expect(attempts).toBe(2)
          expect(lines).toEqual(["beforeCommit", "onCommit"])
          expect(yield* place.stored).toEqual([1])
        })
      ))

    it.effect("may start another in its place, which is then committed; the hooks of each run as that one ended", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { hooks, lines } = notebook()
          yield* Transaction.run(Effect.gen(function*() {
            yield* hooks(" 1")
            yield* place.insert(1)
            yield* Transaction.abort
            yield* Transaction.start()
            yield* hooks(" 2")
            yield* place.insert(2)
          }))
          expect(lines).toEqual(["beforeCommit 2", "onRollback 1", "onCommit 2"])
          expect(yield* place.stored).toEqual([2])
          expect(yield* place.wire).toEqual([
            "1 insert start",
            "1 abortTransaction",
            "2 insert start",
            "2 commitTransaction"
          ])
        })
      ))
  })

  describe("a body that commits by hand", () => {
    it.effect("keeps its failure and what it committed", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { hooks, lines } = notebook()
          const body = hooks().pipe(
            Effect.zipRight(place.insert(1)),
            Effect.zipRight(Transaction.commit),
            Effect.zipRight(Effect.fail(new OutOfStock()))
          )
          expect(yield* Effect.flip(Transaction.run(body))).toBeInstanceOf(OutOfStock)
          expect(lines).toEqual(["beforeCommit", "onCommit"])
          expect(yield* place.stored).toEqual([1])
        })
      ))

    it.effect("is not run again, whatever it fails with afterwards", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          let attempts = 0
          yield* place.transientOn(["aggregate"], 5)
          const failure = yield* Effect.sync(() => attempts++).pipe(
            Effect.zipRight(place.insert(1)),
            Effect.zipRight(Transaction.commit),
            Effect.zipRight(place.count),
            Transaction.run(),
            Effect.flip
          )
          expect(failure).toMatchObject({ _tag: "MongoError", operation: "use" })
          expect(attempts).toBe(1)
          expect(yield* place.stored).toEqual([1])
        })
      ))

    it.effect("is in no transaction from then on: what it does stays, though it fails", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const body = place.insert(1).pipe(
            Effect.zipRight(Transaction.commit),
            Effect.zipRight(place.insert(2)),
            Effect.zipRight(Transaction.state),
            Effect.flatMap((state) => Effect.fail(state))
          )
          expect(yield* Effect.flip(Transaction.run(body))).toBe("none")
          expect(yield* place.wire).toEqual(["1 insert start", "1 commitTransaction"])
          expect(yield* place.stored).toEqual([1, 2])
        })
      ))

    it.effect("has no transaction that a part could join: it is told so, before anything is sent", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const failures = yield* Transaction.run(Effect.gen(function*() {
            yield* place.insert(1)
            yield* Transaction.commit
            return yield* Effect.all([
              Effect.flip(Transaction.run(place.insert(2))),
              Effect.flip(Transaction.run(place.insert(2), { propagation: "requiresNew" })),
              Effect.flip(Transaction.run(place.insert(2), { propagation: "never" }))
            ])
          }))
          expect(failures.map(({ _tag }) => _tag)).toEqual(["TransactionEnded", "TransactionEnded", "TransactionEnded"])
          expect(yield* place.stored).toEqual([1])
        })
      ))

    it.effect("before a part had failed after writing finds it doomed, and aborted", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const part = Transaction.run(Effect.zipRight(place.insert(1), Effect.fail("half done")))
          const failure = yield* Effect.flip(Transaction.run(Effect.zipRight(Effect.ignore(part), Transaction.commit)))
          expect(failure).toMatchObject({ _tag: "TransactionDoomed", first: "half done" })
          expect(yield* place.wire).toEqual(["1 insert start", "1 abortTransaction"])
        })
      ))

    it.effect("and is told that it may be tried again as a whole, is run again", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { hooks, lines } = notebook()
          yield* place.transientOn(["commitTransaction"])
          yield* hooks().pipe(
            Effect.zipRight(place.insert(1)),
            Effect.zipRight(Transaction.commit),
            Transaction.run()
          )
          expect(lines).toEqual(["beforeCommit", "beforeCommit", "onCommit"])
          expect(yield* place.stored).toEqual([1])
        })
      ))

    it.effect("without learning whether it happened runs no hooks, and is not run again", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { hooks, lines } = notebook()
          yield* place.lostCommit(1, 79)
          const failure = yield* hooks().pipe(
            Effect.zipRight(place.insert(1)),
            Effect.zipRight(Transaction.commit),
            Transaction.run({ retry: Schedule.recurs(3) }),
            Effect.flip
          )
          expect(failure).toMatchObject({ _tag: "MongoError", reason: "WriteConcernFailed" })
          expect(lines).toEqual(["beforeCommit"])
          expect((yield* place.monitor.named("insert")).length).toBe(1)
        })
      ))

    it.effect("may commit again after that, and then knows", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { hooks, lines } = notebook()
          yield* place.lostCommit(1, 79)
          yield* hooks().pipe(
            Effect.zipRight(place.insert(1)),
            Effect.zipRight(Effect.orElse(Transaction.commit, () => Transaction.commit)),
            Transaction.run()
          )
          expect(lines).toEqual(["beforeCommit", "onCommit"])
          expect(yield* place.stored).toEqual([1])
        })
      ))

    it.effect("is not cut short by an interruption: the commit is waited for, and its hooks run", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { hooks, lines } = notebook()
          const after = yield* Deferred.make<void>()
          yield* place.failing({ failCommands: ["commitTransaction"], blockFor: "200 millis" })
          const fiber = yield* hooks().pipe(
            Effect.zipRight(place.insert(1)),
            Effect.zipRight(Transaction.commit),
            Effect.zipRight(Deferred.succeed(after, undefined)),
            Effect.zipRight(Effect.never),
            Transaction.run(),
            Effect.fork
          )
          yield* place.monitor.awaitStarted("commitTransaction")
          expect(Exit.isInterrupted(yield* Fiber.interrupt(fiber))).toBe(true)
          expect(yield* Deferred.isDone(after)).toBe(false)
          expect(lines).toEqual(["beforeCommit", "onCommit"])
          expect(yield* place.wire).toEqual(["1 insert start", "1 commitTransaction"])
          expect(yield* place.stored).toEqual([1])
        })
      ))
  })

  it.effect("the session is as good as new afterwards", () =>
    inPlace((place) =>
      Session.scoped(Effect.gen(function*() {
        yield* Transaction.run(Effect.zipRight(place.insert(1), Transaction.commit))
        yield* Transaction.run(Effect.zipRight(place.insert(2), Transaction.abort))
        yield* place.insert(3)
        yield* Transaction.run(place.insert(4))
        expect(yield* place.stored).toEqual([1, 3, 4])
      }))
    ))
})
