// Does what somebody does who has read nothing but the README, with the package as npm would publish it: installs it in an
// empty folder, copies the programs, type-checks them and runs them. `npm run new-user -- pnpm bun` does so with others.
import { readFileSync } from "node:fs"
import * as Counts from "../tools/counts.js"
import * as Managers from "./managers.js"
import { newFolder, packed } from "./packed.js"
import { stepsOf } from "./steps.js"

const names = process.argv.slice(2)
const wanted = names.length === 0 ? [Managers.npm] : Managers.all.filter(({ name }) => names.includes(name))
if (wanted.length < names.length) {
  console.error(
    `No such package manager among ${names.join(", ")}. There are: ${Managers.all.map(({ name }) => name)}.`
  )
  process.exit(2)
}

const readme = readFileSync("README.md", "utf8")
const failed: Array<Counts.Noted> = []
const skipped: Array<Counts.Noted> = []
let passed = 0

await using tarball = await packed()
for (const manager of wanted) {
  const command = await manager.command()
  if ("missing" in command) {
    skipped.push({ test: manager.name, reason: command.missing })
    console.log(`skipped ${manager.name}: ${command.missing}`)
    continue
  }
  await using folder = newFolder(manager.name)
  for (const step of stepsOf({ readme, tarball: tarball.path, folder: folder.path, command })) {
    const started = performance.now()
    const problem = await step.run()
    const name = `${manager.name}: ${step.name}`
    if (problem === undefined) {
      passed++
      console.log(`ok      ${name} (${((performance.now() - started) / 1000).toFixed(1)} s)`)
      continue
    }
    if (Managers.isOffline(problem)) {
      skipped.push({ test: name, reason: "the registry of packages cannot be reached" })
      console.log(`skipped ${name}: the registry of packages cannot be reached`)
    } else {
      failed.push({ test: name, reason: problem.trim().split("\n", 1).join("") })
      console.log(`FAILED  ${name}: ${problem}`)
    }
    // What follows needs it.
    break
  }
}

Counts.write({ passed, failed, skipped })
process.exitCode = failed.length > 0 ? 1 : 0
