import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as TestClock from "effect/TestClock"
import * as TestContext from "effect/TestContext"
import type { ServerSessionId } from "mongodb"
import { Binary } from "mongodb"
import * as Time from "../../src/internal/time/clock.js"
import { MongoError } from "../../src/MongoError.js"
import * as SessionKeeper from "../../src/SessionKeeper.js"
import * as Telemetry from "../../src/Telemetry.js"

const halfAnHour = Duration.minutes(30)
const minutes = Duration.toMillis(Duration.minutes(1))

const refusal = new MongoError({ reason: "NetworkError", operation: "refreshSessions", labels: [] })

interface Kept extends SessionKeeper.Member {
  lastUsed: Time.Instant
}

const member = (name: number, lastUsed: Time.Instant): Kept => {
  const bytes = new Uint8Array(16)
  new DataView(bytes.buffer).setUint32(0, name)
  const id = { id: new Binary(bytes, Binary.SUBTYPE_UUID) }
  const kept: Kept = {
    lastUsed,
    lsid: () => id,
    keepAlive: () => true,
    isBusy: () => false,
    idleAt: (now) => Time.elapsed(kept.lastUsed, now),
    touch: (at) => {
      kept.lastUsed = at
    },
    noteLapse: () => false,
    isOpen: () => true,
    openedIn: undefined,
    close: Effect.void
  }
  return kept
}

/** A keeper whose refreshes do what the given effect does. */
const keeperOf = (
  refresh: (ids: ReadonlyArray<ServerSessionId>) => Effect.Effect<void, MongoError>,
  options: SessionKeeper.Options = {}
) => SessionKeeper.make(refresh, Effect.succeed(Option.some(halfAnHour)), options)

const addIdle = (keeper: SessionKeeper.SessionKeeper, ages: ReadonlyArray<number>) =>
  Effect.gen(function*() {
    const now = yield* Time.now
    const members = ages.map((age, n) => member(n, Time.before(now, age * minutes)))
    yield* Effect.forEach(members, keeper.add, { discard: true })
    return members
  })

const lapsed = (members: ReadonlyArray<Kept>) =>
  Effect.map(Time.now, (now) => members.filter((one) => Time.hasLapsed(one.idleAt(now), halfAnHour)).length)

