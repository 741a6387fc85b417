/**
 * What is given to the driver to be stored or to be searched for: found out before it is sent whether BSON can say it.
 */
import type * as Driver from "mongodb"
import { MongoError } from "../../MongoError.js"
import { isOfBson, sizeOf as bsonSize } from "../driver/bson.js"
import * as Values from "../driver/bsonValues.js"
import { isBranded, isBytes, isDocument, isPlain, strangerIn } from "./objects.js"
import { guarded, Refused, TooLarge } from "./refused.js"

/** A document as it is stored, and about how many bytes of BSON it has. */
export interface Stored<I> {
  readonly document: I
  readonly bytes: number
}

/** How a document is stored. */
export interface Storing {
  /** Whether functions are stored, as code. Default `false`. */
  readonly takesFunctions?: boolean | undefined
  /** Whether it is inserted, so that the driver adds an `_id` where it has none. Default `false`. */
  readonly isInserted?: boolean | undefined
}

/**
 * The document that is stored: a new one, for the driver adds an `_id` to what it is given. Fields that are undefined are
 * left out, at every depth: the driver stores them as null, which is another value. What says itself how it is stored, by
 * `toBSON`, goes as it is. Fails where a value has no BSON, and where the document is larger than the server takes.
 */
export const storable = <I extends Driver.Document>(
  document: I,
  operation: string,
  namespace: string,
  { isInserted = false, takesFunctions = false }: Storing = {}
): Stored<I> | MongoError =>
  guarded(operation, namespace, () => {
    const given: unknown = hasToBson(document) ? document.toBSON() : document
    const own: unknown = given instanceof Map ? fieldsOf(given) : given
    if (own instanceof Refused) return own
    if (!isDocument(own)) return new Refused("a value or a list itself: give an object of fields")
    const walked = new Walk(true, takesFunctions)
    const found = walked.walk(own, 0)
    if (found instanceof Refused) return found
    if (isInserted && Object(found)["_id"] === null) return new Refused(withoutId).below("_id")
    // The driver's bulks refuse one that has just the limit, and so that is refused wherever it is inserted.
    const limit = "_id" in Object(found) ? largest : largest - sizeOfId
    const size = walked.sizeOf(found)
    if (size >= limit) return new TooLarge(size)
    return { document: found === own ? { ...(found as I) } : found as I, bytes: walked.bytes }
  })

/** What an operation is given that is no document to be stored. */
interface Given {
  readonly values?: ReadonlyArray<unknown> | undefined
  readonly parts?: ReadonlyArray<unknown> | undefined
  readonly filters?: ReadonlyArray<unknown> | undefined
  readonly updates?: ReadonlyArray<unknown> | undefined
  readonly pipeline?: ReadonlyArray<object> | undefined
  readonly options?:
    | { readonly arrayFilters?: unknown; readonly let?: unknown; readonly partialFilterExpression?: unknown }
    | undefined
}

/**
 * About how many bytes of BSON filters, updates and pipelines have; or what is wrong with them: in them nothing is left out,
 * for that would change what they say.
 */
export const weightOf = (
  { filters = [], options = {}, parts = [], pipeline, updates = [], values = [] }: Given,
  operation: string,
  namespace: string
): number | MongoError => {
  const invalid = (hint: string) => new MongoError({ reason: "InvalidOptions", operation, namespace, labels: [], hint })
  return guarded<number | MongoError>(operation, namespace, () => {
    const wrong = filters.findIndex((filter) => !isDocument(filter))
    if (wrong >= 0) return invalid(parts.length === 0 ? conditions : `\`${wrong}.filter\` is none. ${conditions}`)
    if (!updates.every(hasOperators)) return invalid(operators)
    let bytes = 0
    const { arrayFilters, let: variables, partialFilterExpression } = options
    for (const value of [...values, pipeline, arrayFilters, variables, partialFilterExpression]) {
      const own = weightIn(value)
      if (own instanceof Refused) return own
      bytes += own
    }
    // Each has a command's bytes for itself: the driver makes as many commands as it takes.
    for (const [index, part] of parts.entries()) {
      const own = weightIn(part)
      if (own instanceof Refused) return own.below(index)
      bytes += own
    }
    return bytes
  })
}

// To the driver, a filter that is missing is one that every document matches.
const conditions =
  "The filter of a write is an object of conditions, like `{ field: value }`. For all documents it is `{}`. Nothing was " +
  "sent."

