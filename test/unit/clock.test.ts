import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as TestClock from "effect/TestClock"
import * as Time from "../../src/internal/time/clock.js"

const instant = FastCheck.record({ wall: FastCheck.nat(), monotonic: FastCheck.nat() })

describe("idle time", () => {
  it("is the larger of wall and monotonic time passed: a suspended machine stops the one, a set clock turns back the other", () => {
    const from = { wall: 1_000, monotonic: 1_000 }
    expect(Time.elapsed(from, { wall: 61_000, monotonic: 1_500 })).toBe(60_000)
    expect(Time.elapsed(from, { wall: 0, monotonic: 61_000 })).toBe(60_000)
    expect(Time.elapsed(from, { wall: 0, monotonic: 0 })).toBe(0)
  })

  it("is never negative, and nothing has passed since the later of two instants that are ordered", () => {
    FastCheck.assert(FastCheck.property(instant, instant, (a, b) => {
      expect(Time.elapsed(a, b)).toBeGreaterThanOrEqual(0)
      expect(Time.elapsed(a, a)).toBe(0)
      const later = Time.latest(a, b)
      expect([a, b]).toContainEqual(later)
    }))
  })

  it.effect("goes by Effect's clock", () =>
    Effect.gen(function*() {
      const before = yield* Time.now
      yield* TestClock.adjust(Duration.minutes(31))
      expect(Time.elapsed(before, yield* Time.now)).toBe(31 * 60_000)
    }))

  const timeout = Duration.minutes(30)
  const table: ReadonlyArray<readonly [minutes: number, stale: boolean, lapsed: boolean]> = [
    [0, false, false],
    [28.9, false, false],
    [29, false, false],
    [29.1, true, false],
    [29.5, true, false],
    [30, true, true],
    [31, true, true],
    [61, true, true],
    [75, true, true],
    [125, true, true],
    [25 * 60, true, true]
  ]
  for (const [minutes, stale, lapsed] of table) {
    it(`${minutes} of 30 minutes: ${stale ? "not " : ""}fit for the pool, ${lapsed ? "" : "not "}lapsed`, () => {
      expect(Time.isStale(minutes * 60_000, timeout)).toBe(stale)
      expect(Time.hasLapsed(minutes * 60_000, timeout)).toBe(lapsed)
    })
  }
})
