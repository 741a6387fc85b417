/**
 * Turns failures of the driver into MongoErrors.
 */
import * as Cause from "effect/Cause"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Driver from "mongodb"
import { classify, MongoError } from "../../MongoError.js"
import { failedConcernOf, failedWritesOf } from "../values/details.js"
import { integerOf } from "../values/foreign.js"
import { reasonOfClass } from "../values/reasons.js"
import { hintOf } from "./hints.js"

/** What has failed. */
interface Failed {
  readonly operation: string
  readonly namespace?: string | undefined
  /** The client that has failed, to tell what its URL says from what its servers say. Default: unknown. */
  readonly client?: Driver.MongoClient | undefined
}

/** A MongoError for a failure of the driver or server; a defect for everything else. */
export const toCause = (
  options: Failed,
  error: unknown
): Cause.Cause<MongoError> => isDriverFailure(error) ? Cause.fail(toMongoError(options, error)) : Cause.die(error)

/** The same error, with some of its fields changed. */
export const amended = (
  error: MongoError,
  fields: Partial<Pick<MongoError, "reason" | "hint" | "conflict">>
): MongoError =>
  // The cause of an error is no field that is copied by itself.
  new MongoError({ ...error, cause: error.cause, ...fields })

/** The failure of what was asked for wrongly, before anything is sent, by a hint that says how to ask. */
export const invalid = (operation: string, hint: string, namespace?: string): MongoError =>
  new MongoError({
    reason: "InvalidOptions",
    operation,
    labels: [],
    hint: `${hint} Nothing was sent.`,
    ...(namespace !== undefined && { namespace })
  })

/**
 * Whether an error comes from the driver or its BSON library. It checks the fields that all of their errors have. Classes
 * would miss those of another copy of the driver, and names those without `Mongo`, such as `PoolClearedOnNetworkError`.
 */
export const isDriverFailure = (error: unknown): error is Error =>
  error instanceof Error && (isMongoError(error) || isBsonError(error))

/**
 * A failure and what it comes from by its `cause`, one after the other, however it is wrapped. What the driver has failed with is
 * given as a failure of the operation.
 */
export function* chainOf(operation: string, failure: unknown): Generator<unknown, void> {
  let found = failure
  for (let left = longestChain; found !== undefined && left > 0; left--) {
    yield !(found instanceof MongoError) && isDriverFailure(found) ? toMongoError({ operation }, found) : found
    found = typeof found === "object" && found !== null && "cause" in found ? found.cause : undefined
  }
}

// Errors are seldom wrapped more than twice; one that is its own cause must come to an end.
const longestChain = 9

/**
 * The network error that an error of a socket stands for; absent for everything else. The driver passes it on as it is, with
 * no label, where a connection breaks while a command is being written to it.
 */
export const brokenSocket = (error: unknown): Driver.MongoNetworkError | undefined =>
  error instanceof Error && (isOfSystem(error) || isOfStream(error))
    ? new Driver.MongoNetworkError(error.message, { cause: error })
    : undefined

const isOfStream = (error: Error): boolean => !("errno" in error) && "code" in error && codesOfStreams.has(error.code)

const isOfSystem = (error: Error): boolean =>
  "errno" in error && typeof error.errno === "number" && "syscall" in error && callsOfSockets.has(error.syscall) &&
  "code" in error && codesOfNetworks.has(error.code)

const callsOfSockets: ReadonlySet<unknown> = new Set(["read", "shutdown", "write"])

