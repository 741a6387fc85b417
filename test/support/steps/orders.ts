/**
 * A workflow of five steps that writes down what it does: where a test kills it, and what has become of it then.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Collection from "../../../src/Collection.js"
import * as Steps from "../../../src/Steps.js"

/** A failure for good, of the last step. */
export class Refused extends Schema.TaggedError<Refused>()("Refused", {}) {}

/** Where a workflow stops: at a step, or in the compensation of one; and whether its last step is refused. */
export interface Stop {
  readonly step: number
  readonly fails: boolean
  readonly compensating?: boolean
}

const numbers = [1, 2, 3, 4, 5]

/** All workflows: one that stops at each step, the same with a last step that is refused, and one that stops on its way back. */
export const stops: ReadonlyArray<Stop> = [
  ...[false, true].flatMap((fails) => numbers.map((step) => ({ step, fails }))),
  { step: 3, fails: true, compensating: true }
]

/** The id of the workflow that stops there. */
export const idOf = ({ compensating = false, fails, step }: Stop): string =>
  `${step}${fails ? " refused" : ""}${compensating ? " compensating" : ""}`

/** The workflow, and what it writes. Of its steps the first and the third have compensations. */
export const ordering = (database: string) => {
  const Ordering = Steps.make("ordering", { version: 1, database, for: "1 minute" })
  const Effects = Collection.make("effects", { database })
  const Compensations = Collection.make("compensations", { database })
  /** With a stop, it stops there. */
  const body = <R = never>(stopping?: { readonly at: Stop; readonly stop: Effect.Effect<void, never, R> }) =>
    ((step, id) =>
      Effect.gen(function*() {
        const stopAt = (number: number, compensating: boolean) =>
          stopping !== undefined && stopping.at.step === number && (stopping.at.compensating ?? false) === compensating
            ? stopping.stop
            : Effect.void
        const results: Array<number> = []
        for (const number of numbers) {
          const isRefused = number === 5 && id.includes("refused")
          const effect = Effect.gen(function*() {
            yield* Effects.insertOne({ id, step: number })
            yield* stopAt(number, false)
            if (isRefused) return yield* new Refused()
            return number
          })
          const compensate = (result: number) =>
            Effect.zipRight(Compensations.insertOne({ id, step: result }), stopAt(number, true))
          results.push(
            yield* step(`step ${number}`, effect, {
              result: Schema.Number,
              failure: Refused,
              ...(number % 2 === 1 && number < 5 && { compensate })
            })
          )
        }
        return results
      })) satisfies Steps.Body<ReadonlyArray<number>, unknown, unknown>
  return { Ordering, body, Effects, Compensations }
}
