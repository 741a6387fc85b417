/**
 * Finds, reads and closes cursors of the driver.
 */
import { constVoid } from "effect/Function"
import type * as Driver from "mongodb"
import * as Command from "./command.js"
import { isOver } from "./deadline.js"
import { isDriverFailure, toMongoError } from "./errors.js"
import * as Lent from "./lent.js"
import { endImplicit, ofClient, ofCursor, openAs } from "./privates.js"
import type { Controller } from "./signal.js"

/** A cursor of the driver. */
type Cursor = Driver.AbstractCursor<unknown>

/** The cursors that were opened with a signal and are open still. */
export const withSignal = (client: Driver.MongoClient | undefined, signal: AbortSignal): ReadonlyArray<Cursor> =>
  cursorsOf(client, (cursor) => ofCursor(cursor).signal === signal)

/**
 * Fires a signal without closing cursors. On a signal, a cursor of the driver sends `killCursors` beside its `getMore`, and
 * nobody can wait for that. Here the caller closes the cursor when the operation has settled.
 */
export const abort = (controller: Controller, cursors: ReadonlyArray<Pick<Cursor, "close">>): void => {
  for (const cursor of cursors) {
    Object.defineProperty(cursor, "close", { value: () => Promise.resolve(), configurable: true })
  }
  controller.abort()
  for (const cursor of cursors) {
    Reflect.deleteProperty(cursor, "close")
  }
}

/**
 * Closes a cursor by a command of its session, but never of a transaction there. The server takes no `killCursors` as the
 * first command of a transaction, and none in one that it has aborted; cursors go on after either.
 */
export const close = async (cursor: Cursor): Promise<void> => {
  const own = ofCursor(cursor)
  const given = own.session
  const session = Lent.own(given)
  if (session?.inTransaction() !== true) return Lent.once(given, () => cursor.close())
  const apart = own.session = openAs(own.client, session.id)
  try {
    await cursor.close()
  } finally {
    own.session = given
    endImplicit(apart)
  }
}

/** A cursor that the server may still have. */
export interface Orphan {
  readonly id: Driver.Long
  readonly namespace: { readonly db: string; readonly collection?: string | undefined }
  readonly readPreference: Driver.ReadPreference
}

/** What the server would still have of a cursor if the driver did not close it. None, if it has nothing. */
export const orphanOf = (cursor: Cursor): Orphan | undefined => {
  const { id, namespace, readPreference } = cursor
  if (id === undefined || id.isZero()) return undefined
  return { id, namespace, readPreference }
}

/**
 * Kills a cursor that the driver has given up: by a command outside of all sessions, beside what its own may be doing. Gives whether
 * it is over: a server that does not know the cursor may be another one than that which has it, unless both are the primary.
 */
export const kill = async (
  client: Driver.MongoClient,
  { id, namespace, readPreference }: Orphan,
  signal: AbortSignal | undefined
): Promise<boolean> => {
  const command = { killCursors: namespace.collection, cursors: [id] }
  const { cursorsKilled } = await Command.run(client, namespace.db, command, { signal, readPreference })
  return readPreference.mode === "primary" || cursorsKilled?.length > 0
}

/** Forgets a cursor whose server cannot be asked to close it. */
export const forget = (cursor: Cursor): Promise<void> => {
  ofCursor(cursor).isKilled = true
  return cursor.close()
}

/** Closes cursors, one after the other: each may be a command of the same session. */
export const closeAll = async (cursors: ReadonlyArray<Cursor>): Promise<void> => {
  for (const cursor of cursors) await close(cursor)
}

/** Whether cursors that were opened in a session are open still. */
export const hasOpen = (session: Driver.ClientSession, client: Driver.MongoClient): boolean => {
  for (const cursor of openOf(client)) {
    if (Lent.own(ofCursor(cursor).session) === session) return true
  }
  return false
}

/** Closes the cursors that were opened in a session and are open still. */
export const closeOf = (session: Driver.ClientSession, client: Driver.MongoClient): Promise<void> =>
  closeAll(cursorsOf(client, (cursor) => Lent.own(ofCursor(cursor).session) === session))

const cursorsOf = (
  client: Driver.MongoClient | undefined,
  isMeant: (cursor: Cursor) => boolean
): ReadonlyArray<Cursor> => [...openOf(client)].filter(isMeant)

