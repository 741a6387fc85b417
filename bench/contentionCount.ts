/**
 * Counts the transactions of a measurement of contention that takes a fixed time.
 */
import { quantile } from "./statistics.js"

/** What one process has done; times in milliseconds. */
export interface Counted {
  /** The transactions committed before the end of the time, for a second of it. */
  readonly perSecond: number
  /** The transactions committed, also those that the end of the time found at work. */
  readonly committed: number
  /** The attempts of all of them. */
  readonly attempts: number
  readonly p99: number
}

/** A transaction that was committed: when it began and ended, in milliseconds since the beginning of the measurement. */
export interface Committed {
  readonly began: number
  readonly ended: number
}

/**
 * The rate has only what ended in time. At that moment each fiber has one more transaction at work, which may take long.
 * Attempts and times are those of all transactions: the late ones are among the slowest.
 */
export const count = (all: ReadonlyArray<Committed>, attempts: number, seconds: number): Counted => ({
  perSecond: all.filter(({ ended }) => ended <= seconds * 1000).length / seconds,
  committed: all.length,
  attempts,
  p99: quantile(all.map(({ began, ended }) => ended - began), 0.99)
})

/** What several processes have done together. */
export const together = (all: ReadonlyArray<Counted>): Counted => {
  const sum = (of: (counted: Counted) => number) => all.reduce((total, counted) => total + of(counted), 0)
  return {
    perSecond: sum(({ perSecond }) => perSecond),
    committed: sum(({ committed }) => committed),
    attempts: sum(({ attempts }) => attempts),
    p99: Math.max(...all.map(({ p99 }) => p99))
  }
}

/** One cell of the table: transactions in a second, attempts for each, the 99th percentile of their time. */
export const cell = ({ attempts, committed, p99, perSecond }: Counted): string =>
  `${Math.round(perSecond)}; ${(attempts / committed).toFixed(2)}; ${Math.round(p99)}`
