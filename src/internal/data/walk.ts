/**
 * Walks through a value that is given to the driver: finds what the encoder would throw at, leave out or change.
 */
import * as Predicate from "effect/Predicate"
import type * as Driver from "mongodb"
import { isOfBson, regExpOf, sizeOf as bsonSize } from "../driver/bson.js"
import * as Values from "../driver/bsonValues.js"
import { isBranded, isBytes, isDate, isDocument, isMap, isPlain, isRegExp, strangerIn } from "./objects.js"
import { Refused, TooLarge } from "./refused.js"

/**
 * What a value is sent as. A document is stored, and may be copied; all else goes as it is. An update has values that were
 * read before, a filter what is searched for.
 */
export type Role = "document" | "update" | "filter" | "command"

/** Where a value is sent. */
export interface Place {
  readonly role: Role
  /** Whether functions are sent, as code. */
  readonly takesFunctions: boolean
}

/** The size of a value of about so many bytes; 0 where it is small. */
export const measured = (value: unknown, bytes: number): number => bytes < suspicious ? 0 : bsonSize(Object(value))

// What is found to be so large by counting is measured, which takes longer. Text has three times as many bytes at most.
const suspicious = 2 ** 22

// As many as the server takes. What is circular has more.
const deepest = 200

// A value that is found in many places is sent as often: of one that is large beyond doubt, no more is looked at.
const mostBytes = 2 ** 26

// UTF-8 cannot say it, and the encoder puts the same character in the place of each.
const halfCharacter = "a surrogate without its other half"

const isInt64 = (value: bigint): boolean => BigInt.asIntN(64, value) === value

// An int64 has a sign. The encoder keeps the bits, which then mean another number.
const tooWide = "a bigint of more than 64 bits"

/** One walk through a value: finds what BSON does not have, leaves out what is undefined, and counts. */
export class Walk {
  readonly #role: Role
  readonly #takesFunctions: boolean
  // About the bytes that the value has in the end.
  #bytes = 0
  // Whether what it comes to is stored, and so read again.
  #isStored: boolean

  constructor({ role, takesFunctions }: Place) {
    this.#role = role
    this.#isStored = role === "document"
    this.#takesFunctions = takesFunctions
  }

  /** About the size of what was walked through. */
  get bytes(): number {
    return this.#bytes
  }

