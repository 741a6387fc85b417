/**
 * The options of what is run once, and how they are decoded.
 */
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import type { SessionMisconfigured } from "../../SessionErrors.js"
import { SchemaField } from "../data/schemaField.js"
import type { ClientOption, MongoClient } from "../session/client.js"
import { decode as decodeTransaction, type Options as TransactionOptions } from "../transaction/options.js"
import type { Issue } from "../values/issues.js"
import * as Names from "../values/names.js"
import { decoder, duration, issuesIn, Name, Text, timeFromZero } from "../values/options.js"

/** The collection of the keys, where the program has chosen no other. */
export const defaultCollection = "effect_mongo_session.once"

/**
 * Where keys are kept, and for how long.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options<Client = MongoClient> extends ClientOption<Client> {
  /** The database, which must be of the same deployment as what the effect writes. Default: the client's. */
  readonly database?: string | undefined
  /** The collection of the keys. Default `effect_mongo_session.once`. */
  readonly collection?: string | undefined
  /**
   * How long a key is kept at least. After that the server removes it, and the effect may run again with it.
   * `Duration.infinity`: for ever. Default 7 days.
   */
  readonly timeToLive?: Duration.DurationInput | undefined
  /**
   * How long a run waits for another one that has the key. Then it fails with `InProgress`. `0`: not at all. Inside a
   * transaction the time limit of that transaction counts instead. Default 10 seconds.
   */
  readonly wait?: Duration.DurationInput | undefined
}

/**
 * How to run an effect once: the options of a transaction, and what the request is. The write concern is always `majority`,
 * and nothing need be verified.
 *
 * @since 0.1.0
 * @category options
 */
export interface RunOptions<OR = never>
  extends Omit<TransactionOptions<never, never, OR>, "client" | "propagation" | "verifyCommit" | "writeConcern">
{
  /**
   * What tells the request from others, as a digest of its body. Another one under the same key is `KeyReused`. Default: not
   * compared.
   */
  readonly fingerprint?: string | undefined
  /**
   * Whether a declared failure commits what the effect has written, together with the failure. Default `false`: it is rolled
   * back, and the failure alone is stored.
   */
  readonly keepWrites?: boolean | undefined
}

/** The options of a value of `Once`, decoded. */
export interface Decoded {
  readonly timeToLive: Duration.Duration | undefined
  readonly wait: Duration.Duration
}

const isForever = (value: unknown): value is Duration.DurationInput =>
  Duration.isDuration(value) && !Duration.isFinite(value)

const isNothing = (value: unknown): value is Duration.DurationInput =>
  Option.exists(timeFromZero(value), (time) => Duration.equals(time, Duration.zero))

const nothing = Schema.transform(Schema.declare(isNothing), Schema.DurationFromSelf, {
  strict: true,
  decode: () => Duration.zero,
  encode: identity
})

const fields = Schema.Struct({
  name: Name,
  database: Schema.optional(Names.Database),
  collection: Schema.optional(Names.Collection),
  result: SchemaField,
  failure: SchemaField,
  timeToLive: Schema.optional(
    Schema.Union(duration(), Schema.declare(isForever)).annotations({
      description: "a time of at least 1 millisecond, or Duration.infinity"
    })
  ),
  wait: Schema.optional(
    Schema.Union(duration(), nothing).annotations({ description: "a finite time" })
  )
})

const decodeFields = decoder(fields, () => [])

/** Decodes the name, the options and the schemas of a value of `Once`. */
export const decode = <Client>(
  name: string,
  { client: _, ...rest }: Options<Client> & { readonly result?: unknown; readonly failure?: unknown }
): Either.Either<Decoded, SessionMisconfigured> =>
  Either.map(decodeFields({ ...rest, name }), ({ timeToLive = Duration.days(7), wait = Duration.seconds(10) }) => ({
    timeToLive: Duration.isDuration(timeToLive) && Duration.isFinite(timeToLive) ? timeToLive : undefined,
    wait
  }))

const decodeRequest = decoder(
  Schema.Struct({
    key: Text,
    fingerprint: Schema.optional(Text),
    keepWrites: Schema.optional(Schema.Boolean)
  }),
  () => []
)

const notOfOnce = ["client", "propagation", "verifyCommit", "writeConcern"] as const

/** What is wrong with a key and the options of its run: all issues at once, before any IO. */
export const issuesOf = <OR>(
  key: string,
  { fingerprint, keepWrites, ...transaction }: RunOptions<OR>
): ReadonlyArray<Issue> => {
  const foreign = notOfOnce.filter((name) => Predicate.hasProperty(transaction, name))
  return [
    ...issuesIn(decodeRequest({ key, fingerprint, keepWrites })),
    ...foreign.map((name) => ({ path: [name], message: "is not an option of what is run once" })),
    ...(foreign.length === 0 ? issuesIn(decodeTransaction<never, never, OR>(transaction)) : [])
  ]
}
