import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as TestClock from "effect/TestClock"
import { Binary, type ServerSessionId } from "mongodb"
import { plan } from "../../src/internal/session/round.js"
import * as Time from "../../src/internal/time/clock.js"
import { MongoError } from "../../src/MongoError.js"
import * as SessionKeeper from "../../src/SessionKeeper.js"
import * as Telemetry from "../../src/Telemetry.js"

const halfAnHour = Duration.minutes(30)

interface Kept extends SessionKeeper.Member {
  readonly name: number
  busy: boolean
  wanted: boolean
  lapseNoted: boolean
  lastUsed: Time.Instant
}

const member = (name: number, lastUsed: Time.Instant): Kept => {
  const id = { id: new Binary(new Uint8Array(16).fill(name % 256), Binary.SUBTYPE_UUID) }
  const kept: Kept = {
    name,
    busy: false,
    wanted: true,
    lapseNoted: false,
    lastUsed,
    lsid: () => id,
    keepAlive: () => kept.wanted,
    isBusy: () => kept.busy,
    idleAt: (now) => Time.elapsed(kept.lastUsed, now),
    touch: (at) => {
      kept.lastUsed = at
    },
    noteLapse: () => {
      const news = !kept.lapseNoted
      kept.lapseNoted = true
      return news
    },
    isOpen: () => true,
    openedIn: undefined,
    close: Effect.void
  }
  return kept
}

const refusal = new MongoError({ reason: "NetworkError", operation: "refreshSessions", labels: [] })

/** A keeper of so many idle members, whose refreshes are recorded, and fail as long as `failing` says. */
const keeperOf = (count: number, options: SessionKeeper.Options = {}) =>
  Effect.gen(function*() {
    const start = yield* Time.now
    const members = Array.from({ length: count }, (_, n) => member(n, start))
    const sent: Array<ReadonlyArray<ServerSessionId>> = []
    const server = { failing: 0, known: Option.some(halfAnHour) }
    const keeper = SessionKeeper.make(
      (ids) =>
        Effect.suspend(() => {
          sent.push(ids)
          return server.failing-- > 0 ? Effect.fail(refusal) : Effect.void
        }),
      Effect.sync(() => server.known),
      options
    )
    yield* Effect.forEach(members, keeper.add, { discard: true })
    return { keeper, members, sent, server }
  })

describe("the plan of a round", () => {
  const at = (minutes: number): Time.Instant => ({ wall: minutes * 60_000, monotonic: minutes * 60_000 })
  const table: ReadonlyArray<
    readonly [idle: number, busy: boolean, wanted: boolean, expected: "due" | "lapsed" | "left"]
  > = [
    [0, false, true, "left"],
    [9.9, false, true, "left"],
    [10, false, true, "due"],
    [29.9, false, true, "due"],
    [30, false, true, "lapsed"],
    [90, false, true, "lapsed"],
    [10, true, true, "left"],
    [90, true, true, "left"],
    [10, false, false, "left"],
    [30, false, false, "lapsed"]
  ]
  for (const [idle, busy, wanted, expected] of table) {
    it(`a session idle for ${idle} of 30 minutes, busy: ${busy}, keep-alive: ${wanted}, is ${expected}`, () => {
      const one = Object.assign(member(1, at(0)), { busy, wanted })
      const { due, lapsed } = plan([one], at(idle), halfAnHour, Duration.minutes(10))
      expect({ due: due.length, lapsed: lapsed.length }).toEqual({
        due: expected === "due" ? 1 : 0,
        lapsed: expected === "lapsed" ? 1 : 0
      })
    })
  }
})

describe("SessionKeeper.batches", () => {
  it("keeps every item, in order, in batches of 10,000 of which only the last is smaller", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.nat(45_000), (count) => {
        const items = Array.from({ length: count }, (_, n) => n)
        const batches = SessionKeeper.batches(items)
        expect(batches.flat()).toEqual(items)
        expect(batches.slice(0, -1).every((batch) => batch.length === SessionKeeper.batchSize)).toBe(true)
        expect(batches.every((batch) => batch.length > 0 && batch.length <= SessionKeeper.batchSize)).toBe(true)
      }),
      { numRuns: 20 }
    )
  })
})

