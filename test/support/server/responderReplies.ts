/**
 * The replies of the scripted server where a test says nothing else.
 */
import type { Document } from "mongodb"
import { Binary, Long, type Timestamp, UUID } from "mongodb"

/** The cluster time of a server without keys. */
export const clusterTime = (time: Timestamp): Document => ({
  clusterTime: time,
  signature: { hash: new Binary(new Uint8Array(20)), keyId: Long.ZERO }
})

/** The reply to `hello` of the primary of a set of one. */
export const hello: Document = {
  isWritablePrimary: true,
  ismaster: true,
  helloOk: true,
  setName: "responder",
  secondary: false,
  maxBsonObjectSize: 16_777_216,
  maxMessageSizeBytes: 48_000_000,
  maxWriteBatchSize: 100_000,
  logicalSessionTimeoutMinutes: 30,
  minWireVersion: 0,
  maxWireVersion: 25,
  readOnly: false,
  ok: 1
}

/** The reply to an unknown command. */
export const notFound = (name: string): Document => ({
  ok: 0,
  code: 59,
  codeName: "CommandNotFound",
  errmsg: `no such command: '${name}'`
})

const namespace = (command: Document, collection: string): string => `${command["$db"]}.${collection}`

const emptyCursor = (field: "firstBatch" | "nextBatch", ns: string): Document => ({
  cursor: { [field]: [], id: Long.ZERO, ns }
})

/** The replies of a healthy server without data. */
export const handlers: Readonly<Record<string, (command: Document) => Document>> = {
  ...Object.fromEntries(
    [
      ...["ping", "endSessions", "refreshSessions", "killSessions", "killAllSessions", "killAllSessionsByPattern"],
      ...["abortTransaction", "commitTransaction", "configureFailPoint", "create", "drop", "dropDatabase"]
    ].map((name) => [name, () => ({})])
  ),
  startSession: () => ({ id: { id: new UUID() }, timeoutMinutes: 30 }),
  buildInfo: () => ({ version: "8.0.0", versionArray: [8, 0, 0, 0] }),
  find: (command) => emptyCursor("firstBatch", namespace(command, command["find"])),
  aggregate: (command) => emptyCursor("firstBatch", namespace(command, command["aggregate"])),
  listCollections: (command) => emptyCursor("firstBatch", namespace(command, "$cmd.listCollections")),
  listIndexes: (command) => emptyCursor("firstBatch", namespace(command, command["listIndexes"])),
  getMore: (command) => emptyCursor("nextBatch", namespace(command, command["collection"])),
  killCursors: (command) => ({
    cursorsKilled: command["cursors"],
    cursorsNotFound: [],
    cursorsAlive: [],
    cursorsUnknown: []
  }),
  insert: (command) => ({ n: command["documents"].length }),
  update: () => ({ n: 0, nModified: 0 }),
  delete: () => ({ n: 0 }),
  findAndModify: () => ({ value: null, lastErrorObject: { n: 0, updatedExisting: false } }),
  count: () => ({ n: 0 }),
  distinct: () => ({ values: [] })
}
