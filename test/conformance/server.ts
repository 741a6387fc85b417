/**
 * The server under test, with a client of the driver for what is not under test: data, fail points, facts.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { MongoClient } from "mongodb"
import type { Db, Document } from "mongodb"
import type * as MongoServer from "../../src/testing/MongoServer.js"
import type { CollectionData } from "./format.js"
import type { Deployment } from "./requirements.js"
import { sameValue, show } from "./values.js"
import { ensure } from "./verdict.js"

/** The server, and what can be done to it. */
export interface Server {
  readonly url: string
  readonly description: string
  readonly deployment: Deployment
  /** Fills collections with just these documents. */
  readonly load: (data: ReadonlyArray<CollectionData>) => Effect.Effect<void>
  /** Removes all documents of a collection, if there is one. */
  readonly empty: (database: string, collection: string) => Effect.Effect<void>
  /** Dies where a collection has other documents than these. */
  readonly ensureData: (data: CollectionData) => Effect.Effect<void>
  readonly disable: (failPoints: Iterable<string>) => Effect.Effect<void>
  readonly killAllSessions: Effect.Effect<void>
  readonly collectionNames: (database: string) => Effect.Effect<ReadonlyArray<string>>
  readonly indexNames: (database: string, collection: string) => Effect.Effect<ReadonlyArray<string>>
}

/** Connects to a server that is running. */
export const make = (
  { description, url }: Pick<MongoServer.Service, "description" | "url">
): Effect.Effect<Server, never, Scope.Scope> =>
  Effect.gen(function*() {
    const client = yield* Effect.acquireRelease(
      Effect.promise(() => new MongoClient(url).connect()),
      (connected) => Effect.promise(() => connected.close())
    )
    const admin = (command: Document) => client.db("admin").command(command)
    const majority = { writeConcern: { w: "majority" } } as const
    const fill = async ({ collectionName, createOptions, databaseName, documents }: CollectionData): Promise<void> => {
      const database = client.db(databaseName)
      await database.dropCollection(collectionName, majority)
      if (createOptions !== undefined || documents.length === 0) {
        await database.createCollection(collectionName, { ...createOptions, ...majority })
      }
      if (documents.length > 0) {
        await database.collection(collectionName).insertMany(documents.map((one) => ({ ...one })), majority)
      }
    }
    const read = ({ collectionName, databaseName }: CollectionData) =>
      client.db(databaseName)
        .collection(collectionName, { readConcern: { level: "local" }, readPreference: "primary" })
        .find({}, { sort: { _id: 1 } })
        .toArray()

    return {
      url,
      description,
      deployment: yield* Effect.promise(() => deploymentOf(url, admin)),
      load: (data) => Effect.forEach(data, (one) => Effect.promise(() => fill(one)), { discard: true }),
      empty: (database, collection) =>
        Effect.promise(() => client.db(database).collection(collection).deleteMany({}, majority)),
      ensureData: (data) =>
        Effect.map(
          Effect.promise(() => read(data)),
          (found) =>
            ensure(
              sameValue(data.documents, found),
              () => `${data.collectionName}: expected ${show(data.documents)}, found ${show(found)}`
            )
        ),
      disable: (failPoints) =>
        Effect.forEach(
          failPoints,
          (name) =>
            Effect.promise(async () => {
              // It closes the connection before it fails the write, of which the server then tries each document by itself.
              if (name === "onPrimaryTransactionalWrite") await idle(client.db("admin"))
              await admin({ configureFailPoint: name, mode: "off" })
            }),
          { discard: true }
        ),
      // What a server has against it is no matter: a transaction that stays open makes the next test fail.
      killAllSessions: Effect.ignore(Effect.tryPromise(() => admin({ killAllSessions: [] }))),
      collectionNames: (database) =>
        Effect.map(
          Effect.promise(() => client.db(database).listCollections({}, { nameOnly: true }).toArray()),
          (found) => found.map(({ name }) => name)
        ),
      indexNames: (database, collection) =>
        Effect.map(
          Effect.promise(() => client.db(database).collection(collection).listIndexes().toArray().catch(() => [])),
          (found) => found.map(({ name }) => name)
        )
    }
  })

/** Waits until the server has done what programs have asked for, though nobody may listen any more. */
const idle = async (database: Db): Promise<void> => {
  const running = database.aggregate([
    { $currentOp: {} },
    { $match: { active: true, ns: /^(?!admin\.|config\.|local\.)./, lsid: { $exists: true } } }
  ])
  if ((await running.toArray()).length > 0) await idle(database)
}

const deploymentOf = async (url: string, admin: (command: Document) => Promise<Document>): Promise<Deployment> => {
  const hello = await admin({ hello: 1 })
  const parameters = await admin({ getParameter: "*" }).catch(() => ({}))
  return {
    version: (await admin({ buildInfo: 1 }))["version"],
    topology: hello["serviceId"] !== undefined
      ? "load-balanced"
      : hello["msg"] === "isdbgrid"
      ? "sharded"
      : hello["setName"] === undefined
      ? "single"
      : "replicaset",
    auth: /^[^/]*\/\/[^/]*@/.test(url),
    parameters
  }
}
