/**
 * One process of the measurement of contention: fibers that transfer money between accounts for some seconds.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { MongoClient as Driver } from "mongodb"
import type { Load } from "./contention.js"
import { type Committed, count } from "./contentionCount.js"
import { Collection, MongoClient, Transaction } from "./library.js"

const { accounts, fibers, mode, seconds, url }: Load = JSON.parse(process.argv[2] ?? "")

const named = Collection.make("accounts", { database: "contention" })

const add = (amount: number) => ({ $inc: { balance: amount } })

const committed: Array<Committed> = []
let attempts = 0

const pick = () => {
  const from = Math.floor(Math.random() * accounts)
  // With one account, from and to are the same.
  const to = accounts === 1 ? from : (from + 1 + Math.floor(Math.random() * (accounts - 1))) % accounts
  return [{ _id: from }, { _id: to }] as const
}

const ours = () => {
  const [from, to] = pick()
  const body = Effect.suspend(() => {
    attempts++
    return Effect.zipRight(named.updateOne(from, add(-1)), named.updateOne(to, add(1)))
  })
  return Transaction.run(body, { retry: mode === "queued" ? Transaction.queued : Transaction.backoff })
}

const theirs = (driver: Driver) => {
  const collection = driver.db("contention").collection<{ readonly _id: number; readonly balance: number }>("accounts")
  return Effect.promise(() => {
    const [from, to] = pick()
    return driver.withSession((session) =>
      session.withTransaction(async () => {
        attempts++
        await collection.updateOne(from, add(-1), { session })
        await collection.updateOne(to, add(1), { session })
      })
    )
  })
}

const program = Effect.gen(function*() {
  const driver = yield* Effect.promise(() => new Driver(url, { maxPoolSize: fibers + 4 }).connect())
  const start = performance.now()
  const since = () => performance.now() - start
  const one = Effect.suspend(() => {
    const began = since()
    const note = () => void committed.push({ began, ended: since() })
    return mode === "driver" ? Effect.map(theirs(driver), note) : Effect.map(ours(), note)
  })
  yield* Effect.all(
    Array.from({ length: fibers }, () => Effect.repeat(one, { while: () => since() < seconds * 1000 })),
    { concurrency: "unbounded", discard: true }
  )
  yield* Effect.promise(() => driver.close())
  console.log(JSON.stringify(count(committed, attempts, seconds)))
})

await Effect.runPromise(
  Effect.provide(program, MongoClient.layer({ url: Redacted.make(url), driver: { maxPoolSize: fibers + 4 } }))
)
