import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { cpus } from "node:os"
import type { Test } from "../conformance/format.js"
import { measured, patiently, type Seen } from "../conformance/lateness.js"
import type { Outcome } from "../conformance/runner.js"

/** A test that has the server wait, if so. */
const testOf = (isAboutTime: boolean): Test => ({
  description: "it",
  operations: [{
    name: "failPoint",
    object: "testRunner",
    ignoreResultAndError: false,
    arguments: isAboutTime ? { data: { blockTimeMS: 125 } } : {}
  }],
  expectEvents: [],
  expectTracingMessages: [],
  outcome: []
})

const busy = Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 20))).pipe(
  Effect.zipRight(Effect.sync(() => {
    for (const end = performance.now() + 400; performance.now() < end;);
  })),
  Effect.zipRight(Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 20))))
)

/** What is run, which fails so many times, and how often it was run. */
const failing = (times: number, wait: Effect.Effect<unknown>) => {
  const runs = { count: 0 }
  const run = Effect.map(
    wait,
    (): Outcome => runs.count++ < times ? { result: "failed", reason: "late" } : { result: "passed", reason: "" }
  )
  return { run, runs }
}

describe("a process that is late", () => {
  it.live("is known by the time that it did not look", () =>
    Effect.gen(function*() {
      const [value, { late }] = yield* measured(Effect.as(busy, 1))
      expect(value).toBe(1)
      expect(late).toBeGreaterThan(50)
    }))

  it.live("does not have the processors idle for all of the time", () =>
    Effect.gen(function*() {
      const [, { idle }] = yield* measured(busy)
      // Most of the time of one of them was spent.
      expect(idle).toBeLessThan(1 - 0.4 / cpus().length)
      expect(idle).toBeGreaterThanOrEqual(0)
    }))

  it.live("has a test run again that is about time and failed, three times at most", () =>
    Effect.gen(function*() {
      const once = failing(1, busy)
      expect(yield* patiently(testOf(true), once.run)).toMatchObject({ result: "passed" })
      expect(once.runs.count).toBe(2)
      const always = failing(9, busy)
      expect(yield* patiently(testOf(true), always.run)).toMatchObject({ result: "failed" })
      expect(always.runs.count).toBe(3)
    }))

  it.live("is no excuse for any other test", () =>
    Effect.gen(function*() {
      const { run, runs } = failing(1, busy)
      expect(yield* patiently(testOf(false), run)).toMatchObject({ result: "failed" })
      expect(runs.count).toBe(1)
    }))

  /** As if that were seen. */
  const asIf = (seen: Seen): typeof measured => (effect) => Effect.map(effect, (value) => [value, seen] as const)

  it.effect("or a machine that is busy: the server may be late, too", () =>
    Effect.gen(function*() {
      const { run, runs } = failing(1, Effect.void)
      expect(yield* patiently(testOf(true), run, asIf({ late: 0, idle: 0.1 }))).toMatchObject({ result: "passed" })
      expect(runs.count).toBe(2)
    }))

  it.effect("and neither of them: the test has failed", () =>
    Effect.gen(function*() {
      const { run, runs } = failing(1, Effect.void)
      expect(yield* patiently(testOf(true), run, asIf({ late: 0, idle: 0.6 }))).toMatchObject({ result: "failed" })
      expect(runs.count).toBe(1)
    }))
})