describe("law 7, while the server cannot be reached", () => {
  it(
    "no session lapses that had more than a minute to live when the server came back, whenever the outage was",
    () =>
      FastCheck.assert(
        FastCheck.asyncProperty(
          FastCheck.array(FastCheck.double({ min: 0, max: 14.9, noNaN: true }), { minLength: 1, maxLength: 5 }),
          FastCheck.double({ min: 0, max: 25, noNaN: true }),
          FastCheck.double({ min: 0, max: 26, noNaN: true }),
          (ages, start, length) =>
            Effect.runPromise(
              Effect.gen(function*() {
                let isUp = true
                const keeper = keeperOf(() => Effect.suspend(() => isUp ? Effect.void : Effect.fail(refusal)))
                const members = yield* addIdle(keeper, ages)
                const running = yield* Effect.fork(keeper.run)
                yield* TestClock.adjust(start * minutes)
                isUp = false
                yield* TestClock.adjust(length * minutes)
                isUp = true
                const now = yield* Time.now
                const saved = members.filter((one) => one.idleAt(now) < 29 * minutes)
                yield* TestClock.adjust(Duration.hours(1))
                expect(yield* lapsed(saved)).toBe(0)
                yield* Fiber.interruptFork(running)
              }).pipe(Effect.provide([TestContext.TestContext, Logger.minimumLogLevel(LogLevel.None)]))
            )
        ),
        { numRuns: 25, examples: [[[0.1, 9.9], 1, 20.5], [[0, 9, 12], 8, 10.5]] }
      )
  )

  for (const jitter of [0, 0.5, 0.999]) {
    it.effect(`a refresh without any answer is given up in time for a second one, with a jitter of ${jitter}`, () =>
      Effect.gen(function*() {
        let count = 0
        const keeper = keeperOf(() => Effect.suspend(() => ++count === 1 ? Effect.never : Effect.void))
        const members = yield* addIdle(keeper, [0, 9])
        yield* Effect.fork(keeper.run)
        yield* TestClock.adjust(Duration.hours(2))
        expect(count).toBeGreaterThan(5)
        expect(yield* lapsed(members)).toBe(0)
      }).pipe(Effect.withRandom(Random.fixed([jitter]))))
  }

  it.effect("a refresh that dies is counted and logged as one that failed, and tried again", () =>
    Effect.gen(function*() {
      const logged: Array<string> = []
      const logger = Logger.make(({ message }) => void logged.push(String(message)))
      const before = yield* Metric.value(Telemetry.refreshFailures)
      let count = 0
      const keeper = keeperOf(() => Effect.suspend(() => ++count === 1 ? Effect.die(new Error("bug")) : Effect.void))
      const members = yield* addIdle(keeper, [0])
      const running = yield* Effect.fork(
        Effect.provide(keeper.run, Logger.replace(Logger.defaultLogger, logger))
      )
      yield* TestClock.adjust(Duration.hours(2))
      expect(count).toBeGreaterThan(5)
      expect(yield* lapsed(members)).toBe(0)
      expect((yield* Metric.value(Telemetry.refreshFailures)).count - before.count).toBe(1)
      expect(logged).toEqual(["sessions could not be refreshed"])
      expect(yield* Fiber.poll(running)).toEqual(Option.none())
    }))

  it.effect("a batch that is always refused keeps no other from being refreshed", () =>
    Effect.gen(function*() {
      const poison = 7
      const keeper = keeperOf((ids) =>
        ids.some(({ id }) => id.buffer[3] === poison && id.buffer[2] === 0 && id.buffer[1] === 0)
          ? Effect.fail(refusal)
          : Effect.void
      )
      const members = yield* addIdle(keeper, Array.from({ length: 25_000 }, () => 0))
      yield* TestClock.adjust(Duration.minutes(10))
      const round = yield* Effect.fork(keeper.round)
      yield* TestClock.adjust(Duration.minutes(25))
      expect(yield* Fiber.join(round)).toMatchObject({ lapsed: 10_000 })
      expect(yield* lapsed(members.slice(0, SessionKeeper.batchSize))).toBe(10_000)
      expect(yield* lapsed(members.slice(SessionKeeper.batchSize))).toBe(0)
    }))

  it.effect("a retry of the user's own is kept to", () =>
    Effect.gen(function*() {
      let count = 0
      const never = keeperOf(() => Effect.suspend(() => (count++, Effect.fail(refusal))), { retry: Schedule.stop })
      yield* addIdle(never, [0])
      yield* TestClock.adjust(Duration.minutes(10))
      expect(yield* never.round).toEqual({ refreshed: 0, commands: 0, lapsed: 0 })
      expect(count).toBe(1)
    }))
})

describe("the keeper's rounds", () => {
  it.effect("come one after the other: a session whose refresh is on its way is not refreshed a second time", () =>
    Effect.gen(function*() {
      const sizes: Array<number> = []
      const keeper = keeperOf((ids) => {
        sizes.push(ids.length)
        return Effect.sleep(Duration.seconds(5))
      })
      yield* addIdle(keeper, [0, 0, 0])
      yield* TestClock.adjust(Duration.minutes(10))
      const rounds = yield* Effect.fork(Effect.all([keeper.round, keeper.round], { concurrency: 2 }))
      yield* TestClock.adjust(Duration.seconds(10))
      expect((yield* Fiber.join(rounds)).map(({ refreshed }) => refreshed)).toEqual([3, 0])
      expect(sizes).toEqual([3])
    }))

  it.effect("do not wait for the schedule when a session from the pool has little left to live", () =>
    Effect.gen(function*() {
      const sizes: Array<number> = []
      const keeper = keeperOf((ids) => Effect.sync(() => void sizes.push(ids.length)))
      yield* Effect.fork(keeper.run)
      yield* addIdle(keeper, [0, 14])
      yield* TestClock.adjust(Duration.zero)
      expect(sizes).toEqual([])
      const [old] = yield* addIdle(keeper, [28.5])
      yield* TestClock.adjust(Duration.zero)
      // It takes along whatever is due.
      expect(sizes).toEqual([2])
      expect(old!.idleAt(yield* Time.now)).toBe(0)
    }))
})
