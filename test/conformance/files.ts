/**
 * Finds the files of tests in a folder: those of one group, of several, or a checkout of `mongodb/specifications`.
 */
import { existsSync, readdirSync, statSync } from "node:fs"
import { join } from "node:path"

/** A file, by its path and by the name that a report has for it. */
export interface Found {
  readonly path: string
  readonly name: string
}

// What the library offers, by the names of a checkout and by those of a folder of groups.
const groups: ReadonlyArray<readonly [folder: string, wanted: RegExp]> = [
  ["causal-consistency", /./],
  ["change-streams", /./],
  ["client-backpressure", /./],
  ["client-side-operations-timeout", /./],
  ["collection-management", /./],
  ["command-logging-and-monitoring", /\/monitoring\//],
  ["command-monitoring", /./],
  ["crud", /./],
  ["csot", /./],
  ["extra", /./],
  ["index-management", /./],
  ["open-telemetry", /./],
  ["read-write-concern", /./],
  ["retryable-reads", /./],
  ["retryable-writes", /./],
  ["run-command", /./],
  ["sessions", /./],
  ["transactions", /./],
  ["transactions-convenient-api", /./],
  ["versioned-api", /./]
]

/** All files below a folder, in the order of their names. */
export const find = (folder: string): ReadonlyArray<Found> => below(folder, "")

/** Those of the groups that this library is about, of a folder of groups or of a checkout. */
export const findGroups = (folder: string): ReadonlyArray<Found> => {
  const source = join(folder, "source")
  const isCheckout = existsSync(source)
  return groups.flatMap(([group, wanted]) =>
    below(isCheckout ? source : folder, isCheckout ? join(group, "tests") : group)
      .filter(({ name }) => wanted.test(name))
  )
}

const below = (root: string, folder: string): ReadonlyArray<Found> => {
  const path = join(root, folder)
  if (!existsSync(path)) return []
  return readdirSync(path).sort().flatMap((entry) => {
    const name = join(folder, entry)
    if (statSync(join(root, name)).isDirectory()) return below(root, name)
    return name.endsWith(".json") ? [{ path: join(root, name), name }] : []
  })
}
