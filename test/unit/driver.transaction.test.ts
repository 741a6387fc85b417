import { describe, expect, it } from "@effect/vitest"
import * as Driver from "mongodb"
import { keepStarting } from "../../src/internal/driver/transaction.js"

interface Hidden {
  readonly transaction: { state: string; transition: (state: string) => void }
}

const started = () => {
  const session = new Driver.MongoClient("mongodb://localhost").startSession()
  session.startTransaction()
  return { session, transaction: (session as unknown as Hidden).transaction }
}

const unencodable = () => new Driver.BSON.BSONError("a value could not be encoded")

describe("the first operation of a transaction", () => {
  it("listens no more when it has sent nothing", async () => {
    const { session, transaction } = started()
    const { transition } = transaction
    const { advanceOperationTime } = session
    await keepStarting(session, async () => 1, undefined)
    expect(transaction.transition).toBe(transition)
    expect(session.advanceOperationTime).toBe(advanceOperationTime)
  })

  // Before version 7, the driver notes the transaction as begun before it encodes the command.
  it("that cannot be encoded leaves the transaction unsent, also after another that has sent nothing", async () => {
    const { session, transaction } = started()
    await keepStarting(session, async () => 1, undefined)
    const failed = keepStarting(session, async () => {
      session.serverSession.lastUse = Math.ceil(performance.now())
      transaction.transition("TRANSACTION_IN_PROGRESS")
      throw unencodable()
    }, undefined)
    await expect(failed).rejects.toThrow("could not be encoded")
    expect(transaction.state).toBe("STARTING_TRANSACTION")
  })

  it("that cannot be read begins it: the server has answered", async () => {
    const { session, transaction } = started()
    const failed = keepStarting(session, async () => {
      session.serverSession.lastUse = Math.ceil(performance.now())
      session.advanceOperationTime(new Driver.Timestamp(1n))
      transaction.transition("TRANSACTION_IN_PROGRESS")
      throw unencodable()
    }, undefined)
    await expect(failed).rejects.toThrow("could not be encoded")
    expect(transaction.state).toBe("TRANSACTION_IN_PROGRESS")
  })
})
