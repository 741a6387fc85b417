/**
 * What is given to the driver to be stored or to be searched for: found out before it is sent whether BSON can say it.
 */
import * as Predicate from "effect/Predicate"
import type * as Driver from "mongodb"
import type { MongoError } from "../../MongoError.js"
import { sizeOf as bsonSize } from "../driver/bson.js"
import { invalid } from "../driver/errors.js"
import { isDocument, isMap, namesOf } from "./objects.js"
import { optionOf } from "./options.js"
import { guarded, Refused, TooLarge } from "./refused.js"
import { fieldsOf, measured, type Place, type Role, saidBy, Walk } from "./walk.js"

/** A document as it is stored, and about how many bytes of BSON it has. */
export interface Stored<I> {
  readonly document: I
  readonly bytes: number
}

/** How a document is stored. */
export interface Storing {
  /** Whether functions are stored, as code. Default `false`. */
  readonly takesFunctions?: boolean | undefined
  /** Whether the driver adds an `_id` where it has none, or null. Default `false`. */
  readonly getsId?: boolean | undefined
}

/**
 * The document that is stored: a new one, for the driver adds an `_id` to what it is given. Fields that are undefined are
 * left out, at every depth: the driver stores them as null, which is another value. What says itself how it is stored, by
 * `toBSON`, is stored so, and asked once. Fails where a value has no BSON, and where the document is larger than the server takes.
 */
export const storable = <I extends Driver.Document>(
  document: I,
  operation: string,
  namespace: string,
  { getsId = false, takesFunctions = false }: Storing = {}
): Stored<I> | MongoError =>
  guarded(operation, namespace, () => {
    const given = saidBy(document)
    const own: unknown = Predicate.isObject(given) && isMap(given) ? fieldsOf(given) : given
    if (own instanceof Refused) return own
    if (!isDocument(own)) return new Refused("a value or a list itself: give an object of fields")
    const walked = new Walk({ role: "document", takesFunctions })
    const found = walked.as(own, 0)
    if (found instanceof Refused) return found
    if (getsId && Object(found)["_id"] === null) return new Refused(withoutId).below("_id")
    // The driver's bulks refuse one that has just the limit, and so that is refused wherever it is inserted.
    const limit = "_id" in Object(found) ? largest : largest - sizeOfId
    const size = walked.sizeOf(found)
    if (size >= limit) return new TooLarge(size)
    return { document: found === own ? { ...(found as I) } : found as I, bytes: walked.bytes }
  })

/** What an operation is given that is no document to be stored. */
interface Given {
  readonly values?: ReadonlyArray<unknown> | undefined
  readonly parts?: ReadonlyArray<object> | undefined
  readonly filters?: ReadonlyArray<unknown> | undefined
  readonly updates?: ReadonlyArray<unknown> | undefined
  readonly pipeline?: ReadonlyArray<object> | undefined
  readonly command?: Driver.Document | undefined
  readonly options?: object | undefined
}

// What is sent of options, of a write of a bulk and of an index as it is given. The driver makes an empty one, or one of null,
// of what it leaves out, and that is a projection of all fields, or a hint of none.
const documents = [
  "arrayFilters",
  "collation",
  "hint",
  "key",
  "let",
  "max",
  "min",
  "partialFilterExpression",
  "pipeline",
  "projection",
  "sort",
  "validator",
  "weights",
  "wildcardProjection"
]

// What is sent of options as fields of a command are: the server, or its log, takes any document.
const fields = [
  "changeStreamPreAndPostImages",
  "clusteredIndex",
  "comment",
  "encryptedFields",
  "indexOptionDefaults",
  "storageEngine",
  "timeseries"
]

/** Filters, projections and the like among options: in them nothing may be undefined. */
export const documentsIn = (options: object): object => picked(options, documents) ?? {}

// Most operations have none.
const picked = (options: object, names: ReadonlyArray<string>): object | undefined => {
  let found: Record<string, unknown> | undefined
  for (const name of names) {
    const value = optionOf(options, name)
    if (value !== undefined) (found ??= {})[name] = value
  }
  return found
}

