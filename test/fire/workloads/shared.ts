/**
 * Sessions that several fibers use at once: one runs transactions in it, the others write without one. What is written beside a
 * transaction must not get into it.
 */
import * as Effect from "effect/Effect"
import * as Collection from "../../../src/Collection.js"
import * as Session from "../../../src/Session.js"
import type { Violation } from "../checker/violation.js"
import * as Telling from "../telling.js"
import { clientOf, type Make, on, untilOver } from "../world.js"

interface Note {
  readonly _id: number
}

/** Makes the workload, with so many sessions, each of them for three fibers. */
export const make = (sessions: number): Make => (world) =>
  Effect.gen(function*() {
    const { calm, database, dice, tally } = world
    yield* Effect.promise(() => calm.db(database).createCollection("notes"))
    const Notes = Collection.make("notes", { database })
    const told = new Map<number, Pick<Telling.Told, "outcome" | "why">>()
    let next = 0
    const using = (number: number) => {
      const choice = dice(3, number)
      const inTransaction = Effect.suspend(() => {
        const ids = [next++, next++]
        return Telling.transaction(world, {
          what: "shared session, transaction",
          ...Telling.whims(choice),
          rollback: choice.chance(0.3) ? "failure" : undefined,
          body: Effect.forEach(ids, (_id) => Notes.insertOne({ _id }), { discard: true }),
          note: (one) => ids.forEach((_id) => told.set(_id, one))
        })
      })
      const beside = Effect.suspend(() => {
        const _id = next++
        return Effect.map(Effect.exit(Notes.insertOne({ _id })), (exit) => {
          const name = Telling.nameOf(world, "shared session, operation", exit)
          tally.add(`shared session, operation: ${name}`)
          told.set(_id, { outcome: name === "success" ? "committed" : "unknown", why: name })
        })
      })
      const all = Effect.all([untilOver(world, inTransaction), untilOver(world, beside), untilOver(world, beside)], {
        concurrency: "unbounded",
        discard: true
      })
      const scoped = Effect.map(Effect.exit(Session.scoped(all)), (exit) => void Telling.nameOf(world, "session", exit))
      return on(clientOf(world, number))(untilOver(world, scoped))
    }
    return {
      name: "shared session",
      fibers: Array.from({ length: sessions }, (_, number) => using(number)),
      check: Effect.map(
        Effect.promise(() => calm.db(database).collection<Note>("notes").find().toArray()),
        (notes) => {
          const there = new Set(notes.map(({ _id }) => _id))
          return [...told].flatMap(([_id, { outcome, why }]): ReadonlyArray<Violation> => {
            if (outcome === "unknown" || there.has(_id) === (outcome === "committed")) return []
            const is = there.has(_id) ? "there" : "not there"
            return [{ anomaly: "outcome", detail: `${_id}: told ${outcome} (${why}), ${is}` }]
          })
        }
      )
    }
  })
