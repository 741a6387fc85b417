/**
 * Effects that take effect exactly once for a key, however often they are asked for: by repeated requests, by several
 * instances at once, after crashes and after commits whose answer was lost.
 *
 * The effect runs in a transaction. In the same transaction its key and its result are written, so that both are there or
 * none. Who comes again with the key gets the result that is stored, and the effect does not run.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { type AnySchema, isSchema, whole } from "./Codec.js"
import * as Options from "./internal/once/options.js"
import * as Run from "./internal/once/run.js"
import { Expiry } from "./internal/once/store.js"
import type { AsGiven, MongoClient } from "./internal/session/client.js"
import type { Inside } from "./internal/transaction/start.js"
import { givenIn, readable } from "./internal/values/options.js"
import type { OnceError } from "./SessionErrors.js"

export type {
  /** Where keys are kept, and for how long. @since 0.1.0 @category options */
  Options,
  /** How to run an effect once. @since 0.1.0 @category options */
  RunOptions
} from "./internal/once/options.js"
export type {
  /** What running an effect once can fail with by itself. @since 0.1.0 @category errors */
  OnceError
} from "./SessionErrors.js"

/**
 * Something that is done once for each key, with its results of type `A` and the failures of type `F` that count as done.
 * Immutable.
 *
 * @since 0.1.0
 * @category models
 */
export interface Once<in out A, out F = never, out R = never, out Client = MongoClient> {
  /** What it is called. Keys of one name have nothing to do with those of another. */
  readonly name: string
  /**
   * Runs an effect in a transaction and stores its result under the key, all at once; or gives what is stored.
   *
   * It joins a transaction around it: the key is then committed with that transaction. Otherwise it starts one of its own and
   * runs it again after transient failures, as `Transaction.run` does. A commit whose answer is lost is settled by looking for
   * the key.
   *
   * While another run has the key, this one waits for it for `wait`, and fails with `InProgress` after that. A failure that
   * `failure` declares is stored as a result is. What the effect has written by then is rolled back, unless `keepWrites` is
   * set. Within another transaction such a failure is stored only with `keepWrites`. Any other failure rolls back and leaves
   * the key free, and so does each error of this library, whatever `failure` says.
   *
   * Fails with `SessionMisconfigured` before anything is sent; with `KeyReused` when the key belongs to another `fingerprint`;
   * with `DecodeFailed` when a result does not fit its schema; with `MongoError` (`DocumentTooLarge`) when it has 16 MiB or
   * more; with `TransactionEnded` when the effect has aborted the transaction by hand; with `TransactionDoomed` when it has asked
   * for `Transaction.rollbackOnly`; and with what a transaction and an operation can fail with. After `CommitUnknown` it may be
   * run again with the same key.
   */
  readonly run: <E, R2, OR = never>(
    key: string,
    effect: Effect.Effect<A, E, R2>,
    options?: Options.RunOptions<OR>
  ) => Effect.Effect<A, E | F | OnceError, Client | R | OR | Inside<R2>>
}

/**
 * What is stored under a key, and where.
 *
 * @since 0.1.0
 * @category options
 */
export interface TypedOptions<S extends AnySchema, F extends AnySchema = never, Client = MongoClient>
  extends Options.Options<Client>
{
  /** What the effect succeeds with. */
  readonly result: S
  /** What it may fail with so that it counts as done, such as `OutOfStock`. Default: no failure does. */
  readonly failure?: F | undefined
}

interface UntypedOptions<F extends AnySchema, Client> extends Options.Options<Client> {
  readonly result?: undefined
  readonly failure?: F | undefined
}

/**
 * Makes something that is done once for each key; nothing is sent. Without `result` the effect succeeds with nothing, which
 * saves a command.
 *
 * The first run of a client makes an index by which the server removes old keys. Where that is refused, or takes more than 5
 * seconds, the log says so and keys stay. MongoDB 4.4 or later.
 *
 * @example
 * ```ts
 * import { Collection, Once } from "effect-mongo-session"
 * import { Effect, Schema } from "effect"
 *
 * const Orders = Collection.make("orders")
 * const Placing = Once.make("placing", { result: Schema.Struct({ order: Schema.String }) })
 *
 * // However often a request comes with this key, there is one order, and each caller gets its id.
 * export const place = (key: string, order: string) =>
 *   Placing.run(key, Effect.as(Orders.insertOne({ order }), { order }))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: {
  <S extends AnySchema, F extends AnySchema = never, Client = MongoClient>(
    name: string,
    options: TypedOptions<S, F, Client>
  ): Once<S["Type"], F["Type"], S["Context"] | F["Context"], AsGiven<Client>>
  <F extends AnySchema = never, Client = MongoClient>(
    name: string,
    options?: UntypedOptions<F, Client>
  ): Once<void, F["Type"], F["Context"], AsGiven<Client>>
} = <Client>(
  name: string,
  given?: Options.Options<Client> & {
    readonly result?: AnySchema | undefined
    readonly failure?: AnySchema | undefined
  }
) => {
  const read = readable(given)
  const options = givenIn(read)
  const { client, collection = Options.defaultCollection, database, failure, result } = options
  const target = { client, collection, database }
  return of({
    name,
    prefix: name,
    target,
    options: Either.flatMap(read, () => Options.decode(name, options)),
    result: codecOf(result),
    failure: codecOf(failure),
    expiry: new Expiry(target)
  })
}

// What is no schema is told by its options.
const codecOf = (schema: unknown) => isSchema(schema) ? whole(schema) : undefined

const of = <A, F, R, C>(kind: Run.Kind<A, F, R, C>): Once<A, F, R, C> => ({
  name: kind.name,
  run: (key, effect, options) => Run.run(kind, key, effect, options)
})
