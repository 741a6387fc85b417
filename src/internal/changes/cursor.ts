/**
 * The cursor of a change stream of the driver, without what the driver does about its errors by itself: it would resume
 * once, at once, and outside of any Schedule.
 */
import * as Duration from "effect/Duration"
import type * as Driver from "mongodb"
import type { Added } from "../data/operation.js"
import type { Target } from "../data/request.js"
import * as DriverCursor from "../driver/cursor.js"
import { brokenSocket, isDriverFailure, toMongoError } from "../driver/errors.js"
import { type ChangeStream, ofChangeStream } from "../driver/privates.js"
import { asDocuments } from "../driver/readOptions.js"
import type { Service as Client } from "../session/client.js"
import { type Answer, opened, type Position } from "./position.js"

/** What is watched, and how. */
export interface Watched {
  readonly client: Client
  readonly target: Target<never>
  readonly pipeline: ReadonlyArray<Driver.Document>
  readonly options: Driver.ChangeStreamOptions
  readonly maxAwaitTime: Duration.Duration | undefined
}

/** Where a cursor stands, as its last answer says. */
export interface Standing {
  /** Where it stood before its first event; none if it was not opened. */
  start: Position | undefined
  latest: Answer
  /** What is to be killed when the server can be reached again. */
  orphan: DriverCursor.Orphan | undefined
}

/** Makes a cursor that begins at a position, and notes where it stands; nothing is sent. */
export const make = (
  { client, maxAwaitTime, options, pipeline, target }: Watched,
  at: Position,
  standing: Standing,
  db: Driver.Db,
  // A signal among the options of a change stream would be sent to the server; its cursor gets it from whoever reads it.
  { signal: _, ...added }: Added
): Driver.AbstractCursor<Driver.Document> => {
  const given: Driver.ChangeStreamOptions = { ...options, ...at, ...added, ...asDocuments }
  const stream = parentOf(target, db, client).watch([...pipeline], given)
  const { cursor } = ofChangeStream(stream)
  cursor.cursorOptions.maxAwaitTimeMS = maxAwaitTime && Duration.toMillis(maxAwaitTime)
  cursor.on("init", (answer: Answer) => {
    standing.start = opened(at, answer)
    standing.latest = answer
  })
  cursor.on("more", (answer: Answer) => {
    standing.latest = answer
  })
  tellWhenOpen(cursor)
  leaveWhenLost(cursor, standing)
  return cursor
}

// The driver would open it and wait for its second batch at once. That it is open is told before there is anything to wait
// for.
const tellWhenOpen = (cursor: ChangeStream["cursor"]): void => {
  const tryNext = cursor.tryNext.bind(cursor)
  cursor.tryNext = async () => {
    if (cursor.id === undefined) {
      await cursor.cursorInit()
      if (cursor.bufferedCount() === 0) return null
    }
    return tryNext()
  }
}

// The driver would kill the cursor of a broken connection, and wait for its server until that is back, or selection timed
// out, though the stream may go on with another one in the meantime.
const leaveWhenLost = (cursor: ChangeStream["cursor"], standing: Standing): void => {
  const getMore = cursor.getMore.bind(cursor)
  cursor.getMore = async (...args) => {
    try {
      return await getMore(...args)
    } catch (given) {
      const error = brokenSocket(given) ?? given
      if (isDriverFailure(error) && toMongoError({ operation: "getMore" }, error).reason === "NetworkError") {
        cursor.isKilled = true
        standing.orphan = DriverCursor.orphanOf(cursor)
      }
      throw error
    }
  }
}

const parentOf = ({ collection, database }: Watched["target"], db: Driver.Db, { driver }: Client) =>
  collection !== undefined ? db.collection(collection) : database !== undefined ? db : driver
