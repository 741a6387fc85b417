/**
 * What the server's session commands and stages reply, as schemas.
 *
 * Fields that are not named are let through: every version of the server adds some. Values are told by their brand, and
 * promoted or not, for the client may have been made with any BSON options and any copy of the driver.
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import type { Timestamp } from "mongodb"
import * as SessionId from "../../SessionId.js"
import { hasBrand, integerOf, isTimestamp } from "../values/foreign.js"

/**
 * A session that the server has started.
 *
 * @since 0.1.0
 * @category models
 */
export interface StartedSession {
  /** The client's half of its lsid. */
  readonly id: SessionId.SessionId
  /** How long the server keeps it while it is idle. */
  readonly timeout: Duration.Duration
}

/**
 * An lsid as the server has it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Lsid {
  /** The client's half. */
  readonly id: SessionId.SessionId
  /** Whose it is: the SHA-256 of `name@database`, 32 bytes; of nothing at all where nobody was authenticated. */
  readonly uid: Uint8Array
}

/**
 * A session that a server knows. It is a pattern for `killAllSessionsByPattern` that matches this session.
 *
 * @since 0.1.0
 * @category models
 */
export interface ListedSession {
  /** Its id and owner. */
  readonly lsid: Lsid
  /** When it was used or refreshed last, as far as this record knows. */
  readonly lastUse: Date
  /** Its owner as `name@database`; none where nobody was authenticated. */
  readonly user: Option.Option<string>
}

/**
 * A transaction that is open on a server.
 *
 * @since 0.1.0
 * @category models
 */
export interface CurrentTransaction {
  /** The session it belongs to. */
  readonly lsid: Lsid
  /** Its number in the session. */
  readonly txnNumber: bigint
  /** Whether an operation of it is running at this moment. */
  readonly active: boolean
  /** `false` for a transaction over several documents. */
  readonly autocommit: boolean
  /** The level of its read concern; none: the server's default. */
  readonly readConcern: Option.Option<string>
  /** The time of the data that it reads; zero before its first read, none on mongos. */
  readonly readTimestamp: Option.Option<Timestamp>
  /** When it started, by the server's clock. */
  readonly startWallClockTime: Date
  /** How long it has been open. */
  readonly timeOpen: Duration.Duration
  /** How long operations of it have been running, in all. */
  readonly timeActive: Duration.Duration
  /** How long it has waited for its client, in all. */
  readonly timeInactive: Duration.Duration
  /** When the server will abort it; none where it has no limit, and on mongos. */
  readonly expiryTime: Option.Option<Date>
}

const read = <A>(
  description: string,
  to: Schema.Schema<A>,
  from: (value: unknown) => Option.Option<A>
): Schema.Schema<A, unknown> =>
  Schema.transformOrFail(Schema.Unknown, to, {
    strict: true,
    decode: (value, _, ast) =>
      Option.match(from(value), {
        onNone: () => ParseResult.fail(new ParseResult.Type(ast, value)),
        onSome: ParseResult.succeed
      }),
    encode: ParseResult.succeed
  }).annotations({ description })

const bytesOf = (value: unknown, subtype: number): Option.Option<Uint8Array> => {
  if (value instanceof Uint8Array) return Option.some(Uint8Array.from(value))
  return hasBrand(value, "Binary") && "sub_type" in value && value.sub_type === subtype &&
      "buffer" in value && value.buffer instanceof Uint8Array
    ? Option.some(Uint8Array.from(value.buffer))
    : Option.none()
}

// Most times are texts, with their offset written as "+01:00" or "+0100" by different versions.
const dateOf = (value: unknown): Option.Option<Date> => {
  const isTime = value instanceof Date ||
    (typeof value === "string" && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)$/.test(value))
  return Option.filter(
    isTime ? Option.some(new Date(value)) : Option.none<Date>(),
    (date) => !Number.isNaN(date.getTime())
  )
}

