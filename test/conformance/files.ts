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

// What of a checkout is about sessions and transactions.
const groups: ReadonlyArray<readonly [folder: string, wanted: RegExp]> = [
  ["causal-consistency", /./],
  ["client-side-operations-timeout", /\/(sessions-[^/]*|convenient-transactions)\.json$/],
  ["run-command", /./],
  ["sessions", /./],
  ["transactions", /./],
  ["transactions-convenient-api", /./]
]

/** The files in a folder, in the order of their names. */
export const find = (folder: string): ReadonlyArray<Found> => {
  const source = join(folder, "source")
  return existsSync(source)
    ? groups.flatMap(([group, wanted]) => below(source, join(group, "tests")).filter(({ name }) => wanted.test(name)))
    : below(folder, "")
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
