import { describe, expect, it } from "@effect/vitest"
import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as TestClock from "effect/TestClock"
import * as Backoff from "../../src/internal/transaction/backoff.js"

/** The next delays of a backoff in milliseconds; none where it has come to its end. */
const delays = <In>(backoff: Backoff.Backoff<In>, inputs: ReadonlyArray<In>) =>
  Effect.forEach(
    inputs,
    (input) => Effect.map(backoff.next(input), (delay) => Option.getOrUndefined(Option.map(delay, Duration.toMillis)))
  )

const times = (count: number) => Arr.makeBy(count, () => "failure")

/** The first delays that a schedule asks for. */
const delaysOf = (schedule: Schedule.Schedule<unknown, string>, count: number) =>
  Effect.suspend(() => delays(Backoff.make(schedule), times(count)))

describe("the specification's backoff", () => {
  it.effect("before the run n, counted from 0, is 5 ms · 1.5ⁿ, and 500 ms at most", () =>
    Effect.gen(function*() {
      const told = yield* Effect.withRandom(delaysOf(Backoff.specification, 14), Random.fixed([1]))
      expect(told).toEqual([
        7.5,
        11.25,
        16.875,
        25.3125,
        37.96875,
        56.953125,
        85.4296875,
        128.144531,
        192.216797,
        288.325195,
        432.487793,
        500,
        500,
        500
      ].map((millis) => expect.closeTo(millis, 5)))
    }))

  it.effect("is a random part of that, drawn anew for each delay", () =>
    Effect.gen(function*() {
      const told = yield* Effect.withRandom(delaysOf(Backoff.specification, 4), Random.fixed([0, 0.5, 1, 0.1]))
      expect(told).toEqual([0, 5.625, 16.875, 2.53125].map((millis) => expect.closeTo(millis, 5)))
    }))

  it.effect("never ends, nor grows beyond all numbers", () =>
    Effect.gen(function*() {
      const told = yield* Effect.withRandom(delaysOf(Backoff.specification, 3_000), Random.fixed([1]))
      expect(told.slice(11).every((millis) => millis === 500)).toBe(true)
    }))

  it("stays between nothing and its bound, whatever is drawn", async () => {
    const random = FastCheck.array(FastCheck.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), {
      minLength: 1,
      maxLength: 30
    })
    await FastCheck.assert(FastCheck.asyncProperty(random, async ([first = 0, ...rest]) => {
      const drawn: [number, ...Array<number>] = [first, ...rest]
      const told = await Effect.runPromise(
        Effect.withRandom(delaysOf(Backoff.specification, drawn.length), Random.fixed(drawn))
      )
      told.forEach((millis, index) => {
        const bound = Math.min(5 * 1.5 ** (index + 1), 500)
        expect(millis).toBeGreaterThanOrEqual(0)
        // In milliseconds since 1970, a number has no room for more than about four decimals.
        expect(millis).toBeLessThan(bound + 0.001)
        expect(millis).toBeCloseTo(drawn[index]! * bound, 2)
      })
    }))
  })
})

describe("a schedule of the user's", () => {
  it.effect("that comes to its end has no further delay, and stays so", () =>
    Effect.gen(function*() {
      expect(yield* delaysOf(Schedule.recurs(2), 4)).toEqual([0, 0, undefined, undefined])
      expect(yield* delaysOf(Schedule.stop, 2)).toEqual([undefined, undefined])
      expect(yield* delaysOf(Schedule.once, 2)).toEqual([0, undefined])
    }))

  it.effect("tells the delays that it asks for", () =>
    Effect.gen(function*() {
      expect(yield* delaysOf(Schedule.exponential("10 millis"), 4)).toEqual([10, 20, 40, 80])
      expect(yield* delaysOf(Schedule.spaced("3 seconds"), 3)).toEqual([3_000, 3_000, 3_000])
      expect(yield* delaysOf(Schedule.intersect(Schedule.exponential("10 millis"), Schedule.recurs(2)), 3))
        .toEqual([10, 20, undefined])
      expect(yield* delaysOf(Schedule.fromDelays("1 second", "1 minute"), 3)).toEqual([1_000, 60_000, undefined])
    }))

  it.effect("limits the specification's backoff when it is combined with it", () =>
    Effect.gen(function*() {
      const limited = Schedule.intersect(Backoff.specification, Schedule.recurs(2))
      const told = yield* Effect.withRandom(delaysOf(limited, 3), Random.fixed([1]))
      expect(told).toEqual([7.5, 11.25, undefined])
    }))

  it.effect("is given the failure", () =>
    Effect.gen(function*() {
      const whileBusy = Schedule.recurWhile((failure: string) => failure === "busy")
      expect(yield* delays(Backoff.make(whileBusy), ["busy", "busy", "gone"])).toEqual([0, 0, undefined])
    }))

  it.effect("counts its delays from the moment at which the failure is known", () =>
    Effect.gen(function*() {
      const backoff = Backoff.make<string>(Schedule.fixed("1 second"))
      expect(yield* delays(backoff, times(1))).toEqual([1_000])
      yield* TestClock.adjust("1300 millis")
      expect(yield* delays(backoff, times(1))).toEqual([700])
    }))

  it.effect("that limits the time in all sees the time pass", () =>
    Effect.gen(function*() {
      const backoff = Backoff.make<string>(Schedule.upTo(Schedule.spaced("1 second"), "5 seconds"))
      expect(yield* delays(backoff, times(2))).toEqual([1_000, 1_000])
      yield* TestClock.adjust("6 seconds")
      expect(yield* delays(backoff, times(1))).toEqual([undefined])
    }))
})

describe("a backoff", () => {
  it.effect("does not wait: who asks does", () =>
    Effect.gen(function*() {
      const before = yield* Clock.currentTimeMillis
      expect(yield* delaysOf(Schedule.spaced("1 hour"), 3)).toEqual([3_600_000, 3_600_000, 3_600_000])
      expect(yield* Clock.currentTimeMillis).toBe(before)
    }))

  it.effect("begins anew wherever it is made", () =>
    Effect.gen(function*() {
      const schedule = Schedule.exponential("10 millis")
      const one = Backoff.make<string>(schedule)
      expect(yield* delays(one, times(3))).toEqual([10, 20, 40])
      expect(yield* delays(Backoff.make<string>(schedule), times(1))).toEqual([10])
      expect(yield* delays(one, times(1))).toEqual([80])
    }))
})