const duration = (
  description: string,
  least: bigint,
  from: (count: bigint) => Duration.Duration
): Schema.Schema<Duration.Duration, unknown> =>
  read(
    description,
    Schema.DurationFromSelf,
    (value) => Option.map(Option.filter(integerOf(value), (count) => count >= least), from)
  )

const integer = read("an integer", Schema.BigIntFromSelf, integerOf)
const date = read("a time", Schema.ValidDateFromSelf, dateOf)
const minutes = duration("a number of minutes above zero", 1n, (count) => Duration.minutes(Number(count)))
const micros = duration("a number of microseconds", 0n, Duration.micros)

const uuid = read(
  "a UUID",
  Schema.declare((value: unknown): value is SessionId.SessionId => value instanceof SessionId.SessionId),
  (value) =>
    Option.map(
      Option.filter(bytesOf(value, 4), (bytes) => bytes.length === 16),
      (bytes) => SessionId.SessionId.fromBytes(bytes)
    )
)

// With a name of its own: written out, its declaration is one that compilers before TypeScript 5.7 do not read.
interface Digest extends Schema.Schema<Uint8Array, unknown> {}

const digest: Digest = read(
  "a digest of 32 bytes",
  Schema.Uint8ArrayFromSelf,
  (value) => Option.filter(bytesOf(value, 0), (bytes) => bytes.length === 32)
)

const timestamp = Schema.declare(isTimestamp, { description: "a BSON timestamp" })

const optional = <A, I>(schema: Schema.Schema<A, I>) => Schema.optionalWith(schema, { as: "Option", nullable: true })

const lsid = Schema.Struct({ id: uuid, uid: digest }).annotations({ description: "an lsid" })

/** The reply of a command that has nothing to say but that it was done. */
export const acknowledged = Schema.Struct({
  ok: read("1", Schema.BigIntFromSelf, (value) => Option.filter(integerOf(value), (ok) => ok === 1n))
}).annotations({ description: "a reply" })

/** The reply of `startSession`. */
export const started = Schema.Struct({
  id: Schema.Struct({ id: uuid }).annotations({ description: "an lsid" }),
  timeoutMinutes: minutes
}).annotations({ description: "a reply" })

/** A document of `$listSessions` and `$listLocalSessions`. */
export const listedSession = Schema.Struct({
  _id: lsid,
  lastUse: date,
  user: optional(Schema.String)
}).annotations({ description: "a session" })

/** A document of `$currentOp` that is about a transaction. */
export const operation = Schema.Struct({
  lsid,
  active: Schema.Boolean,
  transaction: Schema.Struct({
    parameters: Schema.Struct({
      txnNumber: integer,
      autocommit: Schema.Boolean,
      readConcern: optional(Schema.Struct({ level: optional(Schema.String) }))
    }),
    readTimestamp: optional(timestamp),
    startWallClockTime: date,
    timeOpenMicros: micros,
    timeActiveMicros: micros,
    timeInactiveMicros: micros,
    expiryTime: optional(date)
  })
}).annotations({ description: "an operation" })

export const toListedSession = ({ _id, lastUse, user }: typeof listedSession.Type): ListedSession => ({
  lsid: _id,
  lastUse,
  user
})

export const toCurrentTransaction = ({ active, lsid, transaction }: typeof operation.Type): CurrentTransaction => ({
  lsid,
  txnNumber: transaction.parameters.txnNumber,
  active,
  autocommit: transaction.parameters.autocommit,
  readConcern: Option.flatMap(transaction.parameters.readConcern, ({ level }) => level),
  readTimestamp: transaction.readTimestamp,
  startWallClockTime: transaction.startWallClockTime,
  timeOpen: transaction.timeOpenMicros,
  timeActive: transaction.timeActiveMicros,
  timeInactive: transaction.timeInactiveMicros,
  expiryTime: transaction.expiryTime
})
