/**
 * 16 fibers that transfer money between 10 accounts, so that their transactions conflict.
 */
import * as Effect from "effect/Effect"
import type { MongoClient } from "mongodb"
import { Collection, Transaction } from "../library.js"
import type { Arm } from "../rounds.js"
import { type Arms, ours, raw, type Scene } from "../scene.js"
import { quantile } from "../statistics.js"

interface Account {
  readonly _id: number
  readonly balance: number
}

const fibers = 16
const accounts = 10
const initial = 1000

const named = Collection.make("accounts")

const add = (amount: number) => ({ $inc: { balance: amount } })

// From one account to another, both of them at random.
const transfer = () => {
  const from = Math.floor(Math.random() * accounts)
  const to = (from + 1 + Math.floor(Math.random() * (accounts - 1))) % accounts
  return { from: { _id: from }, to: { _id: to }, amount: 1 + Math.floor(Math.random() * 20) }
}

const collectionOf = (driver: MongoClient) => driver.db().collection<Account>("accounts")

export const bank: Arms = (scene) =>
  Effect.gen(function*() {
    yield* Effect.promise(async () => {
      const collection = collectionOf(scene.drivers.raw)
      await collection.drop()
      await collection.insertMany(Array.from({ length: accounts }, (_, _id) => ({ _id, balance: initial })))
    })
    yield* Effect.addFinalizer(() => Effect.promise(() => checkBooks(scene)))
    const latencies: Array<number> = []
    const note = (started: number) => void latencies.push(performance.now() - started)
    const arms = [
      ...raw(scene, fibers, (driver) => {
        const collection = collectionOf(driver)
        return async (session) => {
          const started = performance.now()
          const { amount, from, to } = transfer()
          await session.withTransaction(async () => {
            await collection.updateOne(from, add(-amount), { session })
            await collection.updateOne(to, add(amount), { session })
          })
          note(started)
        }
      }),
      yield* ours(scene, "ours", fibers, () => {
        const started = performance.now()
        const { amount, from, to } = transfer()
        return Effect.map(
          Transaction.run(Effect.zipRight(named.updateOne(from, add(-amount)), named.updateOne(to, add(amount)))),
          () => note(started)
        )
      })
    ]
    return arms.map((arm): Arm => ({
      name: arm.name,
      run: async (times) => {
        latencies.length = 0
        await arm.run(times)
        return { p99: quantile(latencies, 0.99) }
      }
    }))
  })

// What is fast and loses money does not count.
const checkBooks = async ({ drivers }: Scene): Promise<void> => {
  const found = await collectionOf(drivers.raw).find().toArray()
  const sum = found.reduce((total, { balance }) => total + balance, 0)
  if (sum !== accounts * initial) throw new Error(`${accounts * initial} have become ${sum}`)
}
