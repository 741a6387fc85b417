/**
 * What a change stream tells: one type for each kind of change, told apart by their `_tag`.
 *
 * See MongoDB's manual, "Change Events".
 *
 * @since 0.1.0
 */
import type * as Option from "effect/Option"
import type * as Driver from "mongodb"
import type { ResumeToken } from "./ResumeToken.js"

/**
 * A change. `_tag` is the server's `operationType`, or `Other` for what this library does not know.
 *
 * @since 0.1.0
 * @category models
 */
export type Event<A> = DocumentEvent<A> | NamespaceEvent | Rename | DropDatabase | Invalidate | Other

/**
 * A change of a document.
 *
 * @since 0.1.0
 * @category models
 */
export type DocumentEvent<A> = Insert<A> | Update<A> | Replace<A> | Delete<A>

/**
 * What every event has.
 *
 * @since 0.1.0
 * @category models
 */
export interface Common {
  /**
   * The event as it came: with what a pipeline has added, and what this library has no field for, as `collectionUUID` or what
   * a newer server tells. No schema reads it: where the collection has one, its regular expressions are `BSONRegExp`s.
   */
  readonly document: Driver.Document
  /** Its place in the stream: to go on after it. */
  readonly resumeToken: ResumeToken
  /** When it happened, by the cluster's logical clock. Events of one transaction have one time. */
  readonly clusterTime: Option.Option<Driver.Timestamp>
  /** When it happened, by the server's clock; servers before 6.0 do not say. */
  readonly wallTime: Option.Option<Date>
  /** The transaction that it was part of. */
  readonly transaction: Option.Option<TransactionId>
}

/**
 * Which transaction an event was part of.
 *
 * @since 0.1.0
 * @category models
 */
export interface TransactionId {
  /** The session's id as the server has it. */
  readonly lsid: Driver.Document
  /** The number of the transaction in the session. */
  readonly txnNumber: bigint
}

/**
 * A collection. Where a pipeline has removed the name from an event, it is that of what is watched, if that is one
 * collection, else empty.
 *
 * @since 0.1.0
 * @category models
 */
export interface Namespace {
  /** Its database. */
  readonly database: string
  /** Its name. */
  readonly collection: string
}

/**
 * What every event of a document has.
 *
 * @since 0.1.0
 * @category models
 */
export interface OfDocument<A> extends Common {
  /** The collection. */
  readonly namespace: Namespace
  /** The document's `_id`, and its shard key. Empty if the pipeline has removed it. */
  readonly documentKey: Driver.Document
  /**
   * The document after the change. Always there after an insert or a replacement, unless the pipeline has removed it; after
   * an update as the option `fullDocument` says; never after a deletion.
   */
  readonly fullDocument: Option.Option<A>
  /** The document before the change, as the option `fullDocumentBeforeChange` says; never before an insert. */
  readonly fullDocumentBeforeChange: Option.Option<A>
  /**
   * Those of the two that were asked for and that the server no longer has. It sends `null` for them: the document was deleted
   * since, or its image has expired (`whenAvailable`).
   */
  readonly unavailable: ReadonlyArray<"fullDocument" | "fullDocumentBeforeChange">
}

/**
 * A document was inserted.
 *
 * @since 0.1.0
 * @category models
 */
export interface Insert<A> extends OfDocument<A> {
  readonly _tag: "insert"
}

/**
 * A document was replaced by another one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Replace<A> extends OfDocument<A> {
  readonly _tag: "replace"
}

/**
 * A document was deleted.
 *
 * @since 0.1.0
 * @category models
 */
export interface Delete<A> extends OfDocument<A> {
  readonly _tag: "delete"
}

/**
 * Fields of a document were changed.
 *
 * @since 0.1.0
 * @category models
 */
export interface Update<A> extends OfDocument<A> {
  readonly _tag: "update"
  /** What was changed. */
  readonly updateDescription: UpdateDescription
}

/**
 * What an update has changed. Fields are named by their paths, e.g. `address.city` or `tags.0`.
 *
 * @since 0.1.0
 * @category models
 */
export interface UpdateDescription {
  /** The new values, read by no schema: where the collection has one, regular expressions are `BSONRegExp`s. */
  readonly updatedFields: Driver.Document
  /** The fields that are gone. */
  readonly removedFields: ReadonlyArray<string>
  /** The arrays that were shortened. */
  readonly truncatedArrays: ReadonlyArray<{ readonly field: string; readonly newSize: number }>
  /** The parts of paths that could be read in two ways; only with `showExpandedEvents`. */
  readonly disambiguatedPaths: Option.Option<Driver.Document>
}

/**
 * A change of a collection itself. All but `drop` only with `showExpandedEvents`.
 *
 * @since 0.1.0
 * @category models
 */
export interface NamespaceEvent extends Common {
  readonly _tag:
    | "drop"
    | "create"
    | "modify"
    | "createIndexes"
    | "dropIndexes"
    | "shardCollection"
    | "refineCollectionShardKey"
    | "reshardCollection"
  /** The collection. */
  readonly namespace: Namespace
  /** What was done, as the server says it; never for `drop`. */
  readonly operationDescription: Option.Option<Driver.Document>
}

/**
 * A collection was renamed.
 *
 * @since 0.1.0
 * @category models
 */
export interface Rename extends Common {
  readonly _tag: "rename"
  /** What it was called. */
  readonly namespace: Namespace
  /** What it is called now. */
  readonly to: Namespace
}

/**
 * A database was dropped.
 *
 * @since 0.1.0
 * @category models
 */
export interface DropDatabase extends Common {
  readonly _tag: "dropDatabase"
  /** The database. */
  readonly namespace: { readonly database: string }
}

/**
 * The last event of a stream: what it watches was dropped or renamed.
 *
 * @since 0.1.0
 * @category models
 */
export interface Invalidate extends Common {
  readonly _tag: "invalidate"
}

/**
 * An event of a kind that this library does not know, or part of an event that was split (`$changeStreamSplitLargeEvent`).
 * Its `document` says all.
 *
 * @since 0.1.0
 * @category models
 */
export interface Other extends Common {
  readonly _tag: "Other"
}
