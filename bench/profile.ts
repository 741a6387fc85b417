/**
 * `npm run bench:profile`: what an operation costs in which part of the program, for the driver alone, bare Effect, and this
 * library, against the server that answers at once. Each arm runs in a process of its own.
 *
 * The machine is never equally fast. All arms encode and decode the same BSON, and so its time is the measure: all times of an
 * arm are scaled so that it takes as long as in the driver's own.
 */
import * as Effect from "effect/Effect"
import { writeFileSync } from "node:fs"
import { aligned } from "../test/tools/table.js"
import type { GroupName } from "./groups.js"
import { group } from "./groups.js"
import type { Job } from "./measuring.js"
import { type Amounts, type Part, parts } from "./parts.js"
import { prepare } from "./prepare.js"
import { promised, start } from "./processes.js"

/** What one arm costs for each operation. */
interface Cost {
  readonly micros: Amounts
  readonly bytes: Amounts
}

const arms = ["raw", "bare", "ours"] as const

const groups = ["findOne", "insertOne", "transaction", "transaction x16"] as const satisfies ReadonlyArray<
  Exclude<GroupName, "coldImport">
>

const of = (name: typeof groups[number], arm: string, isQuick: boolean): Effect.Effect<Cost, unknown> =>
  Effect.acquireUseRelease(
    Effect.sync(() => start<string>("nullResponder.ts", ["1"])),
    ({ printed }) =>
      Effect.flatMap(promised(() => printed), (url) => {
        const { rounds, times, warmup } = group(name).size
        // More rounds than for a benchmark: a sample is taken each 200 µs.
        const size = isQuick
          ? { rounds: 2, warmup: 2, times: 32, seconds: 60 }
          : { rounds: 3 * rounds, warmup: Math.max(warmup, 40), times, seconds: 600 }
        const job: Job = { group: name, url, size, arms: [arm] }
        const worker = start<Cost>("profileWorker.ts", [JSON.stringify(job)])
        return Effect.ensuring(promised(() => worker.printed), Effect.sync(() => worker.child.kill()))
      }),
    ({ child }) => Effect.sync(() => child.kill())
  )

const scaled = ({ bytes, micros }: Cost, bson: number): Cost => ({
  micros: Object.fromEntries(parts.map((part) => [part, micros[part] * bson / micros.BSON])) as Record<Part, number>,
  bytes
})

const total = (amounts: Amounts): number => parts.reduce((sum, part) => sum + amounts[part], 0)

const rowsOf = (name: string, costs: Readonly<Record<typeof arms[number], Cost>>) =>
  arms.map((arm) => [
    name,
    arm,
    ...parts.map((part) => costs[arm].micros[part].toFixed(1)),
    total(costs[arm].micros).toFixed(1),
    (total(costs[arm].micros) / total(costs.raw.micros)).toFixed(2),
    (total(costs[arm].bytes) / 1024).toFixed(1)
  ])

const program = (isQuick: boolean) =>
  Effect.gen(function*() {
    yield* promised(prepare)
    const found: Record<string, Readonly<Record<typeof arms[number], Cost>>> = {}
    for (const name of groups) {
      console.error(`profiling ${name}`)
      const raw = yield* of(name, "raw", isQuick)
      const bare = yield* of(name, "bare", isQuick)
      const ours = yield* of(name, "ours", isQuick)
      const { BSON } = raw.micros
      found[name] = { raw, bare: scaled(bare, BSON), ours: scaled(ours, BSON) }
    }
    return found
  })

const file = process.argv.includes("--json") ? process.argv[process.argv.indexOf("--json") + 1] : undefined
const found = await Effect.runPromise(program(process.argv.includes("--quick")))
const heads = ["operation", "arm", ...parts, "all µs", "ratio", "KiB"]
console.log(aligned([heads, ...Object.entries(found).flatMap(([name, costs]) => rowsOf(name, costs))], 2).join("\n"))
if (file !== undefined) writeFileSync(file, `${JSON.stringify(found, null, 2)}\n`)
