/**
 * A program that asks for each key to be done once, to be killed by a test: it writes an effect with a token of its own, and
 * notes each answer. It goes on for ever, so that it is always killed at work. Arguments: URL, database, how many keys, and
 * its name.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Collection from "../../../src/Collection.js"
import * as MongoClient from "../../../src/MongoClient.js"
import * as Once from "../../../src/Once.js"

const [url = "", database = "", count = "", name = ""] = process.argv.slice(2)

class Refused extends Schema.TaggedError<Refused>()("Refused", { token: Schema.String }) {}

const Doing = Once.make("doing", {
  database,
  result: Schema.Struct({ token: Schema.String }),
  failure: Refused,
  wait: "50 millis"
})
const Effects = Collection.make("effects", { database })
const Answers = Collection.make("answers", { database })
const Counters = Collection.make("counters", { database })

/** Each fifth is refused, after it has written. */
const ask = (key: number) =>
  Effect.gen(function*() {
    const token = globalThis.crypto.randomUUID()
    yield* Effects.insertOne({ key, token })
    yield* Counters.updateOne({ of: key % 5 }, { $inc: { n: 1 } }, { upsert: true })
    if (key % 5 === 0) return yield* new Refused({ token })
    return { token }
  }).pipe(
    (effect) => Doing.run(String(key), effect, { timeout: "5 seconds" }),
    Effect.matchEffect({
      onSuccess: ({ token }) => Answers.insertOne({ key, token, by: name }),
      // It asks again later, whatever it was.
      onFailure: (error) =>
        error instanceof Refused ? Answers.insertOne({ key, token: error.token, by: name }) : Effect.void
    }),
    Effect.ignore
  )

const program = Effect.gen(function*() {
  process.stdout.write("started\n")
  const { driver } = yield* MongoClient.MongoClient
  const answered = Effect.promise(() => driver.db(database).collection("answers").distinct("key", { by: name }))
  yield* Effect.forever(Effect.gen(function*() {
    const done = new Set(yield* answered)
    const keys = Array.from({ length: Number(count) }, (_, key) => key)
    const open = keys.filter((key) => !done.has(key))
    // What was answered is asked for again, too.
    yield* Effect.forEach(
      open.length === 0 ? keys : open.flatMap((key) => [key, Math.floor(Math.random() * (key + 1))]),
      ask,
      {
        concurrency: 2,
        discard: true
      }
    )
  }))
})

await Effect.runPromise(program.pipe(
  Effect.provide(MongoClient.layer({ url: Redacted.make(url), database, driver: { appName: name } }))
))