// An update without operators would be a document that takes the place of another.
const hasOperators = (update: unknown): boolean => {
  if (Array.isArray(update)) return true
  const names = Object.keys(Object(update))
  return names.length > 0 && names.every((name) => name.startsWith("$"))
}

const operators =
  "An update is made of operators, like `{ $set: { field: value } }`. What takes the place of a whole " +
  "document goes to `replaceOne` or `findOneAndReplace`. Nothing was sent."

const weightIn = (value: unknown): number | Refused => {
  if (value === undefined) return 0
  const walked = new Walk(false, false)
  const found = walked.walk(value, 0)
  if (found instanceof Refused) return found
  const size = walked.sizeOf(value)
  return size > largestCommand ? new TooLarge(size) : walked.bytes
}

const withoutId = "null, for which the driver would insert another `_id`: leave it out, or write the document by " +
  "`replaceOne({ _id: null }, document, { upsert: true })`"

// In bytes. A command may have a little more than a document.
const largest = 2 ** 24
const largestCommand = largest + 16_384
// The field that the driver adds.
const sizeOfId = 17

// What is found to be so large by counting is measured, which takes longer. Text has three times as many bytes at most.
const suspicious = 2 ** 22

// As many as the server takes. What is circular has more.
const deepest = 200

// A value that is found in many places is sent as often: of one that is large beyond doubt, no more is looked at.
const mostBytes = 4 * largest

// UTF-8 cannot say it, and the encoder puts the same character in the place of each.
const halfCharacter = "a surrogate without its other half"

const isInt64 = (value: bigint): boolean => BigInt.asIntN(64, value) === value

/** One walk through a value: finds what BSON does not have, leaves out what is undefined, and counts. */
class Walk {
  readonly #doesOmit: boolean
  readonly #takesFunctions: boolean
  // About the bytes that the value has in the end.
  #bytes = 0

  constructor(doesOmit: boolean, takesFunctions: boolean) {
    this.#doesOmit = doesOmit
    this.#takesFunctions = takesFunctions
  }

  /** About the size of what was walked through. */
  get bytes(): number {
    return this.#bytes
  }

  /** The size of what was walked through; 0 where it is small. */
  sizeOf(value: unknown): number {
    return this.#bytes < suspicious ? 0 : bsonSize(Object(value))
  }

  /** The value as it is sent: the same one, unless something in it was left out. */
  walk(value: unknown, depth: number): unknown {
    if (typeof value !== "object") return this.#primitive(value)
    if (value === null) return value
    const isArray = Array.isArray(value)
    const isUsual = isArray || isPlain(value)
    if (!isUsual || "_bsontype" in value || "toBSON" in value) {
      const found = this.#itself(value, depth)
      if (found !== undefined) return found
    }
    if (depth > deepest) return new Refused(`nested in more than ${deepest} levels, or circular`)
    if (this.#bytes > mostBytes) return new TooLarge(this.#bytes)
    if (isArray) return this.#array(value, depth)
    if (!isUsual && value instanceof Map) {
      const fields = fieldsOf(value)
      if (fields instanceof Refused) return fields
      const found = this.#fields(fields, depth)
      return found === fields ? value : found
    }
    return this.#fields(value, depth)
  }

  // The encoder leaves out what it does not know, and a filter of that alone would match every document.
  #primitive(value: unknown): unknown {
    switch (typeof value) {
      case "string":
        return value.isWellFormed() ? value : new Refused(`a text with ${halfCharacter}`)
      case "bigint":
        return isInt64(value) ? value : new Refused("a bigint of more than 64 bits")
      case "function":
        return this.#takesFunctions ? value : new Refused("a function: give code as a `Code` of the driver")
      case "symbol":
        return new Refused("a symbol: give its text")
      default:
        return value
    }
  }

