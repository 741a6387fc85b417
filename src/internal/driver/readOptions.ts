/**
 * With which of the driver's options for reading the library reads what it must understand, whatever the client's options are.
 */

/** As documents. With `raw` and `fieldsAsRaw` the driver would give the bytes of a document, or of those in its arrays. */
export const asDocuments = { raw: false, fieldsAsRaw: {} } as const

/**
 * The library's own documents, and what a schema decodes: what of them is stored again, or given to a schema, stays what it is.
 * The driver would make a `RegExp` of each regular expression, without the options that JavaScript lacks, and fail where
 * JavaScript cannot parse it.
 */
export const losslessly = { raw: false, fieldsAsRaw: {}, bsonRegExp: true } as const

/** Beside {@link losslessly}, what is stored again as it is: each number keeps the type that it has. */
export const withNumberTypes = { promoteValues: false, useBigInt64: false } as const

/** Replies to the library's own commands. What others ask for may have expressions that JavaScript cannot parse. */
export const asReplies = {
  raw: false,
  fieldsAsRaw: {},
  promoteValues: true,
  promoteLongs: true,
  promoteBuffers: false,
  bsonRegExp: true
} as const
