/**
 * Schemas of the values of BSON, made once for each of the two packages of schemas, which have the same functions.
 */
import type { LazyArbitrary } from "effect/Arbitrary"
import * as BigDecimal from "effect/BigDecimal"
import type * as Effect from "effect/Effect"
import * as Encoding from "effect/Encoding"
import * as Option from "effect/Option"
import type * as ParseResult from "effect/ParseResult"
import type * as Schema from "effect/Schema"
import type * as Driver from "mongodb"
import * as Values from "../driver/bsonValues.js"

/** The schemas that {@link make} makes. Written down, for a compiler before 5.7 cannot read what a later one infers of bytes. */
export interface Schemas {
  readonly ObjectIdFromSelf: Schema.Schema<Driver.ObjectId>
  readonly ObjectIdFromHex: Schema.Schema<Driver.ObjectId, string>
  readonly HexFromObjectId: Schema.Schema<string, Driver.ObjectId>
  readonly Decimal128FromSelf: Schema.Schema<Driver.Decimal128>
  readonly Decimal128FromString: Schema.Schema<Driver.Decimal128, string>
  readonly BigDecimalFromDecimal128: Schema.Schema<BigDecimal.BigDecimal, Driver.Decimal128>
  readonly LongFromSelf: Schema.Schema<Driver.Long>
  readonly LongFromString: Schema.Schema<Driver.Long, string>
  readonly BigIntFromLong: Schema.Schema<bigint, Driver.Long>
  readonly UUIDFromSelf: Schema.Schema<Driver.UUID>
  readonly UUIDFromString: Schema.Schema<Driver.UUID, string>
  readonly StringFromUUID: Schema.Schema<string, Driver.UUID>
  readonly BinaryFromSelf: Schema.Schema<Driver.Binary>
  readonly BinaryFromBase64: Schema.Schema<Driver.Binary, string>
  readonly BinaryFromUint8Array: Schema.Schema<Driver.Binary, Uint8Array>
  readonly TimestampFromSelf: Schema.Schema<Driver.Timestamp>
  readonly TimestampFromParts: Schema.Schema<Driver.Timestamp, { readonly t: number; readonly i: number }>
}

/** What is used of a package of schemas. */
export interface Package {
  readonly S: typeof Schema
  readonly P: typeof ParseResult
}

/** How a value of BSON is described to tools. */
interface About<A> {
  readonly description: string
  /** What `JSON.stringify` makes of it. */
  readonly json: object
  readonly text: (value: A) => string
  readonly any: LazyArbitrary<A>
}

type Parsed<A> = Effect.Effect<A, ParseResult.ParseIssue>

const hex24 = /^[0-9a-fA-F]{24}$/
const uuid36 = /^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$/
const integer = /^-?[0-9]{1,19}$/
const smallest = -(2n ** 63n)
const largest = 2n ** 63n - 1n
const highest = 2 ** 32 - 1

const bytes = (fc: Parameters<LazyArbitrary<Uint8Array>>[0], length: number) =>
  fc.uint8Array({ minLength: length, maxLength: length })

