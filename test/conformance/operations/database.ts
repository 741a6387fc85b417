/**
 * The operations of a database, and of a whole deployment.
 */
import * as Effect from "effect/Effect"
import type * as Driver from "mongodb"
import * as Database from "../../../src/Database.js"
import * as MongoClient from "../../../src/MongoClient.js"
import { collect, type Handlers, withoutNulls } from "./call.js"

export const databaseOperations: Handlers<Database.Database> = {
  aggregate: (database, { pipeline, ...options }) => collect(database.aggregate(pipeline, options)),
  createCollection: (database, { collection, ...options }) => database.createCollection(collection, options),
  dropCollection: (database, { collection, ...options }) => database.collection(collection).drop(options),
  listCollectionNames: (database, { filter, ...options }) =>
    Effect.map(
      collect(database.listCollections(filter, { ...options, nameOnly: true })),
      (found) => found.map(({ name }) => name)
    ),
  // What it gives is the same by another name: here a collection is a value, for which nothing more is sent.
  listCollectionObjects: (database, { filter, ...options }) =>
    Effect.map(
      collect(database.listCollections(filter, { ...options, nameOnly: true })),
      (found) => found.map(({ name }) => database.collection(name))
    ),
  listCollections: (database, { filter, ...options }) => collect(database.listCollections(filter, options)),
  modifyCollection: (database, { collection, ...options }) => database.command({ collMod: collection, ...options }),
  runCommand: (database, { command, commandName: _, ...options }) => database.command(command, options),
  runCursorCommand: (database, args) => collect(cursorOf(database, args))
}

/** What a command's cursor gives. */
export const cursorOf = (database: Database.Database, args: Driver.Document) => {
  const { command, commandName: _, cursorType = "nonTailable", maxTimeMS, ...options } = args
  return database.runCursorCommand(command, {
    ...options,
    tailable: cursorType !== "nonTailable",
    awaitData: cursorType === "tailableAwait",
    maxAwaitTime: maxTimeMS
  })
}

/** The operations of a client. They need no target: the client is in the context. */
export const clientOperations: Handlers<undefined> = {
  clientBulkWrite: (_, { models, ...options }) =>
    Effect.map(MongoClient.bulkWrite(models.map(writeOf), options), resultOf),
  dropDatabase: (_, { database, ...options }) => Database.make(database).drop(options),
  listDatabaseNames: (_, options) =>
    Effect.map(
      MongoClient.listDatabases({ ...options, nameOnly: true }),
      ({ databases }) => databases.map(({ name }) => name)
    ),
  // As those of collections, above.
  listDatabaseObjects: (_, options) =>
    Effect.map(
      MongoClient.listDatabases({ ...options, nameOnly: true }),
      ({ databases }) => databases.map(({ name }) => Database.make(name))
    ),
  listDatabases: (_, options) => Effect.map(MongoClient.listDatabases(options), ({ databases }) => databases)
}

// The format names the kind of a write by a key, the driver in a field.
const writeOf = (model: Driver.Document): MongoClient.BulkWriteModel => {
  const [name, fields] = Object.entries(model)[0] ?? []
  return { name, ...fields }
}

const resultOf = (result: Driver.ClientBulkWriteResult): Driver.Document => ({
  ...withoutNulls(result),
  insertResults: byIndex(result.insertResults),
  updateResults: byIndex(result.updateResults, "didUpsert"),
  deleteResults: byIndex(result.deleteResults)
})

// Without what the driver tells beyond the specification.
const byIndex = (results: ReadonlyMap<number, object> | undefined, extra = ""): Driver.Document | undefined =>
  results && Object.fromEntries([...results].map(([index, result]) => {
    const { [extra]: _, ...rest } = withoutNulls(result)
    return [index, rest]
  }))
