/**
 * Transactions that a network or a frozen server has started late: the command lay on the way until its client had long given
 * it up. No client can end what it cannot know to be there; the server does, after its own time.
 */
import type { MongoClient as Driver, ServerSessionId } from "mongodb"

/** A transaction that is open on the server, as `$currentOp` tells of it. */
export interface Open {
  readonly lsid: { readonly id: ServerSessionId["id"] }
  readonly transaction: { readonly parameters: { readonly txnNumber: unknown }; readonly startWallClockTime: string }
}

/** Whether a transaction was started so late, by a command of which its client never had an answer. */
export type IsLate = (open: Open) => boolean

/** For how long such a command was held back at least. */
const least = 5000

/** Watches which commands that start a transaction are not answered. */
export const watch = (drivers: ReadonlyArray<Driver>): IsLate => {
  const sent = new Map<string, number>()
  for (const driver of drivers) {
    const names = new Map<number, string>()
    driver.on("commandStarted", ({ command, requestId }) => {
      if (command["startTransaction"] !== true) return
      const name = nameOf(command["lsid"].id, command["txnNumber"])
      names.set(requestId, name)
      // A second try of the driver's leaves the first one where it is.
      if (!sent.has(name)) sent.set(name, Date.now())
    })
    driver.on("commandSucceeded", ({ requestId }) => {
      const name = names.get(requestId)
      names.delete(requestId)
      if (name !== undefined) sent.delete(name)
    })
    driver.on("commandFailed", ({ requestId }) => void names.delete(requestId))
  }
  return ({ lsid, transaction: { parameters: { txnNumber }, startWallClockTime } }) => {
    const at = sent.get(nameOf(lsid.id, txnNumber))
    return at !== undefined && Date.parse(startWallClockTime) - at > least
  }
}

const nameOf = (id: ServerSessionId["id"], number: unknown): string => `${id.toString("hex")}/${String(number)}`
