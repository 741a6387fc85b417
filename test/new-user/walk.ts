// Runs, in a new user's folder, what the README's programs export: `tsx walk.ts <file of checkout> <file of main>`.
// Of what the README exports nothing else is known here.
// @effect-diagnostics anyUnknownInErrorContext:off
import { Effect } from "effect"
import { Collection, type MongoClient } from "effect-mongo-session"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"
import * as assert from "node:assert/strict"
import { resolve } from "node:path"
import { pathToFileURL } from "node:url"

const [before = "", first = ""] = process.argv.slice(2)
const load = (file: string): Promise<unknown> => import(pathToFileURL(resolve(file)).href)

const { checkout } = await load(before) as {
  readonly checkout: (item: string) => Effect.Effect<unknown, unknown, MongoClient.MongoClient>
}
const { main } = await load(first) as { readonly main: Effect.Effect<unknown, unknown> }

const Stock = Collection.make("stock")
const Orders = Collection.make("orders")

const program = Effect.gen(function*() {
  const { url } = yield* MongoServer.MongoServer
  process.env["MONGO_URL"] = url
  yield* main

  yield* Stock.insertOne({ item: "pen", left: 20 })
  // They get in each other's way, and the body wraps what it sees of that.
  yield* Effect.forEach(Array.from({ length: 20 }), () => checkout("pen"), { concurrency: 5 })
  const stock = yield* Effect.flatten(Stock.findOne({ item: "pen" }))
  assert.equal(stock["left"], 0)
  assert.equal(yield* Orders.countDocuments({ item: "pen" }), 20)
})

await Effect.runPromise(program.pipe(Effect.provide(MongoServer.layerClient({ client: { database: "new_user" } }))))
