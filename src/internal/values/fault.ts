/**
 * Finds out what keeps a value of a stranger's from being read.
 */

/** What is said of a value that throws when it is read. */
export const unreadable = "cannot be read: a getter or a proxy in it throws"

/** What is read of a value; nothing where that throws. */
export const tried = <A>(read: () => A): A | undefined => {
  try {
    return read()
  } catch {
    return undefined
  }
}

/** What keeps a value from being read, if anything: what throws in it, or that it is nested more deeply than the server takes. */
export const faultOf = (value: unknown, reads = everything): string | undefined => {
  try {
    return isTooDeep(value, reads) ? "is nested too deeply" : undefined
  } catch {
    return unreadable
  }
}

// More than the server takes.
const deepest = 200

const isTooDeep = (value: unknown, reads: Reads): boolean => {
  let level: ReadonlyArray<unknown> = [value]
  for (let depth = 0; depth <= deepest; depth++) {
    level = level.flatMap((one) =>
      typeof one === "object" && one !== null && !ArrayBuffer.isView(one) ? reads(one) : []
    )
    if (level.length === 0 || level.length > 100_000) return false
  }
  return true
}

/** What is read of an object. */
type Reads = (object: object) => ReadonlyArray<unknown>

/** What the encoder reads of an object that is sent as it is: nothing of one that says by its `toBSON` what it is sent as. */
export const stored: Reads = (object) =>
  typeof Reflect.get(object, "toBSON") === "function" ? [] : Object.values(object)

// Its fields, after what its classes have getters for, and what any object has: a proxy may have no field, and throw all the same.
const everything: Reads = (object) => {
  Reflect.get(object, "constructor")
  Reflect.has(object, "constructor")
  let prototype: object | null = Object.getPrototypeOf(object)
  while (prototype !== null && prototype !== Object.prototype) {
    for (const [name, { get }] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
      if (get !== undefined) Reflect.get(object, name)
    }
    prototype = Object.getPrototypeOf(prototype)
  }
  return Object.values(object)
}
