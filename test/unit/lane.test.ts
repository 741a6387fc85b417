import { describe, expect, it } from "@effect/vitest"
import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as HashMap from "effect/HashMap"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as TestClock from "effect/TestClock"
import * as Lane from "../../src/internal/session/lane.js"
import type { SessionBusy } from "../../src/SessionErrors.js"
import * as Telemetry from "../../src/Telemetry.js"

/** An operation that runs until it is let go. */
const held = (lane: Lane.Lane, name: string) =>
  Effect.gen(function*() {
    const started = yield* Deferred.make<void>()
    const release = yield* Deferred.make<void>()
    const fiber = yield* Effect.fork(
      Lane.withPermit(lane, name, Effect.zipRight(Deferred.succeed(started, undefined), Deferred.await(release)))
    )
    return { fiber, started: Deferred.await(started), release: Deferred.succeed(release, undefined) }
  })

/** Runs an effect with the permit, or fails at once. */
const withPermitNow = <A, E>(lane: Lane.Lane, operation: string, effect: Effect.Effect<A, E>) =>
  Effect.uninterruptibleMask((restore) =>
    Effect.withFiberRuntime<A, E | SessionBusy>((fiber) =>
      Effect.flatMap(
        Lane.enter(lane, operation, restore, fiber, "fail"),
        (held) => Effect.ensuring(restore(effect), Effect.sync(() => Lane.leave(held)))
      )
    )
  )

