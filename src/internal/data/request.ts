/**
 * What an operation of data access is: what it works on, and what it asks for.
 */
import type * as Duration from "effect/Duration"
import type * as Driver from "mongodb"
import type { ClientOption, MongoClient } from "../session/client.js"

/** What an operation works on, and the concerns that are set for it. */
export interface Target<C = MongoClient> extends ClientOption<C> {
  readonly database?: string | undefined
  readonly collection?: string | undefined
  readonly readConcern?: Driver.ReadConcernLike | undefined
  readonly writeConcern?: Driver.WriteConcern | Driver.WriteConcernSettings | undefined
  readonly readPreference?: Driver.ReadPreferenceLike | undefined
  readonly timeout?: Duration.DurationInput | undefined
}

/** What an operation is, and the options that it was given. */
export interface Request {
  /** What errors and spans call it. */
  readonly name: string
  /** The collection that it makes, or works on, where its target has another or none. Spans tell it where there is none. */
  readonly collection?: string | undefined
  /** Reads are given up when they are interrupted, and have a read concern; writes are waited for. */
  readonly kind: "read" | "write"
  /** Whether the specification allows it in a transaction. Default `true`. */
  readonly inTransaction?: boolean | undefined
  /** Whether it opens a cursor. Default `false`. */
  readonly isCursor?: boolean | undefined
  /** Whether it waits for what may never come, so that neither session nor client limit its time. Default `false`. */
  readonly isEndless?: boolean | undefined
  /** Whether what runs takes a signal. Default `true`; where not, the driver would make it a field of the command. */
  readonly takesSignal?: boolean | undefined
  /** Whether what runs is code of the caller: it may keep the signal that it is given, and its bugs are its own. Default `false`. */
  readonly isCode?: boolean | undefined
  /** Whether code of the caller opens the cursor, and so gets a session that is lent. Default `false`. */
  readonly isLent?: boolean | undefined
  /** Whether what runs may write, though it has the options of a read. Then it is waited for as a write is. Default `false`. */
  readonly mayWrite?: boolean | undefined
  /** Whether it is a read of the documents that the first of `values` searches for, which can be locked before. Default `false`. */
  readonly canLock?: boolean | undefined
  /** About how many bytes the documents have that it stores. Default: none. */
  readonly bytes?: number | undefined
  /** How many documents it has written, by its result. Default: not known. */
  readonly writtenIn?: ((result: unknown) => number) | undefined
  readonly options?: object | undefined
  /** Filters and updates as the caller gave them, in which nothing may be undefined. */
  readonly values?: ReadonlyArray<unknown> | undefined
  /** The `_id` of the one document that it inserts, as a filter would search for it. Default: not known. */
  readonly inserted?: unknown
  /** The same of many writes at once, which the driver may send by several commands. */
  readonly parts?: ReadonlyArray<object> | undefined
  /** Filters of writes among them, which must be objects. */
  readonly filters?: ReadonlyArray<unknown> | undefined
  /** Updates among them, which must have operators. */
  readonly updates?: ReadonlyArray<unknown> | undefined
  /** The command that it runs, as the caller gave it. */
  readonly command?: Driver.Document | undefined
  /** Whose options the driver encodes it by: the client's where the operation has none, the operation's alone, or none. Default `client`. */
  readonly encodedBy?: "client" | "operation" | "none" | undefined
  /** The pipeline of an aggregation, which has a read concern also if it writes. */
  readonly pipeline?: ReadonlyArray<object> | undefined
}
