/**
 * What the checkers know and tell.
 */

/** What the caller of a transaction was told. */
export type Outcome = "committed" | "aborted" | "unknown"

/** A promise that was broken. */
export interface Violation {
  /** Which one, in a word or two. */
  readonly anomaly: string
  readonly detail: string
}