  /** What is no list and no document to the encoder; none of what is. */
  #itself(value: object, depth: number): object | undefined {
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? new Refused("an invalid date") : value
    if (isBranded(value)) return isOfBson(value) ? this.#ofBson(value as Values.Value, depth) : new Refused(foreign)
    if (isBytes(value)) {
      this.#bytes += value.byteLength
      return value
    }
    if (value instanceof RegExp) return hasOwnFlags(value) ? value : new Refused(flagged)
    if (hasToBson(value)) return value
    const stranger = strangerIn(value)
    return stranger === undefined ? undefined : new Refused(stranger)
  }

  // What it holds is counted and looked into as everything else is.
  #ofBson(value: Values.Value, depth: number): object {
    switch (value._bsontype) {
      case "Binary":
        this.#bytes += value.position
        return value
      case "BSONSymbol":
        return this.#withText(value, value.value)
      case "BSONRegExp":
        return this.#withText(value, value.pattern)
      case "Code": {
        const found = this.#withText(value, value.code)
        if (found instanceof Refused || value.scope === null) return found
        const scope = this.walk(value.scope, depth + 1)
        if (scope instanceof Refused) return scope.below("scope")
        return scope === value.scope ? value : Values.code(value.code, scope as Driver.Document)
      }
      case "DBRef": {
        const name = this.#withText(value, value.collection)
        if (name instanceof Refused) return name.below("collection")
        const id = this.walk(value.oid, depth + 1)
        if (id instanceof Refused) return id.below("oid")
        // What is undefined in them is left out by the driver itself.
        const fields = this.walk(value.fields, depth + 1)
        return fields instanceof Refused ? fields.below("fields") : value
      }
      default:
        this.#bytes += 16
        return value
    }
  }

  #withText<V extends Values.Value>(value: V, text: string): V | Refused {
    this.#bytes += text.length
    return text.isWellFormed() ? value : new Refused(`a value whose text has ${halfCharacter}`)
  }

  #array(value: ReadonlyArray<unknown>, depth: number): ReadonlyArray<unknown> | Refused {
    let copy: Array<unknown> | undefined
    // Its indexes are keys, of about so many bytes.
    this.#bytes += value.length * (1 + Math.log10(1 + value.length) * 0.8)
    for (let index = 0; index < value.length; index++) {
      const item = value[index]
      if (item === undefined) return new Refused("undefined").below(index)
      if (!this.#isNested(item)) continue
      const found = this.walk(item, depth + 1)
      if (found instanceof Refused) return found.below(index)
      if (found !== item) (copy ??= [...value])[index] = found
    }
    return copy ?? value
  }

  #fields(value: object, depth: number): object {
    let copy: Record<string, unknown> | undefined
    for (const [key, field] of Object.entries(value)) {
      // The encoder would find it only when it comes to it, in a bulk after others were sent.
      if (key.includes("\0")) return new Refused("a field whose name has a null byte").below(key)
      if (field === undefined) {
        if (!this.#doesOmit) return new Refused("undefined").below(key)
        copy ??= { ...value }
        delete copy[key]
        continue
      }
      if (!key.isWellFormed()) return new Refused(`a field whose name has ${halfCharacter}`).below(key)
      this.#bytes += 2 + key.length
      if (!this.#isNested(field)) continue
      const found = this.walk(field, depth + 1)
      if (found instanceof Refused) return found.below(key)
      if (found !== field) (copy ??= { ...value })[key] = found
    }
    return copy ?? value
  }

  // Counts it. Most texts, and all numbers and flags, need not be looked into.
  #isNested(item: unknown): boolean {
    switch (typeof item) {
      case "string":
        this.#bytes += 5 + item.length
        return !item.isWellFormed()
      case "number":
      case "boolean":
        this.#bytes += 4
        return false
      default:
        this.#bytes += 4
        return item !== null
    }
  }
}

const fieldsOf = (map: ReadonlyMap<unknown, unknown>): object | Refused => {
  for (const key of map.keys()) {
    if (typeof key !== "string") return new Refused("a Map with a key that is no text: give texts as its keys")
  }
  return Object.fromEntries(map as ReadonlyMap<string, unknown>)
}

// Those that BSON has, too. The encoder writes `g` as the option `s`, and leaves out all others.
const hasOwnFlags = ({ flags }: RegExp): boolean => flags === "" || flags === "i" || flags === "m" || flags === "im"

const flagged =
  "a RegExp with other flags than `i` and `m`, which BSON does not have. Use a `BSONRegExp`: its option `s` " +
  "lets a point match line breaks"

const foreign = "no value of the driver's BSON, though it has a `_bsontype`: it is of another version of the package " +
  "`bson`, or was made from JSON"

const hasToBson = (value: object): value is { readonly toBSON: () => unknown } =>
  "toBSON" in value && typeof value.toBSON === "function"
