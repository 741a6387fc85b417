// Whether what was built is as new as its sources.
import { existsSync, readdirSync, statSync } from "node:fs"
import { join } from "node:path"

/** The files in a folder, or the file itself. */
export const filesIn = (path: string): ReadonlyArray<string> =>
  statSync(path).isFile()
    ? [path]
    : readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) =>
      join(entry.parentPath, entry.name)
    ).sort()

/** Whether what was built of sources is there, and not older than these. */
export const isBuilt = (file: string, sources: string): boolean => {
  if (!existsSync(file)) return false
  const built = statSync(file).mtimeMs
  return filesIn(sources).every((source) => statSync(source).mtimeMs < built)
}
