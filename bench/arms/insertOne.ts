/**
 * Inserts documents in 32 sessions at once.
 */
import * as Effect from "effect/Effect"
import type { ClientSession, MongoClient } from "mongodb"
import { person } from "../documents.js"
import { Collection } from "../library.js"
import { type Arms, bare, ours, raw } from "../scene.js"

const people = Collection.make("people")

const inserting = (driver: MongoClient) => {
  const collection = driver.db().collection<typeof person>("people")
  return (session: ClientSession) => collection.insertOne({ ...person }, { session })
}

export const insertOne: Arms = (scene) =>
  Effect.gen(function*() {
    return [
      ...raw(scene, 32, inserting),
      bare(scene, "bare", 32, (driver) => {
        const insert = inserting(driver)
        return (session) => Effect.promise(() => insert(session))
      }),
      yield* ours(scene, "ours", 32, () => people.insertOne({ ...person }))
    ]
  })
