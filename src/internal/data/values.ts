/**
 * What is given to the driver to be stored or to be searched for: found out before it is sent whether BSON can say it.
 */
import type * as Driver from "mongodb"
import { MongoError } from "../../MongoError.js"

/** Why a value cannot be sent, and where it is. Without the value, which is nobody's but the caller's. */
class Refused {
  readonly why: string
  readonly path: string
  constructor(why: string, path: string) {
    this.why = why
    this.path = path
  }
}

/**
 * The document that is stored: a new one, for the driver adds an `_id` to what it is given. Fields that are undefined are
 * left out, at every depth: the driver stores them as null, which is another value. What says itself how it is stored, by
 * `toBSON`, goes as it is. Fails where a value has no BSON.
 */
export const storable = <I extends Driver.Document>(
  document: I,
  operation: string,
  namespace: string
): I | MongoError => {
  try {
    const given: unknown = hasToBson(document) ? document.toBSON() : document
    const own: unknown = given instanceof Map ? Object.fromEntries(given) : given
    const found = walk(own, "", 0, true)
    if (found instanceof Refused) return error(found, operation, namespace)
    // Of another prototype by now there is only what BSON has a type for.
    return (found === own ? { ...(found as I) } : found as I)
  } catch (cause) {
    return new MongoError({ reason: "EncodingFailed", operation, namespace, labels: [], cause })
  }
}

/** What is wrong with filters, updates and pipelines: in them nothing is left out, for that would change what they say. */
export const refusal = (
  values: ReadonlyArray<unknown>,
  operation: string,
  namespace: string
): MongoError | undefined => {
  try {
    for (const value of values) {
      const found = value === undefined ? undefined : walk(value, "", 0, false)
      if (found instanceof Refused) return error(found, operation, namespace)
    }
    return undefined
  } catch (cause) {
    // A getter of the caller's has thrown, as it would when the value is encoded.
    return new MongoError({ reason: "EncodingFailed", operation, namespace, labels: [], cause })
  }
}

const error = ({ path, why }: Refused, operation: string, namespace: string): MongoError =>
  new MongoError({
    reason: "EncodingFailed",
    operation,
    namespace,
    labels: [],
    hint: `\`${path}\` is ${why}. Nothing was sent.`
  })

// More than the server takes. What is circular is deeper than that, and the driver says so.
const deepest = 200

const isInt64 = (value: bigint): boolean => BigInt.asIntN(64, value) === value

/** The value as it is sent: the same one, unless something in it was left out. */
const walk = (value: unknown, path: string, depth: number, doesOmit: boolean): unknown => {
  if (typeof value === "bigint") return isInt64(value) ? value : new Refused("a bigint of more than 64 bits", path)
  if (typeof value !== "object" || value === null || depth > deepest) return value
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? new Refused("an invalid date", path) : value
  if (isAsItIs(value)) return value
  if (Array.isArray(value)) return walkArray(value, path, depth, doesOmit)
  if (value instanceof Map) {
    const fields = Object.fromEntries(value)
    const found = walkFields(fields, path, depth, doesOmit)
    return found === fields ? value : found
  }
  return walkFields(value, path, depth, doesOmit)
}

const walkArray = (
  value: ReadonlyArray<unknown>,
  path: string,
  depth: number,
  doesOmit: boolean
): ReadonlyArray<unknown> | Refused => {
  let copy: Array<unknown> | undefined
  for (let index = 0; index < value.length; index++) {
    const item = value[index]
    if (item === undefined) return new Refused("undefined", join(path, index))
    if (typeof item !== "object" && typeof item !== "bigint") continue
    const found = walk(item, join(path, index), depth + 1, doesOmit)
    if (found instanceof Refused) return found
    if (found !== item) (copy ??= [...value])[index] = found
  }
  return copy ?? value
}

const walkFields = (value: object, path: string, depth: number, doesOmit: boolean): object => {
  let copy: Record<string, unknown> | undefined
  for (const [key, field] of Object.entries(value)) {
    if (field === undefined) {
      if (!doesOmit) return new Refused("undefined", join(path, key))
      copy ??= { ...value }
      delete copy[key]
      continue
    }
    if (typeof field !== "object" && typeof field !== "bigint") continue
    const found = walk(field, join(path, key), depth + 1, doesOmit)
    if (found instanceof Refused) return found
    if (found !== field) (copy ??= { ...value })[key] = found
  }
  return copy ?? value
}

const join = (path: string, key: string | number): string => path === "" ? String(key) : `${path}.${key}`

// What BSON has a type of its own for, or says itself how it is stored.
const isAsItIs = (value: object): boolean =>
  "_bsontype" in value || ArrayBuffer.isView(value) || value instanceof RegExp || value instanceof ArrayBuffer ||
  hasToBson(value)

const hasToBson = (value: object): value is { readonly toBSON: () => unknown } =>
  "toBSON" in value && typeof value.toBSON === "function"
