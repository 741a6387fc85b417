/**
 * What writes give, with the ids of a collection's documents.
 */
import type * as Driver from "mongodb"

/** The id of a document, as it is stored. */
export type IdOf<I> = string extends keyof I ? unknown
  : I extends unknown ? "_id" extends keyof I ? Given<I["_id"]> : Driver.ObjectId
  : never

// The driver's own type has `never` for an id that may be anything, and leaves out that it makes one where there is none.
type Given<Id> = unknown extends Id ? unknown
  : undefined extends Id ? Exclude<Id, undefined> | Driver.ObjectId
  : Id

/** The id of a document that an upsert has inserted. Where neither its filter nor its update names one, the server makes it. */
export type UpsertedId<I> = IdOf<I> | Driver.ObjectId

/** What an insert has done. */
export interface InsertedOne<I> extends Omit<Driver.InsertOneResult, "insertedId"> {
  /** The `_id` of the document. */
  insertedId: IdOf<I>
}

/** What an insert of many documents has done. */
export interface InsertedMany<I> extends Omit<Driver.InsertManyResult, "insertedIds"> {
  /** The `_id` of each document, by its place in the list. */
  insertedIds: { [key: number]: IdOf<I> }
}

/** What an update or a replacement has done. */
export interface Updated<I> extends Omit<Driver.UpdateResult, "upsertedId"> {
  /** The `_id` of the document that was inserted, for none was found (`upsert`). */
  upsertedId: UpsertedId<I> | null
}

/** What a bulk has done. */
export interface BulkWritten<I = Driver.Document> extends
  Pick<
    Driver.BulkWriteResult,
    "insertedCount" | "matchedCount" | "modifiedCount" | "deletedCount" | "upsertedCount"
  >
{
  /** The `_id` of each document that was inserted, by the place of its write in the list. */
  insertedIds: { [key: number]: IdOf<I> }
  /** The `_id` of each document that was inserted, for none was found (`upsert`), by the place of its write in the list. */
  upsertedIds: { [key: number]: UpsertedId<I> }
}
