// A workflow of steps goes on where it was after a failure, and is compensated when a step fails for good.
import { Effect, Schema } from "effect"
import { Collection, Steps } from "effect-mongo-session"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"

class OutOfStock extends Schema.TaggedError<OutOfStock>()("OutOfStock", { item: Schema.String }) {}

class ShipperIsDown extends Schema.TaggedError<ShipperIsDown>()("ShipperIsDown", {}) {}

const Stock = Collection.make("steps_stock", { schema: Schema.Struct({ _id: Schema.String, left: Schema.Number }) })
const Orders = Collection.make("steps_orders", {
  schema: Schema.Struct({ _id: Schema.String, payment: Schema.String })
})

/** A payment service that is elsewhere: it takes a key, so that it charges once for it. */
const charge = (key: string) => Effect.as(Effect.log(`charged for ${key}`), `payment of ${key}`)
const refund = (payment: string) => Effect.log(`refunded: ${payment}`)

const take = (item: string) =>
  Effect.gen(function*() {
    const { modifiedCount } = yield* Stock.updateOne({ _id: item, left: { $gt: 0 } }, { $inc: { left: -1 } })
    if (modifiedCount === 0) return yield* new OutOfStock({ item })
    yield* Effect.log(`took a ${item}`)
  })

const Ordering = Steps.make("ordering", { version: 1, for: "10 seconds" })

let isShipperUp = false
const ship = Effect.suspend(() => isShipperUp ? Effect.log("shipped") : Effect.fail(new ShipperIsDown()))

const order = (step: Steps.Step, id: string) =>
  Effect.gen(function*() {
    const payment = yield* step("charge", charge(id.slice(-1)), { result: Schema.String, compensate: refund })
    yield* step("take", take("book"), { failure: OutOfStock })
    yield* step("order", Orders.insertOne({ _id: id, payment }))
    yield* step("ship", ship)
    return payment
  })

const program = Effect.gen(function*() {
  yield* Effect.all([Stock.deleteMany({}), Orders.deleteMany({})])
  yield* Stock.insertOne({ _id: "book", left: 1 })
  const session = globalThis.crypto.randomUUID()

  const first = yield* Effect.flip(Ordering.run(`${session}/A`, order))
  yield* Effect.log(`order A is unfinished: ${first._tag}`)

  isShipperUp = true
  // A worker takes up what is unfinished, and what dead processes have left.
  const resumed = yield* Ordering.resume(order)
  yield* Effect.log(
    `taken up: ${resumed.map(({ exit }) => exit._tag).join()}; orders: ${yield* Orders.countDocuments()}`
  )

  const second = yield* Effect.flip(Ordering.run(`${session}/B`, order))
  yield* Effect.log(`order B has failed for good: ${second._tag}`)
})

await Effect.runPromise(program.pipe(Effect.provide(MongoServer.layerClient())))
