/**
 * A program that starts a server as its first argument says (JSON), prints what it is as one line of JSON, and holds
 * it for ever: to be killed by a test. With `exit` as second argument it leaves by itself without any clean-up.
 */
import * as Effect from "effect/Effect"
import * as MongoServer from "../../../src/testing/MongoServer.js"

const options: MongoServer.Options = JSON.parse(process.argv[2] ?? "{}")

const program = Effect.scoped(Effect.gen(function*() {
  const { handle } = yield* MongoServer.make(options)
  process.stdout.write(`${JSON.stringify({ _tag: "Running", ...handle })}\n`)
  if (process.argv[3] === "exit") process.exit(0)
  return yield* Effect.never
})).pipe(
  Effect.catchAll((error) =>
    Effect.sync(() =>
      process.stdout.write(
        `${JSON.stringify({ _tag: "Unavailable", message: error.message, attempts: error.attempts })}\n`
      )
    )
  )
)

await Effect.runPromise(program)
