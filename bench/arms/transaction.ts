/**
 * Transactions of two updates, each in documents of its own session.
 */
import * as Effect from "effect/Effect"
import { Collection, Session, Transaction } from "../library.js"
import { type Arms, bare, ours, raw } from "../scene.js"

interface Counter {
  readonly _id: number
  readonly value: number
}

const counters = Collection.make("counters")

const up = { $inc: { value: 1 } }
const down = { $inc: { value: -1 } }

const first = (place: number) => ({ _id: 2 * place })
const second = (place: number) => ({ _id: 2 * place + 1 })

/** In so many sessions at once. */
export const transaction = (sessions: number): Arms => (scene) =>
  Effect.gen(function*() {
    const collection = scene.driver.db().collection<Counter>("counters")
    yield* Effect.promise(async () => {
      await collection.drop()
      await collection.insertMany(Array.from({ length: 2 * sessions }, (_, _id) => ({ _id, value: 0 })))
    })
    return [
      ...raw(scene, sessions, (session, place) =>
        session.withTransaction(async () => {
          await collection.updateOne(first(place), up, { session })
          await collection.updateOne(second(place), down, { session })
        })),
      bare(scene, "bare", sessions, (session, place) =>
        Effect.promise(() => {
          session.startTransaction()
          return collection.updateOne(first(place), up, { session })
        }).pipe(
          Effect.zipRight(Effect.promise(() => collection.updateOne(second(place), down, { session }))),
          Effect.zipRight(Effect.promise(() => session.commitTransaction()))
        )),
      yield* ours(scene, "ours", sessions, (place) =>
        Transaction.run(
          Effect.zipRight(counters.updateOne(first(place), up), counters.updateOne(second(place), down))
        )),
      yield* ours(scene, "Session.use", sessions, (place) =>
        Transaction.run(Effect.zipRight(
          Session.use((session) => collection.updateOne(first(place), up, { session })),
          Session.use((session) => collection.updateOne(second(place), down, { session }))
        )))
    ]
  })
