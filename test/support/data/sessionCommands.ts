/**
 * Session commands on a scripted server, and the documents that it lists.
 */
import * as Array from "effect/Array"
import * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type { Document, MongoClientOptions } from "mongodb"
import { Binary, Int32, Long, Timestamp, UUID } from "mongodb"
import { createHash } from "node:crypto"
import * as MongoClient from "../../../src/MongoClient.js"
import type { MongoError } from "../../../src/MongoError.js"
import * as SessionCommands from "../../../src/SessionCommands.js"
import type { DecodeFailed, SessionMisconfigured } from "../../../src/SessionErrors.js"
import { SessionId } from "../../../src/SessionId.js"
import { connected } from "../server/connected.js"
import type * as Responder from "../server/responder.js"

/** A password, which no message may quote. */
export const secret = "hunter2"

/** The session id with this number. */
export const idAt = (index: number): SessionId => {
  const bytes = new Uint8Array(16)
  new DataView(bytes.buffer).setUint32(12, index)
  return SessionId.fromBytes(bytes)
}

const all = Array.makeBy(25_001, idAt)

/** So many session ids. */
export const ids = (count: number): ReadonlyArray<SessionId> => all.slice(0, count)

/** The digest that stands for a user. */
export const digest = (text: string): Uint8Array => new Uint8Array(createHash("sha256").update(text).digest())

/** The digest where nobody is authenticated. */
export const nobody = digest("")

/** A responder, a client connected to it, and how to run commands on that client. */
export const setUp = (handlers: Responder.Options["handlers"] = {}, driver: MongoClientOptions = {}) =>
  Effect.map(connected({ handlers }, { driver }), ({ client, server: responder }) => ({
    responder,
    client,
    run: Effect.provideService(MongoClient.MongoClient, client)
  }))

/** The refusal of a command. */
export const refused = { ok: 0, code: 13, codeName: "Unauthorized", errmsg: `not authorized: ${secret}` }

/** The reply of a cursor. */
export const batch = (
  documents: ReadonlyArray<Document>,
  { id = 0, field = "firstBatch" }: { readonly id?: number; readonly field?: "firstBatch" | "nextBatch" } = {}
) => ({ cursor: { [field]: documents, id: Long.fromNumber(id), ns: "admin.$cmd.aggregate" } })

/** A document of `$listSessions`. */
export const session = (index: number): Document => ({
  _id: { id: new UUID(idAt(index).bytes), uid: new Binary(nobody) },
  lastUse: new Date(1_700_000_000_000 + index)
})

/** A document of `$currentOp`. */
export const transaction = (index: number): Document => ({
  type: "idleSession",
  host: "db.example:27017",
  desc: "inactive transaction",
  active: false,
  lsid: { id: new UUID(idAt(index).bytes), uid: new Binary(nobody) },
  transaction: {
    parameters: {
      txnNumber: Long.fromNumber(index),
      txnRetryCounter: new Int32(0),
      autocommit: false,
      readConcern: { level: "snapshot", provenance: "clientSupplied" }
    },
    readTimestamp: Timestamp.fromBits(3, 1_700_000_000),
    startWallClockTime: "2024-05-01T10:00:00.250+0200",
    timeOpenMicros: Long.fromNumber(5_000_001),
    timeActiveMicros: Long.fromNumber(1_000_001),
    timeInactiveMicros: Long.fromNumber(4_000_000),
    expiryTime: "2024-05-01T10:01:00.250+02:00"
  }
})

/** The commands that list. */
export const listings: ReadonlyArray<
  readonly [
    name: string,
    stream: Stream.Stream<unknown, SessionMisconfigured | MongoError | DecodeFailed, MongoClient.MongoClient>
  ]
> = [
  ["listSessions", SessionCommands.listSessions()],
  ["listLocalSessions", SessionCommands.listLocalSessions()],
  ["currentTransactions", SessionCommands.currentTransactions()]
]

/** The commands that give one result. */
export const commands: ReadonlyArray<
  readonly [
    name: string,
    command: Effect.Effect<unknown, SessionMisconfigured | MongoError | DecodeFailed, MongoClient.MongoClient>
  ]
> = [
  ["startSession", SessionCommands.startSession],
  ["refreshSessions", SessionCommands.refreshSessions(ids(1))],
  ["endSessions", SessionCommands.endSessions(ids(1))],
  ["killSessions", SessionCommands.killSessions(ids(1))],
  ["killAllSessions", SessionCommands.killAllSessions([{ user: "app", db: "shop" }])],
  ["killAllSessionsByPattern", SessionCommands.killAllSessionsByPattern([{ uid: nobody }])]
]

/** The commands that take ids. */
export const ofIds = [
  ["refreshSessions", SessionCommands.refreshSessions],
  ["endSessions", SessionCommands.endSessions],
  ["killSessions", SessionCommands.killSessions]
] as const
