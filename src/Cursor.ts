/**
 * The driver's cursors as streams: read batch by batch, each in the session's turn, and closed before the session.
 *
 * @since 0.1.0
 */
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Driver from "mongodb"
import * as CursorLoss from "./internal/data/cursorLoss.js"
import { type Added, type OperationError, type Placed, type Request, type Target } from "./internal/data/operation.js"
import { placeStream } from "./internal/data/streams.js"
import * as DriverCursor from "./internal/driver/cursor.js"
import type { ClientOption, MongoClient } from "./internal/session/client.js"
import { key } from "./internal/session/gate.js"
import { untilFree } from "./internal/session/operation.js"
import { closingStep } from "./internal/telemetry/closing.js"
import { ForeignSession, SessionBusy } from "./SessionErrors.js"

export type {
  /** What any operation of data access can fail with. @since 0.1.0 @category errors */
  OperationError
} from "./internal/data/operation.js"

/**
 * How errors and spans call the stream's commands, and the client it is read from.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options<Client = MongoClient> extends ClientOption<Client> {
  /** The name of the operation that opens the cursor. Default: `cursor`. */
  readonly operation?: string | undefined
}

/**
 * The documents of a cursor of the driver, as a stream of one chunk for each batch of the server. The cursor is made when
 * the stream is run, each time anew, and closed when it ends, for whatever reason. Pass `session` and `signal` on to the
 * driver's method that makes it.
 *
 * Nothing is read ahead: each batch is asked for when the one before is consumed, in the turn of the ambient session, which
 * is free in between. A slow consumer costs nothing, for the session is kept alive; without an ambient session, one is
 * opened for the stream. An interruption waits until the command in flight has settled.
 *
 * @since 0.1.0
 * @category constructors
 */
export const stream = <T, Client = MongoClient>(
  open: (added: Added, db: Driver.Db) => Driver.AbstractCursor<T>,
  options: Options<Client> = {}
): Stream.Stream<T, OperationError, Client> =>
  batches(
    options,
    { name: options.operation ?? "cursor", kind: "read", inTransaction: true },
    (db, added) => open(added, db)
  )

/**
 * {@link stream} for the library's own operations.
 *
 * @internal
 */
export const batches = <T, Client = MongoClient>(
  target: Target<Client>,
  request: Request,
  open: (db: Driver.Db, added: Added) => Driver.AbstractCursor<T>
): Stream.Stream<T, OperationError, Client> =>
  Stream.unwrapScoped(Effect.gen(function*() {
    const placed = yield* placeStream(target, request)
    const cursor = yield* acquire(placed, (added) => open(placed.db, added))
    return Stream.repeatEffectChunkOption(pull(placed, cursor, request.name))
  }))

// A cursor that is opened by the first pull.
interface Lazy<T> {
  /** Gives the cursor. None, if the session in which it was opened is gone. */
  readonly use: (added: Added) => Driver.AbstractCursor<T> | undefined
  readonly isOpen: () => boolean
  /** Fires the signal of the cursor: each operation has one of its own, but the driver's cursor one for all its life. */
  readonly abort: () => void
}

const acquire = <T>(
  { client, run, session }: Placed,
  open: (added: Added) => Driver.AbstractCursor<T>
): Effect.Effect<Lazy<T>, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const controller = new AbortController()
        const state: { cursor: Driver.AbstractCursor<T> | undefined; session: Added["session"] } = {
          cursor: undefined,
          session: undefined
        }
        return { controller, state }
      }),
      ({ state }) =>
        Effect.suspend(() => {
          const { cursor } = state
          if (cursor === undefined || isExhausted(cursor)) return Effect.void
          // What has ended its session, or its transaction, has ended the cursor, too.
          const close = Effect.catchTags(whenFree(session, run(() => cursor.close(), "killCursors")), {
            SessionEnded: () => Effect.void,
            SessionLapsed: () => Effect.void,
            TransactionEnded: () => Effect.void
          })
          return closingStep("cursor", client.closeTimeout, close, (error) => error._tag)
        })
    ),
    ({ controller, state }): Lazy<T> => ({
      isOpen: () => state.cursor !== undefined,
      use: (added) => {
        if (state.cursor !== undefined && state.session !== added.session) return undefined
        state.session = added.session
        return state.cursor ??= tuned(open({ ...added, signal: controller.signal }), controller.signal)
      },
      abort: () => {
        if (state.cursor !== undefined) DriverCursor.abort(controller, [state.cursor])
      }
    })
  )

