/**
 * Measures effect-mongodb against the driver that it runs on, in a process of its own, and prints what it found. Each kind of
 * arm has a client of its own. Plain JavaScript, for its packages are there only once the benchmark has been run.
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
import * as MongoDB from "mongodb"
import { check, person, reading } from "../documents.ts"
import { chosen, receive } from "../job.ts"
import { measure } from "../rounds.ts"

const job = receive()

const client = await Effect.runPromise(MongoClient.connect(job.url))
const db = MongoClient.db(client, "test")
const untyped = Db.documentCollection(db, "people")
const typed = Db.collection(
  db,
  "people",
  Schema.Struct({ _id: Schema.Number, name: Schema.String, score: Schema.Number })
)

const drivers = {
  raw: await new MongoDB.MongoClient(job.url).connect(),
  control: await new MongoDB.MongoClient(job.url).connect()
}

const sessions = (driver, count) => Array.from({ length: count }, () => driver.startSession())

const countdown = (times) => {
  let left = times
  return () => left-- > 0
}

const rawTwice = (make) =>
  Object.entries(drivers).map(([name, driver]) => ({ name, run: make(driver, driver.db("test").collection("people")) }))

const raw = (count, body) =>
  rawTwice((driver, collection) => {
    const opened = sessions(driver, count)
    return async (times) => {
      const next = countdown(times)
      await Promise.all(opened.map(async (session) => {
        while (next()) await body(collection, session)
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
  ...raw(count, rawBody),
  ...Object.entries(bodies).map(([name, body]) => arm(name, sessions(client.client, count), body))
]

const rawStream = (driver, collection) => {
  const [session] = sessions(driver, 1)
  return async (times) => {
    let sum = 0
    for await (const { score } of collection.find({}, { ...reading(times), session })) sum += score
    check(sum, times)
  }
}

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
    repeated(1, (people, session) => people.findOne({ _id: 1 }, { session }), {
      "untyped": (session) => DocumentCollection.findOne(untyped, { _id: 1 }, { session }),
      "with schema": (session) => Collection.findOne(typed, { _id: 1 }, { session })
    }),
  insertOne: () =>
    repeated(32, (people, session) => people.insertOne({ ...person }, { session }), {
      "untyped": (session) => DocumentCollection.insertOne(untyped, { ...person }, { session })
    }),
  stream: () => {
    const [session] = sessions(client.client, 1)
    return [
      ...rawTwice(rawStream),
      stream(
        "untyped",
        (times) => DocumentFindCursor.toStream(DocumentCollection.find(untyped, {}, { ...reading(times), session }))
      ),
      stream("with schema", (times) => FindCursor.toStream(Collection.find(typed, {}, { ...reading(times), session })))
    ]
  }
}

console.log(JSON.stringify(await measure(chosen(job, groups[job.group]()), job.size)))
await Effect.runPromise(MongoClient.close(client))
await Promise.all(Object.values(drivers).map((driver) => driver.close()))
