/**
 * How late this process was while a test ran, and how busy the machine. A test that makes the server take 125 ms, where 100
 * are allowed, says nothing when the process came too late to see the difference, or the server to make it.
 */
import * as Effect from "effect/Effect"
import { cpus } from "node:os"
import { monitorEventLoopDelay } from "node:perf_hooks"
import type { Test } from "./format.js"
import type { Outcome } from "./runner.js"

/** How often the process looks at the time, in milliseconds. */
const resolution = 5

/** The time by which a process may be late that still sees the difference, in milliseconds: the tests leave 20 and more. */
const margin = 15

/** The share of the processors' time that is idle on a machine that has time: most of a test is waiting. */
const spare = 0.25

/** How often a test is run at most. */
const most = 3

/** What was seen while a test ran. */
export interface Seen {
  /** By how many milliseconds this process was late at most. */
  readonly late: number
  /** The share of the processors' time that was idle. What waits for a disk, or for another machine on the same host, is not. */
  readonly idle: number
}

/** Runs an effect, and tells what was seen of the process and the machine meanwhile. */
export const measured = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<readonly [A, Seen], E, R> =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      const delays = monitorEventLoopDelay({ resolution })
      delays.enable()
      return { delays, idle: idleTime(), since: performance.now() }
    }),
    ({ delays, idle, since }) =>
      Effect.map(effect, (value) =>
        [value, {
          late: Math.max(0, delays.max / 1e6 - resolution),
          idle: (idleTime() - idle) / ((performance.now() - since) * cpus().length)
        }] as const),
    ({ delays }) => Effect.sync(() => void delays.disable())
  )

const idleTime = (): number => cpus().reduce((total, { times }) => total + times.idle, 0)

/** Runs a test again that has failed while the process was late or the machine busy, if it is about time. */
export const patiently = (test: Test, run: Effect.Effect<Outcome>, measure = measured): Effect.Effect<Outcome> =>
  Effect.gen(function*() {
    let [outcome, seen] = yield* measure(run)
    for (let runs = 1; runs < most && saysNothing(test, outcome, seen); runs++) [outcome, seen] = yield* measure(run)
    return outcome
  })

/** Whether a failure may come from the machine alone. */
const saysNothing = (test: Test, { result }: Outcome, { idle, late }: Seen): boolean =>
  result === "failed" && (late > margin || idle < spare) && isAboutTime(test)

const isAboutTime = (test: Test): boolean => JSON.stringify(test.operations).includes("blockTimeMS")
