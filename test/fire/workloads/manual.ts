/**
 * Transactions that a program starts and ends by hand: it commits again while it is not known whether a commit happened, aborts,
 * or leaves the transaction to the end of the session.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Collection from "../../../src/Collection.js"
import { Label, MongoError } from "../../../src/MongoError.js"
import * as Session from "../../../src/Session.js"
import * as Transaction from "../../../src/Transaction.js"
import type { Outcome, Violation } from "../checker/violation.js"
import * as Telling from "../telling.js"
import { clientOf, type Make, on, untilOver } from "../world.js"

interface Note {
  readonly _id: number
}

// So often a commit of unknown result is sent.
const mostCommits = 4

/** Makes the workload, with so many fibers. */
export const make = (fibers: number): Make => (world) =>
  Effect.gen(function*() {
    const { calm, database, dice, tally } = world
    yield* Effect.promise(() => calm.db(database).createCollection("byHand"))
    const Notes = Collection.make("byHand", { database })
    const told: Array<{ readonly ids: ReadonlyArray<number>; readonly outcome: Outcome; readonly why: string }> = []
    let next = 0
    const working = (fiber: number) => {
      const choice = dice(7, fiber)
      const once = Effect.gen(function*() {
        const ids = Array.from({ length: choice.between(1, 3) }, () => next++)
        const way = choice.chance(0.7) ? "committed" : choice.chance(0.5) ? "aborted" : "left"
        const ended = Effect.suspend(() => way === "committed" ? committed(mostCommits) : aborted(way))
        const written = Effect.forEach(ids, (_id) => Notes.insertOne({ _id }), { discard: true })
        const whole = Effect.zipRight(Transaction.start(), written).pipe(
          Effect.matchCauseEffect({
            // What has failed is aborted; what cannot be sent is left to the end of the session.
            onFailure: (cause) => Effect.as(Effect.exit(Transaction.abort), outcome("aborted", Exit.failCause(cause))),
            onSuccess: () => ended
          })
        )
        const exit = yield* Effect.exit(Session.scoped(whole, { timeout: "15 seconds" }))
        const { outcome: is, why } = Exit.isSuccess(exit) ? exit.value : outcome("aborted", exit)
        const name = Telling.nameOf(world, "by hand", why)
        tally.add(`by hand, ${way}: ${name}${is === "unknown" ? ", unknown" : ""}`)
        told.push({ ids, outcome: is, why: `${way}, ${name}` })
      })
      return on(clientOf(world, fiber))(untilOver(world, once))
    }
    return {
      name: "by hand",
      fibers: Array.from({ length: fibers }, (_, fiber) => working(fiber)),
      check: Effect.map(
        Effect.promise(() => calm.db(database).collection<Note>("byHand").find().toArray()),
        (notes) => {
          const there = new Set(notes.map(({ _id }) => _id))
          return told.flatMap(({ ids, outcome, why }): ReadonlyArray<Violation> => {
            const count = ids.filter((_id) => there.has(_id)).length
            const detail = `${ids.join(", ")}: told ${outcome} (${why}), ${count} of ${ids.length} there`
            if (count > 0 && count < ids.length) return [{ anomaly: "half", detail }]
            if (outcome !== "unknown") {
              return (count > 0) === (outcome === "committed")
                ? []
                : [{ anomaly: "outcome", detail }]
            }
            tally.add(`by hand: unknown, found ${count > 0 ? "" : "not "}committed`)
            return []
          })
        }
      )
    }
  })

interface Ended {
  readonly outcome: Outcome
  readonly why: Exit.Exit<unknown, unknown>
}

const outcome = (outcome: Outcome, why: Exit.Exit<unknown, unknown>): Ended => ({ outcome, why })

const aborted = (way: "aborted" | "left"): Effect.Effect<Ended, never, Session.Session> =>
  way === "left"
    ? Effect.succeed(outcome("aborted", Exit.void))
    : Effect.map(Effect.exit(Transaction.abort), (exit) => outcome("aborted", exit))

// Again while the answer leaves it open. After that, only the server's word that nothing was committed settles it.
const committed = (times: number, wasUnknown = false): Effect.Effect<Ended, never, Session.Session> =>
  Effect.flatMap(Effect.exit(Transaction.commit), (exit) => {
    if (Exit.isSuccess(exit)) return Effect.succeed(outcome("committed", exit))
    const error = Cause.squash(exit.cause)
    const hasLabel = (label: string) => error instanceof MongoError && error.hasLabel(label)
    if (hasLabel(Label.UnknownTransactionCommitResult)) {
      return times > 1 ? committed(times - 1, true) : Effect.succeed(outcome("unknown", exit))
    }
    const isOpen = wasUnknown && !hasLabel(Label.TransientTransactionError)
    return Effect.succeed(outcome(isOpen ? "unknown" : "aborted", exit))
  })
