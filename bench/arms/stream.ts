/**
 * Many documents that are read in batches, from the first to the last.
 */
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type * as Connection from "../../src/MongoClient.js"
import { check, reading } from "../documents.js"
import { Collection, Session } from "../library.js"
import { type Arms, Person, rawTwice } from "../scene.js"

const people = Collection.make("people")
const typed = Collection.make("people", { schema: Person })

const decode = Schema.decodeUnknownSync(Person)

export const stream: Arms = ({ driver, run }) =>
  Effect.gen(function*() {
    const collection = driver.db().collection("people")
    const session = driver.startSession()
    const ambient = yield* Session.make()
    const arm = <E>(
      name: string,
      sum: (documents: number) => Effect.Effect<number, E, Connection.MongoClient>
    ) => ({
      name,
      run: (times: number) => run(Effect.map(Session.provide(sum(times), ambient), (found) => check(found, times)))
    })
    // A chunk for each batch.
    const plain = (documents: number) =>
      Stream.unwrap(Effect.sync(() => {
        const cursor = collection.find({}, { ...reading(documents), session })
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
      ...rawTwice(async (times) => {
        let sum = 0
        for await (const { score } of collection.find({}, { ...reading(times), session })) sum += score
        check(sum, times)
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