/**
 * About how many bytes of BSON filters, updates and pipelines have; or what is wrong with them: in them nothing is left out,
 * for that would change what they say. Fields of a command may be undefined: they are sent as the client's options say.
 */
export const weightOf = (
  { command, filters = [], options, parts = [], pipeline, updates = [], values = [] }: Given,
  operation: string,
  namespace: string,
  takesFunctions = false
): number | MongoError => {
  return guarded<number | MongoError>(operation, namespace, () => {
    const wrong = filters.findIndex((filter) => !isFilter(filter))
    if (wrong >= 0) {
      const hint = parts.length === 0 ? conditions : `\`${wrong}.filter\` is none. ${conditions}`
      return invalid(operation, hint, namespace)
    }
    for (const update of updates) {
      const said = saidBy(update)
      if (said instanceof Refused) return said
      if (!hasOperators(said)) return invalid(operation, operators, namespace)
    }
    // Without its `lsid`, which the driver adds beside its fields, it would be none of its session.
    if (command !== saidBy(command)) return new Refused("a command with a `toBSON`: give what that gives")
    let bytes = 0
    const add = (value: unknown, role: Role): Refused | undefined => {
      const own = weightIn(value, { role, takesFunctions })
      if (own instanceof Refused) return own
      bytes += own
      return undefined
    }
    for (const value of values) {
      const refused = add(value, updates.includes(value) ? "update" : "filter")
      if (refused !== undefined) return refused
    }
    const refused = add(pipeline, "filter") ?? add(command, "command") ??
      (options && (add(picked(options, documents), "filter") ?? add(picked(options, fields), "command")))
    if (refused !== undefined) return refused
    // Each has a command's bytes for itself: the driver makes as many commands as it takes.
    for (const [index, part] of parts.entries()) {
      const own = weightOfPart(part, takesFunctions)
      if (own instanceof Refused) return own.below(index)
      bytes += own
    }
    return bytes
  })
}

// What every document matches says so itself, and not by its `toBSON`.
const isFilter = (filter: unknown): boolean => {
  const said = saidBy(filter)
  return isDocument(said) && (said === filter || namesOf(said).length > 0)
}

// To the driver, a filter that is missing is one that every document matches.
const conditions =
  "The filter of a write is an object of conditions, like `{ field: value }`. For all documents it is `{}`."

// An update without operators would be a document that takes the place of another.
const hasOperators = (update: unknown): boolean => {
  if (Array.isArray(update)) return true
  const names = Object.keys(Object(update))
  return names.length > 0 && names.every((name) => name.startsWith("$"))
}

const operators =
  "An update is made of operators, like `{ $set: { field: value } }`. What takes the place of a whole " +
  "document goes to `replaceOne` or `findOneAndReplace`."

const weightIn = (value: unknown, place: Place): number | Refused => {
  if (value === undefined) return 0
  const walked = new Walk(place)
  const found = walked.walk(value, 0)
  if (found instanceof Refused) return found
  const size = walked.sizeOf(value)
  return size > largestCommand ? new TooLarge(size) : walked.bytes
}

const weightOfPart = (part: object, takesFunctions: boolean): number | Refused => {
  let bytes = 0
  for (const [key, value] of Object.entries(part)) {
    const own = weightIn(value, { role: key === "update" ? "update" : "filter", takesFunctions })
    if (own instanceof Refused) return own.below(key)
    bytes += own
  }
  const size = measured(part, bytes)
  return size > largestCommand ? new TooLarge(size) : bytes
}

/** Whether a document has more bytes than the server stores, whatever else may be wrong with it. */
export const isTooLarge = (document: Driver.Document): boolean => bsonSize(document) >= largest

const withoutId = "null, for which the driver would insert another `_id`: leave it out, or write the document by " +
  "`replaceOne({ _id: null }, document, { upsert: true })`"

// In bytes. A command may have a little more than a document.
const largest = 2 ** 24
const largestCommand = largest + 16_384
// The field that the driver adds.
const sizeOfId = 17
