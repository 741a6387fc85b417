/** Compares versions number by number, a missing one being 0: below zero if the first is the older one. */
export const compareVersions = (a: string, b: string): number => {
  const [left, right] = [numbers(a), numbers(b)]
  for (let index = 0; index < Math.max(left.length, right.length); index++) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

// What comes after a hyphen, as in a release candidate, makes no difference to what a server can do.
const numbers = (version: string): ReadonlyArray<number> => (version.split("-")[0] ?? "").split(".").map(Number)
