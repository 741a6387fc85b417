/**
 * Encodes documents as BSON, and marks the failures of encoding.
 */
import * as Option from "effect/Option"
import * as Driver from "mongodb"
import { isDriverFailure } from "./errors.js"

/** A document as BSON. */
export const toBson = (document: Driver.Document): Uint8Array => Driver.BSON.serialize(document)

/**
 * The other forms that a value may be read in, by the options of a client, the most exact first: each of them the same value.
 * Only an int64 of more than 53 bits becomes the number that is nearest.
 */
export const formsOf = (value: unknown): ReadonlyArray<unknown> => {
  if (typeof value === "number") return formsOfNumber(value)
  if (typeof value === "bigint") return [Driver.Long.fromBigInt(value), ...nearestTo(value)]
  if (typeof value !== "object" || value === null) return []
  if (value instanceof RegExp) return Option.toArray(toBsonRegExp(value))
  if (value instanceof Uint8Array) {
    return [new Driver.Binary(value), ...(value.byteLength === 16 ? [new Driver.UUID(value)] : [])]
  }
  // A document may have a field of the name that types are told by.
  if (Object.getPrototypeOf(value) === Object.prototype) return [new Map(Object.entries(value))]
  const { _bsontype: type }: { readonly _bsontype?: unknown } = value
  switch (type) {
    case "Long": {
      const int64 = (value as Driver.Long).toBigInt()
      return [int64, ...nearestTo(int64)]
    }
    case "Int32":
    case "Double": {
      const number = Number(value)
      return [number, ...formsOfNumber(number)]
    }
    case "Binary": {
      const binary = value as Driver.Binary
      const bytes = Uint8Array.from(binary.buffer.subarray(0, binary.position))
      return [
        bytes,
        Buffer.from(bytes.buffer),
        ...(binary.sub_type === Driver.Binary.SUBTYPE_UUID ? [new Driver.UUID(bytes)] : [])
      ]
    }
    case "DBRef": {
      const { collection: $ref, db: $db, fields, oid: $id } = value as Driver.DBRef
      return [{ $ref, $id, ...($db === undefined ? {} : { $db }), ...fields }]
    }
    case "BSONRegExp": {
      const { options, pattern } = value as Driver.BSONRegExp
      return flags.test(options) ? Option.toArray(toRegExp(pattern, options)) : []
    }
    case "BSONSymbol":
      return [String(value)]
    default:
      return []
  }
}

// The encoder makes any number an int32, by leaving out the bits that are too many. No integer has the sign of -0.
const formsOfNumber = (value: number): ReadonlyArray<unknown> =>
  Number.isInteger(value) && Math.abs(value) <= largestInteger && !Object.is(value, -0)
    ? [
      BigInt(value),
      Driver.Long.fromNumber(value),
      ...(value === (value | 0) ? [new Driver.Int32(value)] : []),
      new Driver.Double(value)
    ]
    : [new Driver.Double(value)]

// The driver reads an int64 of this size as a number.
const largestInteger = 2 ** 53

const nearestTo = (int64: bigint): ReadonlyArray<unknown> => {
  const number = Number(int64)
  return [number, ...(BigInt(number) === int64 ? formsOfNumber(number) : [])]
}

/**
 * A regular expression with the options that BSON has for its flags. The driver reads the option `s` as the flag `g`. BSON has
 * none of the other flags; its `u` is another one. Throws where a pattern has a null byte.
 */
export const regExpOf = ({ dotAll, global, ignoreCase, multiline, source }: RegExp): Driver.BSONRegExp =>
  new Driver.BSONRegExp(source, `${ignoreCase ? "i" : ""}${multiline ? "m" : ""}${dotAll || global ? "s" : ""}`)

const toBsonRegExp = Option.liftThrowable(regExpOf)

// What the server takes as a pattern need not be one of JavaScript's.
const toRegExp = Option.liftThrowable((pattern: string, options: string) => new RegExp(pattern, options))

// Those that both have.
const flags = /^[ims]*$/

/** A document as Extended JSON, in its relaxed form. */
export const toText = (document: Driver.Document): string => Driver.BSON.EJSON.stringify(document)

/** Whether a value is made by the driver's own version of BSON: the encoder takes no other ones. */
export const isOfBson = (value: object): boolean => versionOf(value) === version

// By it the driver knows the values that it can encode, whichever copy of bson has made them.
const versionOf = (value: object): unknown => Reflect.get(value, Symbol.for("@@mdb.bson.version"))

const version = versionOf(Driver.Long.ZERO)

/** How many bytes a document has as BSON. */
export const sizeOf = (document: Driver.Document): number => Driver.BSON.calculateObjectSize(document)

/** A document from BSON, each value with the type that it has there. Throws on anything else. */
export const fromBson = (bytes: Uint8Array): Driver.Document => Driver.BSON.deserialize(bytes, { promoteValues: false })

/**
 * Runs an operation on the driver's collection. If it fails with a foreign error, and one of its values cannot be encoded,
 * the error becomes the cause of a BSON error. The encoder throws errors of its buffer, of `toBSON` and of getters without
 * such a mark.
 */
export const naming = async <I extends Driver.Document, O, A>(
  collection: Driver.Collection<I>,
  options: O,
  evaluate: (collection: Driver.Collection<I>, options: O) => PromiseLike<A>
): Promise<A> => {
  try {
    return await evaluate(collection, options)
  } catch (error) {
    // The options are left out: they contain the session.
    const given = () => valuesOf<I>((recorder) => evaluate(recorder, {} as O))
    if (isDriverFailure(error) || given().every(isEncodable)) throw error
    throw new Driver.BSON.BSONError("a value could not be encoded", { cause: error })
  }
}

// The values that an operation gives to the driver. Those of a list can each be in a command of its own.
const valuesOf = <I extends Driver.Document>(
  evaluate: (collection: Driver.Collection<I>) => unknown
): ReadonlyArray<unknown> => {
  const values: Array<unknown> = []
  const take = (...given: ReadonlyArray<unknown>) => {
    values.push(...given.flat())
    return Promise.resolve()
  }
  try {
    evaluate(new Proxy({} as Driver.Collection<I>, { get: () => take }))
  } catch {
    // It asks something of a cursor, which is not there. What it has given is known by then.
  }
  return values
}

// In a command there are fields around a value. Without one behind it, the encoder cuts a text at the end of its buffer.
const isEncodable = (value: unknown): boolean => {
  try {
    toBson({ before: " ".repeat(roomOfCommand), value, behind: true })
    return true
  } catch {
    return false
  }
}

// In bytes: more than the fields of any command of this library take.
const roomOfCommand = 16_384

/** A time that the server replaces by its own when it inserts a document with it. */
export const serverTime = (): Driver.Timestamp => new Driver.Timestamp({ t: 0, i: 0 })
