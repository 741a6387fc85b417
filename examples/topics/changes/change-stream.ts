// Follows the changes of a collection as typed events, goes on after any of them, and consumes each exactly once.
import { Chunk, Effect, Option, Schema, Stream } from "effect"
import { ChangeStream, Collection, ResumeToken, Session } from "effect-mongo-session"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"

const Stock = Schema.Struct({ _id: Schema.String, count: Schema.NumberFromString })
const Stocks = Collection.make("stocks", { schema: Stock })
const Totals = Collection.make("totals", { schema: Schema.Struct({ _id: Schema.String, count: Schema.Number }) })

const tell = (event: ChangeStream.Event<typeof Stock.Type>) => {
  switch (event._tag) {
    case "insert":
      return `${event.documentKey["_id"]} is new: ${Option.getOrThrow(event.fullDocument).count}`
    case "update":
      return `${event.documentKey["_id"]} has changed: ${Object.keys(event.updateDescription.updatedFields).join()}`
    case "delete":
      return `${event.documentKey["_id"]} is gone`
    default:
      return event._tag
  }
}

/** Adds up what is inserted. What it writes and the note that the event is done are committed together. */
const addUp = (crashAt: string | undefined) =>
  ChangeStream.consume(
    "stocks",
    (event: ChangeStream.Event<typeof Stock.Type>) =>
      event._tag !== "insert" ? Effect.void : Effect.gen(function*() {
        const { _id, count } = yield* event.fullDocument
        yield* Totals.updateOne({ _id: "all" }, { $inc: { count } }, { upsert: true })
        if (_id === crashAt) return yield* Effect.fail(`crashed at ${_id}`)
      })
  )

const total = Effect.map(Effect.flatten(Totals.findOne({ _id: "all" })), ({ count }) => count)

const program = Effect.gen(function*() {
  yield* Stocks.drop()
  yield* Totals.deleteMany({})
  yield* Collection.make("effect_mongo_session.checkpoints").deleteMany({ _id: "stocks" })

  // A stream begins when it is run; this one with the first insert, whose time the session knows.
  const startAtOperationTime = yield* Session.scoped(Effect.gen(function*() {
    yield* Stocks.insertOne({ _id: "pens", count: 3 })
    return yield* Effect.flatten((yield* Session.Session).operationTime)
  }))
  const changes = Stocks.watch([], { startAtOperationTime })
  yield* Stocks.updateOne({ _id: "pens" }, { $set: { count: "2" } })
  yield* Stocks.insertOne({ _id: "ink", count: 7 })
  yield* Stocks.deleteOne({ _id: "pens" })

  const first = yield* Stream.runCollect(Stream.take(changes, 2))
  yield* Effect.forEach(first, (event) => Effect.log(tell(event)))

  // The place in the stream is a value that fits into a text.
  const text = ResumeToken.encode(Chunk.unsafeLast(first).resumeToken)
  const rest = ChangeStream.after(changes, yield* ResumeToken.decode(text))
  yield* Stream.runForEach(Stream.take(rest, 2), (event) => Effect.log("later:", tell(event)))

  const failure = yield* Effect.flip(addUp("ink")(changes))
  yield* Effect.log(failure._tag === "HandlingFailed" ? failure.error : failure)
  yield* Effect.log("by then:", yield* total)
  // Started again, it goes on after what it has done. The stream ends with its collection.
  yield* Stocks.drop()
  yield* addUp(undefined)(changes)
  yield* Effect.log("in the end:", yield* total)
})

await Effect.runPromise(program.pipe(Effect.provide(MongoServer.layerClient())))
