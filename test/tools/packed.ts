// Sees that the links of the packed pages resolve inside the package. `--publish` also refuses what may not be published.
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { readPages } from "./pages.js"
import { deadIn, unpublishable } from "./published.js"

const printed = execFileSync("npm", ["pack", "--dry-run", "--ignore-scripts", "--json"], {
  encoding: "utf8",
  stdio: ["ignore", "pipe", "ignore"]
})
const [{ files }] = JSON.parse(printed) as [{ readonly files: ReadonlyArray<{ readonly path: string }> }]
const paths = new Set(files.map(({ path }) => path))

const problems = [
  ...deadIn(paths, new Map([...readPages(), ["llms.txt", readFileSync("llms.txt", "utf8")]])),
  ...(process.argv.includes("--publish") ? unpublishable(JSON.parse(readFileSync("package.json", "utf8"))) : [])
]
for (const problem of problems) console.error(problem)
console.log(`${paths.size} files in the package, ${problems.length} problems`)
process.exitCode = problems.length > 0 ? 1 : 0