/** The schemas, by a package. */
export const make = ({ P, S }: Package): Schemas => {
  /** A value that is stored as it is. */
  const fromSelf = <T extends keyof Values.Types>(
    type: T,
    { any, description, json, text }: About<Values.Types[T]>
  ): Schema.Schema<Values.Types[T]> => {
    type A = Values.Types[T]
    const refused = S.declare((_: unknown): _ is A => false, {
      description: `${description} of the driver's own version of bson: make one of it from its text or its bytes`
    }).ast
    const parse = () => (value: unknown, _: unknown, ast: ParseResult.Type["ast"]) => {
      const standing = Values.standingOf(type, value)
      return standing === "own"
        ? P.succeed(value as A)
        : P.fail(new P.Type(standing === "foreign" ? refused : ast, value))
    }
    return S.declare([], { decode: parse, encode: parse }, {
      description,
      jsonSchema: { ...json, description },
      arbitrary: () => any,
      pretty: () => (value: A) => `${type}(${text(value)})`,
      equivalence: () => Values.same[type]
    })
  }

  /** Texts of a pattern, of which those are arbitrary that are written. */
  const texts = (description: string, pattern: RegExp, any: LazyArbitrary<string>) =>
    S.String.pipe(
      S.pattern(pattern, { description, jsonSchema: { pattern: pattern.source }, arbitrary: () => any })
    )

  /** Decodes by a function that fails where a value does not fit what is described. */
  const transform = <A, I>(
    from: Schema.Schema<I>,
    to: Schema.Schema<A>,
    decode: (value: I) => Option.Option<A>,
    encode: (value: A) => Option.Option<I>,
    /** What is asked of values beyond what the two schemas ask, when they are decoded, and when they are encoded. */
    { decoded = "", encoded = "" }: { readonly decoded?: string; readonly encoded?: string } = {}
  ): Schema.Schema<A, I> => {
    const parse = <X, Y>(f: (value: X) => Option.Option<Y>, description: string) => {
      const { ast } = S.declare((_: unknown): _ is X => false, { description })
      return (value: X): Parsed<Y> =>
        Option.match(f(value), { onNone: () => P.fail(new P.Type(ast, value)), onSome: (found) => P.succeed(found) })
    }
    return S.transformOrFail(from, to, {
      strict: true,
      decode: parse(decode, decoded),
      encode: parse(encode, encoded)
    })
  }

  const ObjectIdFromSelf = fromSelf("ObjectId", {
    description: "an ObjectId",
    json: { type: "string", pattern: hex24.source },
    text: (id) => id.toHexString(),
    any: (fc) => bytes(fc, 12).map(Values.objectId)
  })
  const Decimal128FromSelf = fromSelf("Decimal128", {
    description: "a Decimal128",
    json: { type: "object", properties: { $numberDecimal: { type: "string" } }, required: ["$numberDecimal"] },
    text: String,
    any: (fc) =>
      fc.tuple(fc.bigInt(-(10n ** 34n) + 1n, 10n ** 34n - 1n), fc.integer({ min: -6176, max: 6111 }))
        .map(([digits, exponent]) => Values.decimal128(`${digits}E${exponent}`))
  })
  const LongFromSelf = fromSelf("Long", {
    description: "a Long with a sign",
    json: {
      type: "object",
      properties: { high: { type: "integer" }, low: { type: "integer" }, unsigned: { type: "boolean" } },
      required: ["high", "low", "unsigned"]
    },
    text: String,
    any: (fc) => fc.bigInt(smallest, largest).map(Values.long)
  })
  const UUIDFromSelf = fromSelf("UUID", {
    description: "a UUID of the driver",
    json: { type: "string", pattern: uuid36.source },
    text: (id) => id.toHexString(),
    any: (fc) => bytes(fc, 16).map(Values.uuid)
  })
  const BinaryFromSelf = fromSelf("Binary", {
    description: "a Binary",
    json: { type: "string" },
    text: (value) => `subtype ${value.sub_type}, ${value.length()} bytes`,
    any: (fc) => fc.tuple(fc.uint8Array(), fc.constantFrom(0, 128)).map(([of, subtype]) => Values.binary(of, subtype))
  })
  const TimestampFromSelf = fromSelf("Timestamp", {
    description: "a Timestamp",
    json: { type: "object", properties: { $timestamp: { type: "string" } }, required: ["$timestamp"] },
    text: (value) => `${value.getHighBitsUnsigned()}, ${value.getLowBitsUnsigned()}`,
    any: (fc) =>
      fc.tuple(fc.integer({ min: 0, max: highest }), fc.integer({ min: 0, max: highest }))
        .map(([t, i]) => Values.timestamp(t, i))
  })

  const Hex = texts("24 hexadecimal digits", hex24, (fc) => bytes(fc, 12).map(Encoding.encodeHex))
  const UUIDText = texts("a UUID of 36 characters", uuid36, (fc) => fc.uuid())
  const DecimalText = S.String.annotations({ description: "a decimal number as text" })
  const IntegerText = texts("an integer of 64 bits as text", integer, (fc) => fc.bigInt(smallest, largest).map(String))
  const Base64Text = S.String.annotations({ description: "bytes as Base64" })
  const Count = S.Number.pipe(
    S.filter((value) => Number.isInteger(value) && value >= 0 && value <= highest, {
      description: "an integer from 0 to 4294967295",
      jsonSchema: { type: "integer", minimum: 0, maximum: highest },
      arbitrary: () => (fc) => fc.integer({ min: 0, max: highest })
    })
  )
  // Those that fit only: the packages' own arbitrary values may have any number of digits.
  const Decimal = S.BigDecimalFromSelf.annotations({
    arbitrary: () => (fc) =>
      fc.tuple(fc.bigInt(-(10n ** 34n) + 1n, 10n ** 34n - 1n), fc.integer({ min: -20, max: 20 }))
        .map(([digits, scale]) => BigDecimal.make(digits, scale))
  })
  const Int64 = S.BigIntFromSelf.pipe(S.betweenBigInt(smallest, largest, { description: "a bigint of 64 bits" }))

  const genericBytes = (value: Driver.Binary) =>
    Values.isGeneric(value) ? Option.some(Values.bytesOf(value)) : Option.none()
  const isGeneric = "a Binary of subtype 0, for another subtype would be lost"

  return {
    ObjectIdFromSelf,
    ObjectIdFromHex: transform(Hex, ObjectIdFromSelf, some(Values.objectId), some((id) => id.toHexString())),
    HexFromObjectId: transform(ObjectIdFromSelf, Hex, some((id) => id.toHexString()), some(Values.objectId)),
    Decimal128FromSelf,
    Decimal128FromString: transform(DecimalText, Decimal128FromSelf, toDecimal, some(String), {
      decoded: "a decimal number of at most 34 digits as text"
    }),
    BigDecimalFromDecimal128: transform(
      Decimal128FromSelf,
      Decimal,
      (value) => BigDecimal.fromString(String(value)),
      ({ scale, value }) => toDecimal(`${value}E${-scale}`),
      { decoded: "a Decimal128 that is a finite number", encoded: "a BigDecimal of at most 34 digits" }
    ),
    LongFromSelf,
    LongFromString: transform(IntegerText, LongFromSelf, toLong, some(String), {
      decoded: "an integer of 64 bits as text"
    }),
    BigIntFromLong: transform(LongFromSelf, Int64, some((value) => BigInt(String(value))), some(Values.long)),
    UUIDFromSelf,
    UUIDFromString: transform(UUIDText, UUIDFromSelf, some(Values.uuid), some((id) => id.toHexString())),
    StringFromUUID: transform(UUIDFromSelf, UUIDText, some((id) => id.toHexString()), some(Values.uuid)),
    BinaryFromSelf,
    BinaryFromBase64: transform(
      Base64Text,
      BinaryFromSelf,
      (text) => Option.map(Option.getRight(Encoding.decodeBase64(text)), (of) => Values.binary(of)),
      (value) => Option.map(genericBytes(value), Encoding.encodeBase64),
      { decoded: "bytes as Base64", encoded: isGeneric }
    ),
    BinaryFromUint8Array: transform(
      S.Uint8ArrayFromSelf,
      BinaryFromSelf,
      some((of) => Values.binary(of)),
      genericBytes,
      { encoded: isGeneric }
    ),
    TimestampFromSelf,
    TimestampFromParts: transform(
      S.Struct({ t: Count, i: Count }),
      TimestampFromSelf,
      some(({ i, t }) => Values.timestamp(t, i)),
      some((value) => ({ t: value.getHighBitsUnsigned(), i: value.getLowBitsUnsigned() }))
    )
  }
}

const some = <A, B>(f: (value: A) => B) => (value: A): Option.Option<B> => Option.some(f(value))

const toDecimal = (text: string): Option.Option<Driver.Decimal128> => {
  // Of a sign alone the driver makes a zero.
  if (/^[+-]$/.test(text)) return Option.none()
  const [, exponent = "0"] = /e([+-]?\d+)$/i.exec(text) ?? []
  // Of a number much smaller than any decimal the driver makes one that is larger.
  return Math.abs(Number(exponent)) > 9000 ? Option.none() : parseDecimal(text)
}

const parseDecimal = Option.liftThrowable(Values.decimal128)

const toLong = (text: string): Option.Option<Driver.Long> => {
  const value = BigInt(text)
  return value >= smallest && value <= largest ? Option.some(Values.long(value)) : Option.none()
}
