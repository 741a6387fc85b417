/**
 * `npm run fire -- --minutes N --seeds A,B --report F`: lets a storm go on for so long with each seed, and reports.
 */
import * as Effect from "effect/Effect"
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { cpus } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { liveHeap } from "../support/watch/heap.js"
import { tally } from "../support/watch/tally.js"
import * as Report from "./report.js"
import * as StormSet from "./set.js"
import * as Storm from "./storm.js"
import { all } from "./workloads/all.js"

const usage = "npm run fire -- [--minutes N (1)] [--seed S (random) | --seeds S,S,...] [--round SECONDS (45)] " +
  "[--report FILE] [--facts FOLDER: what is known after each round; a seed that is done there is not run again]"

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "1" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 1e6)) },
    seeds: { type: "string" },
    round: { type: "string", default: "45" },
    report: { type: "string" },
    facts: { type: "string" }
  }
})
const [minutes, seconds] = [values.minutes, values.round].map(Number)
const seeds = (values.seeds ?? values.seed).split(",").map(Number)
if (
  minutes === undefined || seconds === undefined || !(minutes > 0 && seconds > 0 && seeds.every((seed) => seed >= 0))
) {
  console.error(usage)
  process.exit(2)
}

let rejections = 0
process.on("unhandledRejection", (reason) => {
  rejections++
  console.error("unhandled rejection", reason)
})

const fileOf = (folder: string, seed: number) => join(folder, `${seed}.json`)

const known = (seed: number): Report.Facts | undefined => {
  if (values.facts === undefined || !existsSync(fileOf(values.facts, seed))) return undefined
  const facts: Report.Facts = JSON.parse(readFileSync(fileOf(values.facts, seed), "utf8"))
  return facts.isDone ? facts : undefined
}

const keep = (facts: Report.Facts): void => {
  if (values.facts === undefined) return
  mkdirSync(values.facts, { recursive: true })
  writeFileSync(fileOf(values.facts, facts.seed), JSON.stringify(facts))
}

const storm = (seed: number): Effect.Effect<Report.Facts, unknown> =>
  Effect.scoped(Effect.gen(function*() {
    const began = performance.now()
    const before = rejections
    const passed = (): number => (performance.now() - began) / 60_000
    const counts: Storm.Counts = { faults: tally(), operations: tally() }
    const set = yield* StormSet.make
    const clients = yield* Storm.clients(set, 3)
    const workloads = all(set)
    const violations: Array<Report.Facts["violations"][number]> = []
    const heap: Array<Report.Heap> = []
    const facts = (isDone: boolean): Report.Facts => ({
      ...{ seed, seconds, violations, heap, isDone },
      ...{ version: set.server.version, node: process.version, processors: cpus().length },
      ...{ minutes: passed(), rounds: heap.length, rejections: rejections - before },
      ...{ faults: counts.faults.rows(), operations: counts.operations.rows() }
    })
    for (let round = 0; round === 0 || passed() < minutes; round++) {
      const found = yield* Storm.round(set, clients, { seed: seed + round, millis: seconds * 1000, workloads, counts })
      violations.push(...found.map((one) => ({ ...one, seed: seed + round })))
      heap.push({ minute: passed(), bytes: yield* liveHeap })
      console.error(`round ${round + 1}, seed ${seed + round}: ${passed().toFixed(1)} min, ${found.length} violations`)
      for (const { anomaly, detail } of found) console.error(`  ${anomaly}: ${detail}`)
      keep(facts(false))
    }
    const done = facts(true)
    keep(done)
    return done
  }))

const runs: Array<Report.Facts> = []
// Whatever a storm fails with ends the program.
// @effect-diagnostics-next-line anyUnknownInErrorContext:off
for (const seed of seeds) runs.push(known(seed) ?? await Effect.runPromise(storm(seed)))
const report = Report.render(runs)
console.log(report)
if (values.report !== undefined) writeFileSync(values.report, report)
process.exit(runs.some(({ violations }) => violations.length > 0) || rejections > 0 ? 1 : 0)
