import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Driver from "mongodb"
import { brokenSocket, toMongoError } from "../../src/internal/driver/errors.js"
import { isOfServer } from "../../src/internal/transaction/transient.js"
import { MongoError } from "../../src/MongoError.js"

const bulkError = (fields: object): Error =>
  Object.assign(new Driver.MongoClientBulkWriteError({ message: "the bulk write failed" }), fields)

const asMongoError = (error: Error) => toMongoError({ operation: "bulkWrite" }, error)

describe("a bulk write to many collections", () => {
  it("that the server has refused fails for the server's reason, with its code and labels", () => {
    const cause = new Driver.MongoServerError({
      message: "no",
      code: 251,
      codeName: "NoSuchTransaction",
      errorLabels: ["TransientTransactionError"]
    })
    const error = bulkError({ cause })
    const found = asMongoError(error)
    expect(found).toMatchObject({
      reason: "NoSuchTransaction",
      code: 251,
      codeName: "NoSuchTransaction",
      labels: ["TransientTransactionError"]
    })
    expect(found.cause).toBe(error)
  })

  it("whose connection broke fails as any operation does", () => {
    const cause = new Driver.MongoNetworkError("gone")
    cause.addErrorLabel("TransientTransactionError")
    expect(asMongoError(bulkError({ cause }))).toMatchObject({
      reason: "NetworkError",
      labels: ["TransientTransactionError"]
    })
  })

  it("of which single writes failed fails for the reason of the first", () => {
    const writeErrors = new Map([[3, { code: 11_000, message: "E11000" }], [4, { code: 121, message: "invalid" }]])
    expect(asMongoError(bulkError({ writeErrors }))).toMatchObject({ reason: "DuplicateKey", code: 11_000 })
  })

  it("that was done, but not as its write concern asks, fails for that", () => {
    const writeErrors = new Map<number, object>()
    const writeConcernErrors = [{ code: 64, message: "waiting for replication timed out" }]
    const error = bulkError({ writeErrors, writeConcernErrors, partialResult: { insertedCount: 2 } })
    expect(asMongoError(error)).toMatchObject({ reason: "WriteConcernFailed", code: 64 })
    expect(asMongoError(error).details).toMatchObject({ _tag: "BulkWrite", writeErrors: [], insertedCount: 2 })
    const unknown = bulkError({ writeErrors, writeConcernErrors: [{ code: 8, message: "no" }] })
    expect(asMongoError(unknown)).toMatchObject({ reason: "WriteConcernFailed", code: 8 })
    writeErrors.set(0, { code: 11_000, message: "E11000" })
    expect(asMongoError(error)).toMatchObject({ reason: "DuplicateKey", code: 11_000 })
  })

  it("that says nothing of what went wrong fails for no known reason", () => {
    for (const fields of [{}, { cause: new Error("of nobody") }, { writeErrors: new Map([[0, undefined]]) }]) {
      const found = asMongoError(bulkError(fields))
      expect(found).toMatchObject({ reason: "Other", labels: [] })
      expect(found.code).toBeUndefined()
    }
  })
})

describe("a bulk write of one collection", () => {
  // As the driver makes it of what has ended the whole of it.
  const ended = (by: Error): Error =>
    new Driver.MongoBulkWriteError(by, { insertedCount: 2, insertedIds: { 0: 1, 1: 2, 3: 4 } } as never)

  it("that has ended half-way fails for what has ended it, and tells what it has done", () => {
    const gone = new Driver.MongoNetworkError("gone")
    gone.addErrorLabel("RetryableWriteError")
    const found = asMongoError(ended(gone))
    expect(found).toMatchObject({ reason: "NetworkError", labels: ["RetryableWriteError"] })
    expect(found.details).toMatchObject({
      _tag: "BulkWrite",
      writeErrors: [],
      insertedCount: 2,
      insertedIds: { 0: 1, 1: 2 }
    })
    expect(Object.keys(Object(found.details).insertedIds)).toEqual(["0", "1"])
  })

  it("that could not be encoded half-way is not taken for one of which nothing was sent", () => {
    const found = asMongoError(ended(new Driver.BSON.BSONError("no")))
    expect(found.reason).toBe("EncodingFailed")
    expect(isOfServer(found)).toBe(true)
    expect(isOfServer(asMongoError(new Driver.BSON.BSONError("no")))).toBe(false)
  })
})

