// A collection with a schema: values go in and come out, and operations find the transaction that they run in.
import { Chunk, DateTime, Effect, Option, Schema, Stream } from "effect"
import { Collection, Transaction } from "effect-mongo-session"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"

/** A `DateTime` in the program, a BSON date in the database. */
const Person = Schema.Struct({
  _id: Schema.String,
  name: Schema.NonEmptyString,
  born: Schema.DateTimeUtcFromDate
})

const People = Collection.make("people", { schema: Person })

const program = Effect.gen(function*() {
  yield* People.deleteMany({})
  yield* People.insertMany([
    { _id: "ada", name: "Ada", born: DateTime.unsafeMake("1815-12-10") },
    { _id: "grace", name: "Grace", born: DateTime.unsafeMake("1906-12-09") }
  ])

  const found = yield* People.findOne({ _id: "ada" })
  yield* Effect.log(Option.match(found, {
    onNone: () => "nobody is found",
    onSome: ({ born, name }) => `${name} is found, born in ${DateTime.getPartUtc(born, "year")}`
  }))
  yield* Effect.log("bob is found:", Option.isSome(yield* People.findOne({ _id: "bob" })))

  // Filters speak of documents as they are stored.
  const young = yield* Stream.runCollect(People.find({ born: { $gt: new Date("1900-01-01") } }))
  yield* Effect.log("born later:", ...Chunk.map(young, ({ name }) => name))

  // Nobody passes a session along: what runs in the transaction is a part of it.
  const rename = (_id: string, name: string) => People.updateOne({ _id }, { $set: { name } })
  yield* rename("ada", "Augusta").pipe(
    Effect.zipRight(rename("grace", "Amazing Grace")),
    Effect.zipRight(Transaction.rollbackOnly),
    Transaction.run()
  )
  const names = yield* Stream.runCollect(Stream.map(People.find(), ({ name }) => name))
  yield* Effect.log("after the rollback:", ...names)

  // What does not fit is refused before anything is sent.
  const refused = yield* Effect.flip(
    People.insertOne({ _id: "bob", name: "", born: DateTime.unsafeMake("2000-01-01") })
  )
  yield* Effect.log(`${refused._tag}: ${refused.message}`)
})

await Effect.runPromise(program.pipe(Effect.provide(MongoServer.layerClient())))
