/**
 * `npm run bench:profile`: what an operation costs in which part of the program, for the driver alone, bare Effect, and this
 * library, against the server that answers at once. Each arm runs in a process of its own.
 *
 * Each arm is profiled three times, in turns with the others, and the median of each part counts: machines are not equally fast at all
 * times.
 */
import { median } from "d3-array"
import * as Effect from "effect/Effect"
import { writeFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { aligned } from "../test/tools/table.js"
import { group, type GroupName, quick } from "./groups.js"
import type { Job } from "./job.js"
import { printed } from "./measure.js"
import { type Amounts, type Part, parts } from "./parts.js"
import { prepare } from "./prepare.js"
import { type Failed, promised } from "./processes.js"

/** What one arm costs for each operation. */
interface Cost {
  readonly micros: Amounts
  readonly bytes: Amounts
}

const arms = ["raw", "bare", "ours"] as const

const groups = ["findOne", "insertOne", "transaction", "transaction x16"] as const satisfies ReadonlyArray<
  Exclude<GroupName, "coldImport">
>

const of = (name: typeof groups[number], arm: string, isQuick: boolean): Effect.Effect<Cost, Failed> =>
  Effect.scoped(Effect.gen(function*() {
    const url = yield* printed<string>("nullResponder.ts", "1")
    const { size } = group(name)
    // No round is left out because it is late.
    const job: Job = { group: name, url, size: isQuick ? quick(size) : { ...size, seconds: 600 }, arms: [arm] }
    return yield* printed<Cost>("profileWorker.ts", JSON.stringify(job))
  }))

const total = (amounts: Amounts): number => parts.reduce((sum, part) => sum + amounts[part], 0)

const medians = (costs: ReadonlyArray<Cost>): Cost => {
  const middle = (of: (cost: Cost) => Amounts) =>
    Object.fromEntries(parts.map((part) => [part, median(costs, (cost) => of(cost)[part]) ?? 0])) as Record<
      Part,
      number
    >
  return { micros: middle(({ micros }) => micros), bytes: middle(({ bytes }) => bytes) }
}

type Costs = Readonly<Record<typeof arms[number], Cost>>

const rowsOf = (name: string, costs: Costs) =>
  arms.map((arm) => {
    const { bytes, micros } = costs[arm]
    return [
      name,
      arm,
      ...parts.map((part) => micros[part].toFixed(1)),
      total(micros).toFixed(1),
      (total(micros) / total(costs.raw.micros)).toFixed(2),
      (total(bytes) / 1024).toFixed(1)
    ]
  })

const program = (isQuick: boolean) =>
  Effect.gen(function*() {
    yield* promised(prepare)
    const found: Record<string, Costs> = {}
    for (const name of groups) {
      console.error(`profiling ${name}`)
      const rounds = yield* Effect.forEach(isQuick ? [1] : [1, 2, 3], () =>
        Effect.all({ raw: of(name, "raw", isQuick), bare: of(name, "bare", isQuick), ours: of(name, "ours", isQuick) }))
      const costOf = (arm: typeof arms[number]) =>
        medians(rounds.map((round) =>
          round[arm]
        ))
      found[name] = { raw: costOf("raw"), bare: costOf("bare"), ours: costOf("ours") }
    }
    return found
  })

const { values: { json, quick: isQuick } } = parseArgs({
  options: { json: { type: "string" }, quick: { type: "boolean", default: false } }
})
const found = await Effect.runPromise(program(isQuick))
const heads = ["operation", "arm", ...parts, "all µs", "ratio", "KiB"]
console.log(aligned([heads, ...Object.entries(found).flatMap(([name, costs]) => rowsOf(name, costs))], 2).join("\n"))
if (json !== undefined) writeFileSync(json, `${JSON.stringify(found, null, 2)}\n`)
