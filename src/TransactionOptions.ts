/**
 * The options of a transaction, and what they mean when they are left out.
 *
 * @since 0.1.0
 */
import type * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import { decoder, fromConfig, isNone } from "./internal/values/options.js"
import { configKeys, fields, mergeWarnings, normalize, rules } from "./internal/values/transactionOptions.js"
import type { SessionMisconfigured } from "./SessionErrors.js"

/**
 * The read concern levels that a transaction may have.
 *
 * @since 0.1.0
 * @category models
 */
export type ReadConcernLevel = "local" | "majority" | "snapshot"

/**
 * The modes of a read preference.
 *
 * @since 0.1.0
 * @category models
 */
export type ReadPreferenceMode = "primary" | "primaryPreferred" | "secondary" | "secondaryPreferred" | "nearest"

/**
 * The options of a transaction. What is left out comes from the session's default transaction options, then from
 * the client.
 *
 * See the specification "Transactions", section "TransactionOptions".
 *
 * @since 0.1.0
 * @category options
 */
export interface TransactionOptions {
  /** The read concern of all reads. The levels `available` and `linearizable` are not for transactions. */
  readonly readConcern?: ReadConcernLevel | { readonly level: ReadConcernLevel } | undefined
  /**
   * The write concern of commit and abort; a number of members (at least 1), `"majority"`, or the name of a custom
   * write concern, alone or as `w`. `wtimeout` is the driver's `wtimeoutMS`: default no limit.
   */
  readonly writeConcern?:
    | number
    | string
    | {
      readonly w?: number | string | undefined
      readonly journal?: boolean | undefined
      readonly wtimeout?: Duration.DurationInput | undefined
    }
    | undefined
  /**
   * The read preference. Any mode can be set, but MongoDB allows reads in a transaction on the primary only.
   * `maxStalenessSeconds` is at least 90.
   */
  readonly readPreference?:
    | ReadPreferenceMode
    | {
      readonly mode: ReadPreferenceMode
      readonly tags?: ReadonlyArray<{ readonly [name: string]: string }> | undefined
      readonly maxStalenessSeconds?: number | undefined
    }
    | undefined
  /** How long the server may take for one commit (its `maxTimeMS`). Default: no limit. */
  readonly maxCommitTime?: Duration.DurationInput | undefined
  /**
   * How long the transaction may take in all, from when it has its session's turn: its operations, its commit, and its
   * retries. The wait for that turn is not limited. Each of them has what is left of it; those that come too late fail with
   * `MongoError` (`TimedOut`), without being sent when nothing is left. The abort has the same time once more, and so has
   * another one where it was lost. What the body does besides is not limited.
   *
   * Default: the session's `timeout`, then the client's. Where none is set, operations have no limit, and nothing is
   * repeated after 120 seconds.
   */
  readonly timeout?: Duration.DurationInput | undefined
  /**
   * When the log warns of the transaction, once for each reason: a warning that is not set here comes from the session's
   * default, then from the client. `false`: never. A part that joins a transaction has that one's.
   */
  readonly warnings?: false | Warnings | undefined
}

/**
 * From where on the log warns of a transaction, and an event in its span tells of it. `false` turns a warning off.
 *
 * See the manual, "Production Considerations", sections "Runtime Limit" and "Oplog Size Limit".
 *
 * @since 0.1.0
 * @category options
 */
export interface Warnings {
  /**
   * More documents that it has inserted, changed and deleted, as the server's answers say. Of a `Session.use` that is
   * known where its promise gives a result of the driver, of a command of `Database.command` never. Default: 1,000, as
   * MongoDB advises.
   */
  readonly documents?: number | false | undefined
  /** More operations; each batch of a cursor is one. Default: 1,000. */
  readonly operations?: number | false | undefined
  /**
   * More bytes, about, of the documents, filters and updates that its writes send. Text counts a byte for a character; what
   * the server makes of an update is not known. Default: 16,777,216, as many as one entry of the oplog holds.
   */
  readonly bytes?: number | false | undefined
  /**
   * A longer time that an attempt is open. Default: half of the time that the server gives a transaction
   * (`transactionLifetimeLimitSeconds`). The first transaction of the client that is open for 5 seconds asks for it, in
   * the background. Where the server does not tell, 30 seconds: the user may not ask (`getParameter`), or the server is a
   * mongos.
   */
  readonly age?: Duration.DurationInput | false | undefined
}

/**
 * Valid options in one form each: durations decoded, shorthands written out. `undefined` is "not set here". They are
 * options themselves, and decode to themselves.
 *
 * `timeout` has no default yet: filled in before {@link merge}, it would win over the session's.
 *
 * @since 0.1.0
 * @category models
 */
