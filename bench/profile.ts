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
import { aligned } from "../test/tools/table.js"
import type { GroupName } from "./groups.js"
import { group } from "./groups.js"
import type { Job } from "./measure.js"
import { type Amounts, type Part, parts } from "./parts.js"
import { prepare } from "./prepare.js"
import { type Failed, promised, start } from "./processes.js"

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
  Effect.acquireUseRelease(
    Effect.sync(() => start<string>("nullResponder.ts", ["1"])),
    ({ printed }) =>
      Effect.flatMap(promised(() => printed), (url) => {
        const { rounds, times, warmup } = group(name).size
        const size = isQuick
          ? { rounds: 2, warmup: 2, times: 32, seconds: 60 }
          : { rounds, warmup: Math.max(warmup, 40), times, seconds: 600 }
        const job: Job = { group: name, url, size, arms: [arm] }
        const worker = start<Cost>("profileWorker.ts", [JSON.stringify(job)])
        return Effect.ensuring(promised(() => worker.printed), Effect.sync(() => worker.child.kill()))
      }),
    ({ child }) => Effect.sync(() => child.kill())
  )

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

const file = process.argv.includes("--json") ? process.argv[process.argv.indexOf("--json") + 1] : undefined
const found = await Effect.runPromise(program(process.argv.includes("--quick")))
const heads = ["operation", "arm", ...parts, "all µs", "ratio", "KiB"]
console.log(aligned([heads, ...Object.entries(found).flatMap(([name, costs]) => rowsOf(name, costs))], 2).join("\n"))
if (file !== undefined) writeFileSync(file, `${JSON.stringify(found, null, 2)}\n`)
