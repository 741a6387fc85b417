/**
 * A program that is stopped and continued by a test: it opens sessions, says so, and uses them again when a file is there.
 * Arguments: URL and that file.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as FileSystem from "node:fs"
import * as MongoClient from "../../../src/MongoClient.js"
import * as Session from "../../../src/Session.js"

const [url = "", file = ""] = process.argv.slice(2)

const program = Effect.gen(function*() {
  const client = yield* MongoClient.MongoClient
  const ping = (session: Session.Service) =>
    session.use((driverSession) => client.driver.db("test").command({ ping: 1 }, { session: driverSession }))
  const failing = yield* Session.make({ release: "end", keepAlive: false })
  const renewed = yield* Session.make({ release: "end", onLapse: "renew" })
  yield* Effect.all([ping(failing), ping(renewed)])
  process.stdout.write("opened\n")
  yield* Effect.repeat(Effect.sync(() => FileSystem.existsSync(file)), {
    until: (is) => is,
    schedule: Schedule.spaced("20 millis")
  })
  const outcome = yield* Effect.all({
    failing: Effect.match(ping(failing), { onFailure: ({ _tag }) => _tag, onSuccess: () => "used" }),
    renewed: Effect.match(ping(renewed), { onFailure: ({ _tag }) => _tag, onSuccess: () => "used" }),
    again: Effect.match(ping(renewed), { onFailure: ({ _tag }) => _tag, onSuccess: () => "used" })
  })
  FileSystem.writeFileSync(`${file}.out`, JSON.stringify(outcome))
})

await Effect.runPromise(Effect.scoped(program).pipe(Effect.provide(MongoClient.layer({ url: Redacted.make(url) }))))
