import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Logger from "effect/Logger"
import * as MongoServer from "../../src/testing/MongoServer.js"
import { parse } from "../conformance/format.js"
import * as Runner from "../conformance/runner.js"
import * as Server from "../conformance/server.js"
import * as TestServer from "../support/server/testServer.js"

const place = { databaseName: "conformance", collectionName: "things" }

const data = (...documents: ReadonlyArray<object>) => ({ ...place, documents })

const on = (object: string, name: string, args: object = {}, expected: object = {}) => ({
  object,
  name,
  arguments: args,
  ...expected
})

const insert = (_id: number, expected: object = {}, args: object = {}) =>
  on("things", "insertOne", { document: { _id }, ...args }, expected)

const insertIn = (session: string, _id: number, expected: object = {}) => insert(_id, expected, { session })

const client = (fields: object = {}) => ({
  client: { id: "client", observeEvents: ["commandStartedEvent", "connectionCheckedOutEvent"], ...fields }
})

const entities = [
  client(),
  { database: { id: "database", client: "client", databaseName: "conformance" } },
  { collection: { id: "things", database: "database", collectionName: "things" } },
  { session: { id: "session", client: "client" } }
]

/** Runs one test of a file that has nothing else. */
const outcome = (test: object, file: object = {}) =>
  Effect.gen(function*() {
    const parsed = parse(JSON.stringify({
      description: "a file",
      schemaVersion: "1.3",
      createEntities: entities,
      initialData: [data({ _id: 0 })],
      tests: [{ description: "a test", operations: [], ...test }],
      ...file
    }))
    const content = Either.getOrThrowWith(parsed, (problem) => new Error(problem))
    const server = yield* Effect.flatMap(MongoServer.MongoServer, Server.make)
    return yield* Runner.run(server, content, content.tests[0]!)
  }).pipe(Effect.scoped, Effect.provide(Logger.remove(Logger.defaultLogger)))

const passes = (test: object, file?: object) =>
  Effect.map(outcome(test, file), (found) => expect(found).toEqual({ result: "passed", reason: "" }))

const fails = (reason: RegExp, test: object, file?: object) =>
  Effect.map(outcome(test, file), (found) => {
    expect(found.reason).toMatch(reason)
    expect(found.result).toBe("failed")
  })

const skips = (reason: RegExp, test: object, file?: object) =>
  Effect.map(outcome(test, file), (found) => {
    expect(found.reason).toMatch(reason)
    expect(found.result).toBe("skipped")
  })

