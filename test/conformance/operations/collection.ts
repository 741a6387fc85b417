/**
 * The operations of a collection.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Driver from "mongodb"
import type * as Collection from "../../../src/Collection.js"
import * as MongoClient from "../../../src/MongoClient.js"
import { collect, type Handlers, withoutNulls } from "./call.js"

type Raw = Collection.Collection<Driver.Document, Driver.Document>

const orNull = <A, E, R>(effect: Effect.Effect<Option.Option<A>, E, R>): Effect.Effect<A | null, E, R> =>
  Effect.map(effect, Option.getOrNull)

const plain = <E, R>(effect: Effect.Effect<object, E, R>): Effect.Effect<Driver.Document, E, R> =>
  Effect.map(effect, withoutNulls)

export const collectionOperations: Handlers<Raw> = {
  aggregate: (collection, { pipeline, ...options }) => collect(collection.aggregate(pipeline, options)),
  bulkWrite: (collection, { requests, ...options }) => plain(collection.bulkWrite(requests, options)),
  // The library has no such method, for the command counts by metadata; what the server has against it is the test.
  count: (collection, { filter, timeout, ...options }) =>
    collection.use((driver, added) => driver.count(filter, { ...options, ...added }), { operation: "count", timeout }),
  countDocuments: (collection, { filter, ...options }) => collection.countDocuments(filter, options),
  createIndex: (collection, { keys, ...options }) => collection.createIndex(keys, options),
  createSearchIndex: (collection, { model }) => collection.createSearchIndex(model),
  createSearchIndexes: (collection, { models }) => collection.createSearchIndexes(models),
  deleteMany: (collection, { filter, ...options }) => plain(collection.deleteMany(filter, options)),
  deleteOne: (collection, { filter, ...options }) => plain(collection.deleteOne(filter, options)),
  distinct: (collection, { fieldName, filter, ...options }) => collection.distinct(fieldName, filter, options),
  drop: (collection, options) => collection.drop(options),
  dropIndex: (collection, { name, ...options }) => collection.dropIndex(name, options),
  dropIndexes: (collection, options) => collection.dropIndexes(options),
  dropSearchIndex: (collection, { name }) => collection.dropSearchIndex(name),
  estimatedDocumentCount: (collection, options) => collection.estimatedDocumentCount(options),
  find: (collection, { filter, ...options }) => collect(collection.find(filter, typed(options))),
  findOne: (collection, { filter, ...options }) => orNull(collection.findOne(filter, options)),
  findOneAndDelete: (collection, { filter, ...options }) => orNull(collection.findOneAndDelete(filter, options)),
  findOneAndReplace: (collection, { filter, replacement, ...options }) =>
    orNull(collection.findOneAndReplace(filter, replacement, returning(options))),
  findOneAndUpdate: (collection, { filter, update, ...options }) =>
    orNull(collection.findOneAndUpdate(filter, update, returning(options))),
  insertMany: (collection, { documents, ...options }) => plain(collection.insertMany(documents, options)),
  insertOne: (collection, { document, ...options }) => plain(collection.insertOne(document, options)),
  listIndexNames: (collection, options) => collection.listIndexNames(options),
  listIndexes: (collection, options) => collect(collection.listIndexes(options)),
  listSearchIndexes: (collection, { aggregationOptions, name }) =>
    collect(collection.listSearchIndexes(name, aggregationOptions)),
  // The library has no such method, for MongoDB has given the command up.
  mapReduce: (collection, { map, out, reduce, ...options }) =>
    Effect.flatMap(
      MongoClient.MongoClient,
      ({ driver }) =>
        collection.use(async ({ collectionName, dbName }, { readConcern: _, ...added }) => {
          const command = { mapReduce: collectionName, map, reduce, out, ...options }
          return (await driver.db(dbName).command(command, added))["results"]
        }, { operation: "mapReduce", kind: "read" })
    ),
  rename: (collection, { to, ...options }) => Effect.asVoid(collection.rename(to, options)),
  replaceOne: (collection, { filter, replacement, ...options }) =>
    plain(collection.replaceOne(filter, replacement, options)),
  updateMany: (collection, { filter, update, ...options }) => plain(collection.updateMany(filter, update, options)),
  updateOne: (collection, { filter, update, ...options }) => plain(collection.updateOne(filter, update, options)),
  updateSearchIndex: (collection, { definition, name }) => collection.updateSearchIndex(name, definition)
}

/** The operations whose results may each have keys that the test does not name. */
export const manyDocuments = new Set(["aggregate", "find", "listIndexes", "listSearchIndexes"])

/** The options of a find, with the type of its cursor as the driver has it. */
export const typed = ({ cursorType, ...options }: Driver.Document): Driver.Document =>
  cursorType === undefined || cursorType === "nonTailable"
    ? options
    : { ...options, tailable: true, ...(cursorType === "tailableAwait" ? { awaitData: true } : {}) }

// `Before` and `After` in the format.
const returning = ({ returnDocument, ...options }: Driver.Document): Driver.Document => ({
  ...options,
  ...(returnDocument === undefined ? {} : { returnDocument: String(returnDocument).toLowerCase() })
})
