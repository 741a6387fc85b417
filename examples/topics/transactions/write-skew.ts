// Two doctors go home at once, if another one stays. By default both go. With locked reads one of them stays.
import { Effect, Stream } from "effect"
import { Collection, Transaction } from "effect-mongo-session"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"

const Doctors = Collection.make("skew_doctors")

const leave = (_id: string, isolation: "serializable" | undefined) =>
  Effect.gen(function*() {
    const present = yield* Stream.runCount(Doctors.find({ onCall: true }))
    // Time for the other one to read the same.
    yield* Effect.sleep("200 millis")
    if (present < 2) return
    yield* Doctors.updateOne({ _id }, { $set: { onCall: false } })
  }).pipe(Transaction.run({ isolation }))

const evening = (isolation: "serializable" | undefined) =>
  Effect.gen(function*() {
    yield* Doctors.deleteMany({})
    yield* Doctors.insertMany([{ _id: "ada", onCall: true }, { _id: "bob", onCall: true }])
    yield* Effect.all([leave("ada", isolation), leave("bob", isolation)], { concurrency: 2 })
    return yield* Doctors.countDocuments({ onCall: true })
  })

const program = Effect.gen(function*() {
  yield* Effect.log(`by default, ${yield* evening(undefined)} stay`)
  yield* Effect.log(`serializable, ${yield* evening("serializable")} stays`)
})

await Effect.runPromise(Effect.provide(program, MongoServer.layerClient()))