layer(TestServer.own(), { excludeTestServices: true })((it) => {
  describe("a test in the unified format fails", () => {
    it.effect("when an operation fails that is not to, or the other way round", () =>
      Effect.gen(function*() {
        yield* fails(/things\.insertOne: unexpected failure: .*DuplicateKey/, { operations: [insert(0)] })
        yield* fails(/expected a failure/, { operations: [insert(1, { expectError: { isError: true } })] })
        yield* fails(/expected an error of the client/, {
          operations: [insert(0, { expectError: { isClientError: true } })]
        })
        yield* fails(/there is no entity nobody/, { operations: [on("nobody", "find")] })
      }))

    it.effect("when a result, a document or a command is not as expected", () =>
      Effect.gen(function*() {
        const expectResult = [{ _id: 0, n: 1 }]
        yield* fails(/result of things\.find/, { operations: [on("things", "find", { filter: {} }, { expectResult })] })
        yield* fails(/things: expected .*"1".* found/, {
          operations: [insert(2)],
          outcome: [data({ _id: 0 }, { _id: 1 })]
        })
        const command = { insert: "things", documents: [{ _id: 1 }], writeConcern: { $$exists: true } }
        const expectEvents = [{ client: "client", events: [{ commandStartedEvent: { command } }] }]
        yield* fails(/writeConcern: expected something/, { operations: [insert(1)], expectEvents })
        yield* fails(/expected commandStartedEvent/, { operations: [], expectEvents })
      }))

    it.effect("when a command that cleans up is sent before its last operation", () =>
      Effect.gen(function*() {
        const killing = on("database", "runCommand", { commandName: "killSessions", command: { killSessions: [{}] } }, {
          ignoreResultAndError: true
        })
        const events = [{ commandStartedEvent: { commandName: "insert" } }]
        const expectEvents = [{ client: "client", events }]
        yield* passes({ operations: [insert(1), killing], expectEvents })
        yield* fails(/event 1 of client: .*found "killSessions"/, { operations: [killing, insert(1)], expectEvents })
        yield* fails(/event 2 of client: .*found "killSessions"/, {
          operations: [insert(1), killing, on("database", "listCollectionObjects")],
          expectEvents: [{
            client: "client",
            events: [...events, { commandStartedEvent: { commandName: "listCollections" } }]
          }]
        })
      }))

    it.effect("inside of withTransaction, whatever failure is expected of that", () =>
      fails(/things\.insertOne: expected a failure/, {
        operations: [on("session", "withTransaction", {
          callback: [insertIn("session", 1, { expectError: { isError: true } })]
        }, { expectError: { isError: true } })]
      }))

    it.effect("when a fiber of its own does", () =>
      fails(/things\.insertOne: unexpected failure/, {
        operations: [
          on("testRunner", "createEntities", { entities: [{ thread: { id: "thread" } }] }),
          on("testRunner", "runOnThread", { thread: "thread", operation: insert(0) }),
          on("testRunner", "waitForThread", { thread: "thread" })
        ]
      }))

    it.effect("when the runner's own assertions do not hold", () =>
      Effect.gen(function*() {
        const runner = (name: string, args: object) => ({ operations: [insert(1), on("testRunner", name, args)] })
        const session = { session: "session" }
        yield* fails(/things is there/, runner("assertCollectionNotExists", place))
        yield* fails(/is missing/, runner("assertCollectionExists", { ...place, collectionName: "others" }))
        yield* fails(/is missing/, runner("assertIndexExists", { ...place, indexName: "n_1" }))
        yield* fails(/is there/, runner("assertIndexNotExists", { ...place, indexName: "_id_" }))
        yield* fails(/not dirty/, runner("assertSessionDirty", session))
        yield* fails(/not pinned/, runner("assertSessionPinned", session))
        yield* fails(
          /is none, not committed/,
          runner("assertSessionTransactionState", { ...session, state: "committed" })
        )
        yield* fails(
          /expected 1 connections in use, found 0/,
          runner("assertNumberConnectionsCheckedOut", {
            client: "client",
            connections: 1
          })
        )
        yield* fails(/have not both a session/, runner("assertSameLsidOnLastTwoCommands", { client: "client" }))
        yield* fails(
          /expected 3 events, found 1/,
          runner("assertEventCount", {
            client: "client",
            event: { commandStartedEvent: { commandName: "insert" } },
            count: 3
          })
        )
      }))
  })

  describe("a test in the unified format is skipped", () => {
    it.effect("with the reason for which it cannot be run here", () =>
      Effect.gen(function*() {
        yield* skips(/not today/, { skipReason: "not today" })
        yield* skips(/needs MongoDB 99/, { runOnRequirements: [{ minServerVersion: "99.0" }] })
        yield* skips(/needs the topology sharded/, {}, { runOnRequirements: [{ topologies: ["sharded"] }] })
        yield* skips(/not supported: .*juggle/, { operations: [on("things", "juggle")] })
        const withBucket = { createEntities: [...entities, { bucket: { id: "bucket" } }] }
        yield* skips(/not supported: GridFS, .*download/, { operations: [on("bucket", "download")] }, withBucket)
        yield* passes({ operations: [insert(1)] }, withBucket)
        yield* skips(/not supported: .*autoEncryptOpts/, {}, {
          createEntities: [client({ autoEncryptOpts: {} })]
        })
        const database = { id: "database", client: "client", databaseName: "conformance", databaseOptions: { new: 1 } }
        yield* skips(/not supported: the option new of/, {}, { createEntities: [client(), { database }] })
        yield* skips(/log/, { expectLogMessages: [] })
      }))
  })

  describe("a test in the unified format passes", () => {
    it.effect("with sessions, transactions and what is seen of them", () =>
      passes({
        operations: [
          on("session", "startTransaction"),
          insertIn("session", 1, { expectResult: { insertedId: { $$unsetOrMatches: 1 } } }),
          on("testRunner", "assertSessionTransactionState", { session: "session", state: "in_progress" }),
          on("things", "countDocuments", { filter: {} }, { expectResult: 1 }),
          on("session", "abortTransaction"),
          on("session", "withTransaction", { callback: [insertIn("session", 2), insertIn("session", 3)] }),
          on("session", "endSession"),
          insertIn("session", 4, { expectError: { isClientError: true } })
        ],
        outcome: [data({ _id: 0 }, { _id: 2 }, { _id: 3 })]
      }))

    it.effect("with the callback run again for a failure that it does not expect", () =>
      passes({
        operations: [
          on("testRunner", "failPoint", {
            client: "client",
            failPoint: {
              configureFailPoint: "failCommand",
              mode: { times: 2 },
              data: { failCommands: ["insert"], errorCode: 112, errorLabels: ["TransientTransactionError"] }
            }
          }),
          on("session", "withTransaction", { callback: [insertIn("session", 1)] })
        ],
        expectEvents: [{
          client: "client",
          ignoreExtraEvents: true,
          events: ["insert", "abortTransaction", "insert", "abortTransaction", "insert", "commitTransaction"]
            .map((commandName) => ({ commandStartedEvent: { commandName } }))
        }],
        outcome: [data({ _id: 0 }, { _id: 1 })]
      }))

    it.effect("with cursors that are read step by step", () =>
      passes({
        operations: [
          on("things", "insertMany", { documents: [{ _id: 1 }, { _id: 2 }] }),
          on("things", "createFindCursor", { filter: {}, batchSize: 2 }, { saveResultAsEntity: "cursor" }),
          on("testRunner", "assertEventCount", {
            client: "client",
            event: { commandStartedEvent: { commandName: "find" } },
            count: 1
          }),
          on("cursor", "iterateUntilDocumentOrError", {}, { expectResult: { _id: 0 } }),
          on("cursor", "iterateOnce", {}, { expectResult: { _id: 1 } }),
          on("cursor", "iterateUntilDocumentOrError", {}, { expectResult: { _id: 2 } }),
          on("cursor", "close"),
          on("things", "createChangeStream", { pipeline: [] }, { saveResultAsEntity: "changes" }),
          insert(3),
          on("changes", "iterateUntilDocumentOrError", {}, {
            expectResult: {
              operationType: "insert",
              ns: { db: "conformance", coll: "things" },
              fullDocument: { _id: 3 }
            }
          }),
          on("changes", "close")
        ]
      }))

    it.effect("with databases, indexes and the deployment", () =>
      passes({
        operations: [
          on("things", "createIndex", { keys: { n: 1 }, name: "n_1" }, { expectResult: "n_1" }),
          on("testRunner", "assertIndexExists", { ...place, indexName: "n_1" }),
          on("things", "listIndexes", {}, { expectResult: [{ name: "_id_" }, { name: "n_1" }] }),
          on("database", "listCollectionNames", {}, { expectResult: ["things"] }),
          on("database", "createCollection", { collection: "others" }, { saveResultAsEntity: "others" }),
          on("others", "insertMany", { documents: [{ _id: 1 }, { _id: 2 }] }),
          on("others", "estimatedDocumentCount", {}, { expectResult: 2 }),
          on("others", "distinct", { fieldName: "_id", filter: {} }, { expectResult: [1, 2] }),
          on("database", "dropCollection", { collection: "others" }),
          on("testRunner", "assertCollectionNotExists", { ...place, collectionName: "others" }),
          on("client", "listDatabaseNames", { filter: { name: "conformance" } }, { expectResult: ["conformance"] }),
          on("database", "runCommand", { commandName: "ping", command: { ping: 1 } }, { expectResult: { ok: 1 } }),
          on("things", "bulkWrite", { requests: [{ insertOne: { document: { _id: 0 } } }] }, {
            expectError: { isClientError: false, errorCode: 11_000, expectResult: { insertedCount: 0 } }
          })
        ]
      }))

    it.effect("with operations that run at once, and waits for what comes of them", () =>
      passes({
        operations: [
          on("testRunner", "createEntities", { entities: [{ thread: { id: "thread" } }] }),
          on("testRunner", "runOnThread", { thread: "thread", operation: insert(1) }),
          on("testRunner", "runOnThread", {
            thread: "thread",
            operation: insert(1, { expectError: { errorCode: 11_000 } })
          }),
          on("testRunner", "waitForEvent", {
            client: "client",
            event: { commandStartedEvent: { commandName: "insert" } },
            count: 2
          }),
          on("testRunner", "wait", { ms: 1 }),
          on("testRunner", "waitForThread", { thread: "thread" })
        ],
        expectEvents: [{
          client: "client",
          eventType: "cmap",
          events: [{ connectionCheckedOutEvent: {} }, { connectionCheckedOutEvent: {} }]
        }],
        outcome: [data({ _id: 0 }, { _id: 1 })]
      }))
  })
})
