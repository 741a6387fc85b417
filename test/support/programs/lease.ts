/**
 * A program that is frozen in a transaction under a lease, before its guard or after it, and goes on when a file is there. It
 * never looks whether it has lost the lease: only the guard is in its way. Arguments: URL, database, where it is frozen, and
 * that file.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as FileSystem from "node:fs"
import * as Collection from "../../../src/Collection.js"
import * as Lease from "../../../src/Lease.js"
import * as MongoClient from "../../../src/MongoClient.js"
import * as Transaction from "../../../src/Transaction.js"

const [url = "", database = "", moment = "", file = ""] = process.argv.slice(2)

const Writes = Collection.make("writes", { database })

const frozen = Effect.zipRight(
  Effect.sync(() => process.stdout.write("in its transaction\n")),
  Effect.repeat(Effect.sync(() => FileSystem.existsSync(file)), {
    until: (is) => is,
    schedule: Schedule.spaced("20 millis")
  })
)

const program = Effect.scoped(Effect.gen(function*() {
  const { guard, token } = yield* Lease.make(moment, { database, for: "1 second" }).acquire
  let attempts = 0
  const outcome = yield* Effect.either(Transaction.run(Effect.gen(function*() {
    attempts++
    if (moment === "after") yield* guard
    yield* Writes.insertOne({ moment, by: "frozen", token })
    yield* frozen
    if (moment === "before") yield* guard
  })))
  FileSystem.writeFileSync(
    `${file}.out`,
    JSON.stringify({ attempts, outcome: Either.isLeft(outcome) ? outcome.left : "committed" })
  )
}))

await Effect.runPromise(program.pipe(Effect.provide(MongoClient.layer({ url: Redacted.make(url) }))))
