/**
 * What a hostile caller or server can give in the place of a value. Values are described by plain data, so that a run that
 * fails can be told and made again, and are built anew each time.
 */
import * as FastCheck from "effect/FastCheck"
import { expect } from "vitest"

// What is large is made once, for nothing changes it.
const once = <A>(make: () => A): () => A => {
  let made: { readonly value: A } | undefined
  return () => (made ??= { value: make() }).value
}

const throwing = (): object =>
  new Proxy(
    {},
    Object.fromEntries(
      ["get", "has", "ownKeys", "getPrototypeOf", "getOwnPropertyDescriptor", "set", "defineProperty"].map((trap) => [
        trap,
        () => {
          throw new Error(`trap ${trap}`)
        }
      ])
    )
  )

const nested = (around: (inner: unknown) => unknown): unknown => {
  let inner: unknown = 1
  for (let level = 0; level < 100_000; level++) inner = around(inner)
  return inner
}

/** Leaves, each by its name. */
const leaves = {
  "undefined": () => undefined,
  "null": () => null,
  "NaN": () => NaN,
  "Infinity": () => Infinity,
  "minus zero": () => -0,
  "an unsafe number": () => 2 ** 60,
  "a fraction": () => 0.5,
  "-1": () => -1,
  "1": () => 1,
  "100": () => 100,
  "true": () => true,
  "a bigint": () => 2n ** 70n,
  "a symbol": () => Symbol("__proto__"),
  "an empty text": () => "",
  "a text": () => "local",
  "__proto__": () => "__proto__",
  "a null byte": () => "a\0b",
  "a lone surrogate": () => "\ud800",
  "a huge text": () => "x".repeat(1_000_000),
  "huge digits": () => `${"9".repeat(500_000)} nanos`,
  "many blanks": () => `1${" ".repeat(100_000)}x`,
  "a time": () => "1 second",
  "an invalid date": () => new Date(NaN),
  "a function": () => () => {
    throw new Error("called")
  },
  "a RegExp": () => /(a+)+$/,
  "bytes": () => new Uint8Array(3),
  "a Map": () => new Map([["__proto__", 1]]),
  "a Set": () => new Set([1]),
  "an object without a prototype": () => Object.create(null) as unknown,
  "a __proto__ of JSON": () =>
    JSON.parse("{\"__proto__\":{\"polluted\":true},\"constructor\":{\"prototype\":{\"polluted\":true}}}"),
  "an object without texts": () => ({ toString: 1, valueOf: 1, toJSON: 1 }),
  "an object that throws texts": () => ({
    toString: () => {
      throw new Error("toString")
    },
    [Symbol.toPrimitive]: () => {
      throw new Error("toPrimitive")
    }
  }),
  "a getter that throws": () => ({
    get timeout() {
      throw new Error("getter")
    },
    get _id() {
      throw new Error("getter")
    },
    get _bsontype() {
      throw new Error("getter")
    }
  }),
  "a proxy that throws": () => throwing(),
  "a revoked proxy": () => {
    const { proxy, revoke } = Proxy.revocable({}, {})
    revoke()
    return proxy
  },
  "a proxy of an array that throws": () => {
    let reads = 0
    return new Proxy([1, 1], {
      get: (target, key) => {
        if (++reads > 6) throw new Error("changed its mind")
        return Reflect.get(target, key)
      }
    })
  },
  "a cycle": () => {
    const cycle: Record<string, unknown> = {}
    cycle["a"] = cycle
    cycle["b"] = cycle
    return cycle
  },
  "a cyclic array": () => {
    const cycle: Array<unknown> = []
    cycle.push(cycle, cycle)
    return cycle
  },
  "objects shared at each of 60 levels": () => {
    let inner: object = {}
    for (let level = 0; level < 60; level++) inner = { a: inner, b: inner }
    return inner
  },
  "objects in 100,000 levels": once(() => nested((inner) => ({ a: inner }))),
  "arrays in 100,000 levels": once(() => nested((inner) => [inner])),
  "a sparse array": () => new Array(2 ** 32 - 1),
  "5,000 keys": once(() => Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`key${index}`, index]))),
  "a false Long": () => ({ _bsontype: "Long", low: 1, high: 1, toString: 1 }),
  "a false Int32": () => ({ _bsontype: "Int32" }),
  "a false Binary": () => ({ _bsontype: "Binary", sub_type: 4, buffer: new Uint8Array(2), position: 99 }),
  "a false Timestamp": () => ({ _bsontype: "Timestamp" }),
  "a false ObjectId": () => ({ _bsontype: "ObjectId", toHexString: () => throwing() }),
  "a false BSONRegExp": () => ({ _bsontype: "BSONRegExp", pattern: "(", options: "i" }),
  "a brand that is none": () => ({ _bsontype: { toString: 1 } })
} as const satisfies Readonly<Record<string, () => unknown>>

