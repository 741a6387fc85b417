/**
 * The clocks of a fiber: the present, deadlines, and how long a session has been idle.
 *
 * The server never says that it dropped a session (it silently recreates an unknown id). Only the client's clock tells.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { RunningFiber } from "./fiber.js"

/** The clock of a fiber. */
export const clockOf = ({ currentDefaultServices }: RunningFiber): Clock.Clock =>
  Context.get(currentDefaultServices, Clock.Clock)

/** The seconds since a time in nanoseconds, by the clock of a fiber. */
export const secondsSince = (began: bigint, fiber: RunningFiber): number =>
  Number(clockOf(fiber).unsafeCurrentTimeNanos() - began) / 1_000_000_000

/** The time by which something must be over. */
export interface Deadline {
  /** The whole time, from start to deadline. */
  readonly timeout: Duration.Duration
  /** How many milliseconds are left; zero or negative after the deadline. */
  readonly left: () => number
}

/** A deadline that starts now, by the clock of a fiber. */
export const start = (fiber: RunningFiber, timeout: Duration.Duration): Deadline => {
  const clock = clockOf(fiber)
  const began = clock.unsafeCurrentTimeNanos()
  const millis = Duration.toMillis(timeout)
  return { timeout, left: () => millis - Number(clock.unsafeCurrentTimeNanos() - began) / 1_000_000 }
}

/** A point in time on both of the machine's clocks, in milliseconds. */
export interface Instant {
  readonly wall: number
  readonly monotonic: number
}

/** The present, by the clock of a fiber. */
export const nowOf = (fiber: RunningFiber): Instant => {
  const clock = clockOf(fiber)
  return { wall: clock.unsafeCurrentTimeMillis(), monotonic: Number(clock.unsafeCurrentTimeNanos()) / 1_000_000 }
}

/** The present, by Effect's clock. */
export const now: Effect.Effect<Instant> = Effect.withFiberRuntime((fiber) => Effect.succeed(nowOf(fiber)))

/**
 * The milliseconds between two instants: the larger of wall and monotonic time passed.
 *
 * The monotonic clock stands still while a machine is suspended or a function is frozen; the wall clock may be set
 * back. The server counts on in both cases, so the larger one is the safe one.
 */
export const elapsed = (from: Instant, to: Instant): number =>
  Math.max(0, to.wall - from.wall, to.monotonic - from.monotonic)

/** The instant so many milliseconds before another. */
export const before = (instant: Instant, millis: number): Instant => ({
  wall: instant.wall - millis,
  monotonic: instant.monotonic - millis
})

/** The later of two instants. */
export const latest = (a: Instant, b: Instant): Instant => (elapsed(a, b) > 0 ? b : a)

const minute = 60_000

/** Whether the server may have dropped a session that was idle for so many milliseconds. */
export const hasLapsed = (idle: number, timeout: Duration.Duration): boolean => idle >= Duration.toMillis(timeout)

/** {@link hasLapsed} for many sessions. */
export const lapseAfter = (timeout: Duration.Duration): (idle: number) => boolean => {
  const limit = Duration.toMillis(timeout)
  return (idle) => idle >= limit
}

/**
 * Whether a session from the pool must not be handed out: lapsed, or with less than a minute to live (specification
 * "driver sessions", algorithm to acquire a server session).
 */
export const isStale = (idle: number, timeout: Duration.Duration): boolean => idle > Duration.toMillis(timeout) - minute

/** What a session that has lapsed is told of itself. */
export interface Lapse {
  readonly idle: Duration.Duration
  readonly timeout: Duration.Duration
}

/** When the server last heard of a session. */
export class Usage {
  readonly #knownTimeout: () => Option.Option<Duration.Duration>
  #last: Instant
  #isNoted = false

  constructor(last: Instant, knownTimeout: () => Option.Option<Duration.Duration>) {
    this.#last = last
    this.#knownTimeout = knownTimeout
  }

  get last(): Instant {
    return this.#last
  }

  /** The milliseconds since then. */
  idleAt(now: Instant): number {
    return elapsed(this.#last, now)
  }

  /** Notes that the server has heard of the session. Never goes back. */
  heard(at: Instant): void {
    this.#last = latest(this.#last, at)
  }

  /** {@link heard} so many milliseconds before the present, by the clock of a fiber. No more is made than needed: each operation asks. */
  heardBefore(millis: number, fiber: RunningFiber): void {
    const clock = clockOf(fiber)
    const wall = clock.unsafeCurrentTimeMillis() - millis
    const monotonic = Number(clock.unsafeCurrentTimeNanos()) / 1_000_000 - millis
    const { wall: lastWall, monotonic: lastMonotonic } = this.#last
    if (wall > lastWall || monotonic > lastMonotonic) this.#last = { wall, monotonic }
  }

  /** Begins anew with another driver session. */
  renew(last: Instant): void {
    this.#last = last
    this.#isNoted = false
  }

  /** How long the session has been idle, by the clock of a fiber, and how long it may be, if that is too long. */
  lapse(fiber: RunningFiber): Lapse | undefined {
    const timeout = Option.getOrUndefined(this.#knownTimeout())
    const idle = this.idleAt(nowOf(fiber))
    return timeout !== undefined && hasLapsed(idle, timeout)
      ? { idle: Duration.millis(Math.floor(idle)), timeout }
      : undefined
  }

  /** Notes that the session has lapsed, and says whether that is news. */
  noteLapse(): boolean {
    const isNews = !this.#isNoted
    this.#isNoted = true
    return isNews
  }
}
