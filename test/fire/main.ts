/**
 * `npm run fire -- --minutes N --seed S --report F`: lets a storm go on for so long, and reports.
 */
import * as Effect from "effect/Effect"
import { writeFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { liveHeap } from "../support/watch/heap.js"
import { tally } from "../support/watch/tally.js"
import type { Violation } from "./checker/violation.js"
import * as Report from "./report.js"
import * as StormSet from "./set.js"
import * as Storm from "./storm.js"
import { all } from "./workloads/all.js"

const usage = "npm run fire -- [--minutes N (1)] [--seed S (random)] [--round SECONDS (45)] [--report FILE]"

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "1" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 1e6)) },
    round: { type: "string", default: "45" },
    report: { type: "string" }
  }
})
const [minutes, seed, seconds] = [values.minutes, values.seed, values.round].map(Number)
if (
  minutes === undefined || seed === undefined || seconds === undefined || !(minutes > 0 && seconds > 0 && seed >= 0)
) {
  console.error(usage)
  process.exit(2)
}

let rejections = 0
process.on("unhandledRejection", (reason) => {
  rejections++
  console.error("unhandled rejection", reason)
})

const counts: Storm.Counts = { faults: tally(), operations: tally() }
const violations: Array<Violation & { readonly seed: number }> = []
const heap: Array<Report.Heap> = []
const began = performance.now()
const passed = (): number => (performance.now() - began) / 60_000

const program = Effect.scoped(Effect.gen(function*() {
  const set = yield* StormSet.make
  const clients = yield* Storm.clients(set, 3)
  const workloads = all(set)
  for (let round = 0; round === 0 || passed() < minutes; round++) {
    const found = yield* Storm.round(set, clients, { seed: seed + round, millis: seconds * 1000, workloads, counts })
    violations.push(...found.map((one) => ({ ...one, seed: seed + round })))
    heap.push({ minute: passed(), bytes: yield* liveHeap })
    console.error(`round ${round + 1}, seed ${seed + round}: ${passed().toFixed(1)} min, ${found.length} violations`)
    for (const { anomaly, detail } of found) console.error(`  ${anomaly}: ${detail}`)
  }
  return set.server.version
}))

const version = await Effect.runPromise(program)
const report = Report.render({
  ...{ version, seed, minutes: passed(), rounds: heap.length, seconds },
  ...{ counts, violations, rejections, heap }
})
console.log(report)
if (values.report !== undefined) writeFileSync(values.report, report)
process.exit(violations.length + rejections > 0 ? 1 : 0)
