/**
 * Runs transactions of two updates, without conflicts.
 */
import * as Effect from "effect/Effect"
import type { ClientSession, MongoClient } from "mongodb"
import { Collection, Session, Transaction } from "../library.js"
import { type Arms, bare, guarded, ours, raw } from "../scene.js"
import * as Guarded from "./guarded.js"

interface Counter {
  readonly _id: number
  readonly value: number
}

const counters = Collection.make("counters")

const up = { $inc: { value: 1 } }
const down = { $inc: { value: -1 } }

const first = (place: number) => ({ _id: 2 * place })
const second = (place: number) => ({ _id: 2 * place + 1 })

const collectionOf = (driver: MongoClient) => driver.db().collection<Counter>("counters")

// The two updates, by a client of the arm's own.
const updates = (driver: MongoClient) => {
  const collection = collectionOf(driver)
  return {
    up: (session: ClientSession, place: number) => collection.updateOne(first(place), up, { session }),
    down: (session: ClientSession, place: number) => collection.updateOne(second(place), down, { session })
  }
}

/** In so many sessions at once. */
export const transaction = (sessions: number): Arms => (scene) =>
  Effect.gen(function*() {
    yield* Effect.promise(async () => {
      const collection = collectionOf(scene.drivers.raw)
      await collection.drop()
      await collection.insertMany(Array.from({ length: 2 * sessions }, (_, _id) => ({ _id, value: 0 })))
    })
    const own = updates(scene.client.driver)
    return [
      ...raw(scene, sessions, (driver) => {
        const { down, up } = updates(driver)
        return (session, place) =>
          session.withTransaction(async () => {
            await up(session, place)
            await down(session, place)
          })
      }),
      bare(scene, "bare", sessions, (driver) => {
        const { down, up } = updates(driver)
        return (session, place) =>
          Effect.promise(() => {
            session.startTransaction()
            return up(session, place)
          }).pipe(
            Effect.zipRight(Effect.promise(() => down(session, place))),
            Effect.zipRight(Effect.promise(() => session.commitTransaction()))
          )
      }),
      guarded(scene, sessions, (driver) => {
        const collection = collectionOf(driver)
        return (session, place) =>
          Guarded.transaction(
            session,
            Effect.zipRight(
              Guarded.operation(session, (options) => collection.updateOne(first(place), up, options)),
              Guarded.operation(session, (options) => collection.updateOne(second(place), down, options))
            )
          )
      }),
      yield* ours(scene, "ours", sessions, (place) =>
        Transaction.run(
          Effect.zipRight(counters.updateOne(first(place), up), counters.updateOne(second(place), down))
        )),
      yield* ours(scene, "Session.use", sessions, (place) =>
        Transaction.run(Effect.zipRight(
          Session.use((session) => own.up(session, place)),
          Session.use((session) => own.down(session, place))
        )))
    ]
  })
