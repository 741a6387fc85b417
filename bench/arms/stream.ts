/**
 * Reads many documents in batches.
 */
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { MongoClient } from "mongodb"
import type * as Connection from "../../src/MongoClient.js"
import { check, reading } from "../documents.js"
import { Collection, Session } from "../library.js"
import { type Arms, Person, rawTwice } from "../scene.js"

const people = Collection.make("people")
const typed = Collection.make("people", { schema: Person })

const decode = Schema.decodeUnknownSync(Person)

// A cursor in a session, of a client of the arm's own.
const reader = (driver: MongoClient) => {
  const collection = driver.db().collection("people")
  const session = driver.startSession()
  return (documents: number) => collection.find({}, { ...reading(documents), session })
}

export const stream: Arms = (scene) =>
  Effect.gen(function*() {
    const { drivers, run } = scene
    const ambient = yield* Session.make()
    const arm = <E>(
      name: string,
      sum: (documents: number) => Effect.Effect<number, E, Connection.MongoClient>
    ) => ({
      name,
      run: (times: number) => run(Effect.map(Session.provide(sum(times), ambient), (found) => check(found, times)))
    })
    const open = reader(drivers.bare)
    // A chunk for each batch.
    const plain = (documents: number) =>
      Stream.unwrap(Effect.sync(() => {
        const cursor = open(documents)
        return Stream.repeatEffectChunkOption(
          Effect.flatMap(
            Effect.promise(() => cursor.hasNext()),
            (hasNext) =>
              hasNext
                ? Effect.succeed(Chunk.unsafeFromArray(cursor.readBufferedDocuments()))
                : Effect.fail(Option.none())
          )
        )
      }))
    return [
      ...rawTwice(scene, (driver) => {
        const open = reader(driver)
        return async (times) => {
          let sum = 0
          for await (const { score } of open(times)) sum += score
          check(sum, times)
        }
      }),
      arm("bare", (documents) => Stream.runFold(plain(documents), 0, (sum, { score }) => sum + score)),
      arm(
        "bare with schema",
        (documents) =>
          plain(documents).pipe(
            Stream.map((document) => decode(document)),
            Stream.runFold(0, (sum, { score }) => sum + score)
          )
      ),
      arm(
        "ours",
        (documents) => Stream.runFold(people.find({}, reading(documents)), 0, (sum, { score }) => sum + score)
      ),
      arm(
        "with schema",
        (documents) => Stream.runFold(typed.find({}, reading(documents)), 0, (sum, { score }) => sum + score)
      )
    ]
  })
