/**
 * Profiles one arm of a group, as its argument says (JSON), and prints what each part of the program costs for one operation.
 */
import * as Effect from "effect/Effect"
import { Session } from "node:inspector/promises"
import { arms, options } from "./arms/index.js"
import type { Job } from "./measure.js"
import { endWithParent } from "./parent.js"
import { bytesOf, microsOf } from "./parts.js"
import { type Arm, measure } from "./rounds.js"
import { withArms } from "./scene.js"

endWithParent()

process.setSourceMapsEnabled(false)

const job: Job = JSON.parse(process.argv[2] ?? "")

const profiled = async (all: ReadonlyArray<Arm>) => {
  const chosen = all.filter(({ name }) => job.arms.includes(name))
  const { rounds, times } = job.size
  const session = new Session()
  session.connect()
  await measure(chosen, { ...job.size, rounds: 0 })
  await session.post("Profiler.enable")
  await session.post("Profiler.setSamplingInterval", { interval: 200 })
  await session.post("Profiler.start")
  await measure(chosen, { ...job.size, warmup: 0 })
  const { profile } = await session.post("Profiler.stop")
  await session.post("HeapProfiler.startSampling", {
    samplingInterval: 4096,
    // Else what is thrown away at once, as most is, would not count.
    includeObjectsCollectedByMajorGC: true,
    includeObjectsCollectedByMinorGC: true
  })
  await measure(chosen, { ...job.size, warmup: 0 })
  const heap = await session.post("HeapProfiler.stopSampling")
  return { micros: microsOf(profile, rounds * times), bytes: bytesOf(heap.profile, rounds * times) }
}

console.log(
  JSON.stringify(await Effect.runPromise(withArms(job.url, options[job.group] ?? {}, arms[job.group], profiled)))
)
