import { readFileSync, writeFileSync } from "node:fs"

/** A test, and why it did not pass. */
export interface Noted {
  readonly test: string
  readonly reason: string
}

/** What one runner has to add to the total of `npm test`. */
export interface Counts {
  readonly passed: number
  readonly failed: ReadonlyArray<Noted>
  readonly skipped: ReadonlyArray<Noted>
}

/** Names the file that a runner started by `npm test` writes its counts to; not set when it runs alone. */
export const variable = "TEST_COUNTS"

export const write = (counts: Counts): void => {
  const file = process.env[variable]
  if (file !== undefined) writeFileSync(file, JSON.stringify(counts))
}

export const read = (file: string): Counts => JSON.parse(readFileSync(file, "utf8"))
