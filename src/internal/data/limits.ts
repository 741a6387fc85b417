/**
 * How long an operation may take: which time limit is in force, and what it is a limit of.
 *
 * See the specification "Client Side Operations Timeout", sections "Validation and Overrides" and "Cursors". The nearest
 * limit counts: that of the operation, of its collection or database, of its session, of its client.
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import type { MongoError } from "../../MongoError.js"
import { invalid } from "../driver/errors.js"
import { optionOf } from "./options.js"

/** Where a time limit may be set, and what decides what it is a limit of. */
export interface Asked {
  readonly operation: string
  readonly namespace: string
  /** The options of the operation. */
  readonly options: object | undefined
  /** What the collection or the database has. */
  readonly around: Duration.DurationInput | undefined
  /** What the session or the client has. */
  readonly outermost: Duration.Duration | undefined
  /** Whether it opens a cursor that is read batch by batch. */
  readonly isCursor: boolean
  readonly doesWrite: boolean
}

/** The time limit that is in force. */
export interface Limit {
  /** None: no limit. */
  readonly timeout: Duration.Duration | undefined
  /** Whether it is that of all batches together. */
  readonly isOfLifetime: boolean
  /** Whether the server is not told of it. */
  readonly omitsMaxTime: boolean
}

/** What most operations have: no limit of their own, and none around them. */
const unlimited: Limit = { timeout: undefined, isOfLifetime: false, omitsMaxTime: false }

/** The limit that is in force, or what is wrong with it. */
export const limitOf = (asked: Asked): Limit | MongoError => {
  const { around, isCursor, options, outermost } = asked
  const own = optionOf(options, "timeout")
  if (own === undefined && around === undefined && !isCursor) {
    return outermost === undefined ? unlimited : { ...unlimited, timeout: outermost }
  }
  const nearest = own ?? around
  const timeout = nearest === undefined ? Option.fromNullable(outermost) : decode(nearest)
  if (nearest !== undefined && !Option.exists(timeout, isTime)) {
    return refused(asked, "`timeout` is a time of at least 1 millisecond, or `Duration.infinity` for no limit.")
  }
  const inForce = Option.getOrUndefined(Option.filter(timeout, Duration.isFinite))
  return isCursor ? ofCursor(asked, inForce, Option.isSome(timeout)) : { ...unlimited, timeout: inForce }
}

const ofCursor = (asked: Asked, timeout: Duration.Duration | undefined, isSet: boolean): Limit | MongoError => {
  const { doesWrite, options } = asked
  const isTailable = optionOf(options, "tailable") === true
  const isAwaiting = isTailable && optionOf(options, "awaitData") === true
  const mode = optionOf(options, "timeoutMode")
  if (mode !== undefined && mode !== "cursorLifetime" && mode !== "iteration") {
    return refused(asked, "`timeoutMode` is \"cursorLifetime\" or \"iteration\".")
  }
  if (mode !== undefined && !isSet) {
    return refused(
      asked,
      "`timeoutMode` needs a `timeout`: of the operation, its collection, database, session or client."
    )
  }
  if (mode === "cursorLifetime" && isTailable) {
    return refused(asked, "A tailable cursor lives on: its `timeoutMode` is \"iteration\".")
  }
  if (mode === "iteration" && doesWrite) {
    return refused(
      asked,
      "A pipeline with `$out` or `$merge` gives no batches: its `timeoutMode` is \"cursorLifetime\"."
    )
  }
  if (isAwaiting && isTooPatient(asked, timeout)) return refused(asked, patience)
  const isOfLifetime = mode !== "iteration" && !isTailable
  return { timeout, isOfLifetime, omitsMaxTime: !isOfLifetime && !isAwaiting }
}

/** Whether the server would wait for data for longer than the caller does. */
const isTooPatient = ({ options }: Asked, timeout: Duration.Duration | undefined): boolean => {
  const awaited = optionOf(options, "maxAwaitTime") ?? optionOf(options, "maxAwaitTimeMS")
  return timeout !== undefined && awaited !== undefined &&
    Option.exists(decode(awaited), (time) => Duration.greaterThanOrEqualTo(time, timeout))
}

const patience = "The time that the server waits for data, `maxAwaitTime`, is to be less than `timeout`."

const decode = (time: unknown): Option.Option<Duration.Duration> => Duration.decodeUnknown(time)

/** Whether a value is a time limit. */
export const isLimit = (value: unknown): value is Duration.DurationInput => Option.exists(decode(value), isTime)

const isTime = (time: Duration.Duration): boolean => Duration.toMillis(time) >= 1

const refused = ({ namespace, operation }: Asked, hint: string): MongoError => invalid(operation, hint, namespace)
