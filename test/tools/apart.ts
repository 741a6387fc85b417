// Packages of this repository with dependencies of their own: installed as users do, with this library as npm would publish it,
// and only when something has changed.
import { createHash } from "node:crypto"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { filesIn, isBuilt } from "./built.js"
import { cache, root } from "./ends/end.js"
import * as Group from "./group.js"

const hashOf = (...paths: ReadonlyArray<string>): string => {
  const hash = createHash("sha256")
  for (const file of paths.flatMap(filesIn)) hash.update(file).update(readFileSync(file))
  return hash.digest("hex")
}

/** Runs npm in a folder; gives what went wrong with it. */
export const npm = (args: ReadonlyArray<string>, cwd: string): Promise<string | undefined> =>
  Group.execute("npm", args, { cwd, env: { EFFECT_MONGO_SESSION_CACHE: cache } })

/** Installs what the package in a folder depends on, this library too; gives what went wrong with it. */
export const install = async (folder: string, name: string): Promise<string | undefined> => {
  if (!isBuilt(join(root, "dist/index.js"), join(root, "src"))) {
    console.error("building the library")
    const problem = await npm(["run", "--silent", "build"], root)
    if (problem !== undefined) return problem
  }
  const stamp = join(folder, "node_modules/.installed")
  const now = hashOf(join(root, "dist"), join(root, "package.json"), join(folder, "package-lock.json"))
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === now) return undefined
  console.error(`installing the dependencies of ${name}`)
  const problem = await npm(["ci", "--silent", "--no-audit", "--no-fund"], folder)
  if (problem === undefined) writeFileSync(stamp, now)
  return problem
}
