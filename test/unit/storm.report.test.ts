/**
 * The page of the storms tells what each of them has counted.
 */
import { expect, it } from "vitest"
import * as Report from "../fire/report.js"

const facts: Report.Facts = {
  ...{
    version: "6.0.5",
    node: "v20.0.0",
    processors: 2,
    seed: 1,
    minutes: 30.2,
    rounds: 4,
    seconds: 60,
    rejections: 0
  },
  faults: [["kill", 2], ["stop: not done", 1]],
  operations: [["bank: success", 5], ["bank: unknown, found committed", 1]],
  violations: [],
  heap: [1, 2, 3, 4].map((minute) => ({ minute, bytes: minute * 2 ** 21 })),
  isDone: true
}

it("the heap grows by the slope of the line that fits best", () => {
  expect(Report.slope(facts.heap)).toBeCloseTo(2)
  expect(Report.slope([1, 2, 3, 4].map((minute) => ({ minute, bytes: 5 })))).toBe(0)
  expect(Report.slope(facts.heap.slice(0, 1))).toBe(0)
})

it("the storms of several seeds are side by side, and what was broken is told with its seed", () => {
  const broken = { ...facts, seed: 2, faults: [], violations: [{ anomaly: "money", detail: "9 in the end", seed: 3 }] }
  const page = Report.render([facts, broken]).split("\n")
  expect(page).toContain("| storm | seed 1 | seed 2 |")
  expect(page).toContain("| kill | 2 | 0 |")
  expect(page).toContain("| faults | 2 | 0 |")
  expect(page).toContain("| operations and transactions | 5 | 5 |")
  expect(page).toContain("| **violations** | **0** | **1** |")
  expect(page).toContain("| heap over the last half, MiB a minute | 2.00 | 2.00 |")
  expect(page).toContain("- seed 3: money: 9 in the end")
  expect(page.find((line) => line.startsWith("`npm run fire"))).toMatch(/--minutes 30 --seeds 1,2 --round 60/)
})