// A session that makes nothing wait must not keep its cursors for that: closing them waits where anything else would fail.
const whenFree = <A, E>(
  session: Placed["session"],
  close: Effect.Effect<A, E | SessionBusy>
): Effect.Effect<A, E | SessionBusy> =>
  Effect.retry(close, {
    while: (error) =>
      error instanceof SessionBusy && Option.isSome(session)
        ? untilFree(session.value[key], "killCursors")
        : Effect.succeed(false)
  })

const pull = <T>(
  placed: Placed,
  cursor: Lazy<T>,
  name: string
): Effect.Effect<Chunk.Chunk<T>, Option.Option<OperationError>> => {
  const { client, namespace, run } = placed
  let isOver = false
  let isPolled = false
  const read = (operation: string, noteTurn: (session: Driver.ClientSession) => void) => {
    let problem: OperationError | undefined
    const batch = run(async (added) => {
      if (added.session !== undefined) noteTurn(added.session)
      const opened = cursor.use(added)
      if (opened === undefined) {
        problem = CursorLoss.renewed(operation, namespace)
        return []
      }
      if (hidden(opened).client !== client.driver) {
        problem = new ForeignSession({ operation })
        return []
      }
      added.signal?.addEventListener("abort", cursor.abort, { once: true })
      const batch = await nextBatch(opened).finally(() => added.signal?.removeEventListener("abort", cursor.abort))
      isOver = isExhausted(opened)
      isPolled = !isOver && batch.length === 0 && !waitsForData(opened)
      return batch
    }, operation)
    return Effect.flatMap(
      batch,
      (documents) => problem === undefined ? Effect.succeed(documents) : Effect.fail(problem)
    )
  }
  const next = Effect.suspend(() =>
    cursor.isOpen()
      ? CursorLoss.explained(placed, (noteTurn) => read("getMore", noteTurn))
      : read(name, () => undefined)
  )
  return Effect.suspend(() =>
    isOver ? Effect.fail(Option.none()) : Effect.mapBoth(
      isPolled ? Effect.delay(next, pollInterval) : next,
      { onFailure: Option.some, onSuccess: Chunk.unsafeFromArray }
    )
  )
}

// A tailable cursor without `awaitData` answers at once that there is nothing; asking at once again would never end.
const pollInterval = "100 millis"

// What the driver's cursors have, but its typings keep to themselves.
interface Hidden {
  readonly client?: Driver.MongoClient | undefined
  readonly cursorOptions?: {
    readonly tailable?: boolean
    readonly awaitData?: boolean
    signal?: AbortSignal
  } | undefined
  deserializationOptions?: object | undefined
}

const hidden = (cursor: Driver.AbstractCursor<unknown>): Hidden => cursor as Driver.AbstractCursor<unknown> & Hidden

const tuned = <T>(cursor: Driver.AbstractCursor<T>, signal: AbortSignal): Driver.AbstractCursor<T> => {
  const own = hidden(cursor)
  // The driver's getMore knows of no signal, so that it could only be waited for, however long the server waits for data.
  if (own.cursorOptions !== undefined) own.cursorOptions.signal = signal
  // The driver copies all options of the cursor, twice, for each document: that takes as long as to decode a small one.
  if (own.deserializationOptions !== undefined) {
    own.deserializationOptions = Object.fromEntries(
      Object.entries(own.deserializationOptions).filter(([name, value]) => value !== undefined && !notOfBson.has(name))
    )
  }
  return cursor
}

// Of the cursor, or of writing. What is not known stays, for it may be an option of a later BSON.
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

const waitsForData = (cursor: Driver.AbstractCursor<unknown>): boolean => {
  const { awaitData, tailable } = hidden(cursor).cursorOptions ?? {}
  return tailable !== true || awaitData === true
}

const isExhausted = (cursor: Driver.AbstractCursor<unknown>): boolean =>
  cursor.bufferedCount() === 0 && (cursor.closed || cursor.killed || cursor.id?.isZero() === true)

// One command at most: `hasNext` and `next` would ask again and again while batches are empty.
const nextBatch = async <T>(cursor: Driver.AbstractCursor<T>): Promise<Array<T>> => {
  const first = await cursor.tryNext()
  if (first === null) return []
  const batch: Array<T> = [first]
  if (hasTransform(cursor)) {
    while (cursor.bufferedCount() > 0) {
      const next = await cursor.next()
      if (next !== null) batch.push(next)
    }
    return batch
  }
  for (const document of cursor.readBufferedDocuments()) batch.push(document)
  return batch
}

// `map` of a cursor is not applied to what is read from its buffer at once.
const hasTransform = (cursor: object): boolean => "transform" in cursor && typeof cursor.transform === "function"
