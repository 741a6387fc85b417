/**
 * Joins an effect to a running transaction, and checks that the transaction meets the options of the effect.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import { IncompatibleJoin } from "../../TransactionErrors.js"
import type * as TransactionOptions from "../../TransactionOptions.js"
import * as DriverTransaction from "../driver/transaction.js"
import type { Gate } from "../session/gate.js"
import * as Time from "../time/clock.js"
import { Part } from "./part.js"

type Options = TransactionOptions.Decoded

// What a part asks for and the transaction must give. Of its time, a part gets no more than is left.
const rules: {
  readonly [Name in "readConcern" | "writeConcern" | "readPreference" | "maxCommitTime"]: (
    wanted: NonNullable<Options[Name]>,
    found: Options[Name]
  ) => boolean
} = {
  readConcern: (wanted, found) => levels.indexOf(found?.level ?? "local") >= levels.indexOf(wanted.level),
  // What has none takes on that of its first part.
  writeConcern: (wanted, found) => found === undefined || isAsStrong(wanted, found),
  readPreference: (wanted, found) => isSame(wanted, found),
  maxCommitTime: (wanted, found) => isSame(wanted, found)
}

const names = ["readConcern", "writeConcern", "readPreference", "maxCommitTime"] as const

const levels: ReadonlyArray<TransactionOptions.ReadConcernLevel> = ["local", "majority", "snapshot"]

type Concern = NonNullable<Options["writeConcern"]>

const isAsStrong = (wanted: Concern, found: Concern): boolean =>
  (wanted.w === undefined || reaches(found.w, wanted.w)) &&
  (wanted.journal !== true || found.journal === true) &&
  (wanted.wtimeout === undefined || found.wtimeout === undefined ||
    Duration.greaterThanOrEqualTo(found.wtimeout, wanted.wtimeout))

// The name of a write concern says nothing of how strong it is.
const reaches = (found: Concern["w"], wanted: number | string): boolean =>
  found === wanted ||
  typeof wanted === "number" && (found === "majority" || typeof found === "number" && found >= wanted)

const isSame = (one: unknown, other: unknown): boolean =>
  isObject(one) && isObject(other) && !Equal.isEqual(one)
    ? [...new Set([...Object.keys(one), ...Object.keys(other)])].every((key) => isSame(one[key], other[key]))
    : Equal.equals(one, other)

const isObject = (value: unknown): value is { readonly [key: string]: unknown } =>
  typeof value === "object" && value !== null

const isMet = <Name extends typeof names[number]>(name: Name, part: Options, transaction: Options): boolean => {
  const wanted = part[name]
  return wanted === undefined || rules[name](wanted, transaction[name])
}

/**
 * Runs an effect as a part of a transaction, for its own time limit at most.
 *
 * MongoDB has no savepoints: when a part fails after it has begun to write, the whole can't be committed any more.
 */
export const join = <A, E, R>(
  body: (part: Part) => Effect.Effect<A, E, R>,
  within: Part,
  timeout?: Duration.Duration,
  isSerializable?: boolean
): Effect.Effect<A, E, R> =>
  Effect.withFiberRuntime((fiber) => {
    const part = new Part(within.of, within, timeout && Time.start(fiber, timeout), isSerializable)
    const ends = within.of.joins(part)
    return Effect.onExit(body(part), (exit) =>
      Effect.sync(() => {
        ends()
        if (Exit.isFailure(exit)) part.fail(exit.cause)
      }))
  })

/**
 * Fails where a transaction does not give what a part asks for. In a sandbox nothing is ever written for good, and a part
 * locks what it reads by itself: outside of the sandbox it would be a transaction of its own.
 */
export const ensureMet = (
  part: Options,
  within: Part,
  isolation?: "serializable"
): Effect.Effect<void, IncompatibleJoin> =>
  Effect.suspend(() => {
    const { isSerializable, of: { isSandbox }, options } = within
    // What the transaction has read before is not locked, and can't be any more.
    const ofIsolation = isolation === undefined || isSerializable || isSandbox
      ? []
      : [{ option: "isolation", wanted: isolation, found: undefined }]
    const ofOptions = names.filter((name) => !isMet(name, part, options) && !(isSandbox && name === "writeConcern"))
      .map((option) => ({ option, wanted: part[option], found: options[option] }))
    const conflicts = [...ofOptions, ...ofIsolation]
    return conflicts.length === 0
      ? Effect.void
      : Effect.fail(new IncompatibleJoin({ options: conflicts.map(({ option }) => option), conflicts }))
  })

/**
 * Has a transaction without a write concern committed with that of a part, before anything is committed. A number of members
 * becomes a majority, which is more, and what the server does by itself.
 */
export const strengthen = ({ writeConcern }: Options, { of }: Part, gate: Gate): void => {
  if (writeConcern === undefined || of.options.writeConcern !== undefined || of.isSandbox) return
  const { w } = writeConcern
  const taken = { ...writeConcern, w: typeof w === "number" || w === undefined ? "majority" : w }
  of.strengthen(taken)
  DriverTransaction.setWriteConcern(gate.session, taken)
}