  /** The size of what was walked through; 0 where it is small. */
  sizeOf(value: unknown): number {
    return measured(value, this.#bytes)
  }

  /** The value as it is sent: the same one, unless something in it was left out, or says itself how it is stored. */
  walk(value: unknown, depth: number): unknown {
    return hasToBson(value) ? this.#said(value, depth) : this.as(value, depth)
  }

  // Only of a document the answer is sent. The encoder asks all else again.
  #said(value: Saying, depth: number): unknown {
    const said = saidBy(value)
    if (said === undefined && this.#role !== "command" && this.#role !== "document") return new Refused("undefined")
    const found = said instanceof Refused ? said : this.as(said, depth)
    if (found instanceof Refused) return found
    return this.#role === "document" ? found === value ? silenced(value) : found : value
  }

  /** What a value has said that it is sent as, like {@link walk}. It is not asked again. */
  as(value: unknown, depth: number): unknown {
    if (typeof value !== "object") return this.#primitive(value)
    if (value === null) return value
    const isArray = Array.isArray(value)
    const isUsual = isArray || isPlain(value)
    if (!isUsual || "_bsontype" in value) {
      const found = this.#itself(value, depth)
      if (found !== undefined) return found
    }
    if (depth > deepest) return new Refused(`nested in more than ${deepest} levels, or circular`)
    if (this.#bytes > mostBytes) return new TooLarge(this.#bytes)
    if (isArray) {
      // The stages of a pipeline make what is stored.
      if (depth === 0 && this.#role === "update") this.#isStored = true
      return this.#array(value, depth)
    }
    if (!isUsual && isMap(value)) {
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
        return isInt64(value) ? value : new Refused(tooWide)
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
    if (isBranded(value)) return isOfBson(value) ? this.#ofBson(value as Values.Value, depth) : new Refused(foreign)
    if (isDate(value)) return Number.isNaN(value.getTime()) ? new Refused("an invalid date") : value
    if (isBytes(value)) {
      this.#bytes += value.byteLength
      return value
    }
    if (isRegExp(value)) return this.#expression(value)
    const stranger = strangerIn(value)
    return stranger === undefined ? undefined : new Refused(stranger)
  }

  // What it holds is counted and looked into as everything else is.
  #ofBson(value: Values.Value, depth: number): object {
    switch (value._bsontype) {
      case "Binary":
        this.#bytes += value.position
        // The encoder keeps its last eight bits.
        return value.sub_type === (value.sub_type & 0xff)
          ? value
          : new Refused("a Binary whose subtype is none of 0 to 255")
      case "Long":
        this.#bytes += 16
        return Values.isSigned(value) ? value : new Refused(tooWide)
      case "BSONSymbol":
        return this.#withText(value, value.value)
      case "BSONRegExp":
        return this.#withPattern(value, value.pattern)
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
        const database = this.#withText(value, value.db ?? "")
        if (database instanceof Refused) return database.below("db")
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

  #withText<V extends object>(value: V, text: string): V | Refused {
    this.#bytes += text.length
    return text.isWellFormed() ? value : new Refused(`a value whose text has ${halfCharacter}`)
  }

  // The end of a pattern is a null byte in BSON.
  #withPattern<V extends object>(value: V, pattern: string): V | Refused {
    return pattern.includes("\0") ? new Refused("a pattern with a null byte") : this.#withText(value, pattern)
  }

  #expression(value: RegExp): object {
    const { dotAll, flags, global, source } = value
    if (!flagsOf[this.#role].test(flags)) return new Refused(flagged[this.#role])
    const found = this.#withPattern(value, source)
    return found === value && this.#role === "document" && (dotAll || global) ? regExpOf(value) : found
  }

  #array(value: ReadonlyArray<unknown>, depth: number): ReadonlyArray<unknown> | Refused {
    let copy: Array<unknown> | undefined
    // Its indexes are keys, of about so many bytes.
    this.#bytes += value.length * (1 + Math.log10(1 + value.length) * 0.8)
    for (let index = 0; index < value.length; index++) {
      const item = value[index]
      if (item === undefined && this.#role !== "command") return new Refused("undefined").below(index)
      if (!this.#isNested(item)) continue
      const found = this.walk(item, depth + 1)
      if (found instanceof Refused) return found.below(index)
      if (found === undefined && item !== undefined) return new Refused("undefined").below(index)
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
        if (this.#role === "command") continue
        if (this.#role !== "document") return new Refused("undefined").below(key)
        copy ??= { ...value }
        delete copy[key]
        continue
      }
      if (depth === 0 && this.#role === "update") this.#isStored = key !== "$pull" && key !== "$pullAll"
      if (key === "$ref" && this.#isStored && isSplit(value, field)) return new Refused(split).below(key)
      if (!key.isWellFormed()) return new Refused(`a field whose name has ${halfCharacter}`).below(key)
      this.#bytes += 2 + key.length
      if (!this.#isNested(field)) continue
      const found = this.walk(field, depth + 1)
      if (found instanceof Refused) return found.below(key)
      if (found === field) continue
      copy ??= { ...value }
      if (found === undefined) delete copy[key]
      else copy[key] = found
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

/** A Map as the document that it is stored as. */
export const fieldsOf = (map: ReadonlyMap<unknown, unknown>): object | Refused => {
  for (const key of map.keys()) {
    if (typeof key !== "string") return new Refused("a Map with a key that is no text: give texts as its keys")
  }
  return Object.fromEntries(map as ReadonlyMap<string, unknown>)
}

// The driver reads the option `s` as the flag `g`, and writes it so. What was read can be written: of an update the encoder
// drops `s`, which no value has that was read. In a filter, `g` is somebody's who does not mean `s` by it.
const flagsOf: { readonly [R in Role]: RegExp } = {
  document: /^[gims]*$/,
  update: /^[gim]*$/,
  filter: /^[im]*$/,
  command: /^[gim]*$/
}

const flaggedOther = (taken: string): string =>
  `a RegExp with other flags than ${taken}. Use a \`BSONRegExp\`: its option \`s\` lets a point match line breaks`

const flagged: { readonly [R in Role]: string } = {
  document: flaggedOther("`i`, `m`, `s` and `g`"),
  update: flaggedOther("`i`, `m` and `g`"),
  filter: flaggedOther("`i` and `m`"),
  command: flaggedOther("`i`, `m` and `g`")
}

const foreign = "no value of the driver's BSON, though it has a `_bsontype`: it is of another version of the package " +
  "`bson`, or was made from JSON"

/** A value that says itself how it is stored. */
interface Saying {
  readonly toBSON: () => unknown
}

const hasToBson = (value: unknown): value is Saying =>
  Predicate.isObject(value) && "toBSON" in value && typeof value.toBSON === "function"

/**
 * What a value says that it is stored as; of one that says nothing, itself. What has another `toBSON` in its turn is refused:
 * some versions of the encoder ask it once more, and some do not.
 */
export const saidBy = (value: unknown): unknown => {
  if (!hasToBson(value)) return value
  const said = value.toBSON()
  return said !== value && hasToBson(said) ? new Refused("a value whose `toBSON` gives one with a `toBSON`") : said
}

// What has said that it is stored as it is must not be asked by the encoder once more: it may say something else then.
const silenced = (value: object): object => {
  if (Array.isArray(value)) return [...value]
  if (!isDocument(value)) return value
  return isMap(value) ? Object.fromEntries(value) : { ...value }
}

// What the driver reads as a reference, and whose one dot it then takes for the one between database and collection.
const isSplit = (value: object, ref: unknown): boolean =>
  typeof ref === "string" && ref.split(".").length === 2 && "$id" in value && value.$id !== null &&
  value.$id !== undefined

const split = "a reference whose collection has a dot, which the driver reads as another one: name its fields otherwise"
