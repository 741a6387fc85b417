/**
 * `npm run supply`: what users install has licences that they can accept, runs no scripts, and is listed in a bill of materials.
 * It needs no network. `-- --audit` also asks the registry for known weaknesses; `-- --bill <file>` writes the bill.
 */
import { spawnSync } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { parseArgs } from "node:util"
import * as Installed from "./supply/installed.js"

const { values } = parseArgs({ options: { audit: { type: "boolean", default: false }, bill: { type: "string" } } })

// npm reports what it finds by its output and its exit code.
const npm = (...args: ReadonlyArray<string>): Record<string, unknown> => {
  const { error, stderr, stdout } = spawnSync("npm", args, { encoding: "utf8", shell: process.platform === "win32" })
  if (error !== undefined) throw error
  try {
    return JSON.parse(stdout)
  } catch {
    throw new Error(`npm ${args.join(" ")} gave no JSON: ${stderr}`)
  }
}

const all = Installed.installed(JSON.parse(readFileSync("package-lock.json", "utf8")))
const bill = npm("sbom", "--package-lock-only", "--sbom-format", "cyclonedx")
const { components, problems } = Installed.billed(all, bill["components"] as ReadonlyArray<Installed.Component>)
const wrong = [...Installed.problems(all), ...problems]
if (values.bill !== undefined) {
  const edges = bill["dependencies"] as ReadonlyArray<Installed.Edge>
  const own = `${process.env["npm_package_name"]}@${process.env["npm_package_version"]}`
  const dependencies = Installed.among([own, ...components.map((one) => one["bom-ref"])], edges)
  writeFileSync(values.bill, JSON.stringify({ ...bill, components, dependencies }, undefined, 2))
}

if (values.audit) {
  const { message, vulnerabilities } = npm("audit", "--json")
  if (vulnerabilities === undefined) {
    console.log(`audit skipped: the registry does not answer it (${String(message)})`)
  } else {
    const names = Object.keys(vulnerabilities as object).filter((name) => all.some((one) => one.name === name))
    wrong.push(...names.map((name) => `${name} has a known weakness: see npm audit`))
  }
}

for (const problem of wrong) console.error(problem)
const licences = [...new Set(all.map(({ license }) => license))].sort().join(", ")
console.log(`${all.length} packages for users (${licences}), ${wrong.length} problems`)
for (const { license, name, version } of all) console.log(`  ${name} ${version} ${license}`)
process.exitCode = wrong.length > 0 || all.length === 0 ? 1 : 0
