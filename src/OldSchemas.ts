/**
 * The schemas of `Schemas` for the package `@effect/schema`, which came before `effect/Schema`. New programs take `Schemas`.
 *
 * @since 0.1.0
 */
import * as ParseResult from "@effect/schema/ParseResult"
import * as Schema from "@effect/schema/Schema"
import type * as BigDecimal from "effect/BigDecimal"
import type * as NewSchema from "effect/Schema"
import type * as Driver from "mongodb"
import * as CausalToken from "./CausalToken.js"
import * as Bson from "./internal/data/bsonSchemas.js"
import * as TextSchemas from "./internal/data/textSchemas.js"
import { withId as make, type WithoutId } from "./internal/data/withId.js"
import type * as ResumeToken from "./ResumeToken.js"
import type { SessionId } from "./SessionId.js"

// The functions that are used are the same in both packages; only their types differ.
const packaged = { S: Schema, P: ParseResult } as unknown as Bson.Package

const asOld = <A, I>(schema: NewSchema.Schema<A, I>): Schema.Schema<A, I> => schema as unknown as Schema.Schema<A, I>

const schemas = Bson.make(packaged)

// A call, as in `Schemas`.
const made = <A, I>(of: (all: Bson.Schemas) => NewSchema.Schema<A, I>): Schema.Schema<A, I> => asOld(of(schemas))

