/**
 * Profiles one arm of a group, as its argument says (JSON), and prints what each part of the program costs for one operation.
 */
import { Session } from "node:inspector/promises"
import { withChosen } from "./arms/index.js"
import { receive } from "./job.js"
import { bytesOf, microsOf } from "./parts.js"
import { type Arm, measure } from "./rounds.js"

const job = receive()

const profiled = async (arms: ReadonlyArray<Arm>) => {
  const { rounds, times } = job.size
  const session = new Session()
  session.connect()
  await measure(arms, { ...job.size, rounds: 0 })
  await session.post("Profiler.enable")
  await session.post("Profiler.setSamplingInterval", { interval: 200 })
  await session.post("Profiler.start")
  await measure(arms, { ...job.size, warmup: 0 })
  const { profile } = await session.post("Profiler.stop")
  await session.post("HeapProfiler.startSampling", {
    samplingInterval: 4096,
    // Else what is thrown away at once, as most is, would not count.
    includeObjectsCollectedByMajorGC: true,
    includeObjectsCollectedByMinorGC: true
  })
  await measure(arms, { ...job.size, warmup: 0 })
  const heap = await session.post("HeapProfiler.stopSampling")
  return { micros: microsOf(profile, rounds * times), bytes: bytesOf(heap.profile, rounds * times) }
}

console.log(JSON.stringify(await withChosen(job, profiled)))
