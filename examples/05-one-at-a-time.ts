// A session takes one operation at a time, from however many fibers they come. The driver does not see to that.
import { Array, Effect, Layer, Redacted } from "effect"
import { MongoClient, Session } from "effect-mongo-session"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"

/** Runs 20 operations from 8 fibers, and tells how many commands were on their way at the same time. */
const mostAtOnce = <E, R>(operation: (number: number) => Effect.Effect<unknown, E, R>) =>
  Effect.gen(function*() {
    const { driver } = yield* MongoClient.MongoClient
    let [now, most] = [0, 0]
    driver.on("commandStarted", () => void (most = Math.max(most, ++now)))
    driver.on("commandSucceeded", () => void now--)
    yield* Effect.forEach(Array.range(1, 20), operation, { concurrency: 8 })
    driver.removeAllListeners("commandStarted").removeAllListeners("commandSucceeded")
    return most
  })

const program = Effect.gen(function*() {
  const { driver } = yield* MongoClient.MongoClient
  const numbers = driver.db().collection("numbers")

  const raw = yield* Effect.acquireUseRelease(
    Effect.sync(() => driver.startSession()),
    (session) => mostAtOnce((number) => Effect.promise(() => numbers.insertOne({ number }, { session }))),
    (session) => Effect.promise(() => session.endSession())
  )
  const ours = yield* mostAtOnce((number) => Session.use((session) => numbers.insertOne({ number }, { session }))).pipe(
    Session.scoped()
  )

  yield* Effect.log(`a session of the driver: up to ${raw} commands at once; of this library: ${ours}`)
})

const ClientLive = Layer.unwrapEffect(
  Effect.map(
    MongoServer.MongoServer,
    ({ url }) => MongoClient.layer({ url: Redacted.make(url), driver: { monitorCommands: true } })
  )
)

await Effect.runPromise(program.pipe(Effect.provide(ClientLive), Effect.provide(MongoServer.layer())))