/** A description of a value. */
export type Described =
  | { readonly leaf: keyof typeof leaves }
  | { readonly list: ReadonlyArray<Described> }
  | { readonly fields: ReadonlyArray<readonly [key: string, value: Described]> }
  | { readonly given: unknown }

/** The value of a description. */
export const build = (described: Described): unknown => {
  if ("given" in described) return structuredClone(described.given)
  if ("leaf" in described) return leaves[described.leaf]()
  if ("list" in described) return described.list.map(build)
  const made = {}
  // As JSON.parse does, also for `__proto__`.
  for (const [key, value] of described.fields) {
    Object.defineProperty(made, key, { value: build(value), enumerable: true, configurable: true, writable: true })
  }
  return made
}

/** All leaves, for what is to be tried with each. */
export const everyLeaf: ReadonlyArray<Described> = (Object.keys(leaves) as ReadonlyArray<keyof typeof leaves>)
  .map((leaf) => ({ leaf }))

const beyondBson: ReadonlySet<keyof typeof leaves> = new Set<keyof typeof leaves>([
  ...["a symbol", "a function", "a Map", "a Set", "a getter that throws", "a proxy that throws"] as const,
  ...["an object that throws texts", "a revoked proxy", "a proxy of an array that throws", "a false ObjectId"] as const,
  ...["a cycle", "a cyclic array", "objects shared at each of 60 levels", "a sparse array"] as const
])

/** The leaves that a server could send: BSON has no getters, proxies, cycles or holes. */
export const everyLeafOfBson: ReadonlyArray<Described> = everyLeaf.filter((one) =>
  !("leaf" in one) || !beyondBson.has(one.leaf)
)

/** Descriptions of values whose fields have some of these names, and some of whose values are these. */
export const described = (
  names: ReadonlyArray<string>,
  values: ReadonlyArray<unknown> = [],
  ofLeaves: ReadonlyArray<Described> = everyLeaf
): FastCheck.Arbitrary<Described> =>
  FastCheck.letrec<{ any: Described; fields: Described }>((tie) => ({
    any: FastCheck.oneof(
      { maxDepth: 4, withCrossShrink: true },
      FastCheck.constantFrom(...ofLeaves, ...values.map((given): Described => ({ given }))),
      FastCheck.record({ list: FastCheck.array(tie("any"), { maxLength: 3 }) }),
      tie("fields")
    ),
    fields: FastCheck.record({
      fields: FastCheck.array(
        FastCheck.tuple(FastCheck.constantFrom("__proto__", "constructor", "toString", "other", ...names), tie("any")),
        { maxLength: 5 }
      )
    })
  })).fields

/** How many runs a property has: more by `FUZZ=n`. */
const runs = Number(process.env["FUZZ"] ?? 60)

/** Runs a property, and checks that nothing that all objects have was changed. The seed is `SEED`, else another each time. */
export const holds = <A>(arbitrary: FastCheck.Arbitrary<A>, property: (value: A) => void): void => {
  const seed = process.env["SEED"]
  FastCheck.assert(
    FastCheck.property(arbitrary, (value) => {
      property(value)
      expectPristine()
    }),
    { numRuns: runs, ...(seed === undefined ? {} : { seed: Number(seed) }) }
  )
}

const namesOf = () => [Object, Array, Function, String].map(({ prototype }) => Reflect.ownKeys(prototype).length)
const before = namesOf()

/** Nothing that all objects have was changed. */
const expectPristine = (): void => {
  expect(namesOf()).toEqual(before)
  expect(({} as { readonly polluted?: unknown }).polluted).toBeUndefined()
}
