import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Session from "../../src/Session.js"
import * as Transaction from "../../src/Transaction.js"
import * as TestServer from "../support/server/testServer.js"
import { inPlace } from "../support/transactions/transactions.js"
import type { Place } from "../support/transactions/transactions.js"

type Action = "start" | "commit" | "abort" | "operation"
type Step = Effect.Effect<void, Transaction.ManualError | { readonly _tag: string }, Session.Session>

const act = (place: Place, action: Action, n = 1): Step => {
  switch (action) {
    case "start":
      return Transaction.start()
    case "commit":
      return Transaction.commit
    case "abort":
      return Transaction.abort
    case "operation":
      return place.insert(n)
  }
}

/** How each state of the specification's machine is reached; the last two are one to whoever asks for the state. */
const ways = {
  none: [],
  starting: ["start"],
  inProgress: ["start", "operation"],
  committed: ["start", "operation", "commit"],
  "committed, empty": ["start", "commit"],
  aborted: ["start", "operation", "abort"]
} as const satisfies Record<string, ReadonlyArray<Action>>

type Outcome =
  | { readonly to: Transaction.State; readonly sends: ReadonlyArray<string> }
  | { readonly refused: string }

const nothing = (to: Transaction.State): Outcome => ({ to, sends: [] })
const sends = (to: Transaction.State, ...lines: ReadonlyArray<string>): Outcome => ({ to, sends: lines })
const refused = (message: string): Outcome => ({ refused: message })

const table: Record<keyof typeof ways, Record<Action, Outcome>> = {
  none: {
    start: nothing("starting"),
    commit: refused("No transaction started"),
    abort: refused("No transaction started"),
    operation: nothing("none")
  },
  starting: {
    start: refused("Transaction already in progress"),
    commit: nothing("committed"),
    abort: nothing("aborted"),
    operation: sends("inProgress", "1 insert start")
  },
  inProgress: {
    start: refused("Transaction already in progress"),
    commit: sends("committed", "1 commitTransaction"),
    abort: sends("aborted", "1 abortTransaction"),
    operation: sends("inProgress", "1 insert")
  },
  committed: {
    start: nothing("starting"),
    commit: sends("committed", "1 commitTransaction w:majority"),
    abort: refused("Cannot call abortTransaction after calling commitTransaction"),
    operation: nothing("none")
  },
  "committed, empty": {
    start: nothing("starting"),
    commit: nothing("committed"),
    abort: refused("Cannot call abortTransaction after calling commitTransaction"),
    operation: nothing("none")
  },
  aborted: {
    start: nothing("starting"),
    commit: refused("Cannot call commitTransaction after calling abortTransaction"),
    abort: refused("Cannot call abortTransaction twice"),
    operation: nothing("none")
  }
}

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("the state machine of the specification", () => {
    for (const from of Object.keys(ways) as ReadonlyArray<keyof typeof ways>) {
      for (const [action, outcome] of Object.entries(table[from]) as ReadonlyArray<[Action, Outcome]>) {
        const leads = "refused" in outcome ? `is refused: ${outcome.refused}` : `leads to ${outcome.to}`
        it.effect(`${from}: ${action} ${leads}`, () =>
          inPlace((place) =>
            Session.scoped(Effect.gen(function*() {
              yield* Effect.forEach(ways[from], (step) => act(place, step))
              const state = yield* Transaction.state
              expect(state).toBe(from === "committed, empty" ? "committed" : from)
              const before = (yield* place.wire).length
              const result = yield* Effect.either(act(place, action, 2))
              if ("refused" in outcome) {
                expect(result._tag === "Left" && result.left).toMatchObject({
                  _tag: "MongoError",
                  reason: "TransactionMisuse",
                  cause: { message: outcome.refused }
                })
                expect(yield* Transaction.state).toBe(state)
                expect((yield* place.wire).slice(before)).toEqual([])
              } else {
                expect(result._tag).toBe("Right")
                expect(yield* Transaction.state).toBe(outcome.to)
                expect((yield* place.wire).slice(before)).toEqual(outcome.sends)
              }
            }))
          ))
      }
    }

    it.effect("an empty transaction sends nothing at all, be it committed or aborted", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const empty = Effect.zipRight(Transaction.start(), Transaction.commit).pipe(
            Effect.zipRight(Transaction.start()),
            Effect.zipRight(Transaction.abort)
          )
          yield* Session.scoped(empty)
          expect(yield* place.monitor.commands).toEqual([])
        })
      ))
  })
})
