/**
 * How what the library writes for itself can be told from what programs write: checkpoints, outboxes, dead letters.
 */
/** Each collection is called so by default, with a suffix; and each document has a field of this name. */
export const mark = "effect_mongo_session"

/** The `_id` of a document of the library's own that comes and goes: it is all that is told of a deletion. */
export const markedId = (id: string): string => `${mark}/${id}`

/** The id that an `_id` was made of. */
export const idIn = (marked: string): string => marked.startsWith(`${mark}/`) ? marked.slice(mark.length + 1) : marked

/** A change that every write of such a document makes: so each of its updates tells whose it is. */
export const marking = { [mark]: 1 } as const
