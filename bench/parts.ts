/**
 * The parts of a program that a profile shows: which code ran, or what it waited for.
 */
import type { HeapProfiler, Profiler, Runtime } from "node:inspector"

/** Part of the program by the name that the report gives it. */
export const parts = ["driver", "BSON", "Node.js", "sockets", "garbage", "Effect", "library", "other"] as const

export type Part = typeof parts[number]

/** An amount for each part. */
export type Amounts = Readonly<Record<Part, number>>

/** Microseconds of processor time for each of so many operations. */
export const microsOf = ({ nodes, samples = [], timeDeltas = [] }: Profiler.Profile, operations: number): Amounts => {
  const byId = new Map(nodes.map((node) => [node.id, node.callFrame]))
  return summed(samples.map((id, place) => [byId.get(id), timeDeltas[place] ?? 0]), operations)
}

/** Bytes that were allocated for each of so many operations, whether they were kept or not. */
export const bytesOf = ({ head }: HeapProfiler.SamplingHeapProfile, operations: number): Amounts =>
  summed(sizes(head), operations)

type Weighed = readonly [frame: Runtime.CallFrame | undefined, weight: number]

const sizes = ({ callFrame, children, selfSize }: HeapProfiler.SamplingHeapProfileNode): Array<Weighed> => [
  [callFrame, selfSize],
  ...children.flatMap(sizes)
]

const summed = (weighed: ReadonlyArray<Weighed>, operations: number): Amounts => {
  const sums = Object.fromEntries(parts.map((part) => [part, 0])) as Record<Part, number>
  for (const [frame, weight] of weighed) {
    if (frame !== undefined && frame.functionName !== "(idle)") sums[partOf(frame)] += weight / operations
  }
  return sums
}

/** The part that a frame belongs to. What has no file is of the engine itself. */
export const partOf = ({ functionName, url }: Pick<Runtime.CallFrame, "functionName" | "url">): Part =>
  functionName === "(garbage collector)"
    ? "garbage"
    : functionName === "writeBuffer"
    ? "sockets"
    : url.startsWith("node:")
    ? "Node.js"
    : partOfFile(url)

const partOfFile = (url: string): Part => {
  const name = /\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1]
  if (name === undefined) return url.includes("/dist/") ? "library" : "other"
  return packages[name] ?? "other"
}

const packages: Readonly<Record<string, Part>> = {
  mongodb: "driver",
  bson: "BSON",
  effect: "Effect",
  "@effect/schema": "Effect"
}
