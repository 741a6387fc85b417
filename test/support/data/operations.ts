/**
 * Every operation of data access, with what goes over the wire for it and where it is allowed.
 */
import type * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type * as Collection from "../../../src/Collection.js"
import type * as Cursor from "../../../src/Cursor.js"
import * as Database from "../../../src/Database.js"
import * as MongoClient from "../../../src/MongoClient.js"
import type { DecodeFailed } from "../../../src/SessionErrors.js"
import { documentsStage, type Since } from "../server/versions.js"
import type { Thing } from "./collections.js"

/** What operations work on: three things, `{ _id: 0, n: 0 }` and so on, with the index `n_1`. */
export interface On {
  readonly Things: Collection.Collection<typeof Thing.Type, typeof Thing.Encoded>
  /** The name of their database. */
  readonly database: string
}

/** An operation. */
export interface Operation {
  readonly name: string
  readonly run: (
    on: On
  ) => Effect.Effect<unknown, Cursor.OperationError | DecodeFailed, MongoClient.MongoClient>
  /** The command on the wire. */
  readonly command: string
  /** `snapshot`: reads, also in a snapshot session. */
  readonly kind: "snapshot" | "read" | "write"
  /** What a transaction refuses about it. Default: nothing. */
  readonly refused?: string
  /** What an older server lacks for it. Default: nothing. */
  readonly since?: Since
  /** It needs the search service, which no server here has. Default `false`. */
  readonly needsSearch?: boolean
}

const drain = Stream.runDrain

const snapshot = (name: string, command: string, run: Operation["run"]): Operation => ({
  name,
  command,
  kind: "snapshot",
  run
})

const refusedRead = (name: string, command: string, run: Operation["run"]): Operation => ({
  name,
  command,
  kind: "read",
  refused: name,
  run
})

const write = (name: string, command: string, run: Operation["run"]): Operation => ({
  name,
  command,
  kind: "write",
  run
})

const refusedWrite = (name: string, command: string, run: Operation["run"]): Operation => ({
  ...write(name, command, run),
  refused: name
})

const search = (name: string, command: string, run: Operation["run"]): Operation => ({
  ...refusedRead(name, command, run),
  needsSearch: true
})

const first = { _id: 0 }
const set = { $set: { n: "7" } }
const fresh = { _id: 9, n: 9 }
const found = { _id: 0, n: 9 }

