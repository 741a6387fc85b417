/**
 * Workflows of transactional steps: each step takes effect once, also when the process dies on the way and another one goes on.
 *
 * There is no engine behind it: a step is an effect that `Once` runs, under a lease of its workflow.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import type { AnySchema } from "./Codec.js"
import * as LeaseOptions from "./internal/lease/options.js"
import { Expiry } from "./internal/once/store.js"
import type { AsGiven, MongoClient } from "./internal/session/client.js"
import * as Options from "./internal/steps/options.js"
import { leaseOf } from "./internal/steps/record.js"
import { leftOf } from "./internal/steps/store.js"
import { type Kind, Workflow } from "./internal/steps/workflow.js"
import { ensureOutside } from "./internal/transaction/manual.js"
import type { Inside } from "./internal/transaction/start.js"
import { givenIn, readable } from "./internal/values/options.js"
import * as Lease from "./Lease.js"
import {
  type InvalidInTransaction,
  type OperationError,
  type SessionMisconfigured,
  type StepError,
  type StepsError
} from "./SessionErrors.js"

export type {
  /** Where workflows are kept, and their version. @since 0.1.0 @category options */
  Options
} from "./internal/steps/options.js"
export type {
  /** What a step can fail with by itself. @since 0.1.0 @category errors */
  StepError,
  /** What running a workflow can fail with by itself. @since 0.1.0 @category errors */
  StepsError
} from "./SessionErrors.js"

/**
 * How to run a step.
 *
 * @since 0.1.0
 * @category options
 */
export interface StepOptions<S extends AnySchema, F extends AnySchema = never, E2 = never, R2 = never> {
  /** What the effect succeeds with. */
  readonly result: S
  /** Which failures are for good, such as `OutOfStock`. They are stored as a result is. Default: none is. */
  readonly failure?: F | undefined
  /**
   * Undoes what the step has done elsewhere, given its result. It runs when a later step fails for good, at least once, outside
   * of a transaction. Default: nothing is to be undone.
   */
  readonly compensate?: ((result: S["Type"]) => Effect.Effect<unknown, E2, R2>) | undefined
}

interface UntypedStepOptions<F extends AnySchema, E2, R2> {
  readonly result?: undefined
  readonly failure?: F | undefined
  readonly compensate?: (() => Effect.Effect<unknown, E2, R2>) | undefined
}

/**
 * Runs a step of a workflow: an effect in a transaction, in which its result is stored, too. It takes effect once for each
 * workflow and name; later runs of the workflow get the result that is stored. Without `result` it succeeds with nothing.
 *
 * Fails with `SessionMisconfigured` when the name of the step is none, or has a slash; with `InvalidInTransaction` inside a
 * transaction; with `StepsDiverged` when the body has another step of this name, or the workflow has ended without it; with
 * `LeaseLost` when another process has taken the workflow up; and as `Once` does.
 *
 * @since 0.1.0
 * @category models
 */
export interface Step<out Client = MongoClient> {
  <S extends AnySchema, E, R, F extends AnySchema = never, E2 = never, R2 = never>(
    name: string,
    effect: Effect.Effect<S["Type"], E, R>,
    options: StepOptions<S, F, E2, R2>
  ): Effect.Effect<S["Type"], E | F["Type"] | StepError, Client | S["Context"] | F["Context"] | Inside<R> | R2>
  <E, R, F extends AnySchema = never, E2 = never, R2 = never>(
    name: string,
    effect: Effect.Effect<unknown, E, R>,
    options?: UntypedStepOptions<F, E2, R2>
  ): Effect.Effect<void, E | F["Type"] | StepError, Client | F["Context"] | Inside<R> | R2>
}

/**
 * The body of a workflow. It runs from its beginning each time, so that it must depend on nothing but its id, the results of its
 * steps, and what never changes. All that it does is done by its steps, one after the other.
 *
 * @since 0.1.0
 * @category models
 */
export type Body<A, E, R, Client = MongoClient> = (step: Step<Client>, id: string) => Effect.Effect<A, E, R>

/**
 * A workflow that was taken up, and how that has ended.
 *
 * @since 0.1.0
 * @category models
 */
export interface Resumed<A, E> {
  readonly id: string
  readonly exit: Exit.Exit<A, E | StepsError>
}

/**
 * Workflows of one kind. Immutable.
 *
 * @since 0.1.0
 * @category models
 */
export interface Steps<out Client = MongoClient> {
  /** What they are called. */
  readonly name: string
  /**
   * Runs the workflow of an id, or goes on with it where the last run was. While another process runs it, this one waits as
   * `poll` says. A workflow that has ended gives its result again.
   *
   * If a failure leaves the body that a step has declared by `failure`, the workflow has failed for good: its compensations run
   * backwards, and then it fails with that failure. Any other failure leaves it unfinished: run it again, or see
   * {@link Steps.resume}.
   *
   * Fails with `SessionMisconfigured` and `InvalidInTransaction` before anything is sent; with `StepsOutdated` when another
   * version has begun it; with `StepsDiverged` and `CompensationFailed`; with `LeaseTaken` when `poll` has ended; with
   * `LeaseLost` when another process has taken it up; and with what a transaction and an operation can fail with.
   */
  readonly run: <A, E, R>(
    id: string,
    body: Body<A, E, R, Client>
  ) => Effect.Effect<A, E | StepsError, Client | R>
  /**
   * Takes up, one after the other, the unfinished workflows of this version that no process works on: those of processes that
   * died, and those that have failed with something that may go away. Gives how each of them has ended, and leaves out those that
   * another process has taken up meanwhile, or has a step open of. Where one can't be taken up otherwise, as in an outage, it ends
   * there: with how the others have ended, or with that failure if there are none. Repeat it by a Schedule. Inside a transaction it
   * is refused with `InvalidInTransaction`.
   */
  readonly resume: <A, E, R>(
    body: Body<A, E, R, Client>
  ) => Effect.Effect<
    ReadonlyArray<Resumed<A, E>>,
    OperationError | SessionMisconfigured | InvalidInTransaction,
    Client | R
  >
}

