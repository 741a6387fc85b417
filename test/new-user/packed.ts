// The package as npm would publish it, and folders for those who install it.
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { output } from "./commands.js"

export interface Disposed extends AsyncDisposable {
  readonly path: string
}

/** An empty folder, which is removed when it is disposed of. */
export const newFolder = (name: string): Disposed => {
  const path = mkdtempSync(join(tmpdir(), `effect-mongo-session-${name}-`))
  return {
    path,
    // pnpm's links and bun's copies may be many.
    [Symbol.asyncDispose]: async () => rmSync(path, { recursive: true, force: true, maxRetries: 3 })
  }
}

const newest = (folder: string, ending: string) =>
  Math.max(
    0,
    ...readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(ending)).map((file) =>
      statSync(join(folder, file)).mtimeMs
    )
  )

/** A tarball of the package. Builds it first where the sources are newer than what was built. */
export const packed = async (): Promise<Disposed> => {
  const root = process.cwd()
  let isStale = true
  try {
    isStale = newest("src", ".ts") > newest("dist", ".js")
  } catch {
    // Nothing was built yet.
  }
  if (isStale) await output("npm", ["run", "--silent", "build"], root)
  const folder = newFolder("packed")
  const printed = await output("npm", ["pack", "--ignore-scripts", "--json", "--pack-destination", folder.path], root)
  const [{ filename }] = JSON.parse(printed) as [{ readonly filename: string }]
  return { ...folder, path: resolve(folder.path, filename) }
}