// Files are read and written, too.
const codesOfNetworks: ReadonlySet<unknown> = new Set([
  ...["ECONNABORTED", "ECONNRESET", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETRESET", "ENETUNREACH"],
  ...["ENOTCONN", "EPIPE", "ETIMEDOUT"]
])

// Of Node.js itself, where the socket is closed before the system is asked.
const codesOfStreams: ReadonlySet<unknown> = new Set([
  "EPIPE",
  "ERR_SOCKET_CLOSED",
  "ERR_STREAM_DESTROYED",
  "ERR_STREAM_PREMATURE_CLOSE",
  "ERR_STREAM_WRITE_AFTER_END"
])

/** Whether an error is one of the driver's own, by what all of them have. */
export const isMongoError = (error: Error): error is Driver.MongoError =>
  "hasErrorLabel" in error && typeof error.hasErrorLabel === "function" &&
  "errorLabels" in error && Array.isArray(error.errorLabels)

/** Whether an error is that of a BSON library: a value could not be encoded, or a reply not decoded. */
export const isBsonError = (error: unknown): error is Error =>
  error instanceof Error && Driver.BSON.BSONError.isBSONError(error)

/** The MongoError for an error of the driver. */
export const toMongoError = (options: Failed, error: Error): MongoError => {
  const told = innermost(error)
  const code = "code" in told ? codeOf(told.code) : undefined
  const codeName = "codeName" in told && typeof told.codeName === "string" ? told.codeName : undefined
  const labels = "errorLabels" in told && Array.isArray(told.errorLabels)
    ? told.errorLabels.filter(Predicate.isString)
    : []
  const hint = hintOf(error, code, options.client)
  return new MongoError({
    reason: classify({ labels, code, codeName, name: nameOf(told) }),
    operation: options.operation,
    namespace: options.namespace,
    code,
    codeName,
    labels,
    cause: error,
    ...(hint !== undefined && { hint })
  })
}

// The server's code, which is no plain number with some of the client's options. The driver's own codes are texts.
const codeOf = (code: unknown): number | undefined => Option.getOrUndefined(Option.map(integerOf(code), Number))

// The errors of bulks have what they are about in others: one that ended the whole of it is what they were made from, or their
// cause; else they are about the first of the writes that failed, or about a write concern. So is a failed write concern, if a
// write failed beside it.
const innermost = (error: Error): Error | { readonly code?: unknown; readonly name: string } => {
  const ended = endOf(error)
  if (ended !== undefined) return ended
  const [first] = failedWritesOf(error)
  if (first !== undefined) return { name: "MongoServerError", code: Object(first).code }
  const concern = failedConcernOf(error)
  return concern === undefined ? error : { name: "MongoWriteConcernError", code: Object(concern).code }
}

const endOf = (error: Error): Error | undefined => {
  if (error.name === "MongoBulkWriteError") {
    return "errorResponse" in error && error.errorResponse instanceof Error ? error.errorResponse : undefined
  }
  return error.name === "MongoClientBulkWriteError" && error.cause instanceof Error && isDriverFailure(error.cause)
    ? error.cause
    : undefined
}

// The driver never selects a server of an unfit version; only the cause names the reason.
const nameOf = (error: { readonly name: string; readonly cause?: unknown }): string =>
  isNamed(error.cause, compatibilityError) ? compatibilityError : nearestName(error)

// A class that the table does not know stands for the nearest of its bases that it knows. Each class of the driver gives its
// name by a getter, also where a bundler has renamed the class itself.
const nearestName = (error: { readonly name: string }): string => {
  for (let of: unknown = error; typeof of === "object" && of !== null; of = Object.getPrototypeOf(of)) {
    const name: unknown = Reflect.get(of, "name", error)
    if (typeof name === "string" && reasonOfClass.has(name)) return name
  }
  return error.name
}

/**
 * Whether the driver refused a write without acknowledgement in a session.
 *
 * The driver has no class nor code of its own for this refusal; a test pins the text for each supported version.
 */
export const isUnacknowledgedWrite = (error: MongoError): boolean =>
  isNamed(error.cause, "MongoAPIError") &&
  error.cause.message === "Cannot have explicit session with unacknowledged writes"

/** Whether an operation failed because the server is too old for the driver. */
export const isTooOldServer = (error: MongoError): boolean =>
  isNamed(error.cause, compatibilityError) ||
  (error.cause instanceof Error && isNamed(error.cause.cause, compatibilityError))

const compatibilityError = "MongoCompatibilityError"

/** Whether an error has this name, as each class of the driver has one of its own. */
export const isNamed = (error: unknown, name: string): error is Error => error instanceof Error && error.name === name
