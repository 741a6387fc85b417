// What the page shows: stock and the last orders, as they change. One change stream for each instance, however many look on.
import { Array as Arr, Chunk, Effect, Option, Queue, Schedule, Schema, Stream, SubscriptionRef } from "effect"
import { ChangeStream, Database } from "effect-mongo-session"
import { Order, Product } from "./model.js"
import { Placed } from "./Orders.js"
import { Shutdown } from "./shutdown.js"
import { Products } from "./Stock.js"

const Shop = Schema.Struct({
  /** Those of which the least is left. */
  products: Schema.Array(Product),
  /** The last orders, the newest first, with what their products are called. */
  orders: Schema.Array(Schema.Struct({ ...Order.fields, name: Schema.String })),
  /** How many orders there are in all. */
  placed: Schema.Int
})

/** How many orders and products are shown, and how often at most. */
const shown = 12
const pause = "200 millis"

const collect = <A, E, R>(stream: Stream.Stream<A, E, R>) =>
  Effect.map(Stream.runCollect(stream), Chunk.toReadonlyArray)

const lastOrders = Effect.gen(function*() {
  const orders = yield* collect(Placed.find({}, { sort: { at: -1 }, limit: shown }))
  const products = yield* Products.findByIds(orders.map(({ product }) => product))
  return Arr.zipWith(orders, products, (order, product) => ({
    ...order,
    name: Option.match(product, { onNone: () => order.product, onSome: ({ name }) => name })
  }))
})

const load = Effect.all({
  products: collect(Products.find({}, { sort: { stock: 1, name: 1 }, limit: shown })),
  orders: lastOrders,
  placed: Placed.countDocuments()
}, { concurrency: "unbounded" })

const changes = Database.make().watch([
  { $match: { "ns.coll": { $in: [Products.name, Placed.name] } } },
  // That something has changed is enough: what is shown is read then.
  { $project: { operationType: 1, ns: 1 } }
])

export class Live extends Effect.Service<Live>()("backend/Live", {
  scoped: Effect.gen(function*() {
    const { began } = yield* Shutdown
    const shop = yield* SubscriptionRef.make<typeof Shop.Type>({ products: [], orders: [], placed: 0 })

    const follow = Effect.gen(function*() {
      // However many changes there are meanwhile, one look is enough.
      const changed = yield* Queue.sliding<void>(1)
      // First the stream is opened, then the shop is read: nothing can be missed in between.
      const events = yield* ChangeStream.opened(changes)
      yield* Queue.offer(changed, undefined)
      const look = Effect.gen(function*() {
        yield* Queue.take(changed)
        yield* SubscriptionRef.set(shop, yield* load)
        yield* Effect.sleep(pause)
      })
      yield* Effect.raceFirst(
        Stream.runForEach(events, () => Queue.offer(changed, undefined)),
        Effect.forever(look)
      )
    })
    yield* Effect.scoped(follow).pipe(
      Effect.tapErrorCause((cause) => Effect.logWarning("the live page starts again", cause)),
      Effect.retry(Schedule.spaced("1 second")),
      Effect.forkScoped
    )

    const messages = shop.changes.pipe(
      // Who is slow skips what is outdated.
      Stream.buffer({ capacity: 1, strategy: "sliding" }),
      Stream.mapEffect((now) => Effect.orDie(Schema.encode(Schema.parseJson(Shop))(now))),
      Stream.map((json) => `data: ${json}\n\n`)
    )
    // Says that the connection is alive. Browsers ignore it.
    const heartbeats = Stream.repeat(Stream.succeed(": \n\n"), Schedule.spaced("15 seconds"))
    return {
      /** Server-sent events, one for each state of the shop; until this instance ends. */
      events: Stream.merge(messages, heartbeats).pipe(Stream.interruptWhen(began), Stream.encodeText)
    }
  })
}) {}
