// A request that is sent twice, at once and by two instances, is done once. Each caller has the same answer.
import { Effect, Schema } from "effect"
import { Collection, Once } from "effect-mongo-session"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"

class OutOfStock extends Schema.TaggedError<OutOfStock>()("OutOfStock", { item: Schema.String }) {}

const Stock = Collection.make("once_stock", { schema: Schema.Struct({ _id: Schema.String, left: Schema.Number }) })
const Orders = Collection.make("once_orders", { schema: Schema.Struct({ _id: Schema.String, item: Schema.String }) })

const Placing = Once.make("placing", {
  result: Schema.Struct({ order: Schema.String }),
  failure: OutOfStock,
  timeToLive: "1 day"
})

/** The key comes with the request, and the fingerprint is made of it. */
const place = (key: string, item: string) =>
  Placing.run(
    key,
    Effect.gen(function*() {
      const { modifiedCount } = yield* Stock.updateOne({ _id: item, left: { $gt: 0 } }, { $inc: { left: -1 } })
      if (modifiedCount === 0) return yield* new OutOfStock({ item })
      const order = globalThis.crypto.randomUUID()
      yield* Orders.insertOne({ _id: order, item })
      yield* Effect.log(`order for a ${item} is placed`)
      return { order }
    }),
    { fingerprint: item }
  )

const program = Effect.gen(function*() {
  yield* Effect.all([Stock.deleteMany({}), Orders.deleteMany({})])
  yield* Stock.insertOne({ _id: "book", left: 1 })
  const session = globalThis.crypto.randomUUID()

  const answers = yield* Effect.replicateEffect(place(`${session}/1`, "book"), 5, { concurrency: 5 })
  yield* Effect.log(`5 answers, ${new Set(answers.map(({ order }) => order)).size} order`)

  const next = yield* Effect.flip(place(`${session}/2`, "book"))
  yield* Effect.log(`another key: ${next._tag}`)
  yield* Stock.updateOne({ _id: "book" }, { $inc: { left: 1 } })
  const again = yield* Effect.flip(place(`${session}/2`, "book"))
  yield* Effect.log(`that key again, with a book in stock: ${again._tag}`)

  const reused = yield* Effect.flip(place(`${session}/1`, "pen"))
  yield* Effect.log(`the first key for a pen: ${reused._tag}`)
})

await Effect.runPromise(program.pipe(Effect.provide(MongoServer.layerClient())))
