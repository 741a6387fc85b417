/**
 * Whether what was seen is what a test expects, by the rules of the format: extra keys are tolerated at the root only.
 *
 * See the specification "Unified Test Format", section "Evaluating Matches".
 */
import { BSON } from "mongodb"
import { bytesOf, isDocument, isOfType, numberOf, sameValue, show } from "./values.js"

/** What operators refer to by name; `undefined` where there is none of that name. */
export interface Names {
  readonly value: (name: string) => unknown
  readonly lsid: (session: string) => Uint8Array | undefined
}

/**
 * What the actual value is: a document that may have extra keys, documents that each may, or a value within another.
 */
export type Level = "root" | "roots" | "nested"

/** Why an actual value is not as expected, and where; `undefined` if it is. An absent value is `undefined`. */
export const mismatch = (
  expected: unknown,
  actual: unknown,
  names: Names,
  level: Level = "nested"
): string | undefined => compare({ path: "", level, names }, expected, actual)

interface Place {
  readonly path: string
  readonly level: Level
  readonly names: Names
}

const at = (place: Place, problem: string): string => place.path === "" ? problem : `${place.path}: ${problem}`

const inside = (place: Place, key: string | number): Place => ({
  ...place,
  path: place.path === "" ? String(key) : `${place.path}.${key}`,
  level: place.level === "roots" && typeof key === "number" ? "root" : "nested"
})

const compare = (place: Place, expected: unknown, actual: unknown): string | undefined => {
  if (Array.isArray(expected)) return compareArrays(place, expected, actual)
  if (isDocument(expected)) {
    const [operator, argument] = operatorOf(expected)
    return operator === undefined
      ? compareDocuments(place, expected, actual)
      : evaluate(place, operator, argument, actual)
  }
  return sameValue(expected, actual) ? undefined : at(place, `expected ${show(expected)}, found ${show(actual)}`)
}

const compareArrays = (place: Place, expected: ReadonlyArray<unknown>, actual: unknown): string | undefined => {
  if (!Array.isArray(actual)) return at(place, `expected an array, found ${show(actual)}`)
  if (actual.length !== expected.length) {
    return at(place, `expected ${expected.length} elements, found ${actual.length}: ${show(actual)}`)
  }
  return first(expected.entries(), ([index, one]) => compare(inside(place, index), one, actual[index]))
}

const compareDocuments = (
  place: Place,
  expected: Readonly<Record<string, unknown>>,
  actual: unknown
): string | undefined => {
  if (!isDocument(actual)) return at(place, `expected a document, found ${show(actual)}`)
  const wrong = first(
    Object.entries(expected),
    ([key, one]) => compare(inside(place, key), one, Object.hasOwn(actual, key) ? actual[key] : undefined)
  )
  if (wrong !== undefined || place.level === "root") return wrong
  const extra = Object.keys(actual).filter((key) => actual[key] !== undefined && !Object.hasOwn(expected, key))
  return extra.length === 0
    ? undefined
    : at(place, `unexpected ${extra.map((key) => `${key} ${show(actual[key])}`).join(", ")}`)
}

const operatorOf = (expected: Readonly<Record<string, unknown>>): readonly [string | undefined, unknown] => {
  const keys = Object.keys(expected)
  return keys.length === 1 && keys[0]?.startsWith("$$") === true ? [keys[0], expected[keys[0]]] : [undefined, undefined]
}

const evaluate = (place: Place, operator: string, argument: unknown, actual: unknown): string | undefined => {
  const wrong = (wanted: string) => at(place, `expected ${wanted}, found ${show(actual)}`)
  switch (operator) {
    case "$$exists":
      return (actual !== undefined) === argument ? undefined : wrong(argument === true ? "something" : "nothing")
    case "$$unsetOrMatches":
      return actual === undefined ? undefined : compare(place, argument, actual)
    case "$$type": {
      const types = (Array.isArray(argument) ? argument : [argument]).map(String)
      return types.some((type) => isOfType(actual, type)) ? undefined : wrong(`a value of type ${types.join(" or ")}`)
    }
    case "$$matchesEntity": {
      const entity = place.names.value(String(argument))
      return entity === undefined
        ? at(place, `there is no entity ${String(argument)}`)
        : compare(place, entity, actual)
    }
    case "$$sessionLsid": {
      const lsid = place.names.lsid(String(argument))
      if (lsid === undefined) return at(place, `there is no session ${String(argument)}`)
      const found = isDocument(actual) && Object.keys(actual).length === 1 ? bytesOf(actual["id"]) : undefined
      return found !== undefined && hex(found) === hex(lsid) ? undefined : wrong(`the lsid of ${String(argument)}`)
    }
    case "$$matchesHexBytes": {
      const wanted = String(argument).toLowerCase()
      if (!/^([0-9a-f]{2})*$/.test(wanted)) return at(place, `${wanted} is not a string of bytes`)
      const found = bytesOf(actual)
      return found !== undefined && hex(found) === wanted ? undefined : wrong(`the bytes ${wanted}`)
    }
    case "$$lte": {
      const [most, found] = [numberOf(argument), numberOf(actual)]
      return most !== undefined && found !== undefined && found <= most ? undefined : wrong(`at most ${show(argument)}`)
    }
    case "$$matchAsDocument":
      return typeof actual === "string"
        ? compare({ ...place, level: "nested" }, argument, parsed(actual))
        : wrong("a document as text")
    case "$$matchAsRoot":
      return compare({ ...place, level: "root" }, argument, actual)
    default:
      return at(place, `there is no operator ${operator}`)
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")

const parsed = (text: string): unknown => {
  try {
    return BSON.EJSON.parse(text)
  } catch {
    return text
  }
}

const first = <A>(items: Iterable<A>, find: (item: A) => string | undefined): string | undefined => {
  for (const item of items) {
    const found = find(item)
    if (found !== undefined) return found
  }
  return undefined
}
