/**
 * A program that runs workflows of five steps, each of which stops at a step of its own, in the transaction of the step or in a
 * compensation. It says so when all have stopped, to be killed by a test then. Arguments: URL and database.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as MongoClient from "../../../src/MongoClient.js"
import { idOf, ordering, stops } from "../steps/orders.js"

const [url = "", database = ""] = process.argv.slice(2)

const program = Effect.gen(function*() {
  const { body, Ordering } = ordering(database)
  let stopped = 0
  const all = yield* Deferred.make<void>()
  const stop = Effect.zipRight(
    Effect.suspend(() => ++stopped === stops.length ? Deferred.succeed(all, undefined) : Effect.void),
    Effect.never
  )
  const failed = Effect.catchAllCause((cause: Cause.Cause<unknown>) =>
    Effect.sync(() => {
      process.stderr.write(Cause.pretty(cause))
      process.exit(1)
    })
  )
  yield* Effect.forEach(stops, (at) => Effect.forkDaemon(failed(Ordering.run(idOf(at), body({ at, stop })))), {
    discard: true
  })
  yield* Deferred.await(all)
  process.stdout.write("stopped\n")
  yield* Effect.never
})

await Effect.runPromise(program.pipe(Effect.provide(MongoClient.layer({ url: Redacted.make(url) }))))
