import { describe, expect, layer } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { ClientSession, MongoClient as DriverClient } from "mongodb"
import * as MongoClient from "../../src/MongoClient.js"
import * as Session from "../../src/Session.js"
import type { TransactionError } from "../../src/SessionErrors.js"
import * as MongoServer from "../../src/testing/MongoServer.js"
import * as Transaction from "../../src/Transaction.js"
import { needsDriver7 } from "../support/server/driverVersion.js"
import * as TestServer from "../support/server/testServer.js"
import * as Bank from "../support/transactions/bank.js"

const accounts = 10
const fibers = 16
const perRound = 160
const rounds = 3

/** What one round took, and how often a body was run in it. */
interface Taken {
  readonly seconds: number
  readonly cpu: number
  readonly attempts: number
}

/** Makes transfers, and tells how often it began one. */
type Contender = (bank: Bank.Bank, transfers: ReadonlyArray<Bank.Transfer>) => Effect.Effect<number>

/** The library: each fiber has a session of its own. */
const library = (client: MongoClient.Service): Contender => (bank, transfers) =>
  Effect.gen(function*() {
    let attempts = 0
    const queue = [...transfers]
    const next: Effect.Effect<void, TransactionError, MongoClient.MongoClient> = Effect.suspend(() => {
      const one = queue.pop()
      if (one === undefined) return Effect.void
      const body = Effect.suspend(() => {
        attempts++
        return Bank.moveBothHere(bank, one)
      })
      return Effect.zipRight(Transaction.run(body), next)
    })
    yield* Effect.all(Array.from({ length: fibers }, () => Session.scoped(next)), {
      concurrency: "unbounded",
      discard: true
    })
    return attempts
  }).pipe(Effect.provideService(MongoClient.MongoClient, client), Effect.orDie)

/** The driver itself, used as its manual says: each worker has a session of its own. */
const driver = (client: DriverClient): Contender => (bank, transfers) =>
  Effect.promise(async () => {
    let attempts = 0
    const queue = [...transfers]
    const worker = async (session: ClientSession): Promise<void> => {
      for (let one = queue.pop(); one !== undefined; one = queue.pop()) {
        const transfer = one
        await session.withTransaction((session) => {
          attempts++
          return Bank.moveBoth(bank, transfer, session)
        })
      }
    }
    await Promise.all(Array.from({ length: fibers }, () => client.withSession(worker)))
    return attempts
  })

const measured = (round: Effect.Effect<number>): Effect.Effect<Taken> =>
  Effect.gen(function*() {
    const before = process.cpuUsage()
    const [time, attempts] = yield* Effect.timed(round)
    const { system, user } = process.cpuUsage(before)
    return { seconds: Duration.toSeconds(time), cpu: (system + user) / 1e6, attempts }
  })

const median = (values: ReadonlyArray<number>): number =>
  [...values].sort((one, other) => one - other)[Math.floor(values.length / 2)]!

layer(TestServer.own(), { excludeTestServices: true })((it) => {
  describe("contended transactions, side by side with the driver's withTransaction", () => {
    it.effect(
      `by the median of ${rounds} rounds of ${perRound} transfers by ${fibers} fibers between ${accounts} accounts`,
      (context) =>
        Effect.scoped(Effect.gen(function*() {
          needsDriver7(context, "its withTransaction does not wait between attempts, and takes minutes for it")
          const { url } = yield* MongoServer.MongoServer
          const client = yield* MongoClient.make({ url: Redacted.make(url) })
          const bank = yield* Bank.open(client.driver, yield* TestServer.database, accounts)
          const contenders = { library: library(client), driver: driver(client.driver) }

          const pairs: Array<{ readonly library: Taken; readonly driver: Taken }> = []
          // the first is to warm up, and does not count
          for (let round = 0; round <= rounds; round++) {
            // both make the same transfers; who begins is left to chance, so that neither profits from it
            const transfers = Bank.randomTransfers(perRound, accounts)
            const run = (name: keyof typeof contenders) => measured(contenders[name](bank, transfers))
            const driverFirst = Math.random() < 0.5
            const first = yield* run(driverFirst ? "driver" : "library")
            const second = yield* run(driverFirst ? "library" : "driver")
            if (round > 0) {
              pairs.push(driverFirst ? { driver: first, library: second } : { driver: second, library: first })
            }
          }

          const rate = (name: keyof typeof contenders) => median(pairs.map((pair) => perRound / pair[name].seconds))
          const ratio = (of: (taken: Taken) => number) =>
            median(pairs.map(({ driver, library }) => of(library) / of(driver)))
          const speed = ratio(({ seconds }) => 1 / seconds)
          // How many attempts it takes is chance, and counted apart.
          const ofAttempt = ratio(({ attempts, cpu }) => cpu / attempts)
          const told = (name: keyof typeof contenders) =>
            `${name} ${rate(name).toFixed(0)} transfers/s, ` +
            `${(median(pairs.map((pair) => pair[name].attempts)) / perRound).toFixed(2)} attempts each`
          console.log(
            `${told("library")}; ${told("driver")}; ratios: speed ${speed.toFixed(3)}, attempts ` +
              `${ratio(({ attempts }) => attempts).toFixed(3)}, processor time of an attempt ${
                ofAttempt.toFixed(3)
              }; ` +
              `speed by round ${pairs.map((pair) => (pair.driver.seconds / pair.library.seconds).toFixed(2)).join(" ")}`
          )
          expect((yield* Bank.books(bank)).sum, "all the money").toBe(accounts * Bank.initial)
          // How fast they are is the benchmark's to say: here others may use the processors. What the library itself takes
          // for a transfer hardly depends on them.
          expect(ratio(({ attempts }) => attempts), "attempts, as a multiple of the driver's").toBeLessThan(2)
          expect(ofAttempt, "processor time of an attempt, as a multiple of the driver's").toBeLessThan(3.5)
        }))
    )
  })
})
