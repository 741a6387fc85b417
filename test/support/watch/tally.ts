/**
 * Counts cases, for a test to print and assert.
 */
export interface Tally {
  readonly add: (name: string, n?: number) => void
  readonly of: (name: string) => number
  /** The sum of all whose name matches. */
  readonly total: (names: RegExp) => number
  /** All names with their counts, in the order of the names. */
  readonly rows: () => ReadonlyArray<readonly [string, number]>
  readonly toString: () => string
}

/** Counts nothing yet. */
export const tally = (): Tally => {
  const counts = new Map<string, number>()
  const rows = () => [...counts].sort(([one], [other]) => one < other ? -1 : 1)
  return {
    rows,
    add: (name, n = 1) => void counts.set(name, (counts.get(name) ?? 0) + n),
    of: (name) => counts.get(name) ?? 0,
    total: (names) => [...counts].reduce((sum, [name, n]) => sum + (names.test(name) ? n : 0), 0),
    toString: () => rows().map((pair) => pair.join(": ")).join(", ")
  }
}