describe("SessionKeeper", () => {
  it.effect("refreshes 25,000 idle sessions with 3 commands of 10,000, 10,000 and 5,000 ids", () =>
    Effect.gen(function*() {
      const { keeper, members, sent } = yield* keeperOf(25_000)
      yield* TestClock.adjust(Duration.minutes(10))
      const round = yield* keeper.round
      expect(sent.map((ids) => ids.length)).toEqual([10_000, 10_000, 5_000])
      expect(round).toEqual({ refreshed: 25_000, commands: 3, lapsed: 0 })
      expect(new Set(sent.flat()).size).toBe(25_000)
      const now = yield* Time.now
      expect(members.every((one) => one.idleAt(now) === 0)).toBe(true)
    }))

  it.effect("sends nothing while nobody has been idle for long enough", () =>
    Effect.gen(function*() {
      const { keeper, sent } = yield* keeperOf(3)
      yield* TestClock.adjust(Duration.minutes(9))
      expect(yield* keeper.round).toEqual({ refreshed: 0, commands: 0, lapsed: 0 })
      expect(sent).toEqual([])
    }))

  it.effect("sends nothing while no server has told its session timeout", () =>
    Effect.gen(function*() {
      const { keeper, sent, server } = yield* keeperOf(3)
      server.known = Option.none()
      yield* TestClock.adjust(Duration.hours(1))
      expect(yield* keeper.round).toEqual({ refreshed: 0, commands: 0, lapsed: 0 })
      expect(sent).toEqual([])
    }))

  it.effect("keeps sessions alive for hours by its default schedule, and lets none come near the timeout", () =>
    Effect.gen(function*() {
      const { keeper, members } = yield* keeperOf(5)
      const fiber = yield* Effect.fork(keeper.run)
      let longest = 0
      for (let minute = 0; minute < 6 * 60; minute++) {
        yield* TestClock.adjust(Duration.minutes(1))
        const now = yield* Time.now
        longest = Math.max(longest, ...members.map((one) => one.idleAt(now)))
      }
      yield* fiber.interruptAsFork(fiber.id())
      expect(longest).toBeGreaterThanOrEqual(Duration.toMillis(Duration.minutes(10)))
      expect(longest).toBeLessThan(Duration.toMillis(Duration.minutes(25)))
    }))

  it.effect("follows the user's schedule and idle time", () =>
    Effect.gen(function*() {
      const { keeper, sent } = yield* keeperOf(2, { schedule: Schedule.spaced("1 seconds"), idleFor: "1 seconds" })
      yield* Effect.fork(keeper.run)
      yield* TestClock.adjust(Duration.seconds(5))
      expect(sent.map((ids) => ids.length)).toEqual([2, 2, 2, 2, 2])
    }))

  it.effect("tries a failed refresh again, and counts the failures", () =>
    Effect.gen(function*() {
      const { keeper, sent, server } = yield* keeperOf(2)
      const before = yield* Metric.value(Telemetry.refreshFailures)
      server.failing = 3
      yield* TestClock.adjust(Duration.minutes(10))
      const fiber = yield* Effect.fork(keeper.round)
      yield* TestClock.adjust(Duration.seconds(1 + 2 + 4))
      expect(yield* fiber.await).toMatchObject({ _tag: "Success", value: { refreshed: 2, commands: 1 } })
      expect(sent).toHaveLength(4)
      expect((yield* Metric.value(Telemetry.refreshFailures)).count - before.count).toBe(3)
    }))

  it.effect("leaves out of a second try what was used, ended or became busy since the first", () =>
    Effect.gen(function*() {
      const { keeper, members, sent, server } = yield* keeperOf(4)
      server.failing = 1
      yield* TestClock.adjust(Duration.minutes(10))
      const fiber = yield* Effect.fork(keeper.round)
      yield* TestClock.adjust(Duration.millis(500))
      members[0]!.touch(yield* Time.now)
      members[1]!.busy = true
      keeper.remove(members[2]!)
      yield* TestClock.adjust(Duration.seconds(1))
      expect(yield* fiber.await).toMatchObject({ _tag: "Success", value: { refreshed: 1 } })
      expect(sent.map((ids) => ids.length)).toEqual([4, 1])
      expect(sent[1]).toEqual([members[3]!.lsid()])
    }))

  it.effect("a server that fails for longer than the timeout lets every session lapse; each is counted once", () =>
    Effect.gen(function*() {
      const { keeper, members, sent, server } = yield* keeperOf(3)
      const before = yield* Metric.value(Telemetry.sessionsLapsed)
      server.failing = Number.POSITIVE_INFINITY
      yield* Effect.fork(keeper.run)
      for (let minute = 0; minute < 60; minute++) yield* TestClock.adjust(Duration.minutes(1))
      const now = yield* Time.now
      expect(members.every((one) => Time.hasLapsed(one.idleAt(now), halfAnHour))).toBe(true)
      const tries = sent.length
      expect(tries).toBeGreaterThan(5)
      server.failing = 0
      for (let minute = 0; minute < 60; minute++) yield* TestClock.adjust(Duration.minutes(1))
      expect(sent.length).toBe(tries)
      expect((yield* Metric.value(Telemetry.sessionsLapsed)).count - before.count).toBe(3)
    }))

  it.effect("an answer that comes after the timeout does not bring a session back", () =>
    Effect.gen(function*() {
      const start = yield* Time.now
      const one = member(1, start)
      const keeper = SessionKeeper.make(
        () => Effect.sleep(Duration.minutes(25)),
        Effect.succeed(Option.some(halfAnHour)),
        {}
      )
      yield* keeper.add(one)
      yield* TestClock.adjust(Duration.minutes(10))
      const fiber = yield* Effect.fork(keeper.round)
      yield* TestClock.adjust(Duration.minutes(25))
      expect(yield* fiber.await).toMatchObject({ _tag: "Success", value: { refreshed: 0 } })
      expect(one.lastUsed).toEqual(start)
    }))

  it.effect("a session from the pool with less than half of its life left is refreshed without delay", () =>
    Effect.gen(function*() {
      const { keeper, sent } = yield* keeperOf(0)
      yield* Effect.fork(keeper.run)
      yield* TestClock.adjust(Duration.minutes(1))
      const now = yield* Time.now
      yield* keeper.add(member(1, Time.before(now, 14 * 60_000)))
      yield* TestClock.adjust(Duration.seconds(1))
      expect(sent).toHaveLength(0)
      const old = member(2, Time.before(now, 28 * 60_000))
      yield* keeper.add(old)
      yield* TestClock.adjust(Duration.seconds(1))
      expect(sent.flat()).toContainEqual(old.lsid())
      expect(old.idleAt(yield* Time.now)).toBeLessThanOrEqual(1_000)
    }))
})
