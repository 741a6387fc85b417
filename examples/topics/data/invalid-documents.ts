// What others have stored may not fit a schema. A read fails at it, leaves it out, or tells, as it is asked to.
import { DateTime, Effect, Either, Schema, Stream } from "effect"
import { Collection } from "effect-mongo-session"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"

const Person = Schema.Struct({
  _id: Schema.String,
  name: Schema.NonEmptyString,
  born: Schema.DateTimeUtcFromDate
})

const People = Collection.make("people_of_others", { schema: Person })

const program = Effect.gen(function*() {
  yield* People.deleteMany({})
  yield* People.insertOne({ _id: "ada", name: "Ada", born: DateTime.unsafeMake("1815-12-10") })
  yield* Collection.make("people_of_others").insertOne({ _id: "hal", name: "HAL", born: "1992" })

  const failed = yield* Effect.flip(Stream.runDrain(People.find()))
  yield* Effect.log(`${failed._tag}: ${failed.message}`)
  const skipped = yield* Stream.runCount(People.find({}, { onInvalid: "skip" }))
  yield* Effect.log(`${skipped} does fit`)
  yield* Stream.runForEach(
    People.find({}, { onInvalid: "either" }),
    Either.match({
      onLeft: ({ documentId, path }) => Effect.log(`${documentId} does not: ${path.join(".")}`),
      onRight: ({ name }) => Effect.log(name)
    })
  )
})

await Effect.runPromise(program.pipe(Effect.provide(MongoServer.layerClient())))
