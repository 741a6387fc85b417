import { describe, expect, layer } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Collection from "../../src/Collection.js"
import * as Once from "../../src/Once.js"
import type * as Telemetry from "../../src/Telemetry.js"
import * as Transaction from "../../src/Transaction.js"
import { numbers, onClient } from "../support/data/collections.js"
import * as TestServer from "../support/server/testServer.js"

const add = (amount: number) => ({ $inc: { balance: amount } })

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  /** A bank with so many accounts, each with 100. */
  const bank = (count: number) =>
    Effect.gen(function*() {
      const Accounts = Collection.make("accounts", { database: yield* TestServer.database })
      yield* Accounts.insertMany(numbers(count).map((_id) => ({ _id, balance: 100 })))
      return Accounts
    })

  /** So many transfers by so many fibers; how often their bodies ran. */
  const transfers = (count: number, fibers: number, times: number, retry: typeof Transaction.queued) =>
    Effect.gen(function*() {
      const Accounts = yield* bank(count)
      const attempts = yield* Ref.make(0)
      yield* Effect.forEach(numbers(times), (n) => {
        const [from, to] = [n % count, (n * 7 + 3) % count]
        return Transaction.run(
          Effect.all([
            Ref.update(attempts, (sum) => sum + 1),
            Accounts.updateOne({ _id: from }, add(-1)),
            Accounts.updateOne({ _id: to }, add(1))
          ], { discard: true }),
          { retry }
        )
      }, { concurrency: fibers, discard: true })
      const sum = yield* Effect.map(
        Effect.forEach(numbers(count), (id) => Accounts.findById(id)),
        (all) => all.reduce((sum, account) => sum + Number(Option.getOrThrow(account)["balance"]), 0)
      )
      expect(sum).toBe(count * 100)
      return (yield* Ref.get(attempts)) / times
    })

  describe("transactions that have lost a conflict", () => {
    it.effect("queue: on one document hardly any body runs twice, where the backoff fights", () =>
      onClient(() =>
        Effect.gen(function*() {
          const queued = yield* transfers(1, 16, 120, Transaction.queued)
          const fighting = yield* transfers(1, 16, 120, Transaction.backoff)
          expect(queued).toBeLessThan(1.5)
          expect(fighting).toBeGreaterThan(queued)
        })
      ))

    it.effect("queue, too, where they are run once for a key", () =>
      onClient(() =>
        Effect.gen(function*() {
          const database = yield* TestServer.database
          const Doing = Once.make("doing", { database })
          const Accounts = yield* bank(1)
          let attempts = 0
          const write = Effect.zipRight(
            Effect.sync(() => attempts++),
            Effect.asVoid(Accounts.updateOne({ _id: 0 }, add(1)))
          )
          yield* Effect.forEach(numbers(48), (key) => Doing.run(String(key), write), { concurrency: 16 })
          // Each has written its key before it meets the others, and gives that up once.
          expect(attempts / 48).toBeLessThan(3)
        })
      ))

    it.effect("queue for several documents without standing in each other's way", () =>
      onClient(() =>
        Effect.gen(function*() {
          const queued = yield* transfers(5, 16, 200, Transaction.queued)
          expect(queued).toBeLessThan(2.5)
        })
      ))

    it.effect("need not pause, and are told so, where they have lost to one that they wait for", () =>
      onClient(() =>
        Effect.gen(function*() {
          const Accounts = yield* bank(2)
          const write = (id: number) => Accounts.updateOne({ _id: id }, add(1))
          // So that the collection is one that is fought for.
          yield* Effect.all(numbers(8).map(() => Transaction.run(write(0))), { concurrency: "unbounded" })
          const isHeld = yield* Deferred.make<void>()
          const letGo = yield* Deferred.make<void>()
          const held = Effect.zipRight(Deferred.succeed(isHeld, void 0), Deferred.await(letGo))
          const holder = yield* Effect.fork(Transaction.run(Effect.zipRight(write(0), held)))
          yield* Deferred.await(isHeld)
          const told: Array<Telemetry.Retry> = []
          const onRetry = (retry: Telemetry.Retry) =>
            Effect.zipRight(Effect.sync(() => told.push(retry)), Deferred.succeed(letGo, void 0))
          // It has the other document already, so that it does not wait for this one.
          yield* Transaction.run(Effect.zipRight(write(1), write(0)), { onRetry })
          yield* Fiber.join(holder)
          expect(told).toMatchObject([{ attempt: 1, reason: "WriteConflict", delay: Duration.zero }])
        })
      ))

    it.effect("do not wait for a transaction that waits for them", () =>
      onClient(() =>
        Effect.gen(function*() {
          const Accounts = yield* bank(2)
          const write = (id: number) => Accounts.updateOne({ _id: id }, add(1))
          // So that the collection is one that is fought for.
          yield* Effect.all(numbers(8).map(() => Transaction.run(write(0))), { concurrency: "unbounded" })
          const inner = Transaction.run(write(1), { propagation: "requiresNew", retry: Transaction.queued })
          const nested = Transaction.run(Effect.zipRight(write(0), inner))
          const outside = Transaction.run(Effect.zipRight(write(0), Transaction.outside(Transaction.run(write(1)))))
          const time = yield* Effect.timed(Effect.all([nested, outside, nested, outside], { concurrency: "unbounded" }))
          expect(Duration.toSeconds(time[0])).toBeLessThan(5)
          expect(yield* Accounts.findById(1)).toEqual(Option.some({ _id: 1, balance: 104 }))
        })
      ))

    it.effect("leave the queue when they are interrupted, and nothing is left of them", () =>
      onClient(() =>
        Effect.gen(function*() {
          const Accounts = yield* bank(1)
          const write = Accounts.updateOne({ _id: 0 }, add(1))
          yield* Effect.all(numbers(8).map(() => Transaction.run(write)), { concurrency: "unbounded" })
          const isHeld = yield* Deferred.make<void>()
          const letGo = yield* Deferred.make<void>()
          const holder = yield* Effect.fork(
            Transaction.run(
              Effect.andThen(write, Effect.zipRight(Deferred.succeed(isHeld, void 0), Deferred.await(letGo)))
            )
          )
          yield* Deferred.await(isHeld)
          const waiting = yield* Effect.forEach(numbers(4), () => Effect.fork(Transaction.run(write)))
          const last = yield* Effect.fork(Transaction.run(write))
          yield* Effect.forEach(waiting, Fiber.interrupt)
          yield* Deferred.succeed(letGo, void 0)
          yield* Fiber.join(holder)
          yield* Fiber.join(last)
          expect(yield* Accounts.findById(0)).toEqual(Option.some({ _id: 0, balance: 110 }))
        })
      ))
  })
})
