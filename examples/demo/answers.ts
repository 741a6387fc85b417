/** Commits whose answer was lost, and how it became clear what had become of them: by the commands that were sent. */
import * as Array from "effect/Array"
import type * as Monitor from "./Monitor.js"

/** A transaction whose commit had no answer, or one that did not tell. */
export interface Lost {
  /** The order that it was about. */
  readonly order: string
  /**
   * - `committed`: the commit was sent again, and the answer was that it is done
   * - `notCommitted`: the commit was sent again, and the server knew of no such transaction
   * - `asked`: to send it again was of no use, so that `verifyCommit` was asked. Where that could not see it yet, the server
   *   was asked, too.
   */
  readonly settled: "committed" | "notCommitted" | "asked"
}

const noSuchTransaction = 251
const unsatisfiableWriteConcern = 100

const isCommit = ({ name }: Monitor.Command) => name === "commitTransaction"

const isUnclear = ({ problem }: Monitor.Command) => problem !== undefined && problem !== noSuchTransaction

/** How many of these commands were commits without an answer that tells. */
export const unclear = (commands: ReadonlyArray<Monitor.Command>): ReadonlyArray<Monitor.Command> =>
  commands.filter((command) => isCommit(command) && isUnclear(command))

/** Their transactions. */
export const lost = (commands: ReadonlyArray<Monitor.Command>): ReadonlyArray<Lost> =>
  Object.values(
    Array.groupBy(
      commands.filter(({ transaction }) => transaction !== undefined),
      (command) => String(command.transaction)
    )
  ).flatMap((ofOne) => {
    const commits = ofOne.filter(isCommit)
    const last = commits.at(-1)
    if (last === undefined || !commits.some(isUnclear)) return []
    return [{
      // Payment and order have the same id.
      order: String(ofOne.find(({ name }) => name === "insert")?.inserted[0]),
      settled: isUnclear(last) || commits.some(({ problem }) => problem === unsatisfiableWriteConcern)
        ? "asked" as const
        : last.problem === undefined
        ? "committed" as const
        : "notCommitted" as const
    }]
  })