describe("lane", () => {
  it.effect("an operation waits until the one before has come to its end", () =>
    Effect.gen(function*() {
      const lane = Lane.make()
      const first = yield* held(lane, "first")
      yield* first.started
      const second = yield* held(lane, "second")
      yield* Effect.yieldNow()
      expect(lane.waiting?.size).toBe(1)
      yield* first.release
      yield* second.started
      expect(lane.holder?.claim.operation).toBe("second")
      yield* second.release
      yield* Fiber.join(second.fiber)
      expect(Lane.isBusy(lane)).toBe(false)
    }))

  it.effect("a failing or dying operation gives the permit back", () =>
    Effect.gen(function*() {
      const lane = Lane.make()
      expect(yield* Effect.exit(Lane.withPermit(lane, "a", Effect.fail("no")))).toEqual(Exit.fail("no"))
      yield* Effect.exit(Lane.withPermit(lane, "b", Effect.die("bug")))
      expect(Lane.isBusy(lane)).toBe(false)
    }))

  it.effect("an interrupted wait leaves the queue at once, while the holder goes on", () =>
    Effect.gen(function*() {
      const lane = Lane.make()
      const holder = yield* held(lane, "holder")
      yield* holder.started
      const waiter = yield* held(lane, "waiter")
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(waiter.fiber)
      expect(lane.waiting?.size).toBe(0)
      expect(lane.holder?.claim.operation).toBe("holder")
      yield* holder.release
    }))

  it.effect("who does not wait is told the operation that is in the way", () =>
    Effect.gen(function*() {
      const lane = Lane.make()
      const holder = yield* held(lane, "insertOne")
      yield* holder.started
      const busy = yield* Effect.flip(withPermitNow(lane, "find", Effect.void))
      expect(busy).toMatchObject({ _tag: "SessionBusy", operation: "find", holder: "insertOne", reason: "running" })
      yield* holder.release
      yield* Fiber.join(holder.fiber)
      yield* withPermitNow(lane, "find", Effect.void)
    }))

  it.effect("a wait of more than 10 seconds is logged once, with the name of the holder's span", () =>
    Effect.gen(function*() {
      const lines: Array<HashMap.HashMap<string, unknown>> = []
      const logger = Logger.make(({ annotations }) => void lines.push(annotations))
      const lane = Lane.make()
      const release = yield* Deferred.make<void>()
      const holder = yield* Effect.fork(
        Effect.withSpan(Lane.withPermit(lane, "slow", Deferred.await(release)), "report")
      )
      yield* Effect.yieldNow()
      const waiter = yield* Effect.fork(Effect.provide(
        Lane.withPermit(lane, "quick", Effect.void),
        Logger.replace(Logger.defaultLogger, logger)
      ))
      yield* TestClock.adjust(Duration.millis(9_999))
      expect(lines).toHaveLength(0)
      yield* TestClock.adjust(Duration.minutes(5))
      expect(lines.map((annotations) => Object.fromEntries(HashMap.toEntries(annotations)))).toEqual([
        { operation: "quick", holder: "slow", holderSpan: "report" }
      ])
      yield* Deferred.succeed(release, undefined)
      yield* Fiber.joinAll([holder, waiter])
    }))

  it.effect("a wait is counted, also one that was given up, but not where nobody had to wait", () =>
    Effect.gen(function*() {
      const waits = Effect.map(Metric.value(Telemetry.laneWait), ({ count, sum }) => [count, sum] as const)
      const [count, sum] = yield* waits
      const lane = Lane.make()
      const holder = yield* held(lane, "holder")
      yield* holder.started
      expect((yield* waits)[0]).toBe(count)
      const patient = yield* held(lane, "patient")
      const impatient = yield* held(lane, "impatient")
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.interrupt(impatient.fiber)
      yield* TestClock.adjust("3 seconds")
      yield* holder.release
      yield* patient.started
      yield* patient.release
      const [after, total] = yield* waits
      expect([after - count, Math.round(total - sum)]).toEqual([2, 7])
    }))

  it.effect("1,000 operations queued at once are served in the order of their arrival, each woken once and alone", () =>
    Effect.gen(function*() {
      const lane = Lane.make()
      const served: Array<number> = []
      const woken: Array<number> = []
      const holder = yield* held(lane, "holder")
      yield* holder.started
      const queued = yield* Effect.forEach(Arr.range(1, 1_000), (n) =>
        Effect.fork(Lane.withPermit(
          lane,
          "op",
          Effect.sync(() => {
            served.push(n)
            // Whoever is woken before its turn would queue again, as with Effect's Semaphore, which wakes everybody.
            expect(woken).toHaveLength(n)
          })
        )))
      yield* Effect.repeatN(Effect.yieldNow(), 5)
      expect(lane.waiting?.size).toBe(1_000)
      Array.from(lane.waiting ?? []).forEach((waiter, index) => {
        const { wake } = waiter
        waiter.wake = () => {
          woken.push(index + 1)
          wake?.()
        }
      })
      yield* holder.release
      yield* Fiber.joinAll(queued)
      expect(served).toEqual(Arr.range(1, 1_000))
      expect(woken).toEqual(served)
    }))

  it.live(
    "who does not wait never waits, wherever the runtime makes its fibers yield",
    () =>
      Effect.promise(() =>
        FastCheck.assert(
          FastCheck.asyncProperty(
            FastCheck.nat(80),
            FastCheck.nat(80),
            FastCheck.integer({ min: 16, max: 64 }),
            (first, second, maxOps) =>
              Effect.runPromise(
                Effect.gen(function*() {
                  const lane = Lane.make()
                  let waits = 0
                  const waiting = new Set<Lane.Waiter>()
                  const add = waiting.add.bind(waiting)
                  lane.waiting = Object.assign(waiting, { add: (waiter: Lane.Waiter) => (waits++, add(waiter)) })
                  const work = Effect.repeatN(Effect.yieldNow(), 3)
                  const attempt = (steps: number, name: string) =>
                    Effect.forEach(Arr.makeBy(steps + 1, (n) => n), () => Effect.void, { discard: true }).pipe(
                      Effect.zipRight(Effect.exit(withPermitNow(lane, name, work)))
                    )
                  const exits = yield* Effect.all([attempt(first, "a"), attempt(second, "b")], {
                    concurrency: "unbounded"
                  })
                  expect(waits).toBe(0)
                  expect(exits.filter(Exit.isSuccess).length).toBeGreaterThan(0)
                  for (const exit of exits.filter(Exit.isFailure)) {
                    expect(exit.cause).toMatchObject({ _tag: "Fail", error: { _tag: "SessionBusy" } })
                  }
                  expect(Lane.isBusy(lane)).toBe(false)
                }).pipe(Effect.withMaxOpsBeforeYield(maxOps))
              )
          ),
          { numRuns: 1_000 }
        )
      )
  )

  it.live(
    "no program of runs, forks and interruptions lets two operations overlap or loses the permit",
    () =>
      Effect.promise(() =>
        FastCheck.assert(
          FastCheck.asyncProperty(
            FastCheck.array(
              FastCheck.record({
                work: FastCheck.nat(4),
                delay: FastCheck.nat(4),
                interruptAfter: FastCheck.option(FastCheck.nat(8), { nil: undefined }),
                fails: FastCheck.boolean()
              }),
              { minLength: 1, maxLength: 12 }
            ),
            FastCheck.integer({ min: 16, max: 200 }),
            (program, maxOps) =>
              Effect.runPromise(
                Effect.gen(function*() {
                  const lane = Lane.make()
                  let inside = 0
                  let overlaps = 0
                  const yields = (n: number) => Effect.repeatN(Effect.yieldNow(), n)
                  const operation = (work: number, fails: boolean) =>
                    Effect.uninterruptible(Effect.gen(function*() {
                      inside++
                      if (inside > 1) overlaps++
                      yield* yields(work)
                      inside--
                      if (fails) yield* Effect.fail("no")
                    }))
                  yield* Effect.forEach(program, (step) =>
                    Effect.gen(function*() {
                      yield* yields(step.delay)
                      const fiber = yield* Effect.fork(Lane.withPermit(lane, "op", operation(step.work, step.fails)))
                      if (step.interruptAfter !== undefined) {
                        yield* yields(step.interruptAfter)
                        yield* Fiber.interrupt(fiber)
                      }
                      yield* Fiber.await(fiber)
                    }), { concurrency: "unbounded", discard: true })
                  expect(overlaps).toBe(0)
                  expect(Lane.isBusy(lane)).toBe(false)
                  expect(lane.waiting?.size ?? 0).toBe(0)
                  yield* Effect.timeout(Lane.withPermit(lane, "last", Effect.void), "1 seconds")
                }).pipe(Effect.withMaxOpsBeforeYield(maxOps), Effect.withClock(Clock.make()))
              )
          ),
          { numRuns: 500 }
        )
      )
  )
})