describe("the details of a failure", () => {
  it("are those of many collections, too", () => {
    const writeErrors = new Map([[3, { code: 11_000, message: "E11000 index: a_1_b.c_-1 dup key: { a: 1, b.c: 2 }" }]])
    const partialResult = {
      insertedCount: 1,
      deletedCount: 2,
      insertResults: new Map([[0, { insertedId: 7 }]]),
      updateResults: new Map([[1, { upsertedId: 8 }], [2, {}]])
    }
    expect(asMongoError(bulkError({ writeErrors, partialResult })).details).toEqual({
      _tag: "BulkWrite",
      writeErrors: [{
        index: 3,
        code: 11_000,
        reason: "DuplicateKey",
        indexName: "a_1_b.c_-1",
        keyPattern: { a: 1, "b.c": -1 }
      }],
      insertedIds: { 0: 7 },
      insertedCount: 1,
      matchedCount: 0,
      modifiedCount: 0,
      deletedCount: 2,
      upsertedCount: 0,
      upsertedIds: { 1: 8 }
    })
  })

  it("are something, or nothing, for every error", () => {
    FastCheck.assert(FastCheck.property(FastCheck.anything({ withMap: true }), (cause) => {
      const error = new MongoError({ reason: "Other", operation: "a", labels: [], cause })
      expect([undefined, "BulkWrite", "DocumentInvalid", "DuplicateKey"]).toContain(error.details?._tag)
    }))
  })
})

describe("the code of a failure", () => {
  it.each([
    ["a number of BSON", new Driver.Int32(11_000)],
    ["a number of 64 bits", Driver.Long.fromNumber(11_000)],
    ["a bigint", 11_000n],
    ["a double", new Driver.Double(11_000)]
  ])("is read where the client reads it as %s", (_, code) => {
    const one = { code, index: new Driver.Int32(1), errmsg: "E11000" }
    const refused = new Driver.MongoServerError({ message: "no", code })
    expect(asMongoError(refused)).toMatchObject({ reason: "DuplicateKey", code: 11_000 })
    const many = bulkError({ writeErrors: new Map([[1, one]]), partialResult: { insertedCount: new Driver.Int32(1) } })
    expect(asMongoError(many)).toMatchObject({ reason: "DuplicateKey", code: 11_000 })
    expect(asMongoError(many).details).toMatchObject({
      writeErrors: [{ index: 1, code: 11_000, reason: "DuplicateKey" }],
      insertedCount: 1
    })
  })

  it("is none where it is the driver's own", () => {
    expect(asMongoError(Object.assign(new Driver.MongoRuntimeError("no"), { code: "7" })).code).toBeUndefined()
  })

  it("tells what a validator missed, whatever number it is", () => {
    const errInfo = { failingDocumentId: 1 }
    const refused = new Driver.MongoServerError({ message: "no", code: new Driver.Int32(121) as never, errInfo })
    expect(asMongoError(refused).details).toEqual({ _tag: "DocumentInvalid", errInfo })
  })
})

describe("an error of a socket", () => {
  it.each([
    ["of the system", { errno: -32, syscall: "write", code: "EPIPE" }],
    ["of the system as it reads", { errno: -104, syscall: "read", code: "ECONNRESET" }],
    ["of the system as it closes", { errno: -107, syscall: "shutdown", code: "ENOTCONN" }],
    ["of a stream that is destroyed", { code: "ERR_STREAM_DESTROYED" }],
    ["of a stream that has ended", { code: "ERR_STREAM_WRITE_AFTER_END" }],
    ["of a socket that the other side has ended", { code: "EPIPE" }]
  ])("%s is one of the network", (_, fields) => {
    expect(brokenSocket(Object.assign(new Error("no"), fields))).toBeInstanceOf(Driver.MongoNetworkError)
  })

  it.each([
    ["of a file", { errno: -2, syscall: "open", code: "ENOENT" }],
    ["of a folder that is read", { errno: -21, syscall: "read", code: "EISDIR" }],
    ["of another service that does not listen", { errno: -111, syscall: "connect", code: "ECONNREFUSED" }],
    ["of an argument", { code: "ERR_INVALID_ARG_TYPE" }],
    ["of a server", { code: 91 }],
    ["of nobody", {}]
  ])("%s is none", (_, fields) => {
    expect(brokenSocket(Object.assign(new Error("no"), fields))).toBeUndefined()
  })
})
