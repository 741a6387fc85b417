/**
 * Leases with fencing: of all instances, one at a time has a lease, and another one takes over when that one is gone.
 *
 * Who has it is decided by the server, by the server's clock. A transaction with a guard in it is committed only while the
 * lease is held: an instance that was frozen can't write late.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Scope from "effect/Scope"
import { newId } from "./internal/changes/checkpoint.js"
import type { Target } from "./internal/data/request.js"
import * as Options from "./internal/lease/options.js"
import { Term } from "./internal/lease/term.js"
import { type AsGiven, clientOf, MongoClient, type Service as Client } from "./internal/session/client.js"
import { ensureOutside } from "./internal/transaction/manual.js"
import { givenIn, readable } from "./internal/values/options.js"
import { type LeaseError, LeaseLost, type OperationError, type SessionMisconfigured } from "./SessionErrors.js"
import { Transaction } from "./Transaction.js"

export type {
  /** Where a lease is kept, and for how long it is held. @since 0.1.0 @category options */
  Options
} from "./internal/lease/options.js"
export type {
  /** What acquiring a lease can fail with. @since 0.1.0 @category errors */
  LeaseError
} from "./SessionErrors.js"

/**
 * A lease that was acquired, and that is renewed until its scope closes or it is lost.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /** What the lease is called. */
  readonly name: string
  /**
   * Grows by one with each acquisition, by whichever instance. Give it along to systems outside of the database: they refuse
   * a token that is smaller than one that they have seen.
   */
  readonly token: number
  /**
   * Makes sure that the transaction around it is committed only while the lease is held. It reads and writes the lease in the
   * transaction: no other instance acquires it before that has ended.
   *
   * Guard first, then read and write: renewals wait for the transaction from the guard on, and a renewal between the first
   * operation of a transaction and its guard makes the transaction run again. A transaction takes less time than `for` less
   * `renew`, for the last renewal may be nearly as long ago as that: else the lease counts as lost.
   *
   * Fails with `LeaseLost` when the lease is no longer held, by the server's clock; with `ForeignSession` when the transaction
   * belongs to another client; and with what an operation can fail with.
   */
  readonly guard: Effect.Effect<void, LeaseLost | OperationError, Transaction>
  /**
   * Runs an effect while the lease is held. When the lease is lost or released, it interrupts the effect and fails with
   * `LeaseLost`. What the effect has committed by then stays.
   */
  readonly whileHeld: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | LeaseLost, R>
  /** Waits until the lease is lost or released, and then fails. */
  readonly lost: Effect.Effect<never, LeaseLost>
}

/**
 * The lease that an effect runs under; in the requirements of an effect, it must run while a lease is held, which the compiler
 * checks.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Lease } from "effect-mongo-session"
 *
 * // It runs under a lease only.
 * export const token = Effect.map(Lease.Held, ({ token }) => token)
 * export const program = Lease.make("reports").run(token)
 * ```
 *
 * @since 0.1.0
 * @category tags
 */
export class Held extends Context.Tag("effect-mongo-session/Lease/Held")<Held, Service>() {}

/**
 * A lease that can be acquired, again and again. Immutable.
 *
 * @since 0.1.0
 * @category models
 */
