/**
 * Measures effect-mongodb against the driver that it runs on, in a process of its own, and prints what it found. Plain
 * JavaScript, for its packages are there only once the benchmark has been run.
 */
import * as Collection from "effect-mongodb/Collection"
import * as Db from "effect-mongodb/Db"
import * as DocumentCollection from "effect-mongodb/DocumentCollection"
import * as DocumentFindCursor from "effect-mongodb/DocumentFindCursor"
import * as FindCursor from "effect-mongodb/FindCursor"
import * as MongoClient from "effect-mongodb/MongoClient"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { check, person, reading } from "../documents.ts"
import { endWithParent } from "../ending.ts"
import { measure } from "../rounds.ts"

endWithParent()
process.setSourceMapsEnabled(false)

const job = JSON.parse(process.argv[2] ?? "")

const client = await Effect.runPromise(MongoClient.connect(job.url))
const db = MongoClient.db(client, "test")
const raw = client.client.db("test").collection("people")
const untyped = Db.documentCollection(db, "people")
const typed = Db.collection(
  db,
  "people",
  Schema.Struct({ _id: Schema.Number, name: Schema.String, score: Schema.Number })
)

const sessions = (count) => Array.from({ length: count }, () => client.client.startSession())

const countdown = (times) => {
  let left = times
  return () => left-- > 0
}

const rawArm = (name, opened, body) => ({
  name,
  run: async (times) => {
    const next = countdown(times)
    await Promise.all(opened.map(async (session) => {
      while (next()) await body(session)
    }))
  }
})

const arm = (name, opened, body) => ({
  name,
  run: (times) => {
    const next = countdown(times)
    const repeated = opened.map((session) =>
      Effect.whileLoop({ while: next, body: () => body(session), step: () => undefined })
    )
    return Effect.runPromise(Effect.all(repeated, { concurrency: "unbounded", discard: true }))
  }
})

const repeated = (count, rawBody, bodies) => [
  rawArm("raw", sessions(count), rawBody),
  rawArm("control", sessions(count), rawBody),
  ...Object.entries(bodies).map(([name, body]) => arm(name, sessions(count), body))
]

const rawStream = (name, [session]) => ({
  name,
  run: async (times) => {
    let sum = 0
    for await (const { score } of raw.find({}, { ...reading(times), session })) sum += score
    check(sum, times)
  }
})

const stream = (name, read) => ({
  name,
  run: (times) =>
    Effect.runPromise(Effect.map(
      Stream.runFold(read(times), 0, (sum, { score }) => sum + score),
      (sum) => check(sum, times)
    ))
})

const groups = {
  findOne: () =>
    repeated(1, (session) => raw.findOne({ _id: 1 }, { session }), {
      "untyped": (session) => DocumentCollection.findOne(untyped, { _id: 1 }, { session }),
      "with schema": (session) => Collection.findOne(typed, { _id: 1 }, { session })
    }),
  insertOne: () =>
    repeated(32, (session) => raw.insertOne({ ...person }, { session }), {
      "untyped": (session) => DocumentCollection.insertOne(untyped, { ...person }, { session })
    }),
  stream: () => {
    const [session] = sessions(1)
    return [
      rawStream("raw", [session]),
      rawStream("control", [session]),
      stream(
        "untyped",
        (times) => DocumentFindCursor.toStream(DocumentCollection.find(untyped, {}, { ...reading(times), session }))
      ),
      stream("with schema", (times) => FindCursor.toStream(Collection.find(typed, {}, { ...reading(times), session })))
    ]
  }
}

const arms = groups[job.group]().filter(({ name }) => job.arms.includes(name))
console.log(JSON.stringify(await measure(arms, job.size)))
await Effect.runPromise(MongoClient.close(client))
