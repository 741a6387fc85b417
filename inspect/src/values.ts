/**
 * Reads what servers reply: values of any version and of any BSON option, and none of them trusted.
 */

/** A document of which nothing is known. */
export type Unknown = Readonly<Record<string, unknown>>

/** A document, an empty one where it is none. */
export const record = (value: unknown): Unknown => typeof value === "object" && value !== null ? value as Unknown : {}

/** The elements of a list that are documents. */
export const records = (value: unknown): ReadonlyArray<Unknown> => Array.isArray(value) ? value.map(record) : []

/** A number, also one of 64 bits. */
export const numberOf = (value: unknown): number | undefined => {
  if (typeof value === "number") return value
  if (typeof value === "bigint") return Number(value)
  const { toNumber } = record(value)
  return typeof toNumber === "function" ? Number(toNumber.call(value)) : undefined
}

/** A time in milliseconds. Servers write most of them as texts. */
export const timeOf = (value: unknown): number | undefined => {
  const time = value instanceof Date ? value.getTime() : typeof value === "string" ? Date.parse(value) : Number.NaN
  return Number.isNaN(time) ? undefined : time
}

/** The time of a BSON timestamp in milliseconds. */
export const clusterTimeOf = (value: unknown): number | undefined => {
  const { _bsontype, high } = record(value)
  return _bsontype === "Timestamp" && typeof high === "number" ? (high >>> 0) * 1000 : undefined
}

/** Bytes. */
export const bytesOf = (value: unknown): Uint8Array | undefined => {
  const { buffer } = record(value)
  return buffer instanceof Uint8Array ? buffer : undefined
}

/** A UUID as text. */
export const uuidOf = (value: unknown): string | undefined => {
  const buffer = bytesOf(value)
  if (buffer === undefined || buffer.length < 16) return undefined
  const hex = Array.from(buffer.subarray(0, 16), (byte) => byte.toString(16).padStart(2, "0")).join("")
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5")
}

/** A text without what would change a terminal: control characters, and those that reorder or hide others. */
export const textOf = (value: unknown): string | undefined =>
  typeof value === "string" ? value.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, "") : undefined

/** The fields that are there. */
export const defined = <T extends object>(fields: { readonly [K in keyof T]: T[K] | undefined }): T =>
  // A field that is undefined is optional in `T`.
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T
