/**
 * A cursor of the driver as a stream: read batch by batch, each in its session's turn, and closed before the session.
 */
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Driver from "mongodb"
import { MongoError } from "../../MongoError.js"
import { ForeignSession } from "../../SessionErrors.js"
import * as DriverCursor from "../driver/cursor.js"
import * as Lent from "../driver/lent.js"
import type { AsGiven, MongoClient } from "../session/client.js"
import type { Deadline } from "../time/clock.js"
import { closed, killLater } from "./cursorEnd.js"
import * as CursorLoss from "./cursorLoss.js"
import type { Added, OperationError, Placed } from "./operation.js"
import type { Request, Target } from "./request.js"
import { placeStream } from "./streams.js"

/**
 * The documents of a cursor that is made when the stream is run, one chunk for each batch of the server. `limit` gives the
 * deadline of a batch that is a part of something longer.
 */
export const batches = <T, Client = MongoClient>(
  target: Target<Client>,
  request: Request,
  open: (db: Driver.Db, added: Added) => Driver.AbstractCursor<T>,
  limit: () => Deadline | undefined = () => undefined
): Stream.Stream<T, OperationError, AsGiven<Client>> =>
  Stream.unwrapScoped(Effect.gen(function*() {
    const placed = yield* placeStream(target, { ...request, isCursor: true })
    const cursor = yield* acquire(placed, (added) => open(placed.db, added))
    return Stream.repeatEffectChunkOption(pull(placed, cursor, request.name, limit))
  }))

// Each batch may have it by another loan.
const sessionOf = ({ session }: Added): Driver.ClientSession | null => Lent.own(session ?? null)

// A cursor that is opened by the first pull.
interface Lazy<T> {
  /** Gives the cursor. None, if the session in which it was opened is gone. */
  readonly use: (added: Added) => Driver.AbstractCursor<T> | undefined
  readonly isOpen: () => boolean
  /**
   * Reads the next batch by an operation with a signal: each operation has one of its own, but the driver's cursor one for all its
   * life. Notes a cursor that the driver has given up, perhaps without asking a server to close it.
   */
  readonly read: (cursor: Driver.AbstractCursor<T>, signal: AbortSignal | undefined) => Promise<Array<T>>
}

const acquire = <T>(
  { client, close, session }: Placed,
  open: (added: Added) => Driver.AbstractCursor<T>
): Effect.Effect<Lazy<T>, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const controller = new AbortController()
        const state: {
          cursor: Driver.AbstractCursor<T> | undefined
          session: Driver.ClientSession | null
          isRead: boolean
          lost: DriverCursor.Orphan | undefined
        } = { cursor: undefined, session: null, isRead: false, lost: undefined }
        return { controller, state }
      }),
      ({ state }) =>
        Effect.suspend(() => {
          const { cursor } = state
          if (cursor === undefined) return Effect.void
          const isOver = DriverCursor.isExhausted(cursor) && !state.isRead
          const over = isOver ? Effect.void : closed({ client, close, session }, cursor)
          // Known by then: what reads a batch still, because it is late, has its turn before.
          return Effect.zipRight(
            over,
            Effect.suspend(() => state.lost === undefined ? Effect.void : killLater(client, state.lost))
          )
        })
    ),
    ({ controller, state }): Lazy<T> => ({
      isOpen: () => state.cursor !== undefined,
      use: (added) => {
        const session = sessionOf(added)
        if (state.cursor !== undefined && state.session !== session) return undefined
        state.session = session
        return state.cursor ??= DriverCursor.tuned(open({ ...added, signal: controller.signal }), controller.signal)
      },
      read: async (cursor, signal) => {
        const abort = () => DriverCursor.abort(controller, [cursor])
        signal?.addEventListener("abort", abort, { once: true })
        state.isRead = true
        try {
          return await DriverCursor.nextBatch(cursor, (orphan) => void (state.lost = orphan))
        } finally {
          state.isRead = false
          signal?.removeEventListener("abort", abort)
        }
      }
    })
  )

const pull = <T>(
  placed: Placed,
  cursor: Lazy<T>,
  name: string,
  limit: () => Deadline | undefined
): Effect.Effect<Chunk.Chunk<T>, Option.Option<OperationError>> => {
  const { client, namespace, run } = placed
  let isOver = false
  let isPolled = false
  let lifetime: Deadline | undefined
  const read = (operation: string, noteTurn: (session: Driver.ClientSession) => void) => {
    let problem: OperationError | undefined
    const batch = run(
      async (added) => {
        const session = sessionOf(added)
        if (session !== null) noteTurn(session)
        const isFirst = !cursor.isOpen()
        const opened = cursor.use(added)
        if (opened === undefined || !DriverCursor.isOf(opened, client.driver)) {
          problem = opened === undefined ? CursorLoss.renewed(operation, namespace) : new ForeignSession({ operation })
          // Whoever looks at what was lent has used it, as here.
          void added.session?.id
          return []
        }
        const tail = isFirst ? DriverCursor.tailOf(opened) : undefined
        if (tail !== undefined) {
          // The program has opened it, and only now it is known that it lives on.
          const limit = placed.limitOf(tail)
          if (limit instanceof MongoError) {
            problem = limit
            return []
          }
          if (lifetime !== undefined && limit.omitsMaxTime) DriverCursor.omitMaxTime(opened)
          if (!limit.isOfLifetime) lifetime = undefined
        }
        const batch = await cursor.read(opened, added.signal)
        isOver = DriverCursor.isExhausted(opened)
        isPolled = !isOver && batch.length === 0 && !DriverCursor.waitsForData(opened)
        return batch
      },
      operation,
      lifetime ?? limit()
    )
    return Effect.flatMap(
      batch,
      (documents) => problem === undefined ? Effect.succeed(documents) : Effect.fail(problem)
    )
  }
  const next = Effect.suspend(() =>
    cursor.isOpen()
      ? CursorLoss.explained(placed, (noteTurn) => read("getMore", noteTurn))
      : Effect.withFiberRuntime<Array<T>, OperationError>((fiber) => {
        lifetime = placed.lifetime(fiber)
        return read(name, () => undefined)
      })
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
