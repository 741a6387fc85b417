/**
 * Tells objects apart as the encoder does, and finds those that it would store as something else.
 */
import * as Predicate from "effect/Predicate"
import type * as Driver from "mongodb"

/** Whether an object is a document, unless it says otherwise. Nearly all are, and so need not be told from the rest. */
export const isPlain = (value: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** Whether an object is bytes, of any realm. Typed arrays of other numbers are none. */
export const isBytes = (value: object): value is Uint8Array =>
  value instanceof Uint8Array || ArrayBuffer.isView(value) && tagOf(value) === "Uint8Array"

/** Whether an object is a Date, of any realm. */
export const isDate = (value: object): value is Date => value instanceof Date || tagOf(value) === "Date"

/** Whether an object is a RegExp, of any realm. */
export const isRegExp = (value: object): value is RegExp => value instanceof RegExp || tagOf(value) === "RegExp"

/** Whether an object is a Map, of any realm: a document of its entries. */
export const isMap = (value: object): value is Map<unknown, unknown> => value instanceof Map || tagOf(value) === "Map"

/** Whether the encoder takes an object for one of its own values, whatever made it. */
export const isBranded = (value: object): boolean => "_bsontype" in value && !Predicate.isNullable(value._bsontype)

/** Whether a value is no list, and nothing that BSON has a type of its own for. */
export const isDocument = (value: unknown): value is Driver.Document => {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false
  return isPlain(value) || !(isBranded(value) || isDate(value) || isRegExp(value) || isBytes(value))
}

/** The names of a document's fields. */
export const namesOf = (document: object): ReadonlyArray<string> =>
  isMap(document) ? [...document.keys()].map(String) : Object.keys(document)

/**
 * What an object of the language, its platform or Effect is, and what to give in its place, where the encoder takes it for a
 * document of its fields, of which most have none. None for objects of a program's own classes, unless they have a method
 * `then`: those are promises to the language.
 */
export const strangerIn = (value: object): string | undefined => {
  if (value instanceof Error) return error
  const { then }: { readonly then?: unknown } = value
  if (typeof then === "function") return of("a promise", "what it resolves to")
  const tag = tagOf(value)
  const stranger = strangers().get(tag) ?? (tag.endsWith("Iterator") ? iterator : undefined)
  if (stranger !== undefined) return hasTagByItself(value, tag) ? stranger : undefined
  return strangerOfEffect(value) ?? strangerOfPlatform(value, tag)
}

// Told by what Effect marks its own values with. What it only helps a program to make, such as a `Data.Class`, is a document.
const strangerOfEffect = (value: object): string | undefined => {
  const names = marksOf(value)
  if (names.length === 0) return undefined
  const name = names.find((one) => one in schemas)
  return name === undefined
    ? of("a value of Effect that stands for no data", "what it gives, or holds, as a document")
    : of(`Effect's \`${name}\``, `what a schema encodes it as, like \`Schema.${schemas[name]}\``)
}

const marksOf = (value: object): ReadonlyArray<string> => {
  const names: Array<string> = []
  for (let at: object | null = value; at !== null && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    for (const symbol of Object.getOwnPropertySymbols(at)) {
      const [, name] = mark.exec(Symbol.keyFor(symbol) ?? "") ?? []
      if (name !== undefined) names.push(name)
    }
  }
  return names
}

// Other than those that objects of a program's own classes have.
const mark = /^effect\/(?!(?:Equal|Hash|PrimaryKey|Request)$)(?:DateTime\/)?([A-Z]\w*)$/

// Schemas that encode values of Effect as something that can be stored. They have the same names in both packages.
const schemas: Readonly<Record<string, string>> = {
  Option: "OptionFromNullOr",
  Either: "Either",
  Cause: "Cause",
  Duration: "DurationFromMillis",
  BigDecimal: "BigDecimal",
  DateTime: "DateTimeUtc",
  TimeZone: "TimeZone",
  HashMap: "HashMap",
  HashSet: "HashSet",
  SortedSet: "SortedSet",
  List: "List",
  Chunk: "Chunk",
  Redacted: "Redacted"
}

// It has no fields: what it holds would be lost.
const strangerOfPlatform = (value: object, tag: string): string | undefined =>
  tag !== "Object" && !isMap(value) && Object.keys(value).length === 0 && isOfClass(value, tag)
    ? of(`an object of the platform's class \`${tag}\``, "what you need of it, as a document")
    : undefined

// A class of a program may take any tag. Then its objects have fields, or nothing to be stored.
const hasTagByItself = (value: object, tag: string): boolean => {
  if (!(Symbol.toStringTag in value) || ArrayBuffer.isView(value) || Object.keys(value).length === 0) return true
  return isOfClass(value, tag)
}

// The tag of a class may have a namespace, like `Intl.Locale`.
const isOfClass = (value: object, tag: string): boolean => {
  const own = tag.split(".").reduce<unknown>((of, name) => Reflect.get(Object(of), name), globalThis)
  return typeof own === "function" && value instanceof own
}

// The name that it has in any realm.
const tagOf = (value: object): string => Object.prototype.toString.call(value).slice(8, -1)

const of = (what: string, instead: string): string => `${what}: give ${instead}`

const error = of("an Error", "what you need of it, as a document")
const bytes = "a `Uint8Array`"
const numbers = `an array of numbers, or ${bytes} of its bytes`
const list = "an array"
const text = "its text"
const iterator = of("an iterator", list)

let known: ReadonlyMap<string, string> | undefined

// Made when it is needed, so that no bundle has it that does not.
const strangers = (): ReadonlyMap<string, string> =>
  known ??= new Map([
    ["ArrayBuffer", of("an ArrayBuffer", bytes)],
    ["SharedArrayBuffer", of("a SharedArrayBuffer", bytes)],
    ["DataView", of("a DataView", bytes)],
    ["Uint8ClampedArray", of("a Uint8ClampedArray", bytes)],
    ...["Int8", "Int16", "Uint16", "Int32", "Uint32", "Float16", "Float32", "Float64", "BigInt64", "BigUint64"].map((
      kind
    ): [string, string] => [`${kind}Array`, of(`a typed array of ${kind}`, numbers)]),
    ["Set", of("a Set", list)],
    ["Iterator Helper", iterator],
    ["Generator", of("a generator", list)],
    ["AsyncGenerator", of("a generator", list)],
    ["WeakMap", of("a WeakMap", "its values")],
    ["WeakSet", of("a WeakSet", "its values")],
    ["WeakRef", of("a WeakRef", "what it refers to")],
    ["URL", of("a URL", text)],
    ["URLSearchParams", of("a URLSearchParams", text)],
    ["Blob", of("a Blob", bytes)],
    ["File", of("a File", bytes)],
    ["Error", error],
    ["Number", of("a Number object", "the number itself")],
    ["String", of("a String object", "the text itself")],
    ["Boolean", of("a Boolean object", "`true` or `false` itself")],
    ["BigInt", of("a BigInt object", "the bigint itself")],
    ["Symbol", of("a Symbol object", text)]
  ])
