/**
 * The options of the format as those of the library and of connection strings.
 */
import * as Duration from "effect/Duration"
import * as Driver from "mongodb"
import type { Concerns } from "../../src/Collection.js"
import type { TransactionOptions } from "../../src/TransactionOptions.js"
import { NotBuilt, Unsupported } from "./verdict.js"

/** Refuses the time limits that the library is yet to have. */
export const refuseDeadline = (options: Driver.Document, ...names: ReadonlyArray<string>): void => {
  const found = names.find((name) => options[name] !== undefined)
  if (found !== undefined) throw new NotBuilt(`deadlines not built: ${found}`)
}

/** What the format has for a collection or a database. */
export const concerns = (options: Driver.Document = {}): Concerns => {
  refuseDeadline(options, "timeoutMS")
  const { readConcern, readPreference, writeConcern } = options
  return defined({ readConcern, writeConcern, readPreference: readPreference && preference(readPreference) })
}

/** What the format has for one operation, as the driver has it. */
export const ofOperation = (given: Driver.Document): Driver.Document => {
  refuseDeadline(given, "timeoutMS")
  const { readPreference } = given
  return readPreference === undefined ? given : { ...given, readPreference: preference(readPreference) }
}

const preference = ({ maxStalenessSeconds, mode, tagSets }: Driver.Document): Driver.ReadPreference =>
  new Driver.ReadPreference(mode, tagSets, defined({ maxStalenessSeconds }))

/** What the format has for a transaction. */
export const transaction = (options: Driver.Document = {}): TransactionOptions => {
  refuseDeadline(options, "timeoutMS", "defaultTimeoutMS")
  const { maxCommitTimeMS, readConcern, readPreference, writeConcern, ...rest } = options
  const unknown = Object.keys(rest)[0]
  if (unknown !== undefined) throw new Unsupported(`the transaction option ${unknown}`)
  return {
    readConcern,
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
