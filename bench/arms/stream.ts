/**
 * Many documents that are read in batches, from the first to the last.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type * as Connection from "../../src/MongoClient.js"
import { check, reading } from "../documents.js"
import { Collection, Session } from "../library.js"
import { type Arms, Person, rawTwice } from "../scene.js"

const people = Collection.make("people")
const typed = Collection.make("people", { schema: Person })

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
    return [
      ...rawTwice(async (times) => {
        let sum = 0
        for await (const { score } of collection.find({}, { ...reading(times), session })) sum += score
        check(sum, times)
      }),
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
