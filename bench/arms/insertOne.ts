/**
 * Inserts documents in 32 sessions at once.
 */
import * as Effect from "effect/Effect"
import type { ClientSession, MongoClient } from "mongodb"
import { person } from "../documents.js"
import { Collection } from "../library.js"
import { type Arms, bare, guarded, ours, raw } from "../scene.js"
import { operation } from "./guarded.js"

const people = Collection.make("people")

const collectionOf = (driver: MongoClient) => driver.db().collection<typeof person>("people")

const inserting = (driver: MongoClient) => {
  const collection = collectionOf(driver)
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
      guarded(scene, 32, (driver) => {
        const collection = collectionOf(driver)
        return (session) => operation(session, (options) => collection.insertOne({ ...person }, options))
      }),
      yield* ours(scene, "ours", 32, () => people.insertOne({ ...person }))
    ]
  })
