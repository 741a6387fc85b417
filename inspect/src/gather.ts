/**
 * Asks a server what is going on, by this library's own operations.
 */
import * as Collection from "effect-mongo-session/Collection"
import * as Database from "effect-mongo-session/Database"
import * as MongoClient from "effect-mongo-session/MongoClient"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { type Books, collections, deliveredIn, type Messages, relayOf } from "./books.js"
import type { Snapshot } from "./model.js"
import { asked, type GatherError, local, type Part, timeout } from "./parts.js"
import { type Listed, snapshotOf } from "./snapshot.js"
import { record, records, textOf, timeOf, type Unknown, uuidOf } from "./values.js"

/** What to look at. */
export interface Scope {
  /** The databases; none: all. */
  readonly databases: ReadonlyArray<string>
}

const mostSessions = 10_000
const mostDocuments = 1000

const admin = Database.make("admin")

const operations = (allUsers: boolean) =>
  Effect.map(
    Stream.runCollect(
      admin.aggregate([{ $currentOp: { allUsers, idleSessions: true, idleCursors: true } }], local)
    ),
    (found) => Array.from(found)
  )

const listed = (allUsers: boolean) =>
  Effect.map(
    Stream.runCollect(admin.aggregate([{ $listLocalSessions: { allUsers } }, { $limit: mostSessions }], local)),
    (found) => Array.from(found).flatMap(listedIn)
  )

const listedIn = (entry: unknown): ReadonlyArray<Listed> => {
  const { _id, lastUse, user } = record(entry)
  const [session, used] = [uuidOf(record(_id)["id"]), timeOf(lastUse)]
  return session === undefined || used === undefined ? [] : [{ session, lastUse: used, user: textOf(user) }]
}

// Asked for those of the user only, the server leaves others out without a word.
const databases = (authorizedDatabases: boolean) =>
  Effect.map(
    MongoClient.listDatabases({ nameOnly: true, authorizedDatabases, ...timeout }),
    ({ databases }) => databases.map(({ name }) => name).filter((name) => !internal.has(name))
  )

const internal: ReadonlySet<string> = new Set(["admin", "config", "local"])

const named = /^effect_mongo_session\./

const names = (database: string, authorizedCollections: boolean) =>
  Effect.map(
    Stream.runCollect(
      Database.make(database).listCollections({ name: { $regex: named.source } }, {
        nameOnly: true,
        authorizedCollections,
        ...timeout
      })
    ),
    (found): ReadonlySet<string> => new Set(Array.from(found, ({ name }) => name))
  )

type Counted = Books & { readonly onceCount: number }

const books = (database: string): Effect.Effect<Part<Counted>, GatherError, MongoClient.MongoClient> =>
  Effect.gen(function*() {
    const shown = shownOf(database)
    const what = `outboxes, consumers, leases and keys of ${shown}`
    const found = yield* asked({
      what,
      privilege: `listCollections on ${shown}`,
      ask: names(database, false),
      own: {
        what: `collections of ${shown} that the user may not see`,
        privilege: `find on ${shown}`,
        ask: names(database, true)
      }
    }, new Set<string>())
    const read = yield* asked(
      { what, privilege: `find on ${shown}`, ask: contents(database, found.value) },
      nothing(database)
    )
    return { value: read.value, missing: [...found.missing, ...read.missing] }
  })

const contents = (
  database: string,
  names: ReadonlySet<string>
): Effect.Effect<Counted, GatherError, MongoClient.MongoClient> =>
  Effect.gen(function*() {
    const collection = (name: string) => Collection.make(name, { database })
    const all = (
      name: string,
      options: { readonly sort?: { readonly $natural: -1 }; readonly projection?: Unknown } = {}
    ) =>
      names.has(name)
        ? Effect.map(
          Stream.runCollect(collection(name).find({}, { limit: mostDocuments, projection: {}, ...options, ...local })),
          recordsIn
        )
        : Effect.succeed<ReadonlyArray<Unknown>>([])
    const relays = yield* all(collections.outboxes)
    const outboxes = [...names].filter((name) => name.startsWith(collections.outbox))
    const messages = yield* Effect.forEach(outboxes, (name) => {
      const outbox = name.slice(collections.outbox.length)
      const delivered = deliveredIn(relayOf(relays, outbox) ?? {})
      return Effect.map(
        Effect.zip(
          collection(name).estimatedDocumentCount(timeout),
          // In the order in which they were written, which takes no index.
          collection(name).findOne({ _id: { $nin: [...delivered] } }, {
            sort: { $natural: 1 },
            projection: { at: 1, publishedAt: 1 },
            ...local
          })
        ),
        ([count, oldest]) => [outbox, { count, oldest: oldest._tag === "Some" ? oldest.value : undefined }] as const
      )
    })
    const deadLetters = names.has(collections.deadLetters)
      ? yield* Effect.map(
        Stream.runCollect(
          collection(collections.deadLetters).aggregate([
            { $limit: 10_000 },
            { $group: { _id: { $ifNull: ["$outbox", "$consumer"] }, count: { $sum: 1 } } }
          ], local)
        ),
        recordsIn
      )
      : []
    return {
      database: shownOf(database),
      messages: new Map<string, Messages>(messages),
      relays,
      checkpoints: yield* all(collections.checkpoints),
      deadLetters,
      leases: yield* all(collections.leases),
      keys: yield* all(collections.once, { sort: { $natural: -1 }, projection: { state: 1, at: 1 } }),
      onceCount: names.has(collections.once) ? yield* collection(collections.once).estimatedDocumentCount(timeout) : 0
    }
  })

// A name may have any characters; it is asked for as it is, and shown without those that change a terminal.
const shownOf = (database: string): string => textOf(database) ?? ""

const recordsIn = (found: Iterable<unknown>): ReadonlyArray<Unknown> => records(Array.from(found))

const nothing = (database: string): Counted => ({
  database: shownOf(database),
  messages: new Map(),
  relays: [],
  checkpoints: [],
  deadLetters: [],
  leases: [],
  keys: [],
  onceCount: 0
})

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
      operations: asked({
        what: "operations and transactions",
        privilege: "inprog",
        ask: operations(true),
        own: { what: "operations of other users", ask: operations(false) }
      }, []),
      locks: kind === "sharded"
        ? Effect.succeed<Part<unknown>>({ value: {}, missing: [] })
        : asked<unknown, MongoClient.MongoClient>({
          what: "locks, and who waits for whom",
          privilege: "inprog",
          ask: admin.command({ lockInfo: 1 }, timeout)
        }, {}),
      sessions: asked({
        what: "sessions",
        privilege: "listSessions",
        ask: listed(true),
        own: { what: "sessions of other users", ask: listed(false) }
      }, []),
      names: scope.databases.length > 0
        ? Effect.succeed<Part<ReadonlyArray<string>>>({ value: scope.databases, missing: [] })
        : asked({
          what: "databases",
          privilege: "listDatabases",
          ask: databases(false),
          own: { what: "databases that the user may not see", ask: databases(true) }
        }, [])
    }, { concurrency: "unbounded" })
    const read = yield* Effect.forEach(found.names.value, books, { concurrency: 4 })
    const parts = [buildInfo, found.operations, found.locks, found.sessions, found.names, ...read]
    return snapshotOf(
      {
        hosts: hostsOf(client, hello),
        kind,
        hello,
        buildInfo: buildInfo.value,
        operations: found.operations.value,
        locks: found.locks.value,
        sessions: found.sessions.value,
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
