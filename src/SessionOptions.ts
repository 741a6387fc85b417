/**
 * The options of a session, and what they mean when they are left out.
 *
 * @since 0.1.0
 */
import type * as Config from "effect/Config"
import type * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import type { Timestamp } from "mongodb"
import { isTimestamp } from "./internal/values/foreign.js"
import { below, decoder, duration, fromConfig, isNone, type Rules } from "./internal/values/options.js"
import * as Transactions from "./internal/values/transactionOptions.js"
import type { SessionMisconfigured } from "./SessionErrors.js"
import type * as TransactionOptions from "./TransactionOptions.js"

/**
 * The options of a session. All may be left out.
 *
 * See the specifications "Driver Sessions", "Causal Consistency" and "Snapshot Reads", sections "SessionOptions".
 *
 * @since 0.1.0
 * @category options
 */
export interface SessionOptions {
  /** Whether reads see what the session has read and written before. Default `true`; `false` when `snapshot`. */
  readonly causalConsistency?: boolean | undefined
  /** Whether all reads see the data as of one time. Excludes `causalConsistency` and transactions. Default `false`. */
  readonly snapshot?: boolean | undefined
  /** The time that a snapshot session reads at. Default: that of its first read. */
  readonly snapshotTime?: Timestamp | undefined
  /** What the session's transactions use where their own options say nothing. */
  readonly defaultTransactionOptions?: TransactionOptions.TransactionOptions | undefined
  /** Whether the client keeps the session alive while it is idle. Default `true`. */
  readonly keepAlive?: boolean | undefined
  /** What an operation does while another one runs: wait, or fail with `SessionBusy`. Default `"queue"`. */
  readonly onBusy?: "queue" | "fail" | undefined
  /**
   * What the next use does after the session lapsed: fail with `SessionLapsed`, or go on with a new server session
   * that carries the causal times over. Default `"fail"`.
   */
  readonly onLapse?: "fail" | "renew" | undefined
  /** Where the server session goes on release: back to the driver's pool, or ended on the server. Default `"pool"`. */
  readonly release?: "pool" | "end" | undefined
  /**
   * How long an interruption or a closing scope waits for an operation to settle. An abort without a `timeout` that was sent
   * waits twice as long for its answer; one that was lost is sent again, for as long as this, and then in the background.
   * Default: the client's.
   */
  readonly settleTimeout?: Duration.DurationInput | undefined
  /**
   * How long an operation in the session may take in all, with the wait for its turn: a command and its repetitions by
   * the driver, a batch of a cursor, a commit, an abort. It is also the `timeout` of the session's transactions, as far
   * as their own options set none. What takes longer fails with `MongoError` (`TimedOut`): reads are called off, of
   * writes the connection is given up; the promise of `Session.use` is no longer waited for. The specification calls it
   * `defaultTimeoutMS`. Default: the client's.
   */
  readonly timeout?: Duration.DurationInput | undefined
}

/**
 * Valid options with every default filled in and durations decoded. They are options themselves, and decode to
 * themselves.
 *
 * @since 0.1.0
 * @category models
 */
export interface Decoded {
  readonly causalConsistency: boolean
  readonly snapshot: boolean
  readonly snapshotTime: Timestamp | undefined
  readonly defaultTransactionOptions: TransactionOptions.Decoded | undefined
  readonly keepAlive: boolean
  readonly onBusy: "queue" | "fail"
  readonly onLapse: "fail" | "renew"
  readonly release: "pool" | "end"
  /** `undefined`: the client's. */
  readonly settleTimeout: Duration.Duration | undefined
  /** `undefined`: the client's. */
  readonly timeout: Duration.Duration | undefined
}

const choice = <const First extends string, const Second extends string>(first: First, second: Second) =>
  Schema.Literal(first, second).annotations({ description: `"${first}" or "${second}"` })

const fields = Schema.Struct({
  causalConsistency: Schema.optional(Schema.Boolean),
  snapshot: Schema.optional(Schema.Boolean),
  snapshotTime: Schema.optional(Schema.declare(isTimestamp, { description: "a BSON timestamp" })),
  defaultTransactionOptions: Schema.optional(Transactions.fields),
  keepAlive: Schema.optional(Schema.Boolean),
  onBusy: Schema.optional(choice("queue", "fail")),
  onLapse: Schema.optional(choice("fail", "renew")),
  release: Schema.optional(choice("pool", "end")),
  settleTimeout: Schema.optional(duration()),
  timeout: Schema.optional(duration())
}).annotations({ description: "an object of session options" })

