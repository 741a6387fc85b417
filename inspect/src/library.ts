/**
 * Reads what the library's own collections of a database have.
 */
import * as Collection from "effect-mongo-session/Collection"
import * as Database from "effect-mongo-session/Database"
import type * as MongoClient from "effect-mongo-session/MongoClient"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { type Books, collections, deliveredIn, type Messages, relayOf } from "./books.js"
import type { Missing } from "./model.js"
import { asked, type GatherError, local, type Part, timeout } from "./parts.js"
import { records, textOf, type Unknown } from "./values.js"

const most = 1000

const named = /^effect_mongo_session\./

/** What was read of a database, and about how many keys there are. */
export type Counted = Books & { readonly onceCount: number }

/** Asks for all of them. */
export const read = (database: string): Effect.Effect<Part<Counted>, GatherError, MongoClient.MongoClient> =>
  Effect.gen(function*() {
    // A name may have any characters; it is asked for as it is, and shown without those that change a terminal.
    const shown = textOf(database) ?? ""
    const what = `outboxes, consumers, leases and keys of ${shown}`
    const names = yield* asked({
      what,
      privilege: `listCollections on ${shown}`,
      ask: namesIn(database, false),
      own: {
        what: `collections of ${shown} that the user may not see`,
        privilege: `find on ${shown}`,
        ask: namesIn(database, true)
      }
    }, new Set<string>())
    const found = yield* asked(
      { what, privilege: `find on ${shown}`, ask: contents(database, names.value) },
      nothing
    )
    const letters = yield* asked<Books["deadLetters"], MongoClient.MongoClient>(
      { what: `dead letters of ${shown}`, privilege: `find on ${shown}`, ask: deadLetters(database, names.value) },
      undefined
    )
    return {
      value: { ...shownOf(found.value), database: shown, deadLetters: letters.value },
      missing: [...names.missing, ...found.missing, ...letters.missing, ...moreIn(shown, found.value)]
    }
  })

// Asked for those of the user only, the server leaves others out without a word.
const namesIn = (database: string, authorizedCollections: boolean) =>
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

type Contents = Omit<Counted, "database" | "deadLetters">

const nothing: Contents = { messages: new Map(), relays: [], checkpoints: [], leases: [], keys: [], onceCount: 0 }

const contents = (
  database: string,
  names: ReadonlySet<string>
): Effect.Effect<Contents, GatherError, MongoClient.MongoClient> =>
  Effect.gen(function*() {
    const collection = (name: string) => Collection.make(name, { database })
    const all = (
      name: string,
      options: {
        readonly limit?: number
        readonly sort?: { readonly $natural: -1 }
        readonly projection?: Unknown
      } = {}
    ) =>
      names.has(name)
        ? Effect.map(
          // One more tells that there are more.
          Stream.runCollect(collection(name).find({}, { limit: most + 1, projection: {}, ...options, ...local })),
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
    return {
      messages: new Map<string, Messages>(messages),
      relays,
      checkpoints: yield* all(collections.checkpoints),
      leases: yield* all(collections.leases),
      keys: yield* all(collections.once, { limit: most, sort: { $natural: -1 }, projection: { state: 1, at: 1 } }),
      onceCount: names.has(collections.once) ? yield* collection(collections.once).estimatedDocumentCount(timeout) : 0
    }
  })

// Counted by the server, however many there are; or not at all.
const deadLetters = (database: string, names: ReadonlySet<string>) =>
  names.has(collections.deadLetters)
    ? Effect.map(
      Stream.runCollect(
        Collection.make(collections.deadLetters, { database }).aggregate([
          { $group: { _id: { outbox: "$outbox", consumer: "$consumer" }, count: { $sum: 1 } } }
        ], local)
      ),
      recordsIn
    )
    : Effect.succeed<ReadonlyArray<Unknown>>([])

const recordsIn = (found: Iterable<unknown>): ReadonlyArray<Unknown> => records(Array.from(found))

const shownOf = (contents: Contents): Contents => ({
  ...contents,
  relays: contents.relays.slice(0, most),
  checkpoints: contents.checkpoints.slice(0, most),
  leases: contents.leases.slice(0, most)
})

// What is more than that is not shown, and said. Of keys the newest are told, and how many there are.
const moreIn = (database: string, { checkpoints, leases, relays }: Contents): ReadonlyArray<Missing> =>
  Object.entries({ relays, consumers: checkpoints, leases }).filter(([, all]) => all.length > most).map(([name]) => ({
    what: `some ${name} of ${database}`,
    why: `there are more than ${most.toLocaleString("en")}`
  }))
