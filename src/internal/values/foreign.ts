/**
 * Reads single values that servers and strangers send. Their types are told by brand, for they may come from another copy of the
 * driver, and a brand may be false: a document may have a field of that name.
 */
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type { Timestamp } from "mongodb"

/** Whether a value says of itself that it is of this type of BSON. */
export const hasBrand = (value: unknown, brand: string): value is object =>
  Predicate.hasProperty(value, "_bsontype") && value._bsontype === brand

/** The brand that a value has from its class: not one that is a field of its own, as it has from JSON. */
export const brandOf = (value: unknown): string | undefined =>
  Predicate.hasProperty(value, "_bsontype") && !Object.hasOwn(value, "_bsontype") && Predicate.isString(value._bsontype)
    ? value._bsontype
    : undefined

/** Whether a value is a timestamp, and not a document that says so. */
export const isTimestamp = (value: unknown): value is Timestamp =>
  hasBrand(value, "Timestamp") && Object.getPrototypeOf(value) !== Object.prototype

/** An integer of at most 64 bits: as such, or as a type of the driver's. */
export const integerOf = (value: unknown): Option.Option<bigint> => {
  const isNumeric = Predicate.isNumber(value) || Predicate.isBigInt(value) ||
    ["Int32", "Long", "Double"].some((brand) => hasBrand(value, brand))
  const digits = isNumeric ? textOf(value) : ""
  return /^-?\d{1,19}$/.test(digits) ? Option.some(BigInt(digits)) : Option.none()
}

/** A value as text; empty for one that has none, as an object whose `toString` is no function. */
export const textOf = (value: unknown): string => {
  try {
    return String(value)
  } catch {
    return ""
  }
}

/** A field of the object itself: not one that all objects have. */
export const ownField = (value: object, name: string): unknown =>
  Object.hasOwn(value, name) ? Reflect.get(value, name) : undefined
