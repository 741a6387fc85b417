/**
 * The faults of a storm follow from its seed.
 */
import { expect, it } from "vitest"
import * as Faults from "../fire/faults.js"

it("the same seed gives the same faults, and another one others", () => {
  expect(Faults.plan(1, 60_000)).toEqual(Faults.plan(1, 60_000))
  expect(Faults.plan(1, 60_000)).not.toEqual(Faults.plan(2, 60_000))
})

it("no fault lasts longer than the storm, and every kind comes", () => {
  const { heavy, light } = Faults.plan(3, 120_000)
  for (const faults of [heavy, light]) {
    expect(faults.reduce((sum, { after, lasts }) => sum + after + lasts, 0)).toBeLessThanOrEqual(120_000)
  }
  expect(new Set(heavy.map(({ kind }) => kind))).toEqual(new Set(Faults.heavy))
  expect(new Set(light.map(({ kind }) => kind))).toEqual(new Set(Faults.light))
})
