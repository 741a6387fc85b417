import { describe, expect, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Session from "../../src/Session.js"
import * as Telemetry from "../../src/Telemetry.js"
import * as Transaction from "../../src/Transaction.js"
import { logged } from "../support/server/connected.js"
import * as TestServer from "../support/server/testServer.js"
import { inPlace, noDeadlock } from "../support/transactions/transactions.js"
import * as Monitor from "../support/watch/monitor.js"
import { notebook } from "../support/watch/notebook.js"

const failures = (moment: string) =>
  Effect.map(Metric.value(Metric.tagged(Telemetry.hookFailures, "moment", moment)), ({ count }) => count)

class Mailer extends Context.Tag("Mailer")<Mailer, { readonly send: (text: string) => Effect.Effect<void> }>() {}

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("hooks after a commit", () => {
    it.effect("run in the order in which they were registered, each once, after the commit", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { hooks, lines, note } = notebook()
          const look = Effect.flatMap(place.stored, (stored) => note(`stored ${stored.join()}`))
          yield* hooks(" 1").pipe(
            Effect.zipRight(place.insert(1)),
            Effect.zipRight(Transaction.run(hooks(" 2"))),
            Effect.zipRight(Transaction.onCommit(look)),
            Effect.zipRight(hooks(" 3")),
            Transaction.run()
          )
          expect(lines).toEqual([
            ...["beforeCommit 1", "beforeCommit 2", "beforeCommit 3"],
            ...["onCommit 1", "onCommit 2", "stored 1", "onCommit 3"]
          ])
        })
      ))

    it.effect("are those of the attempt that was committed; those of others are dropped", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { hooks, lines } = notebook()
          yield* place.transientOn(["insert"], 2)
          yield* Effect.flatMap(Transaction.Transaction, ({ attempt }) => hooks(` ${attempt}`)).pipe(
            Effect.zipRight(place.insert(1)),
            Transaction.run()
          )
          expect(lines).toEqual(["beforeCommit 3", "onCommit 3"])
        })
      ))

    it.effect("a part that failed and was recovered from counts as rolled back, though the whole is committed", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { hooks, lines } = notebook()
          const part = Transaction.run(Effect.zipRight(hooks(" of the part"), Effect.fail("early")))
          yield* hooks().pipe(
            Effect.zipRight(Effect.ignore(part)),
            Effect.zipRight(place.insert(1)),
            Transaction.run()
          )
          expect(lines).toEqual(["beforeCommit", "onCommit", "onRollback of the part"])
        })
      ))

    it.effect("find the session free and the transaction gone: they may use it and run another", () =>
      inPlace((place) =>
        noDeadlock(Effect.gen(function*() {
          const found: Array<unknown> = []
          const hook = Effect.gen(function*() {
            const session = yield* Session.Session
            found.push(yield* Effect.map(Effect.serviceOption(Transaction.Transaction), Option.isSome))
            found.push(yield* session.use(async (driver) => driver.inTransaction()))
            found.push(yield* Transaction.state)
            yield* place.insert(2)
            yield* Transaction.run(place.insert(3))
          })
          const body = Effect.zipRight(Transaction.onCommit(hook), place.insert(1))
          yield* Session.scoped(Transaction.run(body))
          expect(found.slice(0, 2)).toEqual([false, false])
          expect(found[2]).not.toBe("inProgress")
          expect(yield* place.stored).toEqual([1, 2, 3])
          expect(yield* place.wire).toEqual([
            "1 insert start",
            "1 commitTransaction",
            "2 insert start",
            "2 commitTransaction"
          ])
        }))
      ))

    it.effect("use the session that was opened for the run before it is released", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          yield* Transaction.run(Effect.zipRight(Transaction.onCommit(place.insert(2)), place.insert(1)))
          expect(yield* place.stored).toEqual([1, 2])
        })
      ))

    it.effect("are not cut short by an interruption that comes just then", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { lines, note } = notebook()
          const running = yield* Deferred.make<void>()
          const goOn = yield* Deferred.make<void>()
          const body = place.insert(1).pipe(
            Effect.zipRight(Transaction.onCommit(
              Effect.zipRight(Deferred.succeed(running, undefined), Deferred.await(goOn))
            )),
            Effect.zipRight(Transaction.onCommit(note("second")))
          )
          const fiber = yield* Effect.fork(Transaction.run(body))
          yield* Deferred.await(running)
          const interruption = yield* Effect.fork(Fiber.interrupt(fiber))
          yield* Effect.yieldNow()
          expect(lines).toEqual([])
          yield* Deferred.succeed(goOn, undefined)
          yield* Fiber.join(interruption)
          expect(lines).toEqual(["second"])
          expect(yield* place.stored).toEqual([1])
        })
      ))

    it.effect("run though the interruption came during the commit", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { hooks, lines } = notebook()
          yield* place.failing({ failCommands: ["commitTransaction"], blockFor: "200 millis" })
          const fiber = yield* Effect.fork(Transaction.run(Effect.zipRight(hooks(), place.insert(1))))
          yield* place.monitor.awaitStarted("commitTransaction")
          yield* Fiber.interrupt(fiber)
          expect(lines).toEqual(["beforeCommit", "onCommit"])
          expect(yield* place.stored).toEqual([1])
        })
      ))

    it.effect("one that fails or dies is logged and counted, the others run, and the run succeeds", () =>
      inPlace((place) =>
        logged((entries) =>
          Effect.gen(function*() {
            const { lines, note } = notebook()
            const before = yield* failures("onCommit")
            const body = Effect.all([
              Transaction.onCommit(note("first")),
              Transaction.onCommit(Effect.fail("mail server down")),
              Transaction.onCommit(Effect.die("bug")),
              Transaction.onCommit(note("last")),
              place.insert(1)
            ])
            yield* Transaction.run(Effect.as(body, "value"))
            expect(lines).toEqual(["first", "last"])
            expect(yield* failures("onCommit")).toBe(before + 2)
            const own = entries.filter(({ annotations }) => annotations["moment"] === "onCommit")
            expect(own.map(({ message }) => message)).toEqual([
              "a hook of a transaction failed",
              "a hook of a transaction failed"
            ])
          })
        )
      ))

    it.effect("keep the context of where they were registered: services and annotations of logs", () =>
      inPlace((place) =>
        logged((entries) =>
          Effect.gen(function*() {
            const { lines, note } = notebook()
            const mail = Effect.flatMap(Mailer, ({ send }) => send("done"))
            const logs = Effect.annotateLogs(Transaction.onCommit(Effect.logInfo("from the hook")), "order", 7)
            yield* Transaction.onCommit(mail).pipe(
              Effect.provideService(Mailer, { send: note }),
              Effect.zipRight(logs),
              Effect.zipRight(place.insert(1)),
              Transaction.run()
            )
            expect(lines).toEqual(["done"])
            expect(entries.find(({ message }) => message === "from the hook")?.annotations).toEqual({ order: 7 })
          })
        )
      ))

    it.effect("of a fiber that outlives the body cannot be registered any more", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { hooks, lines, note } = notebook()
          const over = yield* Deferred.make<void>()
          const late = Effect.zipRight(
            Deferred.await(over),
            Effect.all(
              [
                hooks(),
                Transaction.onCommit(note("late")),
                Transaction.onRollback(note("late")),
                Transaction.rollbackOnly
              ]
                .map((effect) => Effect.flip(effect))
            )
          )
          const fiber = yield* Transaction.run(Effect.zipRight(place.insert(1), Effect.forkDaemon(late)))
          yield* Deferred.succeed(over, undefined)
          expect((yield* Fiber.join(fiber)).map(({ _tag, operation }) => [_tag, operation])).toEqual([
            ["TransactionEnded", "beforeCommit"],
            ["TransactionEnded", "onCommit"],
            ["TransactionEnded", "onRollback"],
            ["TransactionEnded", "Transaction.rollbackOnly"]
          ])
          expect(lines).toEqual([])
        })
      ))
  })

  it.effect("a hook takes its turn in the session like any operation, be others waiting there or not", () =>
    inPlace((place) =>
      noDeadlock(Effect.gen(function*() {
        const { lines, note } = notebook()
        const body = Effect.zipRight(
          Transaction.onCommit(Effect.zipRight(place.insert(2), note("hook"))),
          place.insert(1)
        )
        yield* Monitor.block(place, ["insert"], "20 millis")
        yield* Effect.all([
          Transaction.run(body),
          Effect.zipRight(place.monitor.awaitStarted("insert"), place.insert(3))
        ], { concurrency: "unbounded" }).pipe(Session.scoped())
        expect(lines).toEqual(["hook"])
        expect(yield* place.stored).toEqual([1, 2, 3])
      }))
    ))
})