const rules: Rules = ({ causalConsistency, defaultTransactionOptions, snapshot, snapshotTime }) => [
  ...(snapshot === true && causalConsistency === true
    ? [{ path: ["causalConsistency"], message: "cannot be true on a snapshot session" }]
    : []),
  ...(isTimestamp(snapshotTime) && (snapshot === undefined || snapshot === false)
    ? [{ path: ["snapshotTime"], message: "needs snapshot to be true" }]
    : []),
  ...(snapshot === true && Predicate.isRecord(defaultTransactionOptions)
    ? [{ path: ["defaultTransactionOptions"], message: "a snapshot session cannot have transactions" }]
    : []),
  ...(Predicate.isRecord(defaultTransactionOptions)
    ? below("defaultTransactionOptions", Transactions.rules(defaultTransactionOptions))
    : [])
]

const decodeFields = decoder(fields, rules)

const normalize = (options: typeof fields.Type): Decoded => {
  const snapshot = options.snapshot ?? false
  return {
    causalConsistency: options.causalConsistency ?? !snapshot,
    snapshot,
    snapshotTime: options.snapshotTime,
    defaultTransactionOptions: options.defaultTransactionOptions === undefined
      ? undefined
      : Transactions.normalize(options.defaultTransactionOptions),
    keepAlive: options.keepAlive ?? true,
    onBusy: options.onBusy ?? "queue",
    onLapse: options.onLapse ?? "fail",
    release: options.release ?? "pool",
    settleTimeout: options.settleTimeout,
    timeout: options.timeout
  }
}

/**
 * Decodes options; `undefined` is no options. Pure: fails with `SessionMisconfigured`, which lists every
 * issue (wrong types and values, unknown keys at any depth, times that are not finite or under a millisecond, `w: 0`
 * in the default transaction options, options that exclude each other).
 *
 * @example
 * ```ts
 * import { Either } from "effect"
 * import { SessionOptions } from "effect-mongo-session"
 *
 * // All that is wrong, not the first only.
 * export const issues = (options: unknown) =>
 *   Either.match(SessionOptions.decode(options), { onLeft: ({ issues }) => issues, onRight: () => [] })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const decode = (options: unknown): Either.Either<Decoded, SessionMisconfigured> =>
  isNone(options) ? decodedNone : Either.map(decodeFields(options), normalize)

// Shared by all sessions without options.
const decodedNone = Either.right(Object.freeze(normalize({})))

/**
 * The options from configuration, below a prefix (default `SESSION`; `""` for none): `CAUSAL_CONSISTENCY`,
 * `SNAPSHOT`, `KEEP_ALIVE`, `ON_BUSY`, `ON_LAPSE`, `RELEASE`, `SETTLE_TIMEOUT`, `TIMEOUT`, and below `TRANSACTION` the keys of
 * `TransactionOptions.config`. Times are like `"30 seconds"`. All are optional; the rules are those of
 * {@link decode}, and each issue is an `InvalidData` with the key's path.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Session, SessionOptions } from "effect-mongo-session"
 *
 * // From REPORTS_SNAPSHOT, REPORTS_TIMEOUT and so on.
 * export const session = Effect.flatMap(SessionOptions.config("REPORTS"), (options) => Session.make(options))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const config = (prefix: string = "SESSION"): Config.Config<Decoded> =>
  fromConfig(
    prefix,
    [
      { key: ["CAUSAL_CONSISTENCY"], path: ["causalConsistency"], as: "boolean" },
      { key: ["SNAPSHOT"], path: ["snapshot"], as: "boolean" },
      { key: ["KEEP_ALIVE"], path: ["keepAlive"], as: "boolean" },
      { key: ["ON_BUSY"], path: ["onBusy"], as: "text" },
      { key: ["ON_LAPSE"], path: ["onLapse"], as: "text" },
      { key: ["RELEASE"], path: ["release"], as: "text" },
      { key: ["SETTLE_TIMEOUT"], path: ["settleTimeout"], as: "text" },
      { key: ["TIMEOUT"], path: ["timeout"], as: "text" },
      ...Transactions.configKeys.map(({ as, key, path }) => ({
        key: ["TRANSACTION", ...key],
        path: ["defaultTransactionOptions", ...path],
        as
      }))
    ],
    decode
  )
