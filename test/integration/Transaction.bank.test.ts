import { describe, expect, layer } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { MongoClient as DriverClient } from "mongodb"
import * as MongoClient from "../../src/MongoClient.js"
import { Label } from "../../src/MongoError.js"
import * as Session from "../../src/Session.js"
import * as SessionCommands from "../../src/SessionCommands.js"
import type { AcquireError } from "../../src/SessionErrors.js"
import type { SessionId } from "../../src/SessionId.js"
import type * as Telemetry from "../../src/Telemetry.js"
import * as FailPoint from "../../src/testing/FailPoint.js"
import * as Transaction from "../../src/Transaction.js"
import { often } from "../support/long.js"
import { logged } from "../support/server/connected.js"
import * as TestServer from "../support/server/testServer.js"
import * as Bank from "../support/transactions/bank.js"
import * as Monitor from "../support/watch/monitor.js"
import { tally } from "../support/watch/tally.js"

const accounts = 10
const fibers = 32
const count = often(600)

const unknown = [Label.UnknownTransactionCommitResult]

// So that it soon finds the server again, of which a fault has made it think that it is gone.
const driver = { serverMonitoringMode: "poll", heartbeatFrequencyMS: 500, minHeartbeatFrequencyMS: 20 } as const

/** What goes wrong, one after the other, each a few times. */
const faults: ReadonlyArray<FailPoint.Options> = [
  { failCommands: ["update"], errorCode: 112, errorLabels: [Label.TransientTransactionError], mode: { times: 5 } },
  { failCommands: ["insert"], errorCode: 251, errorLabels: [Label.TransientTransactionError], mode: { times: 5 } },
  { failCommands: ["commitTransaction"], errorCode: 246, errorLabels: [Label.TransientTransactionError] },
  { failCommands: ["abortTransaction"], errorCode: 2, errorLabels: [], mode: { times: 3 } },
  { failCommands: ["update", "insert"], closeConnection: true, mode: { times: 2 } },
  // the driver sends it once more by itself, so that two of them are one lost answer
  { failCommands: ["commitTransaction"], closeConnection: true, mode: { times: 4 } },
  { failCommands: ["commitTransaction"], errorCode: 64, errorLabels: unknown, mode: { times: 5 } },
  // executed, and the answer lost
  {
    failCommands: ["commitTransaction"],
    writeConcernError: { code: 64, errmsg: "waiting for replication timed out" },
    errorLabels: unknown,
    mode: { times: 5 }
  },
  {
    failCommands: ["commitTransaction"],
    writeConcernError: { code: 91, errmsg: "shutting down" },
    errorLabels: unknown,
    mode: { times: 2 }
  },
  // answered, so that nobody will ever know: the one was executed, the other was not
  { failCommands: ["commitTransaction"], writeConcernError: { code: 100, errmsg: "unsatisfiable" } },
  { failCommands: ["commitTransaction"], errorCode: 50, errorLabels: unknown }
]

/** Makes things go wrong until it is interrupted. */
const chaos = (admin: DriverClient, appName: string): Effect.Effect<never, FailPoint.FailPointFailed> => {
  const one = (options: FailPoint.Options) =>
    Effect.scoped(
      Effect.zipRight(FailPoint.failCommand(admin, { ...options, appName }), Effect.sleep("60 millis"))
    )
  return Effect.forever(Effect.forEach(faults, (options) => Effect.zipRight(Effect.sleep("60 millis"), one(options))))
}

