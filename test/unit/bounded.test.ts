import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import { vi } from "vitest"
import { after, patiently } from "../../src/internal/time/bounded.js"

const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length

/** Notes how often it was called after so long, unless it was stopped. */
const calls = (time: Duration.DurationInput) =>
  Effect.withFiberRuntime<{ readonly count: () => number; readonly stop: () => void }>((fiber) => {
    let count = 0
    const stop = after(fiber, Duration.decode(time), () => void count++)
    return Effect.succeed({ count: () => count, stop })
  })

describe("a function that is called after so long", () => {
  it.live("is not called too early, as a timer that is set when the event loop is late would be", () =>
    Effect.gen(function*() {
      const began = performance.now()
      const { setTimeout } = globalThis
      const early = vi.spyOn(globalThis, "setTimeout").mockImplementationOnce((then) => setTimeout(then, 1))
      const time = yield* Effect.withFiberRuntime<number>((fiber) =>
        Effect.async((resume) => {
          after(fiber, Duration.millis(30), () => resume(Effect.succeed(performance.now() - began)))
        })
      )
      expect(early).toHaveBeenCalled()
      early.mockRestore()
      expect(time).toBeGreaterThanOrEqual(29.9)
    }))

  it.effect("is called by the clock of the fiber, once", () =>
    Effect.gen(function*() {
      const { count } = yield* calls("2 minutes")
      yield* TestClock.adjust("119 seconds")
      expect(count()).toBe(0)
      yield* TestClock.adjust("1 second")
      expect(count()).toBe(1)
      yield* TestClock.adjust("1 day")
      expect(count()).toBe(1)
    }))

  it.effect("is not called when it was told to stop before", () =>
    Effect.gen(function*() {
      const { count, stop } = yield* calls("2 minutes")
      yield* TestClock.adjust("119 seconds")
      stop()
      yield* TestClock.adjust("1 day")
      expect(count()).toBe(0)
    }))

  it.live("leaves no timer behind when it is told to stop", () =>
    Effect.gen(function*() {
      const before = timers()
      const { stop } = yield* calls("2 minutes")
      expect(timers()).toBe(before + 1)
      stop()
      expect(timers()).toBe(before)
    }))

  it.live("is not called at once where that is longer than a timer lasts", () =>
    Effect.gen(function*() {
      const { count, stop } = yield* calls("30 days")
      const forEver = yield* calls(Duration.infinity)
      yield* Effect.sleep("20 millis")
      expect([count(), forEver.count()]).toEqual([0, 0])
      stop()
      forEver.stop()
    }))
})

describe("what a caller has given", () => {
  it.effect("is waited for no longer than its time, also where the caller cannot be interrupted", () =>
    Effect.gen(function*() {
      const waiting = yield* Effect.fork(
        Effect.uninterruptibleMask((restore) => patiently(Effect.never, Duration.seconds(30), restore)).pipe(
          Effect.uninterruptible
        )
      )
      yield* TestClock.adjust("29 seconds")
      expect(yield* Fiber.poll(waiting)).toEqual(Option.none())
      yield* TestClock.adjust("1 second")
      expect(yield* Fiber.join(waiting)).toEqual(Option.none())
    }))

  it.effect("has 5 seconds more after an interruption, and what it comes to is not lost", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      const run = (effect: Effect.Effect<number>) =>
        Effect.fork(Effect.uninterruptibleMask((restore) =>
          Effect.map(patiently(effect, Duration.seconds(30), restore), (end) => void seen.push(end))
        ))
      const quick = yield* run(Effect.delay(Effect.succeed(1), "4 seconds"))
      const slow = yield* run(Effect.delay(Effect.succeed(2), "6 seconds"))
      yield* Effect.yieldNow()
      yield* Effect.forkAll([Fiber.interrupt(quick), Fiber.interrupt(slow)])
      yield* TestClock.adjust("5 seconds")
      expect(seen).toEqual([Option.some(Exit.succeed(1)), Option.none()])
    }))
})
