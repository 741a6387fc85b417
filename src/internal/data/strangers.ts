/**
 * Objects of the language and its platform that the encoder takes for documents of their own fields, of which most have
 * none: stored as such they could not be read.
 */

/** What such an object is, and what to give in its place; none for objects of a program's own classes. */
export const strangerIn = (value: object): string | undefined => {
  if (value instanceof Error) return error
  const { then }: { readonly then?: unknown } = value
  if (typeof then === "function") return of("a promise", "what it resolves to")
  return strangers.get(Object.prototype.toString.call(value).slice(8, -1))
}

const of = (what: string, instead: string): string => `${what}: give ${instead}`

const error = of("an Error", "what you need of it, as a document")
const bytes = "a `Uint8Array`"
const numbers = `an array of numbers, or ${bytes} of its bytes`
const list = "an array"
const text = "its text"

// By the name that each of them has in any realm.
const strangers: ReadonlyMap<string, string> = new Map([
  ["ArrayBuffer", of("an ArrayBuffer", bytes)],
  ["SharedArrayBuffer", of("a SharedArrayBuffer", bytes)],
  ["DataView", of("a DataView", bytes)],
  ["Uint8ClampedArray", of("a Uint8ClampedArray", bytes)],
  ...["Int8", "Int16", "Uint16", "Int32", "Uint32", "Float16", "Float32", "Float64", "BigInt64", "BigUint64"].map((
    kind
  ): [string, string] => [`${kind}Array`, of(`a typed array of ${kind}`, numbers)]),
  ["Set", of("a Set", list)],
  ["Set Iterator", of("an iterator", list)],
  ["Map Iterator", of("an iterator", list)],
  ["Array Iterator", of("an iterator", list)],
  ["Generator", of("a generator", list)],
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
