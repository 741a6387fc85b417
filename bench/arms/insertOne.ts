/**
 * Documents that are inserted in 32 sessions at once.
 */
import * as Effect from "effect/Effect"
import { person } from "../documents.js"
import { Collection } from "../library.js"
import { type Arms, bare, ours, raw } from "../scene.js"

const people = Collection.make("people")

export const insertOne: Arms = (scene) =>
  Effect.gen(function*() {
    const collection = scene.driver.db().collection<typeof person>("people")
    return [
      ...raw(scene, 32, (session) => collection.insertOne({ ...person }, { session })),
      bare(scene, "bare", 32, (session) => Effect.promise(() => collection.insertOne({ ...person }, { session }))),
      yield* ours(scene, "ours", 32, () => people.insertOne({ ...person }))
    ]
  })
