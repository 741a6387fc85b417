import { describe, expect, layer } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Schedule from "effect/Schedule"
import * as Session from "../../src/Session.js"
import * as Telemetry from "../../src/Telemetry.js"
import * as Transaction from "../../src/Transaction.js"
import * as TestServer from "../support/server/testServer.js"
import { conflict } from "../support/transactions/attempts.js"
import { inPlace, noDeadlock, type Place, witness } from "../support/transactions/transactions.js"
import * as Monitor from "../support/watch/monitor.js"

const begun = ["1 insert start"]
const aborted = [...begun, "1 abortTransaction"]
const committed = [...begun, "1 commitTransaction"]

/** Interrupts a fiber, in real time, and tells how long that took; it must be over as an interruption alone. */
const interrupt = <A, E>(fiber: Fiber.RuntimeFiber<A, E>) =>
  Effect.gen(function*() {
    const [time, exit] = yield* noDeadlock(Effect.timed(Fiber.interrupt(fiber)))
    expect(Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause)).toBe(true)
    return Duration.toMillis(time)
  })

const outcomes = ({ monitor }: Place, name: string) =>
  Effect.map(monitor.named(name), (seen) => seen.map(({ outcome }) => outcome))

const rolledBack = Effect.map(
  Metric.value(Metric.tagged(Telemetry.transactions, "outcome", "rolledBack")),
  ({ count }) => count
)

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("L11: a run that is interrupted", () => {
    it.effect("while it waits for its turn in the session is over at once; nothing of it was sent", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const session = yield* Monitor.session(place)
          const inside = yield* Deferred.make<void>()
          const release = yield* Deferred.make<void>()
          const holding = Transaction.run(
            place.insert(1).pipe(
              Effect.zipRight(Deferred.succeed(inside, undefined)),
              Effect.zipRight(Deferred.await(release))
            )
          )
          const first = yield* Effect.fork(Session.provide(holding, session))
          yield* Deferred.await(inside)
          const { hooks, register } = witness()
          let ran = false
          const body = Effect.zipRight(Effect.sync(() => void (ran = true)), register)
          const second = yield* Effect.fork(Session.provide(Transaction.run(body), session))
          yield* Effect.yieldNow()
          // Were it not over at once, it would wait for what is released below.
          yield* interrupt(second)
          expect(ran).toBe(false)
          expect(hooks).toEqual([])
          yield* Deferred.succeed(release, undefined)
          yield* Fiber.join(first)
          expect(yield* place.wire).toEqual(committed)
          expect(yield* place.stored).toEqual([1])
        })
      ))

    it.effect("before it has sent anything sends nothing", () =>
      inPlace(({ wire }) =>
        Effect.gen(function*() {
          const { hooks, register } = witness()
          const inside = yield* Deferred.make<void>()
          const body = register.pipe(
            Effect.zipRight(Deferred.succeed(inside, undefined)),
            Effect.zipRight(Effect.never)
          )
          const run = yield* Effect.fork(Transaction.run(body))
          yield* Deferred.await(inside)
          yield* interrupt(run)
          expect(yield* wire).toEqual([])
          expect(hooks).toEqual(["onRollback"])
        })
      ))

    it.effect("during a read gives that up long before it is answered, and aborts", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { count, failing, insert, monitor, stored, wire } = place
          yield* failing({ failCommands: ["aggregate"], blockFor: "3 seconds" })
          const { hooks, register } = witness()
          const run = yield* Effect.fork(Transaction.run(Effect.all([register, insert(1), count])))
          yield* monitor.awaitStarted("aggregate")
          expect(yield* interrupt(run)).toBeLessThan(2500)
          expect(yield* outcomes(place, "aggregate")).toEqual(["failed"])
          expect((yield* wire).slice(0, 3)).toEqual([...begun, "1 aggregate", "1 abortTransaction"])
          expect(yield* stored).toEqual([])
          expect(hooks).toEqual(["onRollback"])
        })
      ))

    it.effect("during its first read, which the server may have begun a transaction for, aborts that", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { count, failing, monitor, wire } = place
          yield* failing({ failCommands: ["aggregate"], blockFor: "300 millis" })
          const run = yield* Effect.fork(Transaction.run(count))
          yield* monitor.awaitStarted("aggregate")
          yield* interrupt(run)
          const lines = yield* wire
          expect(lines[0]).toBe("1 aggregate start")
          expect(lines.length).toBeGreaterThanOrEqual(2)
          expect(lines.slice(1).every((line) => line === "1 abortTransaction")).toBe(true)
        })
      ))

    it.effect("during a write waits until it is done, and only then aborts", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { failing, insert, monitor, stored, wire } = place
          yield* failing({ failCommands: ["insert"], blockFor: "300 millis" })
          const { hooks, register } = witness()
          const before = yield* rolledBack
          const run = yield* Effect.fork(Transaction.run(Effect.zipRight(register, insert(1))))
          yield* monitor.awaitStarted("insert")
          yield* interrupt(run)
          expect(yield* outcomes(place, "insert")).toEqual(["succeeded"])
          expect(yield* outcomes(place, "abortTransaction")).toEqual(["succeeded"])
          expect(yield* wire).toEqual(aborted)
          expect(yield* stored).toEqual([])
          expect(hooks).toEqual(["onRollback"])
          expect((yield* rolledBack) - before).toBe(1)
        })
      ))

    it.effect("during the wait for the next attempt is over at once; what the last one has put off runs", () =>
      inPlace(({ insert, stored, transientOn, wire }) =>
        Effect.gen(function*() {
          yield* transientOn(["insert"])
          const { hooks, register } = witness()
          const told = yield* Deferred.make<void>()
          const before = yield* rolledBack
          const run = yield* Effect.fork(Transaction.run(Effect.zipRight(register, insert(1)), {
            retry: Schedule.spaced("1 minute"),
            onRetry: () => Effect.asVoid(Deferred.succeed(told, undefined))
          }))
          yield* Deferred.await(told)
          yield* Effect.sleep("20 millis")
          yield* interrupt(run)
          expect(yield* wire).toEqual(aborted)
          expect(yield* stored).toEqual([])
          expect(hooks).toEqual(["onRollback"])
          expect((yield* rolledBack) - before).toBe(1)
        })
      ))

    it.effect("during that wait ends on the server what was not aborted, for no other attempt does", () =>
      inPlace(({ closeConnectionOn, insert, items, wire }) =>
        Effect.gen(function*() {
          yield* closeConnectionOn(["abortTransaction"], 2)
          const told = yield* Deferred.make<void>()
          const run = yield* Effect.fork(Transaction.run(Effect.zipRight(insert(1), Effect.fail(conflict)), {
            retry: Schedule.spaced("1 minute"),
            onRetry: () => Effect.asVoid(Deferred.succeed(told, undefined))
          }))
          yield* Deferred.await(told)
          yield* Effect.sleep("20 millis")
          yield* interrupt(run)
          // The driver tries twice, and tells nobody that both have failed.
          expect(yield* wire).toEqual([...aborted, "1 abortTransaction", "1 abortTransaction w:majority"])
          // A transaction that were still open would have the document.
          yield* noDeadlock(Effect.promise(() => items.insertOne({ _id: 1 })))
        })
      ))

    it.effect("between two attempts, in onRetry, is over at once", () =>
      inPlace(({ insert, transientOn, wire }) =>
        Effect.gen(function*() {
          yield* transientOn(["insert"])
          const { hooks, register } = witness()
          const told = yield* Deferred.make<void>()
          const run = yield* Effect.fork(Transaction.run(Effect.zipRight(register, insert(1)), {
            onRetry: () => Effect.zipRight(Deferred.succeed(told, undefined), Effect.never)
          }))
          yield* Deferred.await(told)
          yield* interrupt(run)
          expect(yield* wire).toEqual(aborted)
          expect(hooks).toEqual(["onRollback"])
        })
      ))

    it.effect("during the commit is committed all the same, and its hooks run", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { failing, insert, monitor, stored, wire } = place
          yield* failing({ failCommands: ["commitTransaction"], blockFor: "300 millis" })
          const { hooks, register } = witness()
          const run = yield* Effect.fork(Transaction.run(Effect.zipRight(register, insert(1))))
          yield* monitor.awaitStarted("commitTransaction")
          yield* noDeadlock(Fiber.interrupt(run))
          expect(yield* outcomes(place, "commitTransaction")).toEqual(["succeeded"])
          expect(yield* wire).toEqual(committed)
          expect(yield* stored).toEqual([1])
          expect(hooks).toEqual(["onCommit"])
        })
      ))

    it.effect("between two tries of the commit asks the server by an abort, and is known to be committed", () =>
      inPlace(({ insert, lostCommit, stored, wire }) =>
        Effect.gen(function*() {
          yield* lostCommit(2, 64)
          const { hooks, register } = witness()
          const told = yield* Deferred.make<void>()
          const run = yield* Effect.fork(Transaction.run(Effect.zipRight(register, insert(1)), {
            onRetry: () => Effect.asVoid(Deferred.succeed(told, undefined))
          }))
          yield* Deferred.await(told)
          yield* noDeadlock(Fiber.interrupt(run))
          const again = "1 commitTransaction w:majority"
          expect(yield* wire).toEqual([...committed, again, "1 abortTransaction w:majority", again])
          expect(yield* stored).toEqual([1])
          expect(hooks).toEqual(["onCommit"])
        })
      ))

    it.effect("during the abort waits until it is answered", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { failing, insert, monitor, stored, wire } = place
          yield* failing({ failCommands: ["abortTransaction"], blockFor: "300 millis" })
          const { hooks, register } = witness()
          const run = yield* Effect.fork(
            Transaction.run(Effect.zipRight(Effect.zipRight(register, insert(1)), Effect.fail("no")))
          )
          yield* monitor.awaitStarted("abortTransaction")
          yield* noDeadlock(Fiber.interrupt(run))
          expect(yield* outcomes(place, "abortTransaction")).toEqual(["succeeded"])
          expect(yield* wire).toEqual(aborted)
          expect(yield* stored).toEqual([])
          expect(hooks).toEqual(["onRollback"])
        })
      ))

    it.effect("twice during a write still waits for it", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { failing, insert, monitor, wire } = place
          yield* failing({ failCommands: ["insert"], blockFor: "300 millis" })
          const run = yield* Effect.fork(Transaction.run(insert(1)))
          yield* monitor.awaitStarted("insert")
          yield* Fiber.interruptFork(run)
          yield* interrupt(run)
          expect(yield* outcomes(place, "insert")).toEqual(["succeeded"])
          expect(yield* wire).toEqual(aborted)
        })
      ))

    it.effect("by a timeout around it is rolled back", () =>
      inPlace(({ insert, stored, wire }) =>
        Effect.gen(function*() {
          const { hooks, register } = witness()
          const body = Effect.all([register, insert(1), Effect.never])
          const error = yield* Effect.flip(Effect.timeout(Transaction.run(body), "300 millis"))
          expect(error._tag).toBe("TimeoutException")
          expect(yield* wire).toEqual(aborted)
          expect(yield* stored).toEqual([])
          expect(hooks).toEqual(["onRollback"])
        })
      ))

    it.effect("by another that wins a race is rolled back", () =>
      inPlace(({ insert, stored }) =>
        Effect.gen(function*() {
          const loses = Transaction.run(Effect.zipRight(insert(1), Effect.never))
          const wins = Transaction.run(Effect.zipLeft(Effect.as(insert(2), "won"), Effect.sleep("100 millis")))
          expect(yield* noDeadlock(Effect.race(loses, wins))).toBe("won")
          expect(yield* stored).toEqual([2])
        })
      ))
  })

  describe("L11: a part of the body that is interrupted", () => {
    it.effect("during a write has that counted as any other, and the rest goes on", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { failing, insert, monitor, stored, wire } = place
          yield* failing({ failCommands: ["insert"], blockFor: "200 millis" })
          const body = Effect.gen(function*() {
            const part = yield* Effect.fork(insert(1))
            yield* monitor.awaitStarted("insert")
            yield* interrupt(part)
            yield* insert(2)
          })
          yield* Transaction.run(body)
          expect(yield* wire).toEqual([...begun, "1 insert", "1 commitTransaction"])
          expect(yield* stored).toEqual([1, 2])
        })
      ))

    it.effect("during a read that is given up half-way makes it impossible to commit", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { count, failing, insert, stored, wire } = place
          yield* failing({ failCommands: ["aggregate"], blockFor: "1 second" })
          const body = Effect.zipRight(insert(1), Effect.timeoutOption(count, "100 millis"))
          expect(yield* Effect.flip(Transaction.run(body))).toMatchObject({ _tag: "TransactionDoomed" })
          expect((yield* wire).some((line) => line.includes("commit"))).toBe(false)
          expect(yield* stored).toEqual([])
        })
      ))
  })
})
