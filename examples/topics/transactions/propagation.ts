// A part of a transaction joins it, refuses to run without one, or is a transaction of its own in any case.
import { Effect } from "effect"
import { Collection, Transaction } from "effect-mongo-session"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"

const Entries = Collection.make("journal")
const Items = Collection.make("items_taken")

/** Joins (the default): rolled back with the rest. */
const take = (item: string) => Transaction.run(Items.insertOne({ item }))

/** A transaction of its own: what is written here stays, whatever becomes of the rest. */
const note = (text: string) => Transaction.run(Entries.insertOne({ text }), { propagation: "requiresNew" })

/** Only as a part of another one. */
const count = Transaction.run(Items.countDocuments({}), { propagation: "mandatory" })

const program = Effect.gen(function*() {
  yield* Items.deleteMany({})
  yield* Entries.deleteMany({})

  const inside = yield* Effect.gen(function*() {
    yield* note("somebody wants a pen")
    yield* take("pen")
    yield* Transaction.rollbackOnly
    return yield* count
  }).pipe(Transaction.run())

  yield* Effect.log(`inside: ${inside} taken`)
  yield* Effect.log(`after the rollback: ${yield* Items.countDocuments({})} taken`)
  yield* Effect.log(`and ${yield* Entries.countDocuments({})} entry in the journal`)
  const refused = yield* Effect.flip(count)
  yield* Effect.log(`${refused._tag}: ${"hint" in refused ? refused.hint : refused.message}`)
})

await Effect.runPromise(program.pipe(Effect.provide(MongoServer.layerClient())))
