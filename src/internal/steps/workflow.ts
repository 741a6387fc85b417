/**
 * One run of a workflow, under its lease: its steps, each once, and its compensations when it has failed for good.
 *
 * The body is run from its beginning each time. Steps that were done before give what is stored, so that the run comes to where
 * the last one was, with the compensations of those steps at hand.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import { type AnySchema, type Codec, whole } from "../../Codec.js"
import type * as Lease from "../../Lease.js"
import {
  CompensationFailed,
  type LeaseLost,
  type OperationError,
  type StepError,
  StepsDiverged,
  type StepsError,
  StepsOutdated
} from "../../SessionErrors.js"
import type { Target } from "../data/request.js"
import { isOfLibrary } from "../once/declared.js"
import * as Once from "../once/run.js"
import type { Expiry } from "../once/store.js"
import type { Transaction } from "../session/turn.js"
import { ensureOutside } from "../transaction/manual.js"
import type { Inside } from "../transaction/start.js"
import { numberOf } from "../values/numbers.js"
import { readable } from "../values/options.js"
import { later } from "./later.js"
import { type Decoded, decodeStep } from "./options.js"
import { compensated, keyOf, leaseOf, moving, noting, type State } from "./record.js"
import * as Store from "./store.js"

/** What workflows of one kind have in common. */
export interface Kind<C> {
  readonly name: string
  readonly options: Decoded
  /** Where the workflows are. */
  readonly target: Target<C>
  /** Where the results of their steps are. */
  readonly results: Target<C>
  readonly expiry: Expiry<C>
}

/** How to run a step. */
export interface Options<A, E2, R2> {
  readonly result?: AnySchema | undefined
  readonly failure?: AnySchema | undefined
  readonly compensate?: ((result: A) => Effect.Effect<unknown, E2, R2>) | undefined
}

/** One run of a workflow. */
export class Workflow<C> {
  readonly #kind: Kind<C>
  readonly #id: string
  readonly #held: Lease.Service
  readonly #steps = new Set<string>()
  #last: string | undefined
  readonly #compensations = new Map<string, Effect.Effect<unknown, CompensationFailed>>()
  // The failures that were declared by the steps they came from.
  readonly #failures = new Set<unknown>()

  constructor(kind: Kind<C>, id: string, held: Lease.Service) {
    this.#kind = kind
    this.#id = id
    this.#held = held
  }