/**
 * Makes workflows of one kind; nothing is sent. The results of steps are kept for ever unless `timeToLive` says otherwise.
 *
 * @example
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { Collection, Steps } from "effect-mongo-session"
 *
 * const Stock = Collection.make("stock")
 * declare const charge: (order: string) => Effect.Effect<string>
 * declare const refund: (payment: string) => Effect.Effect<void>
 *
 * const Ordering = Steps.make("ordering", { version: 1 })
 *
 * // Run again after a crash, it goes on where it was.
 * export const order = (id: string) =>
 *   Ordering.run(id, (step) =>
 *     Effect.gen(function*() {
 *       yield* step("charge", charge(id), { result: Schema.String, compensate: refund })
 *       yield* step("reserve", Stock.updateOne({ _id: "book" }, { $inc: { left: -1 } }))
 *     }))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <Client = MongoClient>(name: string, given: Options.Options<Client>): Steps<AsGiven<Client>> => {
  const read = readable(given)
  const options = givenIn(read)
  const { onceCollection: _, timeToLive: __, version: ___, ...lease } = options
  const { client, collection = Options.defaultCollection, database } = lease
  const target = { client, database, collection }
  const kind = Either.map(
    Either.flatMap(read, () => Options.decode(name, options)),
    (options): Kind<Client> => {
      const results = { client, database, collection: options.results }
      return { name, options, target, results, expiry: new Expiry(results) }
    }
  )
  const bodyOf = <A, E, R>(workflow: Workflow<Client>, id: string, body: Body<A, E, R, Client>) =>
    // Its forms are for the compiler only.
    Effect.suspend(() => body(workflow.step.bind(workflow) as unknown as Step<Client>, id))
  const resumeOne = <A, E, R>(kind: Kind<Client>, id: string, body: Body<A, E, R, Client>) =>
    Effect.scopedWith((scope) =>
      Effect.gen(function*() {
        const decoded = Either.map(LeaseOptions.decode(leaseOf(name, id), { ...lease, collection }), atOnce)
        const held = yield* Scope.extend(Lease.acquired(target, leaseOf(name, id), decoded), scope).pipe(
          Effect.asSome,
          // Another process has been faster, or has a step open.
          Effect.catchTag("LeaseTaken", () => Effect.succeedNone)
        )
        if (Option.isNone(held)) return Option.none()
        const workflow = new Workflow(kind, id, held.value)
        const exit = yield* Effect.exit(held.value.whileHeld(workflow.resume(bodyOf(workflow, id, body))))
        return Exit.match(exit, {
          onFailure: (cause) => Option.some<Resumed<A, E>>({ id, exit: Exit.failCause(cause) }),
          onSuccess: Option.map((value): Resumed<A, E> => ({ id, exit: Exit.succeed(value) }))
        })
      })
    )
  const steps: Steps<Client> = {
    name,
    run: (id, body) =>
      Effect.flatMap(
        Effect.zipLeft(kind, Options.decodeId(name, id)),
        (kind) =>
          Effect.scopedWith((scope) =>
            Effect.flatMap(
              Scope.extend(Lease.make(leaseOf(name, id), { ...lease, collection }).acquire, scope),
              (held) => {
                const workflow = new Workflow(kind, id, held)
                return held.whileHeld(workflow.run(bodyOf(workflow, id, body)))
              }
            )
          )
      ),
    resume: <A, E, R>(body: Body<A, E, R, Client>) =>
      Effect.gen(function*() {
        yield* ensureOutside("Steps.resume")
        const valid = yield* kind
        const resumed: Array<Resumed<A, E>> = []
        for (const id of yield* leftOf(target, name, valid.options.version)) {
          const one = yield* Effect.either(resumeOne(valid, id, body))
          // How the others have ended is told before that. The next pass meets it again.
          if (Either.isLeft(one)) return resumed.length > 0 ? resumed : yield* Effect.fail(one.left)
          if (Option.isSome(one.right)) resumed.push(one.right.value)
        }
        return resumed
      })
  }
  // The same type, which the compiler does not see of one that it does not know yet.
  return steps as Steps<AsGiven<Client>>
}

// Those that follow must not wait for long for one that a frozen process still has.
const atOnce = (decoded: LeaseOptions.Decoded): LeaseOptions.Decoded => ({
  ...decoded,
  poll: Schedule.stop,
  patience: Duration.min(decoded.timeout, Duration.seconds(2))
})