export interface Lease<Client = MongoClient> {
  /** What it is called. */
  readonly name: string
  /**
   * Waits until no other instance has the lease, and takes it. It is renewed until the scope closes, and released then. An
   * acquisition whose answer was lost finds itself when it tries again. One that is interrupted leaves nothing behind.
   *
   * Fails with `SessionMisconfigured` and `InvalidInTransaction` before anything is sent; with `LeaseTaken` when `poll` has
   * ended and another instance has it; and with what an operation can fail with.
   */
  readonly acquire: Effect.Effect<Service, LeaseError, Client | Scope.Scope>
  /** Acquires the lease, runs an effect while it is held, and releases it. The effect finds it as {@link Held}. */
  readonly run: <A, E, R>(
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | LeaseLost | LeaseError, Client | Exclude<R, Held>>
}

/**
 * Makes a lease; nothing is sent. Leases of one name in one collection are the same lease, in whichever process.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Collection, Lease, Transaction } from "effect-mongo-session"
 *
 * const Totals = Collection.make("totals")
 * const Reports = Lease.make("reports", { for: "10 seconds" })
 *
 * // Of all instances one at a time counts. One that was frozen meanwhile commits nothing.
 * export const count = Reports.run(
 *   Transaction.run(Effect.zipRight(Lease.guard, Totals.updateOne({}, { $inc: { n: 1 } }, { upsert: true })))
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <Client = MongoClient>(
  name: string,
  given?: Options.Options<Client>
): Lease<AsGiven<Client>> => {
  const read = readable(given)
  const options = givenIn(read)
  const { client, collection = "effect_mongo_session.leases", database } = options
  const decoded = Either.flatMap(read, () => Options.decode(name, options))
  const acquire = acquired({ client, collection, database }, name, decoded)
  const lease: Lease<Client> = {
    name,
    acquire,
    run: <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      Effect.scopedWith((scope) =>
        Effect.flatMap(
          Scope.extend(acquire, scope),
          (held) => held.whileHeld(Effect.provideService(effect, Held, held))
        )
      )
  }
  // The same type, which the compiler does not see of one that it does not know yet.
  return lease as Lease<AsGiven<Client>>
}

/**
 * Acquires the lease of a name, with options that were decoded.
 *
 * @internal
 */
export const acquired = <C>(
  target: Target<C>,
  name: string,
  decoded: Either.Either<Options.Decoded, SessionMisconfigured>
): Effect.Effect<Service, LeaseError, C | Scope.Scope> =>
  Effect.gen(function*() {
    const options = yield* decoded
    // What waits for others must not have locks meanwhile.
    yield* ensureOutside("Lease.acquire")
    const client = yield* clientOf(target)
    const term = yield* Term.make({ target, name, options, holder: yield* newId })
    yield* Effect.acquireReleaseInterruptible(
      // One that fails lets go at once, not when the scope closes.
      Effect.onError(term.acquire, () => term.release),
      () => term.release
    )
    // Where it is acquired may be a region that can't be interrupted, as that of a layer.
    yield* Effect.forkScoped(Effect.interruptible(term.watching))
    yield* Effect.forkScoped(Effect.interruptible(Effect.raceFirst(term.renewing, Effect.ignore(term.lost))))
    const tag = target.client ?? (MongoClient as unknown as Context.Tag<C, Client>)
    return {
      name,
      token: term.token,
      guard: Effect.zipRight(Transaction, Effect.provideService(term.guard, tag, client)),
      whileHeld: (effect) => Effect.zipRight(term.ensureHeld, Effect.raceFirst(effect, term.lost)),
      lost: term.lost
    }
  })

/**
 * {@link Service.guard} of the lease that the transaction runs under.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Collection, Lease, Transaction } from "effect-mongo-session"
 *
 * const Jobs = Collection.make("jobs")
 *
 * // A service needs not know which lease it runs under.
 * export const close = (_id: string) =>
 *   Transaction.run(Effect.zipRight(Lease.guard, Jobs.updateOne({ _id }, { $set: { done: true } })))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const guard: Effect.Effect<void, LeaseLost | OperationError, Held | Transaction> = Effect.flatMap(
  Held,
  ({ guard }) => guard
)

/**
 * Runs an effect on one instance only. The others wait for their turn: one of them begins when the effect has ended on that
 * instance, or when that instance is gone. An instance that loses the lease interrupts the effect and waits for its turn again.
 *
 * It ends when the effect ends here. So an effect that is to run somewhere all the time goes on for ever. Fails as the effect
 * and {@link Lease.acquire} do.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Lease } from "effect-mongo-session"
 *
 * // Each instance runs this; one of them ticks.
 * export const ticking = Lease.leader(
 *   "ticker",
 *   Effect.forever(Effect.delay(Effect.log("tick"), "1 minute")),
 *   { for: "10 seconds" }
 * )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const leader = <A, E, R, Client = MongoClient>(
  name: string,
  effect: Effect.Effect<A, E, R>,
  options?: Options.Options<Client>
): Effect.Effect<A, E | LeaseError, AsGiven<Client> | Exclude<R, Held>> =>
  Effect.suspend(() => {
    const { run } = make(name, options)
    const turn: Effect.Effect<A, E | LeaseError, AsGiven<Client> | Exclude<R, Held>> = Effect.catchAll(
      run(effect),
      // That of another lease is a failure like any other.
      (error) => error instanceof LeaseLost && error.lease === name ? turn : Effect.fail(error as E | LeaseError)
    )
    return turn
  })
