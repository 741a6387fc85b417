/**
 * How busy the thread of this process is.
 */
import { type EventLoopUtilization, performance } from "node:perf_hooks"

/** Which share of the time the thread has worked of late, from 0 to 1. */
export type Load = () => number

/** What is taken where nobody knows: before the first figure, and in a runtime that has none. */
const unknown = 0.75

/** How much time a figure is of, in milliseconds. */
const period = 50

const read = (): EventLoopUtilization | undefined =>
  typeof performance.eventLoopUtilization === "function" ? performance.eventLoopUtilization() : undefined

/** Looks again when it is asked, and the last figure is old. */
export const make = (now: () => Pick<EventLoopUtilization, "active" | "idle"> | undefined = read): Load => {
  let last = now()
  let load = unknown
  return () => {
    const next = now()
    if (next === undefined || last === undefined) return load
    const active = next.active - last.active
    const total = active + next.idle - last.idle
    if (total < period) return load
    last = next
    return load = active / total
  }
}