/**
 * An ObjectId, stored as such.
 *
 * @example
 * ```ts
 * import * as Collection from "effect-mongo-session/Collection"
 * import * as OldSchemas from "effect-mongo-session/OldSchemas"
 * import * as Schema from "@effect/schema/Schema"
 *
 * const UserId = OldSchemas.ObjectIdFromSelf.pipe(Schema.brand("UserId"))
 * const Users = Collection.make("users", { schema: Schema.Struct({ _id: UserId, name: Schema.String }) })
 *
 * export const rename = (_id: typeof UserId.Type, name: string) => Users.updateOne({ _id }, { $set: { name } })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const ObjectIdFromSelf: Schema.Schema<Driver.ObjectId> = made((all) => all.ObjectIdFromSelf)

/**
 * An ObjectId, outside of the program its 24 hexadecimal digits, in either case.
 *
 * @example
 * ```ts
 * import * as OldSchemas from "effect-mongo-session/OldSchemas"
 * import * as Schema from "@effect/schema/Schema"
 *
 * // The id in the path of a request: a ParseError asks for 24 hexadecimal digits where it has others.
 * export const idOf = (path: string) => Schema.decodeUnknown(OldSchemas.ObjectIdFromHex)(path.split("/").at(-1))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const ObjectIdFromHex: Schema.Schema<Driver.ObjectId, string> = made((all) => all.ObjectIdFromHex)

/**
 * 24 hexadecimal digits in the program, in lower case, stored as an ObjectId.
 *
 * @example
 * ```ts
 * import * as Collection from "effect-mongo-session/Collection"
 * import * as OldSchemas from "effect-mongo-session/OldSchemas"
 * import * as Schema from "@effect/schema/Schema"
 *
 * const User = Schema.Struct({ _id: OldSchemas.HexFromObjectId, name: Schema.String })
 *
 * // What it reads is JSON already: `{ _id: "65…", name: "Ada" }`.
 * export const Users = Collection.make("users", { schema: User })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const HexFromObjectId: Schema.Schema<string, Driver.ObjectId> = made((all) => all.HexFromObjectId)

/**
 * A decimal of 34 digits, stored as such.
 *
 * @example
 * ```ts
 * import * as Collection from "effect-mongo-session/Collection"
 * import * as OldSchemas from "effect-mongo-session/OldSchemas"
 * import * as Schema from "@effect/schema/Schema"
 * import { Decimal128 } from "mongodb"
 *
 * const Item = Schema.Struct({ _id: Schema.String, price: OldSchemas.Decimal128FromSelf })
 * const Items = Collection.make("items", { schema: Item })
 *
 * export const cheap = Items.find({ price: { $lt: Decimal128.fromString("9.99") } })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const Decimal128FromSelf: Schema.Schema<Driver.Decimal128> = made((all) => all.Decimal128FromSelf)

/**
 * A decimal of 34 digits, outside of the program its text. `NaN` and `Infinity` are decimals, too. A text of more digits is
 * refused, not rounded.
 *
 * @example
 * ```ts
 * import * as OldSchemas from "effect-mongo-session/OldSchemas"
 * import * as Schema from "@effect/schema/Schema"
 *
 * export const price = Schema.decodeUnknownSync(OldSchemas.Decimal128FromString)("19.90") // keeps both digits
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const Decimal128FromString: Schema.Schema<Driver.Decimal128, string> = made((all) => all.Decimal128FromString)

/**
 * A `BigDecimal` in the program, stored as a decimal. Fails for one of more than 34 digits, and for what is stored and no
 * finite number.
 *
 * @example
 * ```ts
 * import * as Collection from "effect-mongo-session/Collection"
 * import * as OldSchemas from "effect-mongo-session/OldSchemas"
 * import * as BigDecimal from "effect/BigDecimal"
 * import * as Schema from "@effect/schema/Schema"
 *
 * const Item = Schema.Struct({ _id: Schema.String, price: OldSchemas.BigDecimalFromDecimal128 })
 * const Items = Collection.make("items", { schema: Item })
 *
 * export const program = Items.insertOne({ _id: "tea", price: BigDecimal.unsafeFromString("4.50") })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const BigDecimalFromDecimal128: Schema.Schema<BigDecimal.BigDecimal, Driver.Decimal128> = made((all) =>
  all.BigDecimalFromDecimal128
)

/**
 * An int64 as the driver's `Long`, stored as such. Whatever the client promotes, it is read as a `Long`. One without a sign
 * that is larger than any int64 is refused, for it would be read as a negative one.
 *
 * @example
 * ```ts
 * import * as Collection from "effect-mongo-session/Collection"
 * import * as OldSchemas from "effect-mongo-session/OldSchemas"
 * import * as Schema from "@effect/schema/Schema"
 * import { Long } from "mongodb"
 *
 * const Counters = Collection.make("counters", {
 *   schema: Schema.Struct({ _id: Schema.String, n: OldSchemas.LongFromSelf })
 * })
 *
 * export const high = Counters.find({ n: { $gt: Long.fromString("9007199254740993") } })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const LongFromSelf: Schema.Schema<Driver.Long> = made((all) => all.LongFromSelf)

/**
 * An int64 as the driver's `Long`, outside of the program its digits.
 *
 * @example
 * ```ts
 * import * as OldSchemas from "effect-mongo-session/OldSchemas"
 * import * as Schema from "@effect/schema/Schema"
 *
 * // A number of JSON would lose its last digits.
 * export const Body = Schema.Struct({ total: OldSchemas.LongFromString })
 * export const total = Schema.decodeUnknown(Body)({ total: "9223372036854775807" })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const LongFromString: Schema.Schema<Driver.Long, string> = made((all) => all.LongFromString)

/**
 * A bigint in the program, stored as an int64. `Schema.BigIntFromSelf` stores the same; of this one the filters take a `Long`.
 *
 * @example
 * ```ts
 * import * as Collection from "effect-mongo-session/Collection"
 * import * as OldSchemas from "effect-mongo-session/OldSchemas"
 * import * as Schema from "@effect/schema/Schema"
 *
 * const Counters = Collection.make("counters", {
 *   schema: Schema.Struct({ _id: Schema.String, n: OldSchemas.BigIntFromLong })
 * })
 *
 * export const program = Counters.insertOne({ _id: "visits", n: 2n ** 60n })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const BigIntFromLong: Schema.Schema<bigint, Driver.Long> = made((all) => all.BigIntFromLong)

/**
 * A UUID as the driver's class, stored as a binary of subtype 4.
 *
 * @example
 * ```ts
 * import * as Collection from "effect-mongo-session/Collection"
 * import * as OldSchemas from "effect-mongo-session/OldSchemas"
 * import * as Schema from "@effect/schema/Schema"
 * import { UUID } from "mongodb"
 *
 * const Order = Schema.Struct({ _id: OldSchemas.UUIDFromSelf, sku: Schema.String })
 * const Orders = Collection.make("orders", { schema: Order })
 *
 * export const program = Orders.insertOne({ _id: new UUID(), sku: "tea" })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const UUIDFromSelf: Schema.Schema<Driver.UUID> = made((all) => all.UUIDFromSelf)

/**
 * A UUID as the driver's class, outside of the program its 36 characters, in either case.
 *
 * @example
 * ```ts
 * import * as OldSchemas from "effect-mongo-session/OldSchemas"
 * import * as Schema from "@effect/schema/Schema"
 *
 * export const Headers = Schema.Struct({ "idempotency-key": OldSchemas.UUIDFromString })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const UUIDFromString: Schema.Schema<Driver.UUID, string> = made((all) => all.UUIDFromString)

/**
 * The 36 characters of a UUID in the program, in lower case, stored as a binary of subtype 4. `Schema.UUID` stores text.
 *
 * @example
 * ```ts
 * import * as Collection from "effect-mongo-session/Collection"
 * import * as OldSchemas from "effect-mongo-session/OldSchemas"
 * import * as Schema from "@effect/schema/Schema"
 *
 * const Order = Schema.Struct({ _id: OldSchemas.StringFromUUID, sku: Schema.String })
 * const Orders = Collection.make("orders", { schema: Order })
 *
 * export const program = Orders.insertOne({ _id: crypto.randomUUID(), sku: "tea" })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const StringFromUUID: Schema.Schema<string, Driver.UUID> = made((all) => all.StringFromUUID)

/**
 * Bytes as the driver's `Binary`, of any subtype, stored as such. A client with `promoteBuffers` reads them without their
 * subtype, so that it is 0.
 *
 * @example
 * ```ts
 * import * as Collection from "effect-mongo-session/Collection"
 * import * as OldSchemas from "effect-mongo-session/OldSchemas"
 * import * as Schema from "@effect/schema/Schema"
 *
 * // An encrypted field is a binary of subtype 6.
 * const Patient = Schema.Struct({ _id: Schema.String, record: OldSchemas.BinaryFromSelf })
 * export const Patients = Collection.make("patients", { schema: Patient })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const BinaryFromSelf: Schema.Schema<Driver.Binary> = made((all) => all.BinaryFromSelf)

/**
 * Bytes as the driver's `Binary` of subtype 0, outside of the program their Base64. Another subtype is refused.
 *
 * @example
 * ```ts
 * import * as OldSchemas from "effect-mongo-session/OldSchemas"
 * import * as Schema from "@effect/schema/Schema"
 *
 * export const Upload = Schema.Struct({ name: Schema.String, content: OldSchemas.BinaryFromBase64 })
 * export const upload = Schema.decodeUnknown(Upload)({ name: "a.txt", content: "aGVsbG8=" })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const BinaryFromBase64: Schema.Schema<Driver.Binary, string> = made((all) => all.BinaryFromBase64)

/**
 * Bytes as the driver's `Binary` of subtype 0, outside of the program a `Uint8Array`, which is stored as the same binary.
 * Another subtype is refused, for it would be lost.
 *
 * @example
 * ```ts
 * import * as OldSchemas from "effect-mongo-session/OldSchemas"
 * import * as Schema from "@effect/schema/Schema"
 *
 * export const digest = (bytes: Uint8Array) => Schema.decode(OldSchemas.BinaryFromUint8Array)(bytes)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const BinaryFromUint8Array: Schema.Schema<Driver.Binary, Uint8Array> = made((all) => all.BinaryFromUint8Array)

/**
 * A timestamp of the server's log, stored as such. For times of a program take `Schema.DateFromSelf`.
 *
 * @example
 * ```ts
 * import * as Collection from "effect-mongo-session/Collection"
 * import * as OldSchemas from "effect-mongo-session/OldSchemas"
 * import * as Schema from "@effect/schema/Schema"
 * import { Timestamp } from "mongodb"
 *
 * const Entries = Collection.make("entries", {
 *   schema: Schema.Struct({ _id: Schema.String, at: OldSchemas.TimestampFromSelf })
 * })
 *
 * export const recent = (t: number) => Entries.find({ at: { $gte: new Timestamp({ t, i: 0 }) } })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const TimestampFromSelf: Schema.Schema<Driver.Timestamp> = made((all) => all.TimestampFromSelf)

/**
 * A timestamp, outside of the program its seconds since 1970 (`t`) and its place within the second (`i`).
 *
 * @example
 * ```ts
 * import * as OldSchemas from "effect-mongo-session/OldSchemas"
 * import * as Schema from "@effect/schema/Schema"
 *
 * export const position = Schema.decodeUnknown(OldSchemas.TimestampFromParts)({ t: 1_700_000_000, i: 1 })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const TimestampFromParts: Schema.Schema<Driver.Timestamp, { readonly t: number; readonly i: number }> = made((
  all
) => all.TimestampFromParts)

/**
 * A causal token, outside of the program its encoded form, as of {@link CausalToken.encode}.
 *
 * @example
 * ```ts
 * import * as OldSchemas from "effect-mongo-session/OldSchemas"
 * import * as Schema from "@effect/schema/Schema"
 *
 * export const Job = Schema.Struct({ orderId: Schema.String, seen: OldSchemas.CausalTokenFromString })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const CausalTokenFromString: Schema.Schema<CausalToken.CausalToken, string> = asOld(
  TextSchemas.causalToken(packaged, CausalToken)
)

/**
 * A causal token, outside of the program its signed text, by the secrets of {@link CausalToken.signed}.
 *
 * @example
 * ```ts
 * import * as CausalToken from "effect-mongo-session/CausalToken"
 * import * as OldSchemas from "effect-mongo-session/OldSchemas"
 * import { Config, Effect } from "effect"
 * import * as Schema from "@effect/schema/Schema"
 *
 * export const Headers = Effect.gen(function*() {
 *   const tokens = yield* CausalToken.signed(yield* Config.redacted("CAUSAL_TOKEN_SECRET"))
 *   return Schema.Struct({ "x-seen": OldSchemas.signedCausalToken(tokens) })
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const signedCausalToken = (tokens: CausalToken.Signed): Schema.Schema<CausalToken.CausalToken, string> =>
  asOld(TextSchemas.causalToken(packaged, tokens))

/**
 * A resume token, outside of the program its encoded form, as of {@link ResumeToken.encode}.
 *
 * @example
 * ```ts
 * import * as OldSchemas from "effect-mongo-session/OldSchemas"
 * import * as Schema from "@effect/schema/Schema"
 *
 * export const Place = Schema.Struct({ stream: Schema.String, token: OldSchemas.ResumeTokenFromString })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const ResumeTokenFromString: Schema.Schema<ResumeToken.ResumeToken, string> = asOld(
  TextSchemas.resumeToken(packaged)
)

/**
 * A session id, outside of the program its UUID of 36 characters, in either case.
 *
 * @example
 * ```ts
 * import * as OldSchemas from "effect-mongo-session/OldSchemas"
 * import * as Schema from "@effect/schema/Schema"
 *
 * export const Report = Schema.Struct({ session: OldSchemas.SessionIdFromString, reads: Schema.Number })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const SessionIdFromString: Schema.Schema<SessionId, string> = asOld(TextSchemas.sessionId(packaged))

/**
 * A schema of documents with an `_id`, which values may lack that are inserted. See {@link withId}.
 *
 * @since 0.1.0
 * @category models
 */
