// A service as a layer. Its methods run in the ambient session: who calls them decides which operations share one.
import { Effect, Layer } from "effect"
import { MongoClient, Session } from "effect-mongo-session"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"

class Stock extends Effect.Service<Stock>()("Stock", {
  effect: Effect.gen(function*() {
    const { driver } = yield* MongoClient.MongoClient
    const stock = driver.db().collection<{ _id: string; count: number }>("stock")
    return {
      add: (_id: string, count: number) =>
        Session.use((session) => stock.updateOne({ _id }, { $inc: { count } }, { session, upsert: true })),
      get: (_id: string) =>
        Session.use((session, signal) => stock.findOne({ _id }, { session, signal })).pipe(
          Effect.flatMap(Effect.fromNullable)
        )
    }
  })
}) {}

// One session for all three operations. Whatever runs at once here, on the session it runs one after the other.
const deliver = Effect.gen(function*() {
  const stock = yield* Stock
  yield* Effect.all([stock.add("pen", 3), stock.add("pen", 4)], { concurrency: "unbounded" })
  yield* Effect.log("in stock", yield* stock.get("pen"))
}).pipe(Session.scoped())

const MainLive = Layer.provideMerge(Stock.Default, MongoServer.layerClient())

await Effect.runPromise(Effect.provide(deliver, MainLive))
