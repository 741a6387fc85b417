/**
 * What a failure of the driver or the server tells besides its reason: which key was taken, what a validator missed, what a
 * bulk has done. Read from the driver's error when it is asked for, so that no document is kept in more places than one.
 */
import * as Option from "effect/Option"
import { integerOf, ownField, textOf } from "./foreign.js"
import { type Reason, reasonOfCode } from "./reasons.js"

/** A part of a document, as the server or the driver gives it. */
type Fields = Readonly<Record<string, unknown>>

/**
 * The key that a unique index holds already.
 *
 * @since 0.1.0
 * @category models
 */
export interface DuplicateKey {
  readonly _tag: "DuplicateKey"
  /** The fields of the index, and their directions. */
  readonly keyPattern: Fields
  /** What the document that was refused has in these fields. */
  readonly keyValue: Fields
}

/**
 * What the collection's validator missed in a document.
 *
 * @since 0.1.0
 * @category models
 */
export interface DocumentInvalid {
  readonly _tag: "DocumentInvalid"
  /** The `_id` of the document and the rules that it breaks, in the server's form. */
  readonly errInfo: Fields
}

/**
 * One write of a bulk that failed.
 *
 * @since 0.1.0
 * @category models
 */
export interface WriteFailure {
  /** Which of the writes it is, counted from 0. */
  readonly index: number
  /** The server's error code. */
  readonly code: number
  /** Why it failed. */
  readonly reason: Reason
  /** Of a duplicate key: the name of the index, where the server tells it. */
  readonly indexName?: string | undefined
  /** Of a duplicate key: the fields of the index, where it has the name that MongoDB gives it by itself. */
  readonly keyPattern?: Fields | undefined
  /** Of a duplicate key: what the document that was refused has in these fields, where it was inserted as a whole. */
  readonly keyValue?: Fields | undefined
  /** Of a document that the validator refused: the rules that it breaks. */
  readonly errInfo?: Fields | undefined
}

/**
 * What a bulk, or an insertion of many, has done before it failed. Of the writes of a command whose answer was lost
 * (`NetworkError`) nothing is known, and they are not counted.
 *
 * @since 0.1.0
 * @category models
 */
export interface BulkWrite {
  readonly _tag: "BulkWrite"
  /** The writes that failed. None where the bulk failed as a whole. */
  readonly writeErrors: ReadonlyArray<WriteFailure>
  /** The `_id` of each document that was inserted, by the index of its write. */
  readonly insertedIds: Readonly<Record<number, unknown>>
  readonly insertedCount: number
  readonly matchedCount: number
  readonly modifiedCount: number
  readonly deletedCount: number
  readonly upsertedCount: number
  /** The `_id` of each document that an upsert has inserted, by the index of its write. */
  readonly upsertedIds: Readonly<Record<number, unknown>>
}

/**
 * What is known of a failure besides its reason, by kind.
 *
 * @since 0.1.0
 * @category models
 */
export type Details = DuplicateKey | DocumentInvalid | BulkWrite

/** What an error of the driver tells. */
export const detailsOf = (error: unknown): Details | undefined => {
  if (!isFields(error)) return undefined
  const failed = failedWritesOf(error)
  const failures = () => failed.map((one) => failure(one))
  if (error["name"] === "MongoBulkWriteError" && isFields(error["result"])) {
    return bulkWrite(error["result"], failures(), error["insertedIds"], error["upsertedIds"])
  }
  if (error["name"] === "MongoClientBulkWriteError") {
    const result = isFields(error["partialResult"]) ? error["partialResult"] : {}
    const { insertResults, updateResults } = result
    return bulkWrite(result, failures(), idsOf(insertResults, "insertedId"), idsOf(updateResults, "upsertedId"))
  }
  const { code, errInfo, keyPattern, keyValue }: Fields = Object(failed[0] ?? error)
  if (isFields(keyPattern) && isFields(keyValue)) return { _tag: "DuplicateKey", keyPattern, keyValue }
  return count(code) === 121 && isFields(errInfo) ? { _tag: "DocumentInvalid", errInfo } : undefined
}

/**
 * The writes that have failed, by an error of the driver. Where their write concern has failed, too, the driver tells only that,
 * and leaves them in the result.
 */
