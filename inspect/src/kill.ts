/**
 * Kills what a session has open, by the server's session commands.
 */
import * as Database from "effect-mongo-session/Database"
import type * as MongoClient from "effect-mongo-session/MongoClient"
import * as SessionCommands from "effect-mongo-session/SessionCommands"
import type * as SessionErrors from "effect-mongo-session/SessionErrors"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { createHash } from "node:crypto"
import type { GatherError } from "./gather.js"
import { record, records } from "./values.js"

/** Kills what a session has open; `false` where the server does not know it any more. */
export const kill = (
  session: string
): Effect.Effect<boolean, GatherError | SessionErrors.SessionMisconfigured, MongoClient.MongoClient> =>
  Effect.gen(function*() {
    const found = yield* lsidOf(session)
    if (Option.isNone(found)) return false
    const { id, uid } = found.value
    // One's own takes no privilege; that of another user is killed by its owner's digest.
    yield* Buffer.from(uid).equals(yield* ownDigest)
      ? SessionCommands.killSessions([id])
      : SessionCommands.killAllSessionsByPattern([{ lsid: { id, uid } }])
    return true
  })

const lsidOf = (session: string) => {
  const all = (allUsers: boolean) =>
    Stream.concat(
      Stream.map(SessionCommands.currentTransactions({ allUsers }), ({ lsid }) => lsid),
      Stream.map(SessionCommands.listLocalSessions({ allUsers }), ({ lsid }) => lsid)
    ).pipe(Stream.filter(({ id }) => id.uuid === session), Stream.take(1), Stream.runCollect, Effect.map(Chunk.head))
  return Effect.catchIf(
    all(true),
    (error) => error._tag === "MongoError" && error.reason === "Unauthorized",
    () => all(false)
  )
}

const ownDigest = Effect.map(
  Database.make("admin").command({ connectionStatus: 1 }),
  (status) => {
    const [user] = records(record(record(status)["authInfo"])["authenticatedUsers"])
    const name = user === undefined ? "" : `${String(user["user"])}@${String(user["db"])}`
    return createHash("sha256").update(name).digest()
  }
)