const openOf = (client: Driver.MongoClient | undefined): Iterable<Cursor> =>
  client === undefined ? [] : ofClient(client).s.activeCursors

/** Whether a cursor is one of a client. */
export const isOf = (cursor: Driver.AbstractCursor<unknown>, client: Driver.MongoClient): boolean =>
  ofCursor(cursor).client === client

/** Gives a cursor a signal for all its commands, and makes it decode documents no slower than it must. */
export const tuned = <T>(cursor: Driver.AbstractCursor<T>, signal: AbortSignal): Driver.AbstractCursor<T> => {
  const own = ofCursor(cursor)
  // The driver gives its getMore no signal by itself, so an interruption would wait for as long as the server does.
  own.cursorOptions.signal = signal
  // For each document the driver copies all options twice, which takes as long as decoding a small document.
  own.deserializationOptions = Object.fromEntries(
    Object.entries(own.deserializationOptions).filter(([name, value]) => value !== undefined && !notOfBson.has(name))
  )
  return cursor
}

// Options of the cursor or of writing. Unknown ones stay: they may be options of a later BSON.
const notOfBson: ReadonlySet<string> = new Set([
  "awaitData",
  "batchSize",
  "comment",
  "enableUtf8Validation",
  "ignoreUndefined",
  "maxAwaitTimeMS",
  "maxTimeMS",
  "readConcern",
  "readPreference",
  "serializeFunctions",
  "tailable"
])

/** Whether a `getMore` gives documents or ends the cursor. Without `awaitData`, a tailable cursor may give neither. */
export const waitsForData = (cursor: Driver.AbstractCursor<unknown>): boolean => {
  const { awaitData, tailable } = ofCursor(cursor).cursorOptions
  return tailable !== true || awaitData === true
}

/** The options of a tailable cursor that say how it waits for data; none of any other cursor. */
export const tailOf = (cursor: Driver.AbstractCursor<unknown>): object | undefined => {
  const { awaitData, maxAwaitTimeMS, tailable } = ofCursor(cursor).cursorOptions
  return tailable === true ? { tailable, awaitData, maxAwaitTimeMS } : undefined
}

/** Takes back the time limit that the server would be told by a cursor that was not opened yet. */
export const omitMaxTime = (cursor: Driver.AbstractCursor<unknown>): void => {
  const { cursorOptions } = ofCursor(cursor)
  cursorOptions.maxTimeMS = undefined
  cursorOptions.omitMaxTimeMS = true
}

const isUnsent = (error: unknown): boolean =>
  isDriverFailure(error) && toMongoError({ operation: "getMore" }, error).reason === "PoolFailure"

/** Whether a cursor has no documents left, here or on the server. */
export const isExhausted = (cursor: Driver.AbstractCursor<unknown>): boolean =>
  cursor.bufferedCount() === 0 && (cursor.closed || cursor.killed || cursor.id?.isZero() === true)

/**
 * The next batch. One command at most: `hasNext` and `next` would ask again and again while batches are empty.
 *
 * Where there is no connection in time, the driver gives the cursor up, and often asks no server to close it: for that, too, there
 * is no connection, or the time is over. It tells nobody whether it has asked. The cursor is handed to `lose` then.
 */
export const nextBatch = async <T>(
  cursor: Driver.AbstractCursor<T>,
  lose: (orphan: Orphan) => void = constVoid
): Promise<Array<T>> => {
  const orphan = orphanOf(cursor)
  const first = await cursor.tryNext().catch((error: unknown) => {
    const session = Lent.own(ofCursor(cursor).session)
    if (orphan !== undefined && cursor.killed && session !== null && (isOver(session) || isUnsent(error))) lose(orphan)
    throw error
  })
  if (first === null) return []
  const batch: Array<T> = [first]
  // `readBufferedDocuments` does not apply the function that `map` was given.
  if (typeof ofCursor(cursor).transform === "function") {
    while (cursor.bufferedCount() > 0) {
      const next = await cursor.next()
      if (next !== null) batch.push(next)
    }
    return batch
  }
  for (const document of cursor.readBufferedDocuments()) batch.push(document)
  return batch
}