export interface WithId<A, I, R, Id, StoredId>
  extends Schema.Schema<A & { readonly _id: Id }, I & { readonly _id: StoredId }, R>
{
  /** The schema of values that are inserted or replace a document. They need no `_id`. */
  readonly insert: Schema.Schema<A & { readonly _id?: Id | undefined }, I & { readonly _id?: StoredId | undefined }, R>
}

/**
 * A schema that has no `_id`, with one. Values are inserted without it, or with one of the program's own; the driver makes
 * what is missing. What is read has it. Takes structs, what `Schema.extend` takes, and classes, whose instances get the
 * field. The id is an ObjectId, if no other schema is given.
 *
 * @example
 * ```ts
 * import * as Collection from "effect-mongo-session/Collection"
 * import * as OldSchemas from "effect-mongo-session/OldSchemas"
 * import * as Effect from "effect/Effect"
 * import * as Schema from "@effect/schema/Schema"
 *
 * const User = Schema.Struct({ name: Schema.String })
 * const Users = Collection.make("users", { schema: OldSchemas.withId(User) })
 *
 * export const program = Effect.gen(function*() {
 *   const { insertedId } = yield* Users.insertOne({ name: "Ada" })
 *   return yield* Users.findById(insertedId) // Option<{ _id: ObjectId, name: string }>
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const withId = <
  A extends object,
  I extends WithoutId,
  R,
  Id = Driver.ObjectId,
  StoredId = Driver.ObjectId,
  R2 = never
>(
  schema: Schema.Schema<A, I, R>,
  id?: Schema.Schema<Id, StoredId, R2>
): WithId<A, I, R | R2, Id, StoredId> => make(packaged, schema, id ?? ObjectIdFromSelf)
