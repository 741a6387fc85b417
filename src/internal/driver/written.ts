/**
 * How many documents were written, by what the driver answers.
 */
import * as Predicate from "effect/Predicate"
import { numberOf } from "../values/numbers.js"

/** By the result of a write of one or many documents. Of what is no such result, none. */
export const writtenIn = (result: unknown): number => {
  try {
    return countIn(result)
  } catch {
    // It is no result of the driver's: a getter of the caller's own has thrown.
    return 0
  }
}

const countIn = (result: unknown): number => {
  if (!Predicate.isRecord(result)) return 0
  if (result["acknowledged"] !== true && !counts.every((name) => isCount(result[name]))) return 0
  if ("insertedId" in result) return 1
  return counts.reduce((sum, name) => isCount(result[name]) ? sum + numberOf(result[name]) : sum, 0)
}

// With some of the client's options it is no plain number.
const isCount = (value: unknown): boolean =>
  typeof value === "number" || typeof value === "bigint" || Predicate.hasProperty(value, "_bsontype")

const counts = ["insertedCount", "modifiedCount", "upsertedCount", "deletedCount"] as const

/** By the result of a write that gives its document: by the document, or by what the server tells besides. */
export const writtenOneIn = (
  { includeResultMetadata, upsert }: {
    readonly includeResultMetadata?: boolean | undefined
    readonly upsert?: boolean | undefined
  } = {}
): (result: unknown) => number => includeResultMetadata === true ? byMetadata : upsert === true ? one : ifFound

const byMetadata = (result: unknown): number => {
  const n: unknown = Object(Object(result)["lastErrorObject"])["n"]
  return isCount(n) ? numberOf(n) : 0
}

const one = (): number => 1

const ifFound = (document: unknown): number => Predicate.isNullable(document) ? 0 : 1
