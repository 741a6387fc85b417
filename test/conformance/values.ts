/**
 * BSON values: what they are, whether two are the same, and what a value was at one moment.
 */
import { BSON } from "mongodb"

/** A document, be it a plain object or one of the driver's own. */
export const isDocument = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !isScalar(value)

const isScalar = (value: object): boolean =>
  "_bsontype" in value || value instanceof Date || value instanceof RegExp || value instanceof Uint8Array ||
  value instanceof Map

const brandOf = (value: unknown): unknown =>
  typeof value === "object" && value !== null && "_bsontype" in value ? value._bsontype : undefined

/** The value of a number of whatever type but Decimal128, so that `==` compares it with any other. */
export const numberOf = (value: unknown): number | bigint | undefined => {
  if (typeof value === "number" || typeof value === "bigint") return value
  switch (brandOf(value)) {
    case "Long":
      return BigInt(String(value))
    case "Int32":
    case "Double":
      return Number(value)
    default:
      return undefined
  }
}

/** The bytes of a binary value. */
export const bytesOf = (value: unknown): Uint8Array | undefined => {
  if (value instanceof Uint8Array) return value
  return brandOf(value) === "Binary" ? (value as BSON.Binary).value() : undefined
}

/** Whether two values are the same, whatever the type of a number and the order of a document's keys. */
export const sameValue = (a: unknown, b: unknown): boolean => {
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((one, i) => sameValue(one, b[i]))
  if (isDocument(a)) {
    if (!isDocument(b)) return false
    const keys = Object.keys(a)
    return keys.length === Object.keys(b).length &&
      keys.every((key) => Object.hasOwn(b, key) && sameValue(a[key], b[key]))
  }
  const [left, right] = [numberOf(a), numberOf(b)]
  if (left !== undefined || right !== undefined) return left == right // eslint-disable-line eqeqeq
  return !Array.isArray(b) && !isDocument(b) && show(a) === show(b)
}

/** The value as Extended JSON. */
export const show = (value: unknown): string =>
  value === undefined ? "nothing" : BSON.EJSON.stringify({ value }, { relaxed: false }).slice(9, -1)

/** Whether the value is of a type, by the name that the query operator `$type` has for it. */
export const isOfType = (value: unknown, type: string): boolean => {
  const number = numberOf(value)
  switch (type) {
    case "number":
      return number !== undefined || brandOf(value) === "Decimal128"
    case "double":
      return typeof value === "number" || brandOf(value) === "Double"
    case "int":
      return brandOf(value) === "Int32" || (typeof value === "number" && (value | 0) === value)
    case "long":
      // The driver turns longs into numbers where they fit.
      return typeof value === "bigint" || brandOf(value) === "Long" || Number.isSafeInteger(value)
    case "object":
      return isDocument(value)
    case "array":
      return Array.isArray(value)
    case "string":
      return typeof value === "string"
    case "bool":
      return typeof value === "boolean"
    case "null":
      return value === null
    case "date":
      return value instanceof Date
    case "regex":
      return value instanceof RegExp || brandOf(value) === "BSONRegExp"
    case "binData":
      return bytesOf(value) !== undefined
    default:
      return brands[type] !== undefined && brandOf(value) === brands[type]
  }
}

const brands: Readonly<Record<string, string>> = {
  objectId: "ObjectId",
  timestamp: "Timestamp",
  decimal: "Decimal128",
  javascript: "Code",
  minKey: "MinKey",
  maxKey: "MaxKey"
}

/** The value as it is sent at this moment: the driver changes some of its commands after that. */
export const copyOf = (value: unknown): unknown => {
  // As the driver sends it, unless it is told otherwise.
  if (value === undefined) return null
  if (Array.isArray(value)) return value.map(copyOf)
  if (value instanceof Map) return copyOf(Object.fromEntries(value))
  if (!isDocument(value)) return value
  if ("toBSON" in value && typeof value["toBSON"] === "function") return copyOf(value["toBSON"]())
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, copyOf(one)]))
}
