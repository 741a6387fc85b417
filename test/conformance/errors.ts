/**
 * Whether a failure of the library is what a test expects.
 */
import { MongoError } from "../../src/MongoError.js"
import { TransactionAborted } from "../../src/SessionErrors.js"
import type { ExpectedError } from "./format.js"
import { mismatch, type Names } from "./matching.js"
import { isDocument } from "./values.js"
import { ensure, ensureNone } from "./verdict.js"

/** Throws where a failure is not as expected. */
export const ensureError = (expected: ExpectedError, failure: unknown, names: Names): void => {
  const chain = chainOf(failure)
  const told = () => chain.map(messageOf).join(" <- ")
  if (expected.isClientError !== undefined) {
    ensure(
      isOfServer(chain) !== expected.isClientError,
      () => `expected an error of the ${expected.isClientError === true ? "client" : "server"}, found ${told()}`
    )
  }
  if (expected.isTimeoutError !== undefined) {
    ensure(
      isTimeout(chain) === expected.isTimeoutError,
      () => `expected ${expected.isTimeoutError === true ? "a" : "no"} time-out, found ${told()}`
    )
  }
  if (expected.errorContains !== undefined) {
    const wanted = expected.errorContains.toLowerCase()
    const messages = chain.flatMap((error) => [messageOf(error), ...aggregated(error).map(messageOf)])
    ensure(
      messages.some((message) => message.toLowerCase().includes(wanted)),
      () => `expected an error with "${wanted}", found ${told()}`
    )
  }
  ensureCodes(expected, chain, told)
  const labels = labelsOf(chain)
  const missing = (expected.errorLabelsContain ?? []).filter((label) => !labels.includes(label))
  ensure(missing.length === 0, () => `expected the labels ${missing.join(", ")}, found ${labels.join(", ")}: ${told()}`)
  const unwanted = (expected.errorLabelsOmit ?? []).filter((label) => labels.includes(label))
  ensure(unwanted.length === 0, () => `unexpected labels ${unwanted.join(", ")}: ${told()}`)
  ensureParts(expected, chain, names)
}

const ensureCodes = (
  { errorCode, errorCodeName }: ExpectedError,
  chain: ReadonlyArray<object>,
  told: () => string
): void => {
  if (errorCode !== undefined) {
    const code = firstOf(chain, "code", (value) => typeof value === "number")
    ensure(code === errorCode, () => `expected the code ${errorCode}, found ${String(code)}: ${told()}`)
  }
  if (errorCodeName !== undefined) {
    const found = chain.flatMap((error) => [error, ...aggregated(error)]).map((error) => Reflect.get(error, "codeName"))
    ensure(
      found.some((name) => String(name).toLowerCase() === errorCodeName.toLowerCase()),
      () => `expected the code ${errorCodeName}, found ${told()}`
    )
  }
}

const ensureParts = (expected: ExpectedError, chain: ReadonlyArray<object>, names: Names): void => {
  if (expected.errorResponse !== undefined) {
    const response = firstOf(chain, "errorResponse", isDocument)
    ensureNone(mismatch(expected.errorResponse, response, names, "root"), "errorResponse")
  }
  if (expected.expectResult !== undefined) {
    const result = partialResultOf(chain)
    ensureNone(mismatch(expected.expectResult, result, names, "root"), "result of the error")
  }
  if (expected.writeErrors !== undefined) {
    const found = firstOf(chain, "writeErrors", (value) => value instanceof Map)
    const errors: ReadonlyMap<unknown, unknown> = found instanceof Map ? found : new Map()
    const indexes = Object.keys(expected.writeErrors)
    ensure(errors.size === indexes.length, `expected ${indexes.length} write errors, found ${errors.size}`)
    for (const index of indexes) {
      const problem = mismatch(expected.writeErrors[index], errors.get(Number(index)), names, "root")
      ensureNone(problem, `write error ${index}`)
    }
  }
  if (expected.writeConcernErrors !== undefined) {
    const found = firstOf(chain, "writeConcernErrors", Array.isArray)
    ensureNone(mismatch(expected.writeConcernErrors, found ?? [], names, "roots"), "write concern errors")
  }
}

// Of a bulk of a collection as the library tells it, of a deployment's as the driver does, by the specification's own names.
const partialResultOf = (chain: ReadonlyArray<object>): unknown => {
  const whole = firstOf(chain, "partialResult", isDocument)
  const details = firstOf(chain, "details", (found) => isDocument(found) && found["_tag"] === "BulkWrite")
  if (whole !== undefined || !isDocument(details)) return whole
  const { _tag, writeErrors: _, ...result } = details
  return result
}

// An error that is its own cause must come to an end.
const depth = 8

/** A failure and what caused it, the outermost first. */
const chainOf = (failure: unknown, left = depth): ReadonlyArray<object> =>
  typeof failure !== "object" || failure === null || left === 0
    ? []
    : [failure, ...chainOf(Reflect.get(failure, "cause"), left - 1)]

const messageOf = (error: object): string => {
  const message: unknown = Reflect.get(error, "message") ?? Reflect.get(error, "errmsg")
  return typeof message === "string" ? message : ""
}

// The errors of a bulk write, which its own message tells the first of only.
const aggregated = (error: object): ReadonlyArray<object> =>
  ["writeErrors", "writeConcernErrors"].flatMap((key) => {
    const found: unknown = Reflect.get(error, key)
    const errors: ReadonlyArray<unknown> = Array.isArray(found) ? found : []
    return errors.filter((one): one is object => typeof one === "object" && one !== null)
  })

const firstOf = (chain: ReadonlyArray<object>, key: string, fits: (value: unknown) => boolean): unknown =>
  chain.map((error): unknown => Reflect.get(error, key)).find(fits)

// The library's errors have `labels`; the driver's, which is their cause, has the same.
const labelsOf = (chain: ReadonlyArray<object>): ReadonlyArray<unknown> => {
  const labels = firstOf(chain, "labels", Array.isArray)
  return Array.isArray(labels) ? labels : []
}

// Only the server's answers have its codes.
const isOfServer = (chain: ReadonlyArray<object>): boolean =>
  chain.some((error) => error instanceof MongoError && error.code !== undefined)

// The runner sets no limit to how often a transaction is repeated, so that only time can have run out. When the server
// was faster to see that, it says so by the code of MaxTimeMSExpired.
const isTimeout = (chain: ReadonlyArray<object>): boolean =>
  chain.some((error) =>
    error instanceof TransactionAborted ||
    error instanceof MongoError && error.reason === "TimedOut" && (error.code === undefined || error.code === 50)
  )
