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
export const faultOf = (value: unknown): string | undefined => {
  try {
    return isTooDeep(value) ? "is nested too deeply" : undefined
  } catch {
    return unreadable
  }
}

// More than the server takes.
const deepest = 200

const isTooDeep = (value: unknown): boolean => {
  let level: ReadonlyArray<unknown> = [value]
  for (let depth = 0; depth <= deepest; depth++) {
    level = level.flatMap((one) => typeof one === "object" && one !== null ? read(one) : [])
    if (level.length > 100_000) return false
  }
  return level.length > 0
}

// Its fields, after what its classes have getters for, and what any object has: a proxy may have no field, and throw all the same.
const read = (object: object): ReadonlyArray<unknown> => {
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
