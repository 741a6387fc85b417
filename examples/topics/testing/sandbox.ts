// Tests a program that commits, without a commit: all is real, and then rolled back. The next test finds nothing of it.
import { Effect } from "effect"
import { MongoClient, Session, Transaction } from "effect-mongo-session"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"
import * as assert from "node:assert/strict"

const tickets = Effect.map(MongoClient.MongoClient, ({ driver }) => driver.db().collection("tickets"))

const count = Effect.flatMap(
  tickets,
  (tickets) => Session.use((session) => tickets.countDocuments({}, { session }))
)

/** What is to be tested: a transaction that sends something once it is committed. */
const book = (seat: number, sent: Array<number>) =>
  Effect.gen(function*() {
    const collection = yield* tickets
    yield* Session.use((session) => collection.insertOne({ seat }, { session }))
    yield* Transaction.onCommit(Effect.sync(() => void sent.push(seat)))
  }).pipe(Transaction.run())

const test = Effect.gen(function*() {
  const sent: Array<number> = []
  const before = yield* Session.scoped(count)

  const { hooks, value } = yield* Transaction.sandbox(Effect.zipRight(book(7, sent), count))
  assert.equal(value, before + 1)
  assert.equal(yield* Session.scoped(count), before)

  // The hooks were not run. A test may look at them, or run them.
  assert.deepEqual(hooks.map(({ moment }) => moment), ["onCommit"])
  assert.deepEqual(sent, [])
  yield* Effect.forEach(hooks, ({ effect }) => effect)
  assert.deepEqual(sent, [7])
  yield* Effect.log("booked, sent, and nothing is left of it")
})

await Effect.runPromise(test.pipe(Effect.provide(MongoServer.layerClient())))
