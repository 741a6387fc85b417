/**
 * Asks a server what is going on, by this library's own operations.
 */
import * as Database from "effect-mongo-session/Database"
import * as MongoClient from "effect-mongo-session/MongoClient"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Library from "./library.js"
import type { Snapshot } from "./model.js"
import { asked, type GatherError, local, type Part, timeout } from "./parts.js"
import { type Listed, mostSessions, snapshotOf } from "./snapshot.js"
import { numberOf, record, records, textOf, timeOf, uuidOf } from "./values.js"

/** What to look at. */
export interface Scope {
  /** The databases; none: all. */
  readonly databases: ReadonlyArray<string>
}

const admin = Database.make("admin")

const operations = (allUsers: boolean) =>
  Effect.map(
    Stream.runCollect(
      admin.aggregate([{ $currentOp: { allUsers, idleSessions: true, idleCursors: true } }], local)
    ),
    (found) => Array.from(found)
  )

// Sorted and counted by the server, which may have very many. Those that do something are told in any case.
const sessions = (allUsers: boolean, busy: ReadonlyArray<unknown>) =>
  Effect.map(
    Stream.runCollect(
      admin.aggregate([
        { $listLocalSessions: { allUsers } },
        {
          $facet: {
            count: [{ $count: "count" }],
            used: [{ $sort: { lastUse: -1 } }, { $limit: mostSessions }],
            busy: [{ $match: { "_id.id": { $in: busy } } }]
          }
        }
      ], local)
    ),
    (found): Sessions => {
      const [facets = {}] = records(Array.from(found))
      const [{ count } = {}] = records(facets["count"])
      return {
        count: numberOf(count) ?? 0,
        listed: [...records(facets["used"]), ...records(facets["busy"])].flatMap(listedIn)
      }
    }
  )

interface Sessions {
  readonly count: number
  readonly listed: ReadonlyArray<Listed>
}

const listedIn = (entry: unknown): ReadonlyArray<Listed> => {
  const { _id, lastUse, user } = record(entry)
  const [session, used] = [uuidOf(record(_id)["id"]), timeOf(lastUse)]
  return session === undefined || used === undefined ? [] : [{ session, lastUse: used, user: textOf(user) }]
}

// Their ids, as the server gives them.
const busyIn = (operations: ReadonlyArray<unknown>): ReadonlyArray<unknown> => {
  const ids = operations.map((one) => record(record(one)["lsid"])["id"])
  return [...new Map(ids.flatMap((id) => uuidOf(id) === undefined ? [] : [[uuidOf(id), id]])).values()]
}

const activity = Effect.gen(function*() {
  const found = yield* asked({
    what: "operations and transactions",
    privilege: "inprog",
    ask: operations(true),
    own: { what: "operations of other users", ask: operations(false) }
  }, [])
  const busy = busyIn(found.value)
  const listed = yield* asked({
    what: "sessions",
    privilege: "listSessions",
    ask: sessions(true, busy),
    own: { what: "sessions of other users", ask: sessions(false, busy) }
  }, { count: 0, listed: [] })
  return { operations: found, sessions: listed }
})

// Asked for those of the user only, the server leaves others out without a word.
const databases = (authorizedDatabases: boolean) =>
  Effect.map(
    MongoClient.listDatabases({ nameOnly: true, authorizedDatabases, ...timeout }),
    ({ databases }) => databases.map(({ name }) => name).filter((name) => !internal.has(name))
  )

const internal: ReadonlySet<string> = new Set(["admin", "config", "local"])

/** Asks for everything, and makes one picture of it. */
export const gather = (
  scope: Scope,
  before: Snapshot | undefined
): Effect.Effect<Snapshot, GatherError, MongoClient.MongoClient> =>
  Effect.gen(function*() {
    const client = yield* MongoClient.MongoClient
    const { kind } = yield* client.deployment
    const hello = yield* admin.command({ hello: 1 }, timeout)
    const buildInfo = yield* asked<unknown, MongoClient.MongoClient>(
      { what: "the server's version", privilege: "buildInfo", ask: admin.command({ buildInfo: 1 }, timeout) },
      {}
    )
    const found = yield* Effect.all({
      activity,
      locks: kind === "sharded"
        ? Effect.succeed<Part<unknown>>({ value: {}, missing: [] })
        : asked<unknown, MongoClient.MongoClient>({
          what: "locks, and who waits for whom",
          privilege: "inprog",
          ask: admin.command({ lockInfo: 1 }, timeout)
        }, {}),
      names: scope.databases.length > 0
        ? Effect.succeed<Part<ReadonlyArray<string>>>({ value: scope.databases, missing: [] })
        : asked({
          what: "databases",
          privilege: "listDatabases",
          ask: databases(false),
          own: { what: "databases that the user may not see", ask: databases(true) }
        }, [])
    }, { concurrency: "unbounded" })
    const { operations, sessions } = found.activity
    const read = yield* Effect.forEach(found.names.value, Library.read, { concurrency: 4 })
    const parts = [buildInfo, operations, found.locks, sessions, found.names, ...read]
    return snapshotOf(
      {
        hosts: hostsOf(client, hello),
        kind,
        hello,
        buildInfo: buildInfo.value,
        operations: operations.value,
        locks: found.locks.value,
        sessions: sessions.value.listed,
        listedCount: sessions.value.count,
        books: read.map(({ value }) => value),
        onceCount: read.reduce((sum, { value }) => sum + value.onceCount, 0),
        missing: parts.flatMap(({ missing }) => missing)
      },
      before,
      yield* Clock.currentTimeMillis
    )
  })

// The server that has answered; else those of the URI, which the driver knows without its secret.
const hostsOf = ({ driver }: MongoClient.Service, hello: unknown): ReadonlyArray<string> => {
  const me = textOf(record(hello)["me"])
  return me === undefined ? driver.options.hosts.map(String) : [me]
}
