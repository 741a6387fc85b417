/**
 * `npm run fire -- --minutes N --seed S --report F`: lets a storm go on for so long, and reports.
 */
import * as Effect from "effect/Effect"
import { tally } from "../support/watch/tally.js"
import * as StormSet from "./set.js"
import * as Storm from "./storm.js"
import * as Append from "./workloads/append.js"
import * as Bank from "./workloads/bank.js"
const counts = { faults: tally(), operations: tally() }
const seed = Number(process.argv[2] ?? 1)
const millis = Number(process.argv[3] ?? 20000)
await Effect.runPromise(Effect.scoped(Effect.gen(function*() {
  const set = yield* StormSet.make
  const clients = yield* Storm.clients(set, 3)
  console.time("round")
  const found = yield* Storm.round(set, clients, { seed, millis, counts, workloads: [Append.make(40), Bank.make(24)] })
  console.timeEnd("round")
  console.log(counts.faults.toString().replaceAll(", ", "\n"))
  console.log(counts.operations.toString().replaceAll(/, (?=[a-z-]+:|list|bank)/g, "\n"))
  console.log(found.slice(0, 20), found.length)
})))
