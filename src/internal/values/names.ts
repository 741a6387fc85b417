/**
 * The names of databases and collections that a server takes. The driver takes others, some of them for its default.
 *
 * See the manual, "MongoDB Limits and Thresholds", section "Naming Restrictions".
 */
import * as Schema from "effect/Schema"

/** What is wrong with the names of a database and of collections in it, if anything. Without the names, which may be secrets. */
export const problemOf = (database: unknown, collection?: unknown, other?: unknown): string | undefined =>
  !isDatabase(database)
    ? `The database needs another name: ${databaseRule}.`
    : collection !== undefined && !isCollection(collection) || other !== undefined && !isCollection(other)
    ? `The collection needs another name: ${collectionRule}.`
    : [collection, other].some((name) => typeof name === "string" && !isShort(`${database}.${name}`, longestNamespace))
    ? `The collection needs another name: with the database and a point, at most ${longestNamespace} bytes.`
    : undefined

/** {@link problemOf} the namespace of a collection. */
export const problemOfNamespace = (namespace: unknown): string | undefined => {
  const text = typeof namespace === "string" ? namespace : ""
  const end = text.includes(".") ? text.indexOf(".") : text.length
  return problemOf(text.slice(0, end), text.slice(end + 1))
}

// In bytes.
const longestDatabase = 63
// Since MongoDB 4.4.
const longestNamespace = 255
// Beside a database of one byte, and the point.
const longestCollection = 253
// Plain texts: what has to be computed stays in each bundle.
const databaseRule = "1 to 63 bytes, without spaces, null bytes and any of / \\ . \" $"
const collectionRule = "1 to 253 bytes, without a point at their beginning, without null bytes and $"

const isDatabase = (name: unknown): name is string =>
  typeof name === "string" && (/^[^\0/\\. "$]+$/.test(name) || name === ofOutside) && name.isWellFormed() &&
  isShort(name, longestDatabase)

const isShort = (name: string, most: number): boolean =>
  name.length * mostBytes <= most || Buffer.byteLength(name) <= most

// Of a character in UTF-16.
const mostBytes = 3

// Of users that another system knows.
const ofOutside = "$external"

const isCollection = (name: unknown): boolean =>
  typeof name === "string" && /^(?!\.)[^\0$]+$/.test(name) && name.isWellFormed() &&
  isShort(name, longestCollection)

/** The name of a database among options. */
export const Database = Schema.String.pipe(Schema.filter((name) => isDatabase(name))).annotations({
  description: "the name of a database: " + databaseRule
})

/** The name of a collection among options. */
export const Collection = Schema.String.pipe(Schema.filter((name) => isCollection(name))).annotations({
  description: "the name of a collection: " + collectionRule
})
