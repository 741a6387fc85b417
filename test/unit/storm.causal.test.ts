/**
 * The checker of a storm's causal reads finds what a token promises and was not kept.
 */
import { expect, it } from "vitest"
import * as Causal from "../fire/checker/causal.js"

const check = (...counts: ReadonlyArray<number>) =>
  Causal.check([{ id: "a", steps: counts.map((n) => ({ who: "one", n })) }]).map(({ anomaly }) => anomaly)

it("counts that do not get smaller are right", () => {
  expect(check(3, 3, 4, 4)).toEqual([])
  expect(check(3)).toEqual([])
  expect(check()).toEqual([])
})

it("a read that does not see the write before it is told", () => {
  expect(check(3, 2, 3)).toEqual(["read your writes"])
})

it("a read that sees less than the one before it is told", () => {
  expect(check(3, 5, 4)).toEqual(["monotonic reads"])
})
