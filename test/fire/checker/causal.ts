/**
 * Checks chains of reads in which each has the token of the one before: counters that only grow must never be seen smaller.
 */
import type { Violation } from "./violation.js"

/** A count that was written or read. */
export interface Step {
  readonly who: string
  readonly n: number
}

/** Counts of one counter, each written or read with the token of the one before. */
export interface Chain {
  readonly id: string
  readonly steps: ReadonlyArray<Step>
}

/** Checks chains: what was written is read (read your writes), and what was read is read again (monotonic reads). */
export const check = (chains: ReadonlyArray<Chain>): ReadonlyArray<Violation> =>
  chains.flatMap(({ id, steps }) =>
    steps.slice(1).flatMap(({ n, who }, index): ReadonlyArray<Violation> => {
      const before = steps[index]!
      if (n >= before.n) return []
      const anomaly = index === 0 ? "read your writes" : "monotonic reads"
      return [{ anomaly, detail: `${id}: ${who} has read ${n}, after ${before.who} had ${before.n}` }]
    })
  )
