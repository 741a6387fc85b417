// Sees that the links of the packed pages resolve inside the package, and that no page runs a stranger's. `--publish` also refuses what may not be published.
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { readPages } from "./pages.js"
import { deadIn, strangersIn, unpublishable } from "./published.js"

const printed = execFileSync("npm", ["pack", "--dry-run", "--ignore-scripts", "--json"], {
  encoding: "utf8",
  stdio: ["ignore", "pipe", "ignore"]
})
const [{ files }] = JSON.parse(printed) as [{ readonly files: ReadonlyArray<{ readonly path: string }> }]
const paths = new Set(files.map(({ path }) => path))

const pages = new Map([...readPages(), ["llms.txt", readFileSync("llms.txt", "utf8")]])
const manifest = JSON.parse(readFileSync("package.json", "utf8"))

const problems = [
  ...deadIn(paths, pages),
  ...strangersIn(manifest, pages),
  ...(process.argv.includes("--publish") ? unpublishable(manifest) : [])
]
for (const problem of problems) console.error(problem)
console.log(`${paths.size} files in the package, ${problems.length} problems`)
process.exitCode = problems.length > 0 ? 1 : 0
