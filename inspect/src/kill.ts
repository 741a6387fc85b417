/**
 * Looks for a session, and kills what it has open, by the server's session commands.
 */
import * as Database from "effect-mongo-session/Database"
import type * as MongoClient from "effect-mongo-session/MongoClient"
import * as SessionCommands from "effect-mongo-session/SessionCommands"
import type * as SessionErrors from "effect-mongo-session/SessionErrors"
import { SessionId } from "effect-mongo-session/SessionId"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Document } from "mongodb"
import { UUID } from "mongodb"
import { createHash } from "node:crypto"
import { activityOf } from "./operations.js"
import type { GatherError } from "./parts.js"
import { type Known, rangeOf } from "./target.js"
import { bytesOf, record, records, uuidOf } from "./values.js"

const admin = Database.make("admin")

/** The server's own id of a session. */
interface Lsid {
  readonly session: string
  /** The digest of its user. */
  readonly uid: Uint8Array
}

/**
 * What the server knows of the sessions whose ids begin so. The server looks for them itself, however many it has. Of other
 * users' only with the privilege to see them.
 */
export const knownOf = (
  start: string
): Effect.Effect<Known & { readonly lsids: ReadonlyArray<Lsid> }, GatherError, MongoClient.MongoClient> =>
  Effect.gen(function*() {
    const [low, high] = rangeOf(start)
    const range = { $gte: new UUID(low), $lte: new UUID(high) }
    const entries = yield* asked((allUsers) => [
      { $currentOp: { allUsers, idleSessions: true, idleCursors: true } },
      { $match: { "lsid.id": range } }
    ])
    const listed = yield* asked((allUsers) => [
      { $listLocalSessions: { allUsers } },
      { $match: { "_id.id": range } },
      { $project: { lsid: "$_id" } }
    ])
    const { transactions } = activityOf(entries, [], yield* Clock.currentTimeMillis)
    const lsids = [...entries, ...listed].flatMap(lsidIn)
    return { transactions, sessions: lsids, lsids }
  })

const asked = (
  pipeline: (allUsers: boolean) => ReadonlyArray<Document>
): Effect.Effect<ReadonlyArray<unknown>, GatherError, MongoClient.MongoClient> => {
  const ask = (allUsers: boolean) =>
    Effect.map(
      Stream.runCollect(admin.aggregate([...pipeline(allUsers)], { readConcern: { level: "local" } })),
      (found) => Array.from(found)
    )
  return Effect.catchIf(
    ask(true),
    (error) => error._tag === "MongoError" && error.reason === "Unauthorized",
    () => ask(false)
  )
}

const lsidIn = (entry: unknown): ReadonlyArray<Lsid> => {
  const { id, uid } = record(record(entry)["lsid"])
  const [session, owner] = [uuidOf(id), bytesOf(uid)]
  return session === undefined || owner === undefined ? [] : [{ session, uid: owner }]
}

/** Kills what a session has open; `false` where the server does not know it any more. */
export const kill = (
  session: string
): Effect.Effect<
  boolean,
  GatherError | SessionErrors.SessionMisconfigured,
  MongoClient.MongoClient
> =>
  Effect.gen(function*() {
    const { lsids } = yield* knownOf(session)
    const found = lsids.find((one) => one.session === session)
    if (found === undefined) return false
    const { uid } = found
    const id = yield* SessionId.fromString(session)
    // One's own takes no privilege; that of another user is killed by its owner's digest.
    yield* Buffer.from(uid).equals(yield* ownDigest)
      ? SessionCommands.killSessions([id])
      : SessionCommands.killAllSessionsByPattern([{ lsid: { id, uid } }])
    return true
  })

const ownDigest = Effect.map(
  admin.command({ connectionStatus: 1 }),
  (status) => {
    const [user] = records(record(record(status)["authInfo"])["authenticatedUsers"])
    const name = user === undefined ? "" : `${String(user["user"])}@${String(user["db"])}`
    return createHash("sha256").update(name).digest()
  }
)
