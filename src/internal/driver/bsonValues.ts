/**
 * Values of BSON's own types: tells them from what only looks like them, and makes them from text and bytes.
 */
import * as Predicate from "effect/Predicate"
import * as Driver from "mongodb"
import { brandOf } from "../values/foreign.js"
import { isOfBson } from "./bson.js"

/** The types that are told apart here. A `UUID` is a `Binary` to BSON. */
export interface Types {
  readonly ObjectId: Driver.ObjectId
  readonly Decimal128: Driver.Decimal128
  readonly Long: Driver.Long
  readonly UUID: Driver.UUID
  readonly Binary: Driver.Binary
  readonly Timestamp: Driver.Timestamp
}

/** A value of one of BSON's own types, told by its brand. Those that hold nothing else are as an ObjectId is. */
export type Value =
  | Driver.Binary
  | Driver.BSONRegExp
  | Driver.BSONSymbol
  | Driver.Code
  | Driver.DBRef
  | Driver.Long
  | Driver.ObjectId

/** What a value is to the driver: one that it sends, one of another version of bson, which it refuses, or none of the type. */
export type Standing = "own" | "foreign" | "other"

/**
 * What a value is to the driver. Only the brand that a class has counts: a document may have a field `_bsontype`, as one from
 * JSON that was made to pass for an ObjectId.
 */
export const standingOf = (type: keyof Types, value: unknown): Standing => {
  const brand = brandOf(value)
  if (!Predicate.isObject(value) || brand === undefined || !brands[type].includes(brand)) return "other"
  if (type === "UUID" && Reflect.get(value, "sub_type") !== Driver.Binary.SUBTYPE_UUID) return "other"
  if (!isOfBson(value)) return "foreign"
  return (type !== "UUID" || "toHexString" in value) && (type !== "Long" || isSigned(value as Driver.Long))
    ? "own"
    : "other"
}

// As versions of bson have called them. An ObjectId of version 4 is an `ObjectID`.
const brands: Readonly<Record<keyof Types, ReadonlyArray<string>>> = {
  ObjectId: ["ObjectId", "ObjectID"],
  Decimal128: ["Decimal128"],
  Long: ["Long"],
  UUID: ["Binary", "UUID"],
  Binary: ["Binary", "UUID"],
  Timestamp: ["Timestamp"]
}

/** Whether an int64 can say it: one without a sign that needs its last bit would be read as a negative one. */
export const isSigned = (long: Driver.Long): boolean => !long.unsigned || long.high >= 0

/** The bytes of a binary, in an array of their own. */
export const bytesOf = (binary: Driver.Binary): Uint8Array =>
  Uint8Array.from(binary.buffer.subarray(0, binary.position))

/** Whether two values of a type are the same ones to a database. */
export const same: { readonly [T in keyof Types]: (left: Types[T], right: Types[T]) => boolean } = {
  ObjectId: (left, right) => left.toHexString() === right.toHexString(),
  Decimal128: (left, right) => isSameBytes(left.bytes, right.bytes),
  Long: (left, right) => left.high === right.high && left.low === right.low,
  UUID: (left, right) => left.toHexString() === right.toHexString(),
  Binary: (left, right) => left.sub_type === right.sub_type && isSameBytes(bytesOf(left), bytesOf(right)),
  Timestamp: (left, right) => left.high === right.high && left.low === right.low
}

const isSameBytes = (left: Uint8Array, right: Uint8Array): boolean =>
  left.length === right.length && left.every((byte, index) => byte === right[index])

/** An ObjectId of 24 hexadecimal digits or of 12 bytes. */
export const objectId = (of: string | Uint8Array): Driver.ObjectId => new Driver.ObjectId(of)

/** The decimal of a text. Throws where it is none, or has more digits than fit. */
export const decimal128 = (text: string): Driver.Decimal128 => Driver.Decimal128.fromString(text)

/** An int64. */
export const long = (value: bigint): Driver.Long => Driver.Long.fromBigInt(value)

/** The UUID of its text or its 16 bytes. */
export const uuid = (of: string | Uint8Array): Driver.UUID => new Driver.UUID(of)

/** Bytes as a binary of the general subtype, or of another one. */
export const binary = (bytes: Uint8Array, subtype?: number): Driver.Binary => new Driver.Binary(bytes, subtype)

/** Whether a binary has bytes that are nothing special. */
export const isGeneric = (value: Driver.Binary): boolean => value.sub_type === Driver.Binary.SUBTYPE_DEFAULT

/** The timestamp of these seconds, and of a count within the second. */
export const timestamp = (t: number, i: number): Driver.Timestamp => new Driver.Timestamp({ t, i })

/** Code with what it knows beside it. */
export const code = (text: string, scope: Driver.Document): Driver.Code => new Driver.Code(text, scope)
