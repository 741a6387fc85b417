/**
 * The options of an operation: which of them are the driver's.
 */
import type * as Duration from "effect/Duration"
import * as Predicate from "effect/Predicate"
import * as Struct from "effect/Struct"
import type * as Driver from "mongodb"
import { faultOf, stored, tried, unreadable } from "../values/fault.js"

/**
 * What a time limit is a limit of: of the life of a cursor with all its batches, or of each batch.
 *
 * @since 0.1.0
 * @category options
 */
export type TimeoutMode = "cursorLifetime" | "iteration"

/**
 * How long an operation may take.
 *
 * @since 0.1.0
 * @category options
 */
export interface Limited {
  /**
   * How long the operation may take in all: at least a millisecond, or `Duration.infinity` for no limit. In a transaction the
   * transaction's own is in force, and this is refused. Default: that of the collection or database, else that of the session,
   * else the client's.
   */
  readonly timeout?: Duration.DurationInput | undefined
}

/**
 * What the time limit of a cursor is a limit of.
 *
 * @since 0.1.0
 * @category options
 */
export interface LimitedCursor extends Limited {
  /**
   * Whether `timeout` limits all of a cursor's life, or each batch. Needs a `timeout`, its own or an inherited one. Default:
   * `"cursorLifetime"`; of a tailable cursor `"iteration"`, the only one that it takes.
   */
  readonly timeoutMode?: TimeoutMode | undefined
}

/** The options of the driver that this library or the driver sets itself, or that would change the type of a result. */
type Own = "session" | "signal" | "timeout" | "timeoutMS" | "timeoutMode" | "explain" | "willRetryWrite"

/** The options by which the driver would do something else than the operation says. */
type Hidden = "out" | "dbName" | "authdb"

/** Options of the driver, as a caller may give them, with the time limit of the operation. */
export type Given<O> = { readonly [K in keyof O as Exclude<K, Own | Hidden>]?: O[K] | undefined } & Limited

/**
 * Options as the driver takes them. Not only by type: what a caller's object has beyond its type must not take an
 * operation out of its session.
 */
export const withoutOwn = <O extends object>(options: Given<O> | undefined): O =>
  // What is left out is optional in the driver's typings.
  (options === undefined ? {} : Object.fromEntries(
    Object.entries(options).filter(([name, value]) => value !== undefined && !own.has(name))
  )) as O

const own: ReadonlySet<string> = new Set<Own>([
  "session",
  "signal",
  "timeout",
  "timeoutMS",
  "timeoutMode",
  "explain",
  "willRetryWrite"
])

const elsewhere =
  "is not taken: an operation works on the database of its collection. Name another one by `Database.make`."

// No rule of an operation would see what they ask for.
const hidden = {
  out: "is not taken: it is a stage of the pipeline. Write `{ $out: … }` there, or `$merge`.",
  dbName: elsewhere,
  authdb: elsewhere
} satisfies Record<Hidden, string>

const problem: unique symbol = Symbol("problem")

/** Options with what is wrong with them, which is told when they are used. It stays with those that are made of them. */
export const wrong = <O extends object>(options: O, hint: string): O => ({
  ...options,
  [problem]: hint
})

/**
 * Options as they were given: a copy of what can be read of them, with what is wrong with the rest. Such a copy is taken as it
 * is.
 */
export const readable = <O extends object>(options: O | undefined): O | undefined => {
  return options === undefined || copies.has(options) ? options : asRead(copyOf(options))
}

/** Options that this library has made, which are taken as they are. */
export const asRead = <O extends object>(options: O): O => {
  copies.add(options)
  return options
}

// What a getter says may change: what was checked must be what is used, and so options are read once.
const copies = new WeakSet()

const copyOf = <O extends object>(options: O): O => {
  const copy = tried(() => Predicate.isRecord(options) ? { ...options } : null)
  if (copy === null) return wrong({} as O, "Options are an object, or left out.")
  if (copy === undefined) {
    // The one that they name is to tell of it: there may be no other.
    const client = tried(() => optionOf(options, "client"))
    return wrong((client === undefined ? {} : { client }) as O, `Options ${unreadable}.`)
  }
  for (const name of Struct.keys(hidden)) {
    if (optionOf(copy, name) !== undefined) return wrong(copy, `\`${name}\` ${hidden[name]}`)
  }
  const name = optionOf(copy, "operation")
  if (name !== undefined && typeof name !== "string") {
    return wrong({ ...copy, operation: undefined }, "`operation` is a text.")
  }
  let checked: O = copy
  for (const name of read) {
    const value = optionOf(checked, name)
    const fault = value === undefined ? undefined : name === "comment" ? faultOf(value, stored) : faultOf(value)
    if (fault !== undefined) checked = wrong({ ...checked, [name]: undefined }, `\`${name}\` ${fault}.`)
  }
  return checked
}

/**
 * Options with others over them, which are as they were given. One that is undefined is not given, and so takes the place of
 * none.
 */
export const over = <O extends object, P extends object>(options: O, others: P | undefined): O & P => {
  const given: Record<string, unknown> = { ...readable(others) }
  for (const name of Object.keys(given)) if (given[name] === undefined) delete given[name]
  return { ...options, ...given } as O & P
}

// What is looked into by this library, and by the driver, before anything is encoded.
const read = ["comment", "maxAwaitTime", "maxAwaitTimeMS", "readConcern", "readPreference", "timeout", "writeConcern"]

/** What is wrong with options, if that is known. */
export const problemOf = (options: object | undefined): string | undefined =>
  (options as { readonly [problem]?: string } | undefined)?.[problem]

/** The option of a name, of options of any kind. */
export const optionOf = (options: object | undefined, name: string): unknown =>
  options === undefined ? undefined : Reflect.get(options, name)

/** The option of a name, of an operation, else of its client. */
const inherited = <N extends keyof Driver.MongoClientOptions>(
  name: N,
  options: object | undefined,
  client: Driver.MongoClient | undefined
): unknown => optionOf(options, name) ?? optionOf(client?.options, name)

/** Whether functions are sent, as code. */
export const takesFunctions = (options: object | undefined, client: Driver.MongoClient | undefined): boolean =>
  inherited("serializeFunctions", options, client) === true

/** Whether it is the server that adds an `_id` to what has none. */
export const leavesId = (options: object | undefined, client: Driver.MongoClient): boolean =>
  inherited("forceServerObjectId", options, client) === true

/** The level of the read concern among options. */
export const levelOf = (of: object | undefined): Driver.ReadConcernLevel | undefined => {
  const concern = optionOf(of, "readConcern")
  const level = typeof concern === "object" && concern !== null && "level" in concern ? concern.level : concern
  return level as Driver.ReadConcernLevel | undefined
}
