/**
 * A primary that hangs while many transfers are under way, longer than the others wait for it.
 */
import { expect, layer } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Ref from "effect/Ref"
import * as Collection from "../../../src/Collection.js"
import * as MongoClient from "../../../src/MongoClient.js"
import { MongoError } from "../../../src/MongoError.js"
import { CommitUnknown, TransactionAborted } from "../../../src/SessionErrors.js"
import * as MongoServer from "../../../src/testing/MongoServer.js"
import * as Transaction from "../../../src/Transaction.js"
import * as TestServer from "../../support/server/testServer.js"
import * as Bank from "../../support/transactions/bank.js"
import * as Monitor from "../../support/watch/monitor.js"

const accounts = 8
const fibers = 12

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  it.scoped("a frozen primary under load: no defect, every failure typed, all money there, and nobody waits for it", () =>
    Effect.gen(function*() {
      const { primary } = yield* MongoServer.MongoServer
      const database = yield* TestServer.database
      const { client, monitor } = yield* Monitor.connect({
        database,
        // So that the client soon notices that the primary hangs.
        driver: { heartbeatFrequencyMS: 1000, connectTimeoutMS: 2000 }
      })
      const bank = yield* Bank.open(client.driver, database, accounts)
      const isOver = yield* Ref.make(false)
      const told: Array<Exit.Exit<unknown, unknown>> = []
      const done = new Set<number>()
      let next = 0

      const Log = Collection.make("log")
      // In transactions, and now and then without a session.
      const once = Effect.suspend(() => {
        const _id = next++
        const [transfer] = Bank.randomTransfers(1, accounts)
        const one = { ...transfer!, _id }
        const transferred = Bank.transfer(bank, one).pipe(
          Transaction.run({ timeout: "40 seconds" }),
          Effect.tap(() => Effect.sync(() => done.add(_id)))
        )
        const work = _id % 4 === 0 ? Log.insertOne({ _id }) : transferred
        return Effect.flatMap(
          Effect.exit<unknown, unknown, MongoClient.MongoClient>(work),
          (exit) => Effect.sync(() => told.push(exit))
        )
      })
      const working = yield* Effect.fork(
        Effect.all(
          Array.from({ length: fibers }, () => Effect.repeat(once, { until: () => Ref.get(isOver) })),
          { concurrency: "unbounded", discard: true }
        ).pipe(Effect.provideService(MongoClient.MongoClient, client))
      )
      yield* Monitor.until(Effect.sync(() => done.size), (size) => size > fibers, "30 seconds")

      yield* Effect.scoped(Effect.gen(function*() {
        yield* (yield* primary).freeze
        const before = done.size
        // While it hangs, the others take over, and the work goes on.
        yield* Monitor.until(Effect.sync(() => done.size), (size) => size > before + 3 * fibers, "60 seconds")
      }))
      yield* Ref.set(isOver, true)
      yield* Fiber.join(working)

      const causes = told.flatMap((exit) => Exit.isFailure(exit) ? [exit.cause] : [])
      expect(causes.flatMap((cause) => [...Cause.defects(cause)])).toEqual([])
      for (const error of causes.map(Cause.squash)) {
        expect([MongoError, TransactionAborted, CommitUnknown].some((kind) => error instanceof kind), String(error))
          .toBe(true)
      }
      const driver = yield* TestServer.driver()
      const { applied, sum, wrong } = yield* Bank.books({
        accounts: driver.db(database).collection("accounts"),
        ledger: driver.db(database).collection("ledger")
      })
      expect(sum).toBe(accounts * Bank.initial)
      expect(wrong).toEqual([])
      expect([...done].filter((_id) => !applied.has(_id)), "told done, and not there").toEqual([])
      expect(yield* client.openSessions).toBe(0)
      expect(yield* monitor.checkedOut).toBe(0)
    }))
})
