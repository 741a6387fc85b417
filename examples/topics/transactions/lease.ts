// Of two instances one leads. When it stalls, the other takes over, and what the first one commits late is refused.
import { Effect, Schedule } from "effect"
import { Collection, Lease, Transaction } from "effect-mongo-session"
import * as MongoServer from "effect-mongo-session/testing/MongoServer"

const Writes = Collection.make("lease_writes")
const name = `leader-${globalThis.crypto.randomUUID()}`

/** Commits only while the lease is held. */
const write = (by: string) =>
  Transaction.run(Effect.gen(function*() {
    yield* Lease.guard
    const { token } = yield* Lease.Held
    yield* Writes.insertOne({ by, token })
    yield* Effect.log(`${by} writes with token ${token}`)
  }))

// It does not renew its lease, as a process that is frozen does not.
const stalling = Lease.make(name, { for: "500 millis", renew: Schedule.stop })
const healthy = Lease.make(name, { for: "10 seconds", poll: Schedule.spaced("50 millis") })

const first = Effect.scoped(Effect.gen(function*() {
  const held = yield* stalling.acquire
  const here = Effect.provideService(Lease.Held, held)
  yield* here(write("the first"))
  const second = yield* Effect.fork(
    healthy.run(Effect.zipRight(write("the second"), Effect.sleep("300 millis")))
  )
  yield* Effect.flip(held.lost)
  yield* Effect.log("the first has lost its lease, and goes on all the same")
  yield* Effect.sleep("200 millis")
  const late = yield* Effect.flip(here(write("the first")))
  yield* Effect.log(`its commit is refused: ${late._tag}`)
  yield* second
}))

const program = Effect.gen(function*() {
  yield* Writes.deleteMany({})
  yield* first
  yield* Effect.log(`writes: ${yield* Writes.countDocuments()}`)

  // `leader` does the same for an effect: it waits for its turn, and ends when the effect has ended.
  const lead = (who: string) => Lease.leader(name, Effect.log(`${who} leads`), { poll: Schedule.spaced("50 millis") })
  yield* Effect.all([lead("one"), lead("two"), lead("three")], { concurrency: 3, discard: true })
})

await Effect.runPromise(program.pipe(Effect.provide(MongoServer.layerClient())))
