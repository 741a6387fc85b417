/**
 * The driver's open cursors: which there are, and how they are closed in their turn.
 */
import type * as Driver from "mongodb"
import * as Lent from "./lent.js"
import { ofClient, ofCursor } from "./privates.js"
import type { Controller } from "./signal.js"

/** A cursor of the driver. */
type Cursor = Driver.AbstractCursor<unknown>

/** The cursors that were opened with a signal and are open still. */
export const withSignal = (client: Driver.MongoClient | undefined, signal: AbortSignal): ReadonlyArray<Cursor> =>
  cursorsOf(client, (cursor) => ofCursor(cursor).signal === signal)

/**
 * Fires a signal. At it a cursor of the driver sends `killCursors` by itself, next to its `getMore`, and nobody can wait for
 * it. Here it does not; it is closed when the operation has settled, and that is waited for.
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

/** Closes cursors, one after the other: each may be a command of the same session. */
export const closeAll = async (cursors: ReadonlyArray<Cursor>): Promise<void> => {
  for (const cursor of cursors) {
    await Lent.once(ofCursor(cursor).session, () => cursor.close())
  }
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

/** The sessions of the cursors of a client that are open. */
export const sessionsOf = (client: Driver.MongoClient): ReadonlyArray<Driver.ClientSession | null> =>
  Array.from(openOf(client), (cursor) => ofCursor(cursor).session)
