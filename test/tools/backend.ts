// `npm run backend` and `npm run backend:test`: runs a script of the backend in examples/backend, which has dependencies of its
// own. It installs them as users do, with this library as npm would publish it, and only when something has changed.
import { createHash } from "node:crypto"
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { cache, root } from "./ends/end.js"
import * as Group from "./group.js"

const folder = join(root, "examples/backend")
const stamp = join(folder, "node_modules/.installed")

const filesIn = (path: string): ReadonlyArray<string> =>
  statSync(path).isFile()
    ? [path]
    : readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) =>
      join(entry.parentPath, entry.name)
    ).sort()

const hashOf = (...paths: ReadonlyArray<string>): string => {
  const hash = createHash("sha256")
  for (const file of paths.flatMap(filesIn)) hash.update(file).update(readFileSync(file))
  return hash.digest("hex")
}

const npm = (args: ReadonlyArray<string>, cwd: string): Promise<string | undefined> =>
  Group.execute("npm", args, { cwd, env: { EFFECT_MONGO_SESSION_CACHE: cache } })

const isBuilt = (): boolean => {
  const file = join(root, "dist/index.js")
  if (!existsSync(file)) return false
  const built = statSync(file).mtimeMs
  return filesIn(join(root, "src")).every((source) => statSync(source).mtimeMs < built)
}

const install = async (): Promise<string | undefined> => {
  if (!isBuilt()) {
    console.error("building the library")
    const problem = await npm(["run", "--silent", "build"], root)
    if (problem !== undefined) return problem
  }
  const now = hashOf(join(root, "dist"), join(root, "package.json"), join(folder, "package-lock.json"))
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === now) return undefined
  console.error("installing the backend's dependencies")
  const problem = await npm(["ci", "--silent", "--no-audit", "--no-fund"], folder)
  if (problem === undefined) writeFileSync(stamp, now)
  return problem
}

const [script = "start", ...args] = process.argv.slice(2)
const problem = await install() ?? await npm(["run", "--silent", script, "--", ...args], folder)
if (problem !== undefined) {
  console.error(problem)
  process.exitCode = 1
}
