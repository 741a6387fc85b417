// `npm run test:matrix` tests the lowest and the other supported versions. The lowest versions of driver and Effect run types,
// unit, integration and conformance; the versions of MongoDB's server run conformance, examples and the heart of integration.
// Package managers, versions of TypeScript and runtimes try the package as its users do.
// `npm run test:matrix -- mongod-4.4 lowest conformance` runs only the ends and the stages named;
// `npm run test:matrix -- --lock` writes new lockfiles, which a change of the versions in ends/lowest.ts or in
// package.json needs.
import type * as Counts from "./counts.js"
import { backend } from "./ends/backend.js"
import { compilers } from "./ends/compilers.js"
import type { End } from "./ends/end.js"
import { inspect } from "./ends/inspect.js"
import { lowestEnds } from "./ends/lowest.js"
import { managers } from "./ends/managers.js"
import { runtimes } from "./ends/runtimes.js"
import { servers } from "./ends/servers.js"
import * as Group from "./group.js"
import { aligned } from "./table.js"

interface Result {
  readonly end: End
  readonly versions: string
  readonly counts: Counts.Counts
  readonly minutes: number
}

const ends: ReadonlyArray<End> = [...lowestEnds, ...servers, ...managers, ...compilers, ...runtimes, backend, inspect]

const args = process.argv.slice(2)
const isLock = args[0] === "--lock"
const chosen = isLock ? args.slice(1) : args
const names = ends.map(({ name }) => name)
const stages = [...new Set(ends.flatMap((end) => end.stages))]
const unknown = chosen.filter((name) => ![...names, ...stages].includes(name))
if (unknown.length > 0) {
  console.error(`No such end or stage: ${unknown.join(", ")}. There are: ${[...names, ...stages].join(", ")}.`)
  process.exit(2)
}
/** Those that are named, or all where none is. */
const among = (all: ReadonlyArray<string>) => all.some((name) => chosen.includes(name)) ? chosen : all
const wantedStages = among(stages)
const stagesOf = (end: End) => end.stages.filter((name) => wantedStages.includes(name))
const wanted = ends.filter((end) => among(names).includes(end.name) && stagesOf(end).length > 0)

/** Whether all of an end was skipped, which is no failure. */
const isSkipped = ({ failed, passed, skipped }: Counts.Counts) =>
  passed === 0 && failed.length === 0 && skipped.length > 0
const isFailed = (counts: Counts.Counts) => counts.failed.length > 0 || (counts.passed === 0 && !isSkipped(counts))

if (isLock) {
  for (const { lock } of wanted) {
    if (lock !== undefined && (Group.isStopped() || !await lock())) process.exitCode = 1
  }
} else {
  const results: Array<Result> = []
  for (const end of wanted) {
    if (Group.isStopped()) break
    const versions = Object.entries(end.versions).map(([name, version]) => `${name} ${version}`).join(", ")
    console.log(`\n══ ${end.name}: ${versions} ${"═".repeat(60)}`.slice(0, 81))
    const started = performance.now()
    const counts = await end.run(stagesOf(end))
    results.push({ end, versions, counts, minutes: (performance.now() - started) / 60_000 })
  }
  console.log("\n══ all ends")
  const lines = aligned(results.map(({ end, minutes }) => [end.name, `${minutes.toFixed(1)} min`]))
  for (const [index, { counts, versions }] of results.entries()) {
    const { failed, passed, skipped } = counts
    const mark = isSkipped(counts) ? "skipped" : isFailed(counts) ? "FAILED " : "ok     "
    const numbers = `${passed} passed, ${failed.length} failed, ${skipped.length} skipped`
    console.log(`${mark}  ${lines[index]}  ${numbers}  (${versions})`)
  }
  for (const { counts, end } of results) {
    for (const { reason, test } of isSkipped(counts) ? counts.skipped : []) {
      console.log(`skipped: ${end.name} > ${test} — ${reason}`)
    }
    for (const { reason, test } of counts.failed) console.log(`failed: ${end.name} > ${test} — ${reason}`)
  }
  const sum = (of: (counts: Counts.Counts) => number) => results.reduce((total, { counts }) => total + of(counts), 0)
  const numbers = [`${sum(({ passed }) => passed)} passed`, `${sum(({ failed }) => failed.length)} failed`]
  console.log(`\n${[...numbers, `${sum(({ skipped }) => skipped.length)} skipped`].join(", ")}`)
  process.exitCode = Group.isStopped() || results.some(({ counts }) => isFailed(counts)) ? 1 : 0
}
