/**
 * The errors of workflows in steps. Also exported by `SessionErrors`.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import { render } from "./internal/values/render.js"

/**
 * A workflow was begun by another version of its body. Nothing was run.
 *
 * @example
 * ```ts
 * import * as SessionErrors from "effect-mongo-session/SessionErrors"
 * import * as Effect from "effect/Effect"
 *
 * declare const order: Effect.Effect<void, SessionErrors.StepsOutdated>
 *
 * // An instance of the other version goes on with it.
 * export const left = Effect.catchTag(order, "StepsOutdated", ({ found }) => Effect.log(`left to version ${found}`))
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class StepsOutdated extends Data.TaggedError("StepsOutdated")<{
  /** What the workflow is called. */
  readonly steps: string
  /** The version of this body. */
  readonly version: number
  /** The version that has begun the workflow. */
  readonly found: number
}> {
  override get message(): string {
    return `${this.steps}: the workflow was begun by version ${this.found}, and this is version ${this.version}`
  }
  get hint(): string {
    return "Let an instance of that version go on with it (`resume`), or run it under a new id."
  }
  override toJSON(): object {
    return render(this, { steps: this.steps, version: this.version, found: this.found })
  }
}

/**
 * The body of a workflow has gone another way than before. Nothing more was run.
 *
 * @example
 * ```ts
 * import * as SessionErrors from "effect-mongo-session/SessionErrors"
 * import * as Effect from "effect/Effect"
 *
 * declare const order: Effect.Effect<void, SessionErrors.StepsDiverged>
 *
 * export const reported = Effect.tapErrorTag(order, "StepsDiverged", ({ hint, step }) => Effect.logError(step, hint))
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class StepsDiverged extends Data.TaggedError("StepsDiverged")<{
  /** What the workflow is called. */
  readonly steps: string
  /** The step that was to be run or compensated, or that was last; empty where there was none. */
  readonly step: string
  /**
   * - `Repeated`: the body has had a step of this name already
   * - `Ended`: the workflow has ended, or compensates, and has not had this step before
   * - `OtherEnd`: the body, whose last step this is, has come to another end than before
   * - `Missing`: the step is to be compensated, and the body has not had it this time
   */
  readonly reason: "Repeated" | "Ended" | "OtherEnd" | "Missing"
}> {
  override get message(): string {
    return `${this.steps}: ${diverged[this.reason](this.step)}`
  }
  get hint(): string {
    return "Give each step of a body a name of its own. Let the body depend on nothing but the results of its steps, and raise " +
      "`version` when it changes."
  }
  override toJSON(): object {
    return render(this, { steps: this.steps, step: this.step, reason: this.reason })
  }
}

const diverged = {
  Repeated: (step: string) => `step ${step} is there twice`,
  Ended: (step: string) => `step ${step} is new to a workflow that has failed or ended`,
  OtherEnd: (step: string) =>
    `the body has come to another end than before, ${step === "" ? "without a step" : `after step ${step}`}`,
  Missing: (step: string) => `step ${step} is to be compensated, and is not there any more`
}

/**
 * A step could not be compensated. The workflow stays unfinished: when it is run again, it goes on with this compensation.
 *
 * @example
 * ```ts
 * import * as SessionErrors from "effect-mongo-session/SessionErrors"
 * import * as Effect from "effect/Effect"
 *
 * declare const order: Effect.Effect<void, SessionErrors.CompensationFailed>
 *
 * export const reported = Effect.tapErrorTag(order, "CompensationFailed", ({ step }) => Effect.logError(step))
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class CompensationFailed extends Data.TaggedError("CompensationFailed")<{
  /** What the workflow is called. */
  readonly steps: string
  /** The step that was to be compensated. */
  readonly step: string
  /** What `compensate` has failed with. */
  readonly error: unknown
}> {
  override get message(): string {
    return `${this.steps}: step ${this.step} could not be compensated`
  }
  get hint(): string {
    return "Mend what `error` says, and run the workflow again: it goes on with this compensation."
  }
  override toJSON(): object {
    return render(this, { steps: this.steps, step: this.step })
  }
}
