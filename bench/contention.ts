/**
 * `npm run bench:contention`: transactions that fight for few documents, by the driver's `withTransaction`, by this library
 * with the specification's backoff, and as they queue. Prints a table; `-- --seconds N` takes longer for each figure.
 */
import * as Effect from "effect/Effect"
import { MongoClient } from "mongodb"
import { parseArgs } from "node:util"
import * as MongoServer from "../src/testing/MongoServer.js"
import { cell, type Counted, together } from "./contentionCount.js"
import { prepare } from "./prepare.js"
import { promised, start } from "./processes.js"

const modes = ["driver", "backoff", "queued"] as const

/** What one process does. */
export interface Load {
  readonly mode: (typeof modes)[number]
  readonly fibers: number
  readonly accounts: number
  readonly seconds: number
  readonly url: string
}

const { values } = parseArgs({ options: { seconds: { type: "string", default: "4" } } })
const seconds = Number(values.seconds)

const cases = [1, 3].flatMap((processes) =>
  [1, 10, 100].flatMap((accounts) => [4, 16, 64, 256].map((fibers) => ({ processes, accounts, fibers })))
)

const fill = async (url: string, accounts: number): Promise<void> => {
  const driver = await new MongoClient(url).connect()
  const collection = driver.db("contention").collection<{ readonly _id: number; readonly balance: number }>("accounts")
  await collection.deleteMany({})
  await collection.insertMany(Array.from({ length: accounts }, (_, _id) => ({ _id, balance: 0 })))
  await driver.close()
}

const check = async (url: string): Promise<void> => {
  const driver = await new MongoClient(url).connect()
  const found = await driver.db("contention").collection("accounts").find().toArray()
  await driver.close()
  const sum = found.reduce((total, { balance }) => total + balance, 0)
  if (sum !== 0) throw new Error(`the books do not agree: ${sum}`)
}

const measure = async (load: Load, processes: number): Promise<Counted> => {
  await fill(load.url, load.accounts)
  const all = await Promise.all(
    Array.from({ length: processes }, () => start<Counted>("./contentionWorker.ts", [JSON.stringify(load)]).printed)
  )
  await check(load.url)
  return together(all)
}

const program = Effect.gen(function*() {
  yield* promised(prepare)
  const { url } = yield* MongoServer.MongoServer
  console.log(
    `| processes, accounts, fibers of each | ${modes.join(" | ")} |\n|---|${modes.map(() => "--:|").join("")}`
  )
  for (const { accounts, fibers, processes } of cases) {
    const cells: Array<string> = []
    for (const mode of modes) {
      const load = { mode, fibers, accounts, seconds, url }
      cells.push(cell(yield* promised(() => measure(load, processes))))
    }
    console.log(`| ${processes}, ${accounts}, ${fibers} | ${cells.join(" | ")} |`)
  }
})

await Effect.runPromise(Effect.provide(program, MongoServer.layer()))
