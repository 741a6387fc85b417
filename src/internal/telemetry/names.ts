/**
 * What operations and their spans are called.
 *
 * See MongoDB's specification "OpenTelemetry", sections "Operation Span Name" and "Covered operations".
 */

/** An operation, as the library calls it, and what it works on. */
export interface OperationName {
  readonly name: string
  readonly database: string
  readonly collection?: string | undefined
}

/** The name that all drivers have for the operation of a method. */
export const operationOf = (method: string): string => operations.get(method) ?? method

/** What is done, and with what: the name of an operation's span, and the summary of a command. */
export const summaryOf = (operation: string, { collection, database }: Omit<OperationName, "name">): string =>
  `${operation} ${collection === undefined ? database : `${database}.${collection}`}`

/** The collection that a command works on, by its name: the first of its keys. Nothing of the command is run for it. */
export const collectionIn = (
  command: object,
  database: string,
  name = Object.keys(command)[0] ?? ""
): string | undefined => {
  const key = name === "getMore" ? "collection" : name
  const collection: unknown = Reflect.getOwnPropertyDescriptor(command, key)?.value
  // Of the commands that have a name for their value, only those of users and roles mean no collection by it.
  return typeof collection === "string" && database !== "admin" && !/user|role/i.test(name) ? collection : undefined
}

const operations: ReadonlyMap<string, string> = new Map([
  ["command", "runCommand"],
  ["createIndex", "createIndexes"],
  ["createSearchIndex", "createSearchIndexes"],
  ["currentTransactions", "aggregate"],
  ["deleteMany", "delete"],
  ["deleteOne", "delete"],
  ["drop", "dropCollection"],
  ["dropIndex", "dropIndexes"],
  ["estimatedDocumentCount", "count"],
  ["exists", "find"],
  ["findById", "find"],
  ["findOne", "find"],
  ["findOneAndDelete", "findAndModify"],
  ["findOneAndReplace", "findAndModify"],
  ["findOneAndUpdate", "findAndModify"],
  ["insertMany", "insert"],
  ["insertOne", "insert"],
  ["listIndexNames", "listIndexes"],
  ["listLocalSessions", "aggregate"],
  ["listSessions", "aggregate"],
  ["rename", "renameCollection"],
  ["replaceOne", "update"],
  ["runCursorCommand", "runCommand"],
  ["updateMany", "update"],
  ["updateOne", "update"]
])