layer(TestServer.own(), { excludeTestServices: true })((it) => {
  describe("a bank keeps its books, whatever goes wrong", () => {
    it.effect(
      `in ${count} transfers by ${fibers} fibers between ${accounts} accounts`,
      () =>
        logged(() =>
          Monitor.withClient({ driver }, (watched) =>
            Effect.gen(function*() {
              const { appName, client, monitor } = watched
              const bank = yield* Bank.open(client.driver, yield* TestServer.database, accounts)
              const admin = yield* TestServer.driver()
              const seen = tally()
              const results = new Map<string, Array<number>>()
              const hooks = { onCommit: new Array<number>(), onRollback: new Array<number>() }
              const onRetry = ({ reason, step }: Telemetry.Retry) =>
                Effect.sync(() => seen.add(`${step} again after ${reason}`))

              const sessions = new Map<number, SessionId>()
              const run = (one: Bank.Transfer) =>
                Effect.gen(function*() {
                  sessions.set(one._id, (yield* Session.Session).id)
                  yield* Transaction.onCommit(Effect.sync(() => hooks.onCommit.push(one._id)))
                  yield* Transaction.onRollback(Effect.sync(() => hooks.onRollback.push(one._id)))
                  yield* Bank.transfer(bank, one)
                }).pipe(Transaction.run({ onRetry }))

              const work = (one: Bank.Transfer) =>
                Effect.gen(function*() {
                  const fiber = yield* Effect.fork(run(one))
                  if (Math.random() < 0.1) {
                    yield* Effect.sleep(Math.random() * 60)
                    yield* Fiber.interrupt(fiber)
                  }
                  const exit = yield* Fiber.await(fiber)
                  // A commit whose result stays unknown leaves its transaction open on the server for a minute, in which
                  // nobody else can write its accounts. Here that is ended, so that the bank goes on.
                  const session = sessions.get(one._id)
                  if (Exit.isFailure(exit) && session !== undefined) {
                    yield* Effect.ignore(SessionCommands.killSessions([session]))
                  }
                  const result = Exit.match(exit, {
                    onSuccess: () => "committed",
                    onFailure: (cause) => {
                      const [failure] = Cause.failures(cause)
                      // An interruption during the commit leaves it as unknown as it was.
                      return Cause.isInterrupted(cause) && failure?._tag !== "CommitUnknown"
                        ? "interrupted"
                        : failure?._tag ?? "defect"
                    }
                  })
                  results.set(result, [...results.get(result) ?? [], one._id])
                })

              // Every other fiber has a session of its own, the others open one for each transfer.
              const queue = [...Bank.randomTransfers(count, accounts)]
              const next: Effect.Effect<void, never, MongoClient.MongoClient> = Effect.suspend(() => {
                const one = queue.pop()
                return one === undefined ? Effect.void : Effect.zipRight(work(one), next)
              })
              const workers: Effect.Effect<void, AcquireError, MongoClient.MongoClient> = Effect.forEach(
                Array.from({ length: fibers }, (_, n) => n),
                (n) => n % 2 === 0 ? Session.scoped(next) : next,
                { concurrency: "unbounded", discard: true }
              )
              const began = yield* Clock.currentTimeMillis
              yield* Effect.raceFirst(workers, chaos(admin, appName)).pipe(
                Effect.provideService(MongoClient.MongoClient, client)
              )
              const seconds = ((yield* Clock.currentTimeMillis) - began) / 1_000

              const of = (result: string): ReadonlyArray<number> => results.get(result) ?? []
              const { applied, sum, wrong } = yield* Bank.books(bank)
              const maybe = new Set(of("CommitUnknown"))
              const told = [...results].map(([name, ids]) => `${name}: ${ids.length}`).sort().join(", ")
              const interrupted = of("interrupted").filter((id) => applied.has(id)).length
              const lost = [...maybe].filter((id) => applied.has(id)).length
              console.log(
                `${count} transfers in ${
                  seconds.toFixed(1)
                } s; ${told}; of the interrupted ${interrupted} are applied, ` +
                  `of the unknown ${lost}; ${seen}`
              )

              expect(sum, "all the money").toBe(accounts * Bank.initial)
              expect(wrong, "accounts that are not as the ledger makes them").toEqual([])
              expect([...results.values()].flat().length, "transfers with a result").toBe(count)
              expect(of("committed").filter((id) => !applied.has(id)), "committed, not applied").toEqual([])
              const failed = [...results.keys()].filter((result) =>
                !["committed", "interrupted", "CommitUnknown"].includes(result)
              )
              expect(failed.filter((result) => !["MongoError", "TransactionAborted"].includes(result))).toEqual([])
              expect(failed.flatMap(of).filter((id) => applied.has(id)), "failed, but applied").toEqual([])
              // The hooks know of each transfer whether it has happened, also of those that were interrupted.
              const certain = [...applied].filter((id) => !maybe.has(id))
              expect(sorted(hooks.onCommit), "told to be committed").toEqual(sorted(certain))
              const begun = new Set(hooks.onRollback)
              expect(hooks.onRollback.length, "rolled back once each").toBe(begun.size)
              expect([...begun].filter((id) => applied.has(id)), "rolled back, but applied").toEqual([])
              expect(yield* monitor.overlaps).toHaveLength(0)

              expect(of("committed").length, "committed").toBeGreaterThan(count * 0.8)
              expect(of("interrupted").length, "interrupted").toBeGreaterThan(count * 0.02)
              expect(seen.total(/^body again/), "attempts repeated").toBeGreaterThan(100)
              expect(seen.total(/^commit again/), "commits repeated").toBeGreaterThan(0)
              expect(maybe.size, "unknown").toBeGreaterThan(0)
            }))
        ),
      600_000
    )
  })
})

const sorted = (ids: ReadonlyArray<number>): ReadonlyArray<number> => [...ids].sort((one, other) => one - other)
