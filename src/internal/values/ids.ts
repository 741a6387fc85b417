/**
 * Tells whether two ids are the same to the server, so that documents that were read at once find who asked for them, and
 * whether two filters are for the same document.
 */
import * as Encoding from "effect/Encoding"

/**
 * The same text for ids that the server takes for equal, whatever type a number has. None for an id that stands for
 * something else in a list of ids (a regular expression, an operator) or whose equality is not known here: it is asked for
 * alone.
 */
export const keyOf = (id: unknown): string | undefined => {
  switch (typeof id) {
    case "string":
      return `s:${JSON.stringify(id)}`
    case "boolean":
      return `l:${id}`
    case "number":
      return numberKey(id)
    case "bigint":
      return `n:${id}`
    case "object":
      return id === null ? "null" : objectKey(id)
    default:
      return undefined
  }
}

/**
 * The same text for filters that look for the same document: by its `_id`, or by the same values of other fields, whatever
 * else they ask for. None where nothing is asked for by its value.
 */
export const targetOf = (namespace: string, filter: unknown): string | undefined => {
  const fields = soughtBy(filter)
  const isById = fields.length === 1 && fields[0]?.name === "_id"
  const parts = fields.map(({ key, name }) => isById ? key : `${JSON.stringify(name)}:${key}`)
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  return length === 0 || length > longestTarget ? undefined : `${namespace} ${parts.join()}`
}

/** What a filter asks for by its value: by `_id` alone if it does so, else by fields in the order of their names. */
export const soughtBy = (
  filter: unknown
): ReadonlyArray<{ readonly name: string; readonly key: string; readonly value: unknown }> => {
  if (typeof filter !== "object" || filter === null) return []
  const fields = Object.entries(filter).flatMap(([name, condition]) => {
    const value = valueOf(condition)
    const key = name.startsWith("$") ? undefined : keyOf(value)
    return key === undefined ? [] : [{ name, key, value }]
  })
  const id = fields.find(({ name }) => name === "_id")
  return id === undefined ? fields.sort((one, other) => one.name < other.name ? -1 : 1) : [id]
}

// In characters. Longer ones are not worth to be kept.
const longestTarget = 1024

const valueOf = (condition: unknown): unknown => {
  const operators = typeof condition === "object" && condition !== null ? Object.keys(condition) : []
  return operators.length === 1 && operators[0] === "$eq" ? Object(condition).$eq : condition
}

const numberKey = (value: number): string => `n:${Number.isInteger(value) ? BigInt(value) : value}`

/** What is looked at in the driver's classes. */
interface Typed {
  readonly _bsontype?: unknown
  readonly sub_type?: unknown
  readonly buffer?: unknown
  readonly position?: unknown
}

/** Whether an id has a text in it, which collections may compare in ways of their own. */
export const hasText = (key: string | undefined): boolean => key === undefined || /(^|:)s:"/.test(key)

const objectKey = (id: object): string | undefined => {
  // Whatever its fields are called, it is no value of the driver's classes.
  if (Object.getPrototypeOf(id) === Object.prototype) return documentKey(id)
  if (id instanceof Date) return `d:${id.getTime()}`
  if (id instanceof Uint8Array) return binaryKey(0, id)
  const { _bsontype: type, buffer, position, sub_type: subtype }: Typed = id
  switch (type) {
    case "ObjectId":
      return `o:${String(id)}`
    case "Int32":
    case "Double":
      return numberKey(Number(id))
    case "Long":
      return `n:${String(id)}`
    case "Timestamp":
      return `t:${String(id)}`
    case "Binary":
      return buffer instanceof Uint8Array && typeof position === "number"
        ? binaryKey(subtype, buffer.subarray(0, position))
        : undefined
    default:
      return undefined
  }
}

const binaryKey = (subtype: unknown, bytes: Uint8Array): string => `b:${String(subtype)}:${Encoding.encodeHex(bytes)}`

// The order of the fields counts.
const documentKey = (id: object): string | undefined => {
  const fields: Array<string> = []
  for (const [name, value] of Object.entries(id)) {
    const key = name.startsWith("$") ? undefined : keyOf(value)
    if (key === undefined) return undefined
    fields.push(`${JSON.stringify(name)}:${key}`)
  }
  return `{${fields.join(",")}}`
}
