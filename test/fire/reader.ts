/**
 * A second process in a storm: it reads at secondaries what a causal token of the first one says that is there. Argument: URL.
 * It is asked and answers by lines of JSON.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Runtime from "effect/Runtime"
import { createInterface } from "node:readline"
import * as CausalToken from "../../src/CausalToken.js"
import * as MongoClient from "../../src/MongoClient.js"
import * as Counter from "./counter.js"

const [url = ""] = process.argv.slice(2)

/** What it is asked. */
export interface Question {
  readonly id: number
  readonly database: string
  readonly key: string
  readonly token: string
}

/** What it answers; without a value where the reading has failed. */
export interface Answer {
  readonly id: number
  readonly n?: number
  readonly token?: string
}

const answer = ({ database, id, key, token }: Question) =>
  Effect.gen(function*() {
    const known = Either.getOrThrow(CausalToken.decode(token))
    const exit = yield* Effect.exit(Counter.readAfter(known, database, key, 1))
    const found: Answer = Exit.isSuccess(exit)
      ? { id, n: exit.value.counts[0] ?? 0, token: CausalToken.encode(exit.value.token) }
      : { id }
    process.stdout.write(`${JSON.stringify(found)}\n`)
  })

const program = Effect.gen(function*() {
  const runtime = yield* Effect.runtime<MongoClient.MongoClient>()
  yield* Effect.async<void>((resume) => {
    const lines = createInterface({ input: process.stdin })
    lines.on("line", (line) => void Runtime.runFork(runtime)(answer(JSON.parse(line))))
    lines.once("close", () => resume(Effect.void))
    process.stdout.write("ready\n")
  })
})

await Effect.runPromise(
  program.pipe(Effect.provide(MongoClient.layer({ url: Redacted.make(url), driver: Counter.driverOptions })))
)
process.exit(0)
