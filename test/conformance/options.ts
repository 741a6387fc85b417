/**
 * The options of the format as those of the library and of connection strings.
 */
import * as Duration from "effect/Duration"
import * as Driver from "mongodb"
import type { Concerns } from "../../src/Collection.js"
import type { TransactionOptions } from "../../src/TransactionOptions.js"
import { Unsupported } from "./verdict.js"

/** A time limit of the format as that of a client, session or transaction. There, 0 is none; here, to have no option. */
export const timeoutOf = (millis: unknown): { readonly timeout?: Duration.Duration } =>
  typeof millis === "number" && millis > 0 ? { timeout: Duration.millis(millis) } : {}

/** A time limit of the format as that of an operation, a collection or a database, which may lift that around it. */
const overriding = (millis: unknown): { readonly timeout?: Duration.Duration } =>
  millis === 0 ? { timeout: Duration.infinity } : timeoutOf(millis)

/** What the format has for a collection or a database. */
export const concerns = (options: Driver.Document = {}): Concerns => {
  const { readConcern, readPreference, timeoutMS, writeConcern, ...rest } = options
  const unknown = Object.keys(rest)[0]
  if (unknown !== undefined) throw new Unsupported(`the option ${unknown} of a collection or database`)
  return defined({
    readConcern,
    writeConcern,
    readPreference: readPreference && preference(readPreference),
    ...overriding(timeoutMS)
  })
}

/** What the format has for one operation, as the driver has it. */
export const ofOperation = ({ readPreference, timeoutMS, ...given }: Driver.Document): Driver.Document => ({
  ...given,
  ...overriding(timeoutMS),
  ...(readPreference === undefined ? {} : { readPreference: preference(readPreference) })
})

const preference = ({ maxStalenessSeconds, mode, tagSets }: Driver.Document): Driver.ReadPreference =>
  new Driver.ReadPreference(mode, tagSets, defined({ maxStalenessSeconds }))

/** What the format has for a transaction. */
export const transaction = (options: Driver.Document = {}): TransactionOptions => {
  const { maxCommitTimeMS, readConcern, readPreference, timeoutMS, writeConcern, ...rest } = options
  const unknown = Object.keys(rest)[0]
  if (unknown !== undefined) throw new Unsupported(`the transaction option ${unknown}`)
  return {
    readConcern,
    ...timeoutOf(timeoutMS),
    ...(writeConcern === undefined ? {} : { writeConcern: transactionWriteConcern(writeConcern) }),
    ...(readPreference === undefined ? {} : { readPreference: transactionReadPreference(readPreference) }),
    maxCommitTime: maxCommitTimeMS === undefined ? undefined : Duration.millis(maxCommitTimeMS)
  }
}

const transactionWriteConcern = ({ journal, w, wtimeoutMS }: Driver.Document) =>
  defined({ w, journal, wtimeout: wtimeoutMS === undefined ? undefined : Duration.millis(wtimeoutMS) })

const transactionReadPreference = (
  { maxStalenessSeconds, mode, tagSets }: Driver.Document
): TransactionOptions["readPreference"] => ({ mode, tags: tagSets, maxStalenessSeconds })

/** A connection string with further options, which win over its own. */
export const withUriOptions = (url: string, options: Readonly<Record<string, unknown>>): string => {
  const [base = "", query = ""] = url.split("?", 2)
  const parameters = new URLSearchParams(query)
  for (const [name, value] of Object.entries(options)) {
    for (const key of [...parameters.keys()]) {
      if (key.toLowerCase() === name.toLowerCase()) parameters.delete(key)
    }
    for (const one of Array.isArray(value) ? value : [value]) parameters.append(name, textOf(one))
  }
  const path = base.slice(base.indexOf("://") + 3).includes("/") ? base : `${base}/`
  return parameters.size === 0 ? path : `${path}?${parameters.toString()}`
}

const textOf = (value: unknown): string =>
  typeof value === "object" && value !== null
    ? Object.entries(value).map(([key, one]) => `${key}:${String(one)}`).join(",")
    : String(value)

// The driver, and the library, tell an option that is not set from one that is set to nothing.
const defined = (options: Driver.Document): Driver.Document =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
