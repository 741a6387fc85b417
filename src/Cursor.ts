/**
 * The driver's cursors as streams: read batch by batch, each in the session's turn, and closed before the session.
 *
 * @since 0.1.0
 */
import type * as Stream from "effect/Stream"
import type * as Driver from "mongodb"
import { batches } from "./internal/data/cursor.js"
import type { Added, OperationError } from "./internal/data/operation.js"
import { type LimitedCursor, readable } from "./internal/data/options.js"
import type { AsGiven, ClientOption, MongoClient } from "./internal/session/client.js"

export type {
  /** What any operation of data access can fail with. @since 0.1.0 @category errors */
  OperationError
} from "./internal/data/operation.js"

/**
 * How errors and spans call the stream's commands, how long they may take, and the client it is read from.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options<Client = MongoClient> extends ClientOption<Client>, LimitedCursor {
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
 * The session is lent to each batch, as by `Session.use`: what else is sent with it later is refused, what is in flight then is
 * waited for, and to begin or end a transaction by it fails with `MongoError` (`TransactionMisuse`).
 *
 * A `timeout`, its own or that of the session or client, is that of all batches together, unless `timeoutMode` is
 * `"iteration"`. Each batch of a tailable cursor has it: `"cursorLifetime"` is refused there (`InvalidOptions`).
 *
 * @example
 * ```ts
 * import { Stream } from "effect"
 * import { Cursor } from "effect-mongo-session"
 *
 * // A cursor that no other function opens: the options that are added bring the session along.
 * export const names = Cursor.stream((added, db) => db.listCollections({}, { ...added, nameOnly: true })).pipe(
 *   Stream.map(({ name }) => name)
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const stream = <T, Client = MongoClient>(
  open: (added: Added, db: Driver.Db) => Driver.AbstractCursor<T>,
  given?: Options<Client>
): Stream.Stream<T, OperationError, AsGiven<Client>> => {
  const { client, operation = "cursor", ...options }: Options<Client> = readable(given) ?? {}
  return batches(
    { client },
    { name: operation, kind: "read", inTransaction: true, isLent: true, options },
    (db, added) => open(added, db)
  )
}