  /** Runs the body, and compensates its steps if it fails for good. */
  run<A, E, R>(body: Effect.Effect<A, E, R>): Effect.Effect<A, E | StepsError, C | R> {
    return Effect.zipRight(this.#begin, this.#toItsEnd(body))
  }

  /** Like {@link run}. Gives nothing if the workflow has ended before. */
  resume<A, E, R>(body: Effect.Effect<A, E, R>): Effect.Effect<Option.Option<A>, E | StepsError, C | R> {
    return Effect.flatMap(
      this.#begin,
      (state) => state === "succeeded" || state === "failed" ? Effect.succeedNone : Effect.asSome(this.#toItsEnd(body))
    )
  }

  get #begin(): Effect.Effect<State, StepsError, C> {
    const { name, options: { version }, target } = this.#kind
    return Effect.gen(this, function*() {
      const begun = yield* Store.findOrBegin(target, name, this.#id, version)
      const found = begun === null ? version : numberOf(begun.version)
      if (found !== version) return yield* new StepsOutdated({ steps: name, version, found })
      return begun?.state ?? "running"
    })
  }

  #toItsEnd<A, E, R>(body: Effect.Effect<A, E, R>): Effect.Effect<A, E | StepsError, C | R> {
    return Effect.matchCauseEffect(body, {
      onSuccess: (value) => Effect.as(this.#succeed, value),
      onFailure: (cause) =>
        this.#isStored(cause) ? Effect.zipRight(this.#compensate, Effect.failCause(cause)) : Effect.failCause(cause)
    })
  }

  /** See `Steps.Step`. */
  step<A, E, R, E2, R2>(
    step: string,
    effect: Effect.Effect<A, E, R>,
    given?: Options<A, E2, R2>
  ): Effect.Effect<A, E | StepError, C | Inside<R> | R2> {
    const { expiry, name, options: { once }, results } = this.#kind
    // Session and transaction are there for the effect and the note.
    return Effect.gen(this, function*() {
      const { compensate, failure, result } = (yield* readable(given)) ?? {}
      yield* decodeStep(this.#id, step, { result, failure })
      // It would not be done when the body goes on.
      yield* ensureOutside("Steps.step")
      if (this.#steps.has(step)) return yield* new StepsDiverged({ steps: name, step, reason: "Repeated" })
      this.#steps.add(step)
      this.#last = step
      // What the schemas need is in the type of the step.
      const declared = failure && whole(failure) as Codec<unknown, unknown, never>
      const kind: Once.Kind<A, never, never, C> = {
        name,
        // No name of a `Once` begins so.
        prefix: `/${name}`,
        target: results,
        options: Either.right(once),
        result: result && whole(result) as Codec<A, unknown, never>,
        failure: declared as Codec<never, unknown, never> | undefined,
        expiry
      }
      let isStored = false
      const inTransaction = Effect.zipRight(this.#note(step, compensate !== undefined), effect)
      const value = yield* Once.run(kind, keyOf(this.#id, step), inTransaction, {}, this.#held.guard).pipe(
        Effect.tapError((error) =>
          declared === undefined ? Effect.void : Effect.map(isStorable(declared, error), (is) => {
            isStored = is
            if (is) this.#failures.add(error)
          })
        ),
        Effect.onError((cause) =>
          Effect.sync(() => {
            if (isStored) return
            // It may be run again. Another step may have stored the same failure, but this one has failed with it now.
            this.#steps.delete(step)
            for (const error of Cause.failures(cause)) this.#failures.delete(error)
          })
        )
      )
      if (compensate !== undefined) {
        const compensation = Effect.suspend(() => compensate(value)).pipe(
          later(yield* Effect.context<R2>()),
          Effect.mapError((error) => new CompensationFailed({ steps: name, step, error }))
        )
        this.#compensations.set(step, compensation)
      }
      return value
    })
  }

  #note(
    step: string,
    isCompensated: boolean
  ): Effect.Effect<void, OperationError | LeaseLost | StepsDiverged, C | Transaction> {
    const { name: steps, target } = this.#kind
    return Effect.asVoid(Effect.filterOrFail(
      Store.change(target, this.#held, noting(this.#_id, step, isCompensated)),
      (isNoted) => isNoted,
      () => new StepsDiverged({ steps, step, reason: "Ended" })
    ))
  }

  #isStored(cause: Cause.Cause<unknown>): boolean {
    return Option.exists(Cause.failureOption(cause), (error) => this.#failures.has(error))
  }

  // At least once: what was done and not noted is done again.
  get #compensate(): Effect.Effect<void, StepsError, C> {
    const { name: steps, target } = this.#kind
    return Effect.gen(this, function*() {
      yield* this.#move("running", "compensating")
      const found = yield* Store.read(target, this.#_id)
      if (found?.state === "failed") return
      if (found?.state !== "compensating") return yield* this.#ended
      for (const step of found.compensations.toReversed()) {
        const compensation = this.#compensations.get(step)
        if (compensation === undefined) return yield* new StepsDiverged({ steps, step, reason: "Missing" })
        yield* compensation
        const isNoted = yield* Store.changeAlone(target, this.#held, compensated(this.#_id, step))
        if (!isNoted) return yield* this.#ended
      }
      if (!(yield* this.#move("compensating", "failed"))) return yield* this.#ended
    })
  }

  // A body that comes to another end than before has another state than is stored.
  get #succeed(): Effect.Effect<void, StepsError, C> {
    return Effect.gen(this, function*() {
      if (yield* this.#move("running", "succeeded")) return
      const found = yield* Store.read(this.#kind.target, this.#_id)
      if (found?.state !== "succeeded") return yield* this.#ended
    })
  }

  get #ended(): StepsDiverged {
    return new StepsDiverged({ steps: this.#kind.name, step: this.#last ?? "", reason: "OtherEnd" })
  }

  // Where its state is another one, it has come further before.
  #move(from: State, to: State): Effect.Effect<boolean, StepsError, C> {
    return Store.changeAlone(this.#kind.target, this.#held, moving(this.#_id, from, to))
  }

  get #_id(): string {
    return leaseOf(this.#kind.name, this.#id)
  }
}

const isStorable = (declared: Codec<unknown, unknown, never>, error: unknown): Effect.Effect<boolean> =>
  isOfLibrary(error) ? Effect.succeed(false) : Effect.isSuccess(declared.encode(error, "failure"))
