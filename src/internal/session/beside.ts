/**
 * What is done beside a transaction: in its turn, so that nothing else of the session is in flight, but as no part of it.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { constUndefined, constVoid, identity } from "effect/Function"
import type * as Lane from "./lane.js"
import { contextOf, placeOf, stepOut, Turn } from "./turn.js"

/**
 * Runs an effect in the turn of its fiber in the session of the lane, beside the transaction there: also in one that takes no
 * operation any more, and without making it fail. What has outlived its transaction waits for the session's turn.
 */
export const beside = <A, E, R>(effect: Effect.Effect<A, E, R>, lane: Lane.Lane): Effect.Effect<A, E, R> =>
  Effect.withFiberRuntime((fiber) => {
    const { turn } = placeOf(fiber, lane)
    if (turn === undefined) return effect
    return Effect.mapInputContext(
      effect,
      (context: Context.Context<R>) =>
        turn.isOver && !turn.holdsSession ? stepOut(context, turn) : Context.merge(context, contextOf(new Beside(turn)))
    )
  })

/** A share of a turn that is no part of its transaction. */
class Beside extends Turn {
  readonly #of: Turn

  constructor(of: Turn) {
    super()
    this.#of = of
  }

  get attempt() {
    return this.#of.attempt
  }

  get options() {
    return this.#of.options
  }

  get sessionLane() {
    return this.#of.sessionLane
  }

  get lane() {
    return this.#of.lane
  }

  get outer() {
    return this.#of.outer
  }

  // It has time of its own.
  get deadline() {
    return undefined
  }

  get isOver() {
    return this.#of.isOver
  }

  get isSerializable() {
    return false
  }

  get holdsSession() {
    return this.#of.holdsSession
  }

  readonly refusal = constUndefined
  readonly before = constUndefined
  readonly begins = constVoid
  readonly wrote = constVoid
  readonly observe = identity
  readonly giveUp = constVoid
  readonly expire = constVoid
}
