import { describe, expect, it } from "@effect/vitest"
import { cell, count, together } from "../../bench/contentionCount.js"

// Two seconds, in which two transactions end. The third ends in the sixth second.
const all = [{ began: 0, ended: 500 }, { began: 500, ended: 2000 }, { began: 500, ended: 5500 }]

describe("the count of a measurement of contention", () => {
  it("has in its rate only what was committed before the end of the time", () => {
    expect(count(all, 6, 2).perSecond).toBe(1)
    expect(count(all.slice(2), 1, 2).perSecond).toBe(0)
  })

  it("has attempts and times of all, for the slowest are those that are late", () => {
    expect(count(all, 6, 2)).toMatchObject({ committed: 3, attempts: 6 })
    expect(count(all, 6, 2).p99).toBeGreaterThan(4900)
  })

  it("of several processes has all that they committed, and the time of the slowest", () => {
    const other = count([{ began: 0, ended: 100 }], 3, 2)
    expect(together([count(all, 6, 2), other])).toEqual({
      ...count(all, 6, 2),
      perSecond: 1.5,
      committed: 4,
      attempts: 9
    })
  })

  it("is a cell of the table: rate, attempts for each, and 99th percentile", () => {
    expect(cell(count([{ began: 0, ended: 100 }, { began: 0, ended: 100 }], 3, 1))).toBe("2; 1.50; 100")
  })
})
