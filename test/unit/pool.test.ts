import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import type * as Driver from "mongodb"
import type { Binary } from "mongodb"
import { MongoClient, UUID } from "mongodb"
import * as Pool from "../../src/internal/driver/pool.js"
import * as Time from "../../src/internal/time/clock.js"

const minute = 60_000
const halfAnHour = Option.some(Duration.minutes(30))

/** What drivers take the time from: the machine's start until 7.0, the process's start since 7.1. */
const clocks: ReadonlyArray<readonly [name: string, now: () => number]> = [
  ["the machine's start", () => Math.floor(Number(process.hrtime.bigint() / 1_000_000n))],
  ["the process's start", () => Math.floor(performance.now())]
]

/** A driver whose pool hands out whatever it holds, the latest first, however old. */
const careless = (now: () => number) => {
  class ServerSession {
    id = { id: new UUID() as Binary }
    lastUse = now()
    txnNumber = 0
    isDirty = false
    hasTimedOut = () => false
  }
  const pooled: Array<ServerSession> = []
  const startSession = () => {
    const serverSession = pooled.pop() ?? new ServerSession()
    const endSession = () => {
      if (!serverSession.isDirty) pooled.push(serverSession)
      return Promise.resolve()
    }
    return { serverSession, endSession }
  }
  return { client: { startSession } as unknown as Driver.MongoClient, pooled, newSession: () => new ServerSession() }
}

const idOf = (server: Driver.ServerSession): string => Buffer.from(server.id.id.buffer).toString("hex")

const take = (pool: Pool.Pool, options: Driver.ClientSessionOptions, timeout: Option.Option<Duration.Duration>) =>
  Effect.map(Time.now, (now) => pool.take(options, timeout, now))

const release = (pool: Pool.Pool, session: Driver.ClientSession, lastUsed: Time.Instant) =>
  Effect.promise(() => {
    pool.note(session, lastUsed)
    return session.endSession()
  })

