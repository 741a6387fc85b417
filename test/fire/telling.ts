/**
 * Runs what a storm may end in any way, and writes down what its caller was told.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { MongoError } from "../../src/MongoError.js"
import * as Transaction from "../../src/Transaction.js"
import { CommitUnknown, TransactionAborted } from "../../src/TransactionErrors.js"
import type { Outcome } from "./checker/violation.js"
import type * as Dice from "./dice.js"
import type { World } from "./world.js"

/** A typed failure. */
export interface Tagged {
  readonly _tag: string
}

/** The failure that a body asks for. */
class Unwanted {
  readonly _tag = "Unwanted"
}

/** What a correct program meets in a storm. */
const expected: ReadonlySet<string> = new Set([
  "MongoError",
  "TransactionAborted",
  "TransactionDoomed",
  "CommitUnknown",
  "Unwanted"
])

/** What an exit is called in the report; a defect, or an error that no storm explains, is a violation. */
export const nameOf = (
  { violated }: Pick<World, "violated">,
  what: string,
  exit: Exit.Exit<unknown, unknown>
): string => {
  if (Exit.isSuccess(exit)) return "success"
  const { cause } = exit
  if (Cause.isInterruptedOnly(cause)) return "interrupted"
  const error = Cause.squash(cause)
  const tag = typeof error === "object" && error !== null && "_tag" in error ? String(error._tag) : undefined
  if (Cause.isDie(cause) || tag === undefined) violated("defect", `${what}: ${Cause.pretty(cause).slice(0, 2000)}`)
  else if (!expected.has(tag)) violated("unexpected error", `${what}: ${Cause.pretty(cause).slice(0, 2000)}`)
  return tag ?? "defect"
}

/** What a caller was told of a transaction. */
export interface Told {
  readonly outcome: Outcome
  /** The failure that told it, with code and labels where it is the database's. */
  readonly why: string
  readonly start: number
  readonly end: number
}

/** How it may end before its time. */
export interface Whims {
  /** After how many milliseconds it is interrupted. */
  readonly interrupted: number | undefined
  /** The `timeout` of the transaction, in milliseconds. */
  readonly timeout: number
  /** How it rolls itself back. */
  readonly rollback: "failure" | "rollbackOnly" | undefined
}

/** Draws how a transaction may end before its time. */
export const whims = (dice: Dice.Dice): Whims => ({
  interrupted: dice.chance(0.08) ? dice.between(1, 400) : undefined,
  timeout: dice.chance(0.12) ? dice.between(50, 3000) : 60_000,
  rollback: dice.chance(0.06) ? "failure" : dice.chance(0.03) ? "rollbackOnly" : undefined
})

/** What a transaction of a storm is. */
export interface Wanted<R> extends Whims {
  /** What it is called in the report. */
  readonly what: string
  readonly body: Effect.Effect<unknown, Tagged, R>
  readonly propagation?: "requiresNew" | undefined
  /** Finds out whether a commit of unknown result happened. */
  readonly verifyCommit?: Effect.Effect<boolean, unknown> | undefined
  /** Gets what its caller was told, whatever becomes of the fiber. */
  readonly note: (told: Told) => void
}

/**
 * Runs a transaction, and notes what became of it: by its exit, and where that was an interruption, by its hooks, each of
 * which must have run once at most, and only the right one.
 */
export const transaction = <R>(world: World, wanted: Wanted<R>) =>
  Effect.uninterruptibleMask((restore) =>
    Effect.suspend(() => {
      const { body, interrupted, note, propagation = "required", rollback, timeout, verifyCommit, what } = wanted
      const hooks = { commit: 0, rollback: 0 }
      const whole = Effect.gen(function*() {
        yield* Transaction.onCommit(Effect.sync(() => void hooks.commit++))
        yield* Transaction.onRollback(Effect.sync(() => void hooks.rollback++))
        yield* body
        if (rollback === "failure") return yield* Effect.fail(new Unwanted())
        if (rollback === "rollbackOnly") yield* Transaction.rollbackOnly
      })
      const run = restore(Transaction.run(whole, { propagation, timeout, verifyCommit }))
      const start = performance.now()
      return Effect.map(interrupted === undefined ? Effect.exit(run) : cutOff(run, interrupted), (exit) => {
        const name = nameOf(world, what, exit)
        const outcome = outcomeOf(name, hooks, rollback)
        world.tally.add(`${what}: ${name}${name === "interrupted" ? `, ${outcome}` : ""}`)
        const [commits, rollbacks] = allowed[outcome]
        if (hooks.commit !== commits || hooks.rollback > rollbacks) {
          world.violated(
            "hooks",
            `${what} ${outcome}: ${hooks.commit} of onCommit, ${hooks.rollback} of onRollback ran`
          )
        }
        note({ outcome, why: whyOf(name, exit), start, end: performance.now() })
      })
    })
  )

// What there is to know of a wrong answer.
const whyOf = (name: string, exit: Exit.Exit<unknown, unknown>): string => {
  const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
  const origin = error instanceof TransactionAborted || error instanceof CommitUnknown ? error.cause : error
  return origin instanceof MongoError
    ? [name, origin.operation, origin.reason, origin.code, ...origin.labels].join(" ")
    : name
}

// The hook of a rollback is registered by a body that has begun, and only by such a one.
const allowed = { committed: [1, 0], aborted: [0, 1], unknown: [0, 0] } as const

const outcomeOf = (
  name: string,
  hooks: { readonly commit: number; readonly rollback: number },
  rollback: Whims["rollback"]
): Outcome => {
  if (name === "success") return rollback === "rollbackOnly" ? "aborted" : "committed"
  if (name === "CommitUnknown") return "unknown"
  if (name !== "interrupted") return "aborted"
  return hooks.commit > 0 ? "committed" : hooks.rollback > 0 ? "aborted" : "unknown"
}

// Interrupts what has not ended after so many milliseconds.
const cutOff = <A, E, R>(effect: Effect.Effect<A, E, R>, after: number) =>
  Effect.flatMap(Effect.fork(effect), (fiber) =>
    Effect.zipRight(
      Effect.raceFirst(Effect.sleep(after), Fiber.await(fiber)),
      Fiber.interrupt(fiber)
    ))