export const failedWritesOf = (error: object): ReadonlyArray<unknown> => {
  const { name, result, writeErrors }: Fields = Object(error)
  const { getWriteErrors, writeErrors: answered }: Fields = Object(result)
  const found = name === "MongoWriteConcernError"
    ? answered
    : name === "MongoBulkWriteError" && typeof getWriteErrors === "function"
    ? getWriteErrors.call(result)
    : name === "MongoClientBulkWriteError" && writeErrors instanceof Map
    ? Array.from(writeErrors, ([index, one]) => ({ ...Object(one), index }))
    : []
  return Array.isArray(found) ? found : []
}

/** What a bulk says of the write concern that it has failed; nothing where it has not. */
export const failedConcernOf = (error: object): unknown => {
  const { name, result, writeConcernErrors }: Fields = Object(error)
  if (name === "MongoClientBulkWriteError") return Array.isArray(writeConcernErrors) ? writeConcernErrors[0] : undefined
  const { getWriteConcernError }: Fields = Object(result)
  return name === "MongoBulkWriteError" && typeof getWriteConcernError === "function"
    ? getWriteConcernError.call(result)
    : undefined
}

const bulkWrite = (
  result: Fields,
  writeErrors: ReadonlyArray<WriteFailure>,
  ids: unknown,
  upserted: unknown
): BulkWrite => {
  const failed = new Set(writeErrors.map(({ index }) => index))
  const insertedCount = count(result["insertedCount"])
  return {
    _tag: "BulkWrite",
    writeErrors,
    // The driver counts those of commands that were never sent, or never answered, among them.
    insertedIds: Object.fromEntries(
      Object.entries(isFields(ids) ? ids : {}).filter(([index]) => !failed.has(Number(index))).slice(0, insertedCount)
    ),
    insertedCount,
    matchedCount: count(result["matchedCount"]),
    modifiedCount: count(result["modifiedCount"]),
    deletedCount: count(result["deletedCount"]),
    upsertedCount: count(result["upsertedCount"]),
    upsertedIds: Object.fromEntries(Object.entries(isFields(upserted) ? upserted : {}))
  }
}

const failure = (error: unknown): WriteFailure => {
  // Of the driver's class by getters, which are not its own.
  const { code, errInfo, errmsg, err, index, message }: Fields = Object(error)
  const reason = reasonOfCode.get(count(code)) ?? "Other"
  return {
    index: count(index),
    code: count(code),
    reason,
    ...(reason === "DuplicateKey" ? keyOf(errmsg ?? message, Object(err)["op"]) : {}),
    ...(isFields(errInfo) ? { errInfo } : {})
  }
}

// The driver keeps of the answer only its text, in which the server writes values without quoting them.
const keyOf = (text: unknown, document: unknown): Pick<WriteFailure, "indexName" | "keyPattern" | "keyValue"> => {
  const [, indexName, first] = / index: (\S+) .*?dup key: \{ (.*?): /.exec(textOf(text).slice(0, longestText)) ?? []
  if (indexName === undefined) return {}
  const fields = fieldsOf(indexName)
  // Another's name may look like one of MongoDB's own.
  if (fields === undefined || fields[0]?.[0] !== first) return { indexName }
  const isWhole = isFields(document) && !("q" in document && "u" in document)
  return {
    indexName,
    keyPattern: Object.fromEntries(fields),
    ...(isWhole ? { keyValue: Object.fromEntries(fields.map(([path]) => [path, valueAt(document, path)])) } : {})
  }
}

// The names of database, collection, index and field come first. What follows may be as long as a document.
const longestText = 4096

const fieldsOf = (indexName: string): ReadonlyArray<readonly [string, number]> | undefined => {
  if (indexName === "_id_") return [["_id", 1]]
  const fields = Array.from(
    indexName.matchAll(/(.+?)_(-?1)(?:_|$)/g),
    ([whole, path = "", direction]) => ({ whole, field: [path, Number(direction)] as const })
  )
  // One pattern for all of the name would be tried in as many ways as there are subsets of its fields.
  return fields.length > 0 && fields.map(({ whole }) => whole).join("") === indexName
    ? fields.map(({ field }) => field)
    : undefined
}

const valueAt = (document: unknown, path: string): unknown =>
  path.split(".").reduce<unknown>((value, name) => isFields(value) ? ownField(value, name) : undefined, document) ??
    null

const idsOf = (results: unknown, name: string): unknown =>
  results instanceof Map
    ? Object.fromEntries(
      Array.from(results, ([index, one]) => [index, Object(one)[name]]).filter(([, id]) => id !== undefined)
    )
    : {}

const isFields = (value: unknown): value is Fields => typeof value === "object" && value !== null

// With some of the client's options it is no plain number.
const count = (value: unknown): number => Option.match(integerOf(value), { onNone: () => 0, onSome: Number })
