/**
 * How what the library writes for itself can be told from what programs write: checkpoints, outboxes, dead letters.
 */
import type * as Driver from "mongodb"
import type { Request } from "../data/request.js"
import { writtenIn } from "../driver/written.js"

/** Each collection is called so by default, with a suffix; and each document has a field of this name. */
export const mark = "effect_mongo_session"

/** The `_id` of a document of the library's own that comes and goes: it is all that is told of a deletion. */
export const markedId = (id: string): string => `${mark}/${id}`

/** The id that an `_id` was made of. */
export const idIn = (marked: string): string => marked.startsWith(`${mark}/`) ? marked.slice(mark.length + 1) : marked

/** A change that every write of such a document makes: so each of its updates tells whose it is. */
export const marking = { [mark]: 1 } as const

/** {@link marking} in an update by a pipeline. */
export const counted: Driver.Document = { [mark]: { $add: [{ $ifNull: [`$${mark}`, 0] }, 1] } }

/** A stage of a change stream that leaves out what the library has written for itself. */
export const withoutOwn: Driver.Document = {
  // Not `$nor`: MongoDB 6.0 makes an empty one of it when it looks for these fields in its oplog, and refuses that.
  $match: {
    "ns.coll": { $not: { $regex: `^${mark}\\.` } },
    "documentKey._id": { $not: { $regex: `^${mark}/` } },
    [`fullDocument.${mark}`]: { $exists: false },
    [`updateDescription.updatedFields.${mark}`]: { $exists: false }
  }
}

/** A write of such a document, which belongs to the transaction that it is in. */
export const writing = (name: string): Request => ({ name, kind: "write", inTransaction: true, writtenIn })
