/**
 * How late this process was while a test ran. A test that makes the server take 125 ms, where 100 are allowed, says nothing
 * when the process came too late to see the difference: the machine was busy with something else.
 */
import * as Effect from "effect/Effect"
import { monitorEventLoopDelay } from "node:perf_hooks"
import type { Test } from "./format.js"
import type { Outcome } from "./runner.js"

/** How often the process looks at the time, in milliseconds. */
const resolution = 5

/** The time by which a process may be late that still sees the difference, in milliseconds: the tests leave 20 and more. */
const margin = 15

/** How often a test is run at most. */
const most = 3

/** Runs an effect, and tells by how many milliseconds the process was late at most. */
export const measured = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<readonly [A, number], E, R> =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      const delays = monitorEventLoopDelay({ resolution })
      delays.enable()
      return delays
    }),
    (delays) => Effect.map(effect, (value) => [value, Math.max(0, delays.max / 1e6 - resolution)] as const),
    (delays) => Effect.sync(() => void delays.disable())
  )

/** Runs a test again that has failed while the process was late, if it is about time. */
export const patiently = (test: Test, run: Effect.Effect<Outcome>): Effect.Effect<Outcome> =>
  Effect.gen(function*() {
    let [outcome, late] = yield* measured(run)
    for (let runs = 1; runs < most && saysNothing(test, outcome, late); runs++) [outcome, late] = yield* measured(run)
    return outcome
  })

/** Whether a failure may come from this process alone. */
const saysNothing = (test: Test, { result }: Outcome, late: number): boolean =>
  result === "failed" && late > margin && isAboutTime(test)

const isAboutTime = (test: Test): boolean => JSON.stringify(test.operations).includes("blockTimeMS")
