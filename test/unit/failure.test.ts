import { describe, expect, it } from "@effect/vitest"
import * as Driver from "mongodb"
import { toMongoError } from "../../src/internal/driver/errors.js"

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

  it("that says nothing of what went wrong fails for no known reason", () => {
    for (const fields of [{}, { cause: new Error("of nobody") }, { writeErrors: new Map([[0, undefined]]) }]) {
      const found = asMongoError(bulkError(fields))
      expect(found).toMatchObject({ reason: "Other", labels: [] })
      expect(found.code).toBeUndefined()
    }
  })
})
