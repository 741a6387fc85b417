// Runs every check of the project, also after one has failed, and ends with one line that counts them all.
// `npm test -- quick` runs the heart of it; `npm test -- lint unit` runs only the stages named.
import * as Arr from "effect/Array"
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Counts from "./counts.js"
import * as Group from "./group.js"
import { heart, spared } from "./heart.js"
import { aligned } from "./table.js"

interface Stage {
  readonly name: string
  readonly script: string
  /** What the script is given. */
  readonly args?: ReadonlyArray<string>
  /** A runner counts its own tests; any other stage is one test by itself. */
  readonly runner?: true
  /** What it runs may not be there; then all of it is skipped. */
  readonly optional?: true
}

interface Outcome {
  readonly stage: Stage
  readonly seconds: number
  readonly counts: Counts.Counts
  readonly problem: string | undefined
}

const types: Stage = { name: "types", script: "check" }
const unit: Stage = { name: "unit", script: "test:unit", runner: true }
const integration: Stage = { name: "integration", script: "test:integration", runner: true }

/** Lanes are run side by side; the stages of a lane one after the other. */
type Plan = ReadonlyArray<ReadonlyArray<Stage>>

// What needs a processor most of the time, what waits for servers as often, and what waits for elections.
const whole: Plan = [
  [
    types,
    unit,
    { name: "lint", script: "lint" },
    { name: "imports", script: "imports" },
    { name: "unused", script: "unused" },
    { name: "docs", script: "docs:check" },
    { name: "package", script: "pack:check" },
    { name: "new-user", script: "new-user", runner: true, optional: true }
  ],
  [integration],
  [
    { name: "cluster", script: "test:cluster", runner: true },
    { name: "conformance", script: "conformance", runner: true, optional: true },
    { name: "examples", script: "test:examples", runner: true }
  ]
]

const sparing = spared.flatMap((file) => ["--exclude", `test/unit/${file}`])
const quick: Plan = [[types], [{ ...unit, args: sparing }, { ...integration, args: heart }]]

// Each test has a limit of its own; this ends a runner that hangs, also where others have the processors most of the time.
const timeLimit = 30 * 60_000

const colour = (code: number, text: string) => process.stdout.isTTY ? `\u001b[${code}m${text}\u001b[0m` : text

// How many tests of a reason for skipping are named.
const mostNamed = 2

const run = async (stage: Stage, folder: string): Promise<Outcome> => {
  const started = performance.now()
  const countsFile = join(folder, `${stage.name}.json`)
  const output = join(folder, `${stage.name}.log`)
  const file = openSync(output, "w")
  const args = ["run", "--silent", stage.script, "--", ...stage.args ?? []]
  const problem = await Group.execute("npm", args, {
    env: { [Counts.variable]: countsFile },
    timeLimit,
    output: file
  })
  closeSync(file)
  const seconds = (performance.now() - started) / 1000
  const title = `\n── ${stage.name} (npm run ${stage.script}, ${seconds.toFixed(0)} s) ${"─".repeat(60)}`
  // As a whole, for others run at the same time.
  process.stdout.write(`${colour(1, title.slice(0, 80))}\n${readFileSync(output, "utf8")}`)
  return { stage, seconds, ...judge(stage, problem, countsFile) }
}

/** A runner that ended badly, or counted nothing, is a failure even when no test of it failed. */
const judge = (
  stage: Stage,
  problem: string | undefined,
  countsFile: string
): Pick<Outcome, "counts" | "problem"> => {
  if (!stage.runner) {
    const ok = problem === undefined
    return {
      counts: { passed: ok ? 1 : 0, failed: ok ? [] : [{ test: stage.name, reason: problem }], skipped: [] },
      problem
    }
  }
  const counts = existsSync(countsFile) ? Counts.read(countsFile) : { passed: 0, failed: [], skipped: [] }
  if (counts.failed.length > 0) return { counts, problem: problem ?? "failed" }
  const isAbsent = stage.optional === true && counts.skipped.length > 0
  const reason = problem ?? (counts.passed === 0 && !isAbsent ? "no test passed" : undefined)
  return reason === undefined
    ? { counts, problem }
    : { counts: { ...counts, failed: [{ test: stage.name, reason }] }, problem: reason }
}

const chosen = process.argv.slice(2)
const isQuick = chosen.length === 1 && chosen[0] === "quick"
const names = whole.flat().map(({ name }) => name)
const unknown = isQuick ? [] : chosen.filter((name) => !names.includes(name))
if (unknown.length > 0) {
  console.error(`No such stage: ${unknown.join(", ")}. There are: quick, ${names.join(", ")}.`)
  process.exit(2)
}
const isWanted = ({ name }: Stage) => isQuick || chosen.length === 0 || chosen.includes(name)

const folder = mkdtempSync(join(tmpdir(), "effect-mongo-session-test-"))
const outcomes: Array<Outcome> = []
const started = performance.now()
const runLane = async (lane: ReadonlyArray<Stage>) => {
  for (const stage of lane.filter(isWanted)) {
    if (!Group.isStopped()) outcomes.push(await run(stage, folder))
  }
}
try {
  await Promise.all((isQuick ? quick : whole).map(runLane))
} finally {
  rmSync(folder, { recursive: true, force: true })
}

console.log(colour(1, "\n── results " + "─".repeat(69)))
const lines = aligned(outcomes.map(({ seconds, stage }) => [stage.name, `${seconds.toFixed(1)} s`]))
for (const [index, { counts, problem, stage }] of outcomes.entries()) {
  const mark = problem === undefined ? colour(32, "ok    ") : colour(31, "FAILED")
  const numbers = stage.runner
    ? `  ${counts.passed} passed, ${counts.failed.length} failed, ${counts.skipped.length} skipped`
    : ""
  const why = problem === undefined ? "" : `  ${problem}`
  console.log(`${mark}  ${lines[index]}${numbers}${why}`)
}
const skipped = outcomes.flatMap(({ counts }) => counts.skipped)
if (skipped.length > 0) console.log("\nskipped")
// By reason: there are hundreds where a server is of another version than many tests need.
for (const [reason, tests] of Object.entries(Arr.groupBy(skipped, ({ reason }) => reason))) {
  const few = tests.slice(0, mostNamed).map(({ test }) => test).join("; ")
  console.log(`  ${tests.length} × ${reason} — ${few}${tests.length > mostNamed ? "; …" : ""}`)
}

const failed = [
  ...outcomes.flatMap(({ counts }) => counts.failed),
  ...(Group.isStopped() ? [{ test: "npm test", reason: "stopped by a signal" }] : [])
]
// Last, for the end of a log is what is read of it.
if (failed.length > 0) console.log("\nfailed")
for (const { reason, test } of failed) console.log(`  ${test} — ${reason}`)

const passed = outcomes.reduce((total, { counts }) => total + counts.passed, 0)
if (failed.length > 0 || passed === 0) process.exitCode = 1
Counts.write({ passed, failed, skipped })
console.log(`\n${((performance.now() - started) / 1000).toFixed(0)} s`)
console.log(`${passed} passed, ${failed.length} failed, ${skipped.length} skipped`)