for (const [name, now] of clocks) {
  describe(`the pool of a driver whose clock starts at ${name}`, () => {
    for (const minutes of [29.5, 31, 60, 61, 75, 125, 24 * 60 + 5]) {
      it.effect(`does not hand out a session that was idle for ${minutes} of 30 minutes`, () =>
        Effect.gen(function*() {
          const { client, newSession, pooled } = careless(now)
          const old = newSession()
          old.lastUse -= minutes * minute
          pooled.push(old)
          const { session } = yield* take(Pool.make(client), {}, halfAnHour)
          expect(idOf(session.serverSession)).not.toBe(idOf(old))
          expect(old.isDirty).toBe(true)
          expect(pooled).toEqual([])
        }))
    }

    it.effect("hands out the latest that is fit, discards what was staler on the way, and tells its idle time", () =>
      Effect.promise(() =>
        FastCheck.assert(
          FastCheck.asyncProperty(
            FastCheck.array(FastCheck.nat(3 * 24 * 60).map((minutes) => minutes + 0.5), { maxLength: 12 }),
            FastCheck.constantFrom(1, 2, 10, 30, 60, 180),
            (ages, timeout) =>
              Effect.runPromise(Effect.gen(function*() {
                const { client, newSession, pooled } = careless(now)
                const all = ages.map((age) => Object.assign(newSession(), { lastUse: now() - age * minute }))
                pooled.push(...all)
                const start = yield* Time.now
                const { lastUsed, session } = yield* take(Pool.make(client), {}, Option.some(Duration.minutes(timeout)))
                const fit = ages.findLastIndex((age) => age < timeout - 1)
                const expected = all[fit]
                if (expected === undefined) {
                  expect(all).not.toContain(session.serverSession)
                  expect(Time.elapsed(lastUsed, yield* Time.now)).toBeLessThan(minute / 2)
                } else {
                  expect(session.serverSession).toBe(expected)
                  const idle = Time.elapsed(lastUsed, start)
                  expect(Math.abs(idle - ages[fit]! * minute)).toBeLessThan(minute / 2)
                }
                // What lies below the one that was taken has not been looked at.
                expect(pooled).toEqual(all.slice(0, Math.max(0, fit)))
                expect(
                  all.slice(fit + 1).filter((one) => ages[all.indexOf(one)]! > timeout).every((one) => one.isDirty)
                )
                  .toBe(true)
              }))
          ),
          { numRuns: 100 }
        )
      ))

    it.effect("hands out anything while no server has told its timeout", () =>
      Effect.gen(function*() {
        const { client, newSession, pooled } = careless(now)
        const old = newSession()
        old.lastUse -= 125 * minute
        pooled.push(old)
        const { session } = yield* take(Pool.make(client), {}, Option.none())
        expect(session.serverSession).toBe(old)
      }))

    it.effect("comes to an end where every session has less than a minute to live from the start", () =>
      Effect.gen(function*() {
        const { client, pooled } = careless(now)
        const pool = Pool.make(client)
        const ids = new Set<string>()
        for (let n = 0; n < 200; n++) {
          const { session } = yield* take(pool, {}, Option.some(Duration.minutes(1)))
          ids.add(idOf(session.serverSession))
        }
        expect(ids.size).toBe(200)
        expect(pooled).toEqual([])
      }))

    it.effect("does not hand out a session that was released before the machine was suspended for 40 minutes", () =>
      Effect.gen(function*() {
        const { client } = careless(now)
        const pool = Pool.make(client)
        const first = yield* take(pool, {}, halfAnHour)
        yield* release(pool, first.session, yield* Time.now)
        // The driver's clock stands still meanwhile.
        yield* TestClock.adjust(Duration.minutes(40))
        const second = yield* take(pool, {}, halfAnHour)
        expect(second.session.serverSession).not.toBe(first.session.serverSession)
        expect(second.lastUsed).toEqual(yield* Time.now)
      }))

    it.effect("hands out a session that the driver itself has used since it was released", () =>
      Effect.gen(function*() {
        const { client } = careless(now)
        const pool = Pool.make(client)
        const first = yield* take(pool, {}, halfAnHour)
        first.session.serverSession.lastUse -= 20 * minute
        yield* release(pool, first.session, Time.before(yield* Time.now, 20 * minute))
        first.session.serverSession.lastUse -= 41 * minute
        yield* TestClock.adjust(Duration.minutes(41))
        // An operation without an explicit session takes it, sends its id and gives it back.
        const implicit = client.startSession()
        pool.touch(implicit)
        yield* Effect.promise(() => implicit.endSession())
        const { lastUsed, session } = yield* take(pool, {}, halfAnHour)
        expect(session.serverSession).toBe(first.session.serverSession)
        expect(Time.elapsed(lastUsed, yield* Time.now)).toBeLessThan(minute)
      }))

    it("counts idle time and notes a refresh by the driver's clock", () => {
      const { client } = careless(now)
      const { sinceLastUse, touch } = Pool.make(client)
      const session = client.startSession()
      expect(sinceLastUse(session.serverSession)).toBeLessThan(minute)
      session.serverSession.lastUse -= 12 * minute
      expect(Math.round(sinceLastUse(session.serverSession) / minute)).toBe(12)
      const before = now()
      touch(session)
      expect(session.serverSession.lastUse).toBeGreaterThanOrEqual(before - 1)
      expect(session.serverSession.lastUse).toBeLessThanOrEqual(now())
    })
  })
}

describe("the pool of the real driver", () => {
  it.effect("takes a session idle for 61 minutes as idle for one; the library does not", () =>
    Effect.gen(function*() {
      // Not connected: the driver then goes by a timeout of 10 minutes.
      const client = new MongoClient("mongodb://localhost:1")
      const aged = () => {
        const session = client.startSession()
        const server = session.serverSession
        return Effect.as(Effect.promise(() => session.endSession()), server).pipe(
          Effect.tap((one) => void (one.lastUse -= 61 * minute))
        )
      }
      const first = yield* aged()
      expect(client.startSession().serverSession).toBe(first)
      const second = yield* aged()
      const { session } = yield* take(Pool.make(client), {}, halfAnHour)
      expect(session.serverSession).not.toBe(second)
      expect(client.startSession().serverSession).not.toBe(second)
    }))

  it.effect("is kept in its options", () =>
    Effect.gen(function*() {
      const client = new MongoClient("mongodb://localhost:1")
      const { session } = yield* take(Pool.make(client), { snapshot: true }, halfAnHour)
      expect(session.snapshotEnabled).toBe(true)
    }))

  it.effect("drops a session that was marked dirty, and one that was discarded", () =>
    Effect.gen(function*() {
      const client = new MongoClient("mongodb://localhost:1")
      const pool = Pool.make(client)
      const { session } = yield* take(pool, {}, halfAnHour)
      const server = session.serverSession
      Pool.markDirty(session)
      yield* release(pool, session, yield* Time.now)
      const next = yield* take(pool, {}, halfAnHour)
      expect(next.session.serverSession).not.toBe(server)
      const discarded = next.session.serverSession
      Pool.discard(next.session)
      expect(client.startSession().serverSession).not.toBe(discarded)
    }))
})
