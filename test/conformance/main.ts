/**
 * `npm run conformance`: MongoDB's own tests of sessions and transactions, through this library.
 */
import * as Effect from "effect/Effect"
import { writeFileSync } from "node:fs"
import { resolve } from "node:path"
import * as Counts from "../tools/counts.js"
import { parse, usage } from "./arguments.js"
import { choose } from "./driver.js"
import { find, findGroups } from "./files.js"
import { isFolder, specifications } from "./folder.js"

const misused: (problem: string) => never = (problem) => {
  console.error(`${problem}\nusage: ${usage}`)
  process.exit(2)
}

const args = parse(process.argv.slice(2))
if (typeof args === "string") misused(args)

const folder = args.dir ?? specifications(resolve(import.meta.dirname, "../.."))
if (folder === undefined) {
  const reason = "there are no tests: set MONGO_SPEC_DIR to a checkout of mongodb/specifications"
  console.log(`skipped: ${reason}`)
  Counts.write({ passed: 0, failed: [], skipped: [{ test: "conformance", reason }] })
  process.exit(0)
}
if (!isFolder(folder)) misused(`there is no folder ${folder}`)
const missing = choose(args.driver)
if (missing !== undefined) misused(missing)

// Only now, for they import the driver.
const Suite = await import("./suite.js")
const Report = await import("./report.js")
const report = await Effect.runPromise(
  Suite.run({ ...args, files: args.dir === undefined ? findGroups(folder) : find(folder) })
)
if (report.tests.length === 0) misused(`no test in ${folder}${args.match === undefined ? "" : ` has "${args.match}"`}`)
console.log(Report.table(report))
if (args.json !== undefined) writeFileSync(args.json, JSON.stringify(report, null, 2))
Counts.write({
  passed: report.passed,
  failed: report.tests
    .filter(({ result }) => result === "failed")
    .map(({ file, reason, test }) => ({ test: `${file} > ${test}`, reason })),
  skipped: report.tests
    .filter(({ result }) => result === "waived" || result === "skipped")
    .map(({ file, reason, result, test }) => ({
      test: `${file} > ${test}`,
      reason: result === "waived" ? `waived, ${reason}` : reason
    }))
})
process.exitCode = report.failed > 0 ? 1 : 0