export interface Decoded {
  readonly readConcern: { readonly level: ReadConcernLevel } | undefined
  readonly writeConcern: {
    readonly w: number | string | undefined
    readonly journal: boolean | undefined
    readonly wtimeout: Duration.Duration | undefined
  } | undefined
  readonly readPreference: {
    readonly mode: ReadPreferenceMode
    readonly tags: ReadonlyArray<{ readonly [name: string]: string }> | undefined
    readonly maxStalenessSeconds: number | undefined
  } | undefined
  readonly maxCommitTime: Duration.Duration | undefined
  readonly timeout: Duration.Duration | undefined
  readonly warnings: {
    readonly documents: number | false | undefined
    readonly operations: number | false | undefined
    readonly bytes: number | false | undefined
    readonly age: Duration.Duration | false | undefined
  } | undefined
}

/**
 * The options that a transaction runs with; what is `undefined` is the client's.
 *
 * @since 0.1.0
 * @category models
 */
export interface Resolved extends Decoded {
  readonly timeout: Duration.Duration
}

/**
 * How long a transaction may take in all unless its options say otherwise: 120 seconds. See the specification
 * "Convenient API for Transactions".
 *
 * @example
 * ```ts
 * import { Duration } from "effect"
 * import { TransactionOptions } from "effect-mongo-session"
 *
 * // A request that runs one transaction takes no longer than this.
 * export const requestTimeout = Duration.sum(TransactionOptions.defaultTimeout, "5 seconds")
 * ```
 *
 * @since 0.1.0
 * @category options
 */
export const defaultTimeout: Duration.Duration = Duration.seconds(120)

const decodeFields = decoder(fields, rules)

/**
 * Decodes options; `undefined` is no options. Pure: fails with `SessionMisconfigured`, which lists every
 * issue (wrong types and values, times that are not finite or under a millisecond, `w: 0`, unknown keys at any
 * depth, options that exclude each other).
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Collection, Transaction, TransactionOptions } from "effect-mongo-session"
 *
 * const Users = Collection.make("users")
 *
 * export const deleteAll = (json: unknown) =>
 *   Effect.flatMap(TransactionOptions.decode(json), (options) => Transaction.run(Users.deleteMany({}), options))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const decode = (options: unknown): Either.Either<Decoded, SessionMisconfigured> =>
  isNone(options) ? decodedNone : Either.map(decodeFields(options), normalize)

const decodedNone = Either.right(normalize({}))

/**
 * The options a transaction runs with: field by field its own, else the session's default, else the library's. A
 * read concern, write concern or read preference is one field: it is taken whole; of the warnings each is one. See the
 * specification "Transactions", section "startTransaction".
 *
 * @example
 * ```ts
 * import { Either } from "effect"
 * import { TransactionOptions } from "effect-mongo-session"
 *
 * // What is set nearer to the transaction counts.
 * export const resolved = Either.zipWith(
 *   TransactionOptions.decode({ timeout: "5 seconds" }),
 *   TransactionOptions.decode({ readConcern: "snapshot" }),
 *   (own, ofSession) => TransactionOptions.merge(own, ofSession)
 * )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const merge = (start: Decoded, sessionDefaults: Decoded | undefined): Resolved => ({
  readConcern: start.readConcern ?? sessionDefaults?.readConcern,
  writeConcern: start.writeConcern ?? sessionDefaults?.writeConcern,
  readPreference: start.readPreference ?? sessionDefaults?.readPreference,
  maxCommitTime: start.maxCommitTime ?? sessionDefaults?.maxCommitTime,
  timeout: start.timeout ?? sessionDefaults?.timeout ?? defaultTimeout,
  warnings: mergeWarnings(start.warnings, sessionDefaults?.warnings)
})

/**
 * The options from configuration, below a prefix (default `TRANSACTION`; `""` for none): `READ_CONCERN`,
 * `WRITE_CONCERN_W`, `WRITE_CONCERN_JOURNAL`, `WRITE_CONCERN_WTIMEOUT`, `READ_PREFERENCE`, `MAX_STALENESS_SECONDS`,
 * `MAX_COMMIT_TIME`, `TIMEOUT`, `WARNINGS_DOCUMENTS`, `WARNINGS_OPERATIONS`, `WARNINGS_BYTES`, `WARNINGS_AGE`, each of which
 * may be `false`. Times are like `"30 seconds"`. All are optional; the rules are those of {@link decode}, and each issue is an `InvalidData` with the key's path.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Session, TransactionOptions } from "effect-mongo-session"
 *
 * // From TRANSACTION_TIMEOUT, TRANSACTION_READ_CONCERN and so on.
 * export const session = Effect.flatMap(
 *   TransactionOptions.config(),
 *   (defaultTransactionOptions) => Session.make({ defaultTransactionOptions })
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const config = (prefix: string = "TRANSACTION"): Config.Config<Decoded> => fromConfig(prefix, configKeys, decode)
