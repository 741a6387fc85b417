import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { quantile, quartiles, ratios } from "../../bench/statistics.js"

const numbers = FastCheck.array(FastCheck.double({ noNaN: true, min: -1e6, max: 1e6 }), { minLength: 1 })

describe("a quantile", () => {
  it("of nothing is refused", () => {
    expect(() => quantile([], 0.5)).toThrow(RangeError)
  })

  it("lies between two values where it is none of them", () => {
    expect(quartiles([4, 1, 3, 2])).toEqual({ q25: 1.75, median: 2.5, q75: 3.25 })
    expect(quantile([10, 20], 0.99)).toBeCloseTo(19.9)
  })

  it("is a value where there is one at its place, and does not move the sample's values", () => {
    const sample = [5, 3, 1, 2, 4]
    expect(quartiles(sample)).toEqual({ q25: 2, median: 3, q75: 4 })
    expect(sample).toEqual([5, 3, 1, 2, 4])
  })

  it.prop("lies within the sample, and grows with its part", [numbers], ([sample]) => {
    const { median, q25, q75 } = quartiles(sample)
    expect(
      [Math.min(...sample), q25, median, q75, Math.max(...sample)].every((value, place, all) =>
        place === 0 || value >= all[place - 1]! - 1e-6
      )
    ).toBe(true)
  })
})

describe("ratios", () => {
  it("of rounds that are not the same rounds are refused", () => {
    expect(() => ratios([1, 2], [1])).toThrow("2 rounds against 1")
  })

  it("are taken round by round, so that a slow round changes none", () => {
    expect(ratios([2, 20, 3], [1, 10, 2])).toEqual([2, 2, 1.5])
  })
})
