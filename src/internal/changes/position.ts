/**
 * From where a change stream goes on, when it may, and how long it waits before that.
 *
 * See the specification "change streams", sections "Resumable Error" and "Resume Process".
 */
import * as Schedule from "effect/Schedule"
import type * as Driver from "mongodb"
import { Label, MongoError } from "../../MongoError.js"
import type { ResumeToken } from "../../ResumeToken.js"
import { amended, chainOf } from "../driver/errors.js"

/** A place in a stream, as the options that make the driver begin there; without any, the stream begins now. */
export interface Position {
  readonly resumeAfter?: Driver.ResumeToken
  readonly startAfter?: Driver.ResumeToken
  readonly startAtOperationTime?: Driver.Timestamp
}

/** Whether the position says where to begin. */
export const isPlace = (position: Position): boolean => Object.keys(position).length > 0

/** The position after an event; a stream can begin there even if the event was the last of another one. */
export const after = ({ document }: ResumeToken): Position => ({ startAfter: document })

/** What the server says about where its answer stands in the stream. */
export interface Answer {
  readonly operationTime?: Driver.Timestamp | null | undefined
  readonly postBatchResumeToken?: object | null | undefined
}

/** The position of a stream that was opened at another one, when it has given no event yet. */
export const opened = (at: Position, { operationTime, postBatchResumeToken }: Answer): Position =>
  isPlace(at)
    ? at
    : postBatchResumeToken
    ? { resumeAfter: postBatchResumeToken }
    : operationTime
    ? { startAtOperationTime: operationTime }
    : at

/** The position when a batch, with its events, has been passed on. */
export const advanced = (
  at: Position,
  { postBatchResumeToken }: Answer,
  last: Driver.Document | undefined
): Position => {
  const token: unknown = postBatchResumeToken ?? last?.["_id"]
  if (token === undefined) return at
  // What began after another stream's last event may have to begin there again, if it has given nothing yet.
  return last === undefined && at.startAfter !== undefined ? { startAfter: token } : { resumeAfter: token }
}

/**
 * Whether a stream that has failed so can be resumed. Servers from MongoDB 4.4 on put a label on such errors, and then the
 * label decides. What is no answer of a server is always resumable, for it is the way there that has failed.
 */
export const isResumable = (error: unknown, maxWireVersion: number): error is MongoError =>
  isLostOnTheWay(error) &&
  (maxWireVersion < labellingWireVersion || error.code === undefined || error.code === cursorNotFound ||
    error.hasLabel(Label.ResumableChangeStreamError))

/** Whether an answer was lost on its way, or a server could not serve: the same may succeed on another one, or later. */
export const isLostOnTheWay = (error: unknown): error is MongoError =>
  error instanceof MongoError &&
  (error.hasLabel(Label.ResumableChangeStreamError) ||
    (error.code === undefined ? lostOnTheWay.has(error.reason) : resumableCodes.has(error.code)))

/**
 * The failure of an operation that another failure comes from by its `cause`: a transaction that was given up, a commit of which
 * nothing is known, or what a program has made of it.
 */
export const mongoErrorIn = (failure: unknown): MongoError | undefined => {
  for (const found of chainOf("watch", failure)) {
    if (found instanceof MongoError) return found
  }
  return undefined
}

// MongoDB 4.4.
const labellingWireVersion = 9

// It has no label on any server.
const cursorNotFound = 43

/** Whether the server can't go on from a position. A stream that takes the tokens out of its events has lost itself. */
export const isPlaceLost = (error: unknown): error is MongoError =>
  error instanceof MongoError && error.reason === "ChangeStreamLost" && error.code !== undefined

/** Whether the server no longer has what comes after a position. */
export const isHistoryLost = (error: unknown): error is MongoError => isPlaceLost(error) && error.code !== fatal

/** An error as it is told of a change stream: what is lost, and how that is put right. */
export const ofStream = <E>(error: E): E | MongoError => {
  if (!(error instanceof MongoError)) return error
  // What a cursor was reading is gone: of a change stream, that is its history.
  if (error.code === cappedPositionLost) return amended(error, { reason: "ChangeStreamLost" })
  return error.code === fatal ? amended(error, { hint: keepsId }) : error
}

const cappedPositionLost = 136

// ChangeStreamFatalError.
const fatal = 280

const keepsId =
  "A pipeline must leave the `_id` of an event as it is: it is the place in the stream. If this one does, the place from which the " +
  "stream was to go on is of another stream or deployment. Set that of a consumer by `ChangeStream.checkpoints`."

const lostOnTheWay: ReadonlySet<MongoError["reason"]> = new Set<MongoError["reason"]>([
  "NetworkError",
  "ServerSelectionFailed",
  "PoolFailure",
  "NotPrimary",
  "Overloaded",
  "TimedOut",
  "CursorLost"
])

// The specification's, for servers that have no labels.
const resumableCodes: ReadonlySet<number> = new Set([
  ...[6, 7, cursorNotFound, 63, 89, 91, 133, 150, 189, 234, 262],
  ...[9001, 10107, 11600, 11602, 13388, 13435, 13436]
])

/** Endless: 50 ms at first, then twice as long each time up to 10 s, each time a fifth more or less. */
export const backoff: Schedule.Schedule<unknown> = Schedule.exponential("50 millis").pipe(
  Schedule.either(Schedule.spaced("10 seconds")),
  Schedule.jittered
)
