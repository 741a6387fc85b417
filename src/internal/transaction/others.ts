/**
 * Asks the server which transactions are open, for one that is given up after a conflict.
 *
 * See the manual, "$currentOp (aggregation stage)": with `idleSessions`, it tells also of transactions that wait for their
 * client.
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Driver from "mongodb"
import type { MongoError } from "../../MongoError.js"
import { SessionId } from "../../SessionId.js"
import { inner, type Service } from "../session/client.js"
import { within } from "../time/bounded.js"
import type { OpenTransaction, ServerView } from "../values/conflicts.js"

/** For how long the server is asked at most. */
const patience = Duration.seconds(1)

/** How many transactions are told of. */
const most = 20

/**
 * Asks for the transactions that are open on the server, but for that of the session with the given id, in no session. Never
 * fails, and ends within a second, or within the `settleTimeout` if that is shorter.
 */
export const ask = (client: Service, own: string): Effect.Effect<ServerView> =>
  Effect.suspend(() => {
    const time = Duration.min(patience, client.settleTimeout)
    return Effect.map(answerTo(client, time), (answer): ServerView => {
      if (answer === undefined) return { seen: "nothing", transactions: [] }
      const { reply, seen } = answer
      const sessions = new Set(
        client[inner].keeper.members().map((member) => SessionId.fromBytes(member.lsid().id.buffer).uuid)
      )
      return { seen, transactions: transactionsOf(reply, own, (session) => sessions.has(session)) }
    })
  })

// To ask for those of all users needs a privilege; for one's own, which all processes of a program often share, it needs none.
const askAs = (
  client: Service,
  time: Duration.Duration
): Effect.Effect<{ readonly seen: "all" | "own"; readonly reply: Driver.Document }, MongoError> => {
  const send = <S extends "all" | "own">(seen: S) =>
    Effect.map(
      client[inner].adminCommand({
        aggregate: 1,
        pipeline: pipelineOf(seen === "all"),
        // One more than there can be, so that the server keeps no cursor.
        cursor: { batchSize: most + 2 },
        maxTimeMS: Math.ceil(Duration.toMillis(time))
      }),
      (reply) => ({ seen, reply })
    )
  if (ownOnly.has(client)) return send("own")
  return Effect.catchIf(send("all"), ({ reason }) => reason === "Unauthorized", () => {
    ownOnly.add(client)
    return send("own")
  })
}

// The clients that must not ask for other users' transactions.
const ownOnly = new WeakSet<Service>()

type Answer = Effect.Effect.Success<ReturnType<typeof askAs>>

// The questions on their way: who comes meanwhile shares the answer, for where there are many conflicts many ask.
const asking = new WeakMap<Service, Deferred.Deferred<Answer | undefined>>()

// None where there is no answer in time.
const answerTo = (client: Service, time: Duration.Duration): Effect.Effect<Answer | undefined> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.suspend(() => {
      const known = asking.get(client)
      if (known !== undefined) return restore(Deferred.await(known))
      const answer = Deferred.unsafeMake<Answer | undefined>(FiberId.none)
      asking.set(client, answer)
      let found: Answer | undefined
      const asked = Effect.map(askAs(client, time), (one) => {
        found = one
      })
      const question = Effect.zipRight(
        within(time, Effect.catchAllCause(asked, () => Effect.void)),
        Effect.suspend(() => {
          asking.delete(client)
          return Deferred.succeed(answer, found)
        })
      )
      return Effect.zipRight(Effect.forkDaemon(question), restore(Deferred.await(answer)))
    })
  )

const pipelineOf = (allUsers: boolean): ReadonlyArray<object> => [
  { $currentOp: { allUsers, idleSessions: true } },
  // A retryable write has a transaction number as well, but no autocommit.
  { $match: { "transaction.parameters.autocommit": false } },
  // A transaction on several shards is listed by each.
  {
    $group: {
      _id: "$lsid.id",
      appName: { $max: "$appName" },
      // Of what came by mongos, the client's own.
      client: { $max: { $ifNull: ["$client_s", "$client"] } },
      ns: { $max: "$ns" },
      micros: { $max: { $toDouble: "$transaction.timeOpenMicros" } }
    }
  },
  { $set: { session: "$_id" } },
  { $sort: { micros: -1 } },
  { $limit: most + 1 }
]

const Entry = Schema.Struct({
  appName: Schema.optional(Schema.NullOr(Schema.String)),
  client: Schema.optional(Schema.NullOr(Schema.String)),
  ns: Schema.optional(Schema.NullOr(Schema.String)),
  session: Schema.Struct({ buffer: Schema.Uint8ArrayFromSelf }),
  micros: Schema.NonNegative
})

const decode = Schema.decodeUnknownOption(
  Schema.Struct({ cursor: Schema.Struct({ firstBatch: Schema.Array(Schema.Unknown) }) })
)

const decodeEntry = Schema.decodeUnknownOption(Entry)

/**
 * The transactions that a reply tells of, each once, but for that of a session. What is not understood is left out.
 */
export const transactionsOf = (
  reply: unknown,
  own: string,
  isHere: (session: string) => boolean
): ReadonlyArray<OpenTransaction> => {
  const { firstBatch } = Option.match(decode(reply), {
    onNone: () => ({ firstBatch: [] }),
    onSome: ({ cursor }) => cursor
  })
  const found = new Map<string, OpenTransaction>()
  for (const one of firstBatch) {
    const entry = Option.getOrUndefined(decodeEntry(one))
    if (entry === undefined || entry.session.buffer.length !== 16) continue
    const session = SessionId.fromBytes(entry.session.buffer).uuid
    if (session === own || found.has(session) || found.size === most) continue
    found.set(session, {
      ...(typeof entry.appName === "string" && { appName: entry.appName }),
      ...(typeof entry.client === "string" && { client: entry.client }),
      ...(typeof entry.ns === "string" && { namespace: entry.ns }),
      age: Duration.millis(Math.round(entry.micros / 1000)),
      session,
      isHere: isHere(session)
    })
  }
  return [...found.values()]
}
