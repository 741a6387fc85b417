import { describe, expect, it } from "@effect/vitest"
import { Binary, type MongoClient } from "mongodb"
import { EventEmitter } from "node:events"
import * as Late from "../fire/late.js"

const lsid = { id: new Binary(Buffer.alloc(16, 7), 4) }

/** A client that has sent a command which starts a transaction, and what has come of it. */
const sent = (end?: "commandSucceeded" | "commandFailed") => {
  const driver = new EventEmitter()
  const isLate = Late.watch([driver as unknown as MongoClient])
  driver.emit("commandStarted", { requestId: 1, command: { insert: "a", lsid, txnNumber: 7n, startTransaction: true } })
  if (end !== undefined) driver.emit(end, { requestId: 1 })
  return (seconds: number, txnNumber: unknown = 7) =>
    isLate({
      lsid,
      transaction: {
        parameters: { txnNumber },
        startWallClockTime: new Date(Date.now() + seconds * 1000).toISOString()
      }
    })
}

describe("a transaction that is open when a storm is over", () => {
  it("was started late where its command was held back for long, and never answered", () => {
    expect(sent()(10)).toBe(true)
    expect(sent("commandFailed")(10)).toBe(true)
  })

  it("was left open by the library otherwise", () => {
    expect(sent("commandSucceeded")(10), "it was answered").toBe(false)
    expect(sent("commandFailed")(1), "it came at once").toBe(false)
    expect(sent()(10, 8), "it is another one").toBe(false)
  })
})
