/**
 * Makes one picture of all that was read.
 */
import * as Books from "./books.js"
import { resourcesOf } from "./locks.js"
import type { Missing, Session, Snapshot, Transaction } from "./model.js"
import { activityOf, remembering } from "./operations.js"
import { defined, numberOf, record, textOf, timeOf } from "./values.js"

/** A session that a server has listed. */
export interface Listed {
  readonly session: string
  readonly user: string | undefined
  readonly lastUse: number
}

/** What was read. */
export interface Read {
  readonly hosts: ReadonlyArray<string>
  readonly kind: string
  readonly hello: unknown
  readonly buildInfo: unknown
  readonly operations: ReadonlyArray<unknown>
  readonly locks: unknown
  /** Those that do something, and those that were used last. */
  readonly sessions: ReadonlyArray<Listed>
  /** How many the server has listed. */
  readonly listedCount: number
  readonly books: ReadonlyArray<Books.Books>
  readonly onceCount: number
  readonly missing: ReadonlyArray<Missing>
}

/** How many sessions a picture has. */
export const mostSessions = 1000

/** The picture, with what an earlier one knew of transactions that are open still. */
export const snapshotOf = (read: Read, before: Snapshot | undefined, clock: number): Snapshot => {
  const hello = record(read.hello)
  const now = timeOf(hello["localTime"]) ?? clock
  const { doing, transactions, waiting } = activityOf(read.operations, resourcesOf(read.locks), now)
  const isOpen = (session: unknown) => typeof session === "string" && doing.has(session)
  const listed = new Map(read.sessions.map((one) => [one.session, one]))
  return defined<Snapshot>({
    at: new Date(now).toISOString(),
    hosts: read.hosts,
    deployment: textOf(hello["setName"]) === undefined ? read.kind : `replica set ${textOf(hello["setName"])}`,
    version: textOf(record(read.buildInfo)["version"]),
    transactions: remembering(before?.transactions ?? [], owned(transactions, listed)),
    waiting,
    sessionCount: read.listedCount + [...doing.keys()].filter((session) => !listed.has(session)).length,
    sessions: sessionsOf(listed, doing, now).slice(0, mostSessions),
    outboxes: read.books.flatMap((books) => Books.outboxesOf(books, isOpen, now)),
    consumers: read.books.flatMap((books) => Books.consumersOf(books, isOpen, now)),
    leases: read.books.flatMap((books) => Books.leasesOf(books, now)),
    onceCount: numberOf(read.onceCount) ?? 0,
    once: read.books.flatMap((books) => Books.onceOf(books, now)),
    missing: read.missing
  })
}

// The server tells no user of a transaction that is idle, but whose its session is.
const owned = (
  transactions: ReadonlyArray<Transaction>,
  listed: ReadonlyMap<string, Listed>
): ReadonlyArray<Transaction> =>
  transactions.map((one) => defined<Transaction>({ ...one, user: one.user ?? textOf(listed.get(one.session)?.user) }))

// Those that do something come first, then those that were used last.
const sessionsOf = (
  listed: ReadonlyMap<string, Listed>,
  doing: ReadonlyMap<string, Omit<Session, "session" | "usedMs">>,
  now: number
): ReadonlyArray<Session> =>
  [...new Set([...doing.keys(), ...listed.keys()])].map((session) => {
    const { lastUse, user } = listed.get(session) ?? {}
    return defined<Session>({
      session,
      user: textOf(user),
      usedMs: lastUse === undefined ? undefined : Math.max(0, now - lastUse),
      ...doing.get(session)
    })
  }).sort((one, other) =>
    Number(other.doing !== undefined) - Number(one.doing !== undefined) || (one.usedMs ?? 0) - (other.usedMs ?? 0)
  )