/** All of them. */
export const operations: ReadonlyArray<Operation> = [
  snapshot("find", "find", ({ Things }) => drain(Things.find())),
  snapshot("findOne", "find", ({ Things }) => Things.findOne()),
  snapshot("aggregate", "aggregate", ({ Things }) => drain(Things.aggregate([{ $match: {} }]))),
  snapshot("countDocuments", "aggregate", ({ Things }) => Things.countDocuments()),
  snapshot("distinct", "distinct", ({ Things }) => Things.distinct("n")),
  snapshot("use", "find", ({ Things }) => Things.use((collection, added) => collection.findOne({}, added))),
  snapshot("command", "find", ({ database }) => Database.make(database).command({ find: "things" })),
  snapshot(
    "runCursorCommand",
    "find",
    ({ database }) => drain(Database.make(database).runCursorCommand({ find: "things" }))
  ),
  {
    ...snapshot(
      "Database.aggregate",
      "aggregate",
      ({ database }) => drain(Database.make(database).aggregate([{ $documents: [{ a: 1 }] }]))
    ),
    since: documentsStage
  },
  refusedRead("isCapped", "listCollections", ({ Things }) => Things.isCapped()),
  refusedRead("options", "listCollections", ({ Things }) => Things.options()),
  refusedRead("listIndexes", "listIndexes", ({ Things }) => drain(Things.listIndexes())),
  refusedRead("listIndexNames", "listIndexes", ({ Things }) => Things.listIndexNames()),
  refusedRead("listCollections", "listCollections", ({ database }) => drain(Database.make(database).listCollections())),
  refusedRead("stats", "dbStats", ({ database }) => Database.make(database).stats()),
  refusedRead("listDatabases", "listDatabases", () => MongoClient.listDatabases()),
  write("insertOne", "insert", ({ Things }) => Things.insertOne(fresh)),
  write("insertMany", "insert", ({ Things }) => Things.insertMany([fresh, { _id: 10, n: 10 }])),
  write("updateOne", "update", ({ Things }) => Things.updateOne(first, set)),
  write("updateMany", "update", ({ Things }) => Things.updateMany({}, [set])),
  write("replaceOne", "update", ({ Things }) => Things.replaceOne(first, found)),
  write("deleteOne", "delete", ({ Things }) => Things.deleteOne(first)),
  write("deleteMany", "delete", ({ Things }) => Things.deleteMany({})),
  write("findOneAndUpdate", "findAndModify", ({ Things }) => Things.findOneAndUpdate(first, set)),
  write("findOneAndReplace", "findAndModify", ({ Things }) => Things.findOneAndReplace(first, found)),
  write("findOneAndDelete", "findAndModify", ({ Things }) => Things.findOneAndDelete(first)),
  write("bulkWrite", "insert", ({ Things }) =>
    Things.bulkWrite([
      { insertOne: { document: fresh } },
      { replaceOne: { filter: first, replacement: found } },
      { deleteOne: { filter: { _id: 1 } } }
    ])),
  {
    ...write(
      "MongoClient.bulkWrite",
      "bulkWrite",
      ({ database }) => MongoClient.bulkWrite([{ namespace: `${database}.things`, name: "deleteOne", filter: first }])
    ),
    since: { version: "8.0", what: "bulk writes of the client" }
  },
  write("createCollection", "create", ({ database }) => Database.make(database).createCollection("others")),
  write(
    "createIndex",
    "createIndexes",
    ({ database }) => Database.make(database).collection("others").createIndex({ a: 1 })
  ),
  write(
    "createIndexes",
    "createIndexes",
    ({ database }) => Database.make(database).collection("others").createIndexes([{ key: { a: 1 } }, { key: { b: 1 } }])
  ),
  refusedWrite("$out", "aggregate", ({ Things }) => drain(Things.aggregate([{ $out: "others" }]))),
  refusedWrite("$merge", "aggregate", ({ Things }) => drain(Things.aggregate([{ $merge: "others" }]))),
  refusedWrite("dropIndex", "dropIndexes", ({ Things }) => Things.dropIndex("n_1")),
  refusedWrite("dropIndexes", "dropIndexes", ({ Things }) => Things.dropIndexes()),
  refusedWrite("rename", "renameCollection", ({ Things }) => Things.rename("others")),
  refusedWrite("drop", "drop", ({ Things }) => Things.drop()),
  refusedWrite("dropDatabase", "dropDatabase", ({ database }) => Database.make(database).drop()),
  search(
    "createSearchIndexes",
    "createSearchIndexes",
    ({ Things }) => Things.createSearchIndexes([{ name: "a", definition: { mappings: { dynamic: true } } }])
  ),
  search("updateSearchIndex", "updateSearchIndex", ({ Things }) => Things.updateSearchIndex("a", {})),
  search("dropSearchIndex", "dropSearchIndex", ({ Things }) => Things.dropSearchIndex("a")),
  search("listSearchIndexes", "aggregate", ({ Things }) => drain(Things.listSearchIndexes("a")))
]

/** What is followed rather than run, and refused in a transaction like the rest. */
export const watches: ReadonlyArray<Pick<Operation, "name" | "run">> = [
  { name: "Collection.watch", run: ({ Things }) => drain(Things.watch()) },
  { name: "Database.watch", run: ({ database }) => drain(Database.make(database).watch()) },
  { name: "MongoClient.watch", run: () => drain(MongoClient.watch()) }
]
