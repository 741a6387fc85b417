/**
 * Decides whether and when a transaction is retried after a failure, and counts the reasons of its failures.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Schedule from "effect/Schedule"
import type * as Driver from "mongodb"
import type { MongoError } from "../../MongoError.js"
import type { TransactionAborted } from "../../SessionErrors.js"
import { clockOf } from "../time/clock.js"
import type { RunningFiber } from "../time/fiber.js"
import type { Attempt } from "./attempt.js"
import * as Backoff from "./backoff.js"

/** How long to wait before another attempt; none where no other follows. */
export type Pause = Effect.Effect<Option.Option<Duration.Duration>>

/** The retries of one transaction. They are limited by a schedule and by a time, which begins with the first attempt. */
export class Retries {
  readonly #fiber: RunningFiber
  readonly #driver: Driver.MongoClient
  readonly #timeout: Duration.Duration
  readonly #backoff: Backoff.Backoff<MongoError>
  readonly #began: bigint
  readonly #counts = new Map<MongoError["reason"], number>()
  // How many attempts an overloaded server has refused.
  #overloads = 0
  // How many attempts in a row the server had ended unnoticed before their commit.
  #unnoticed = 0

  constructor(
    fiber: RunningFiber,
    driver: Driver.MongoClient,
    schedule: Schedule.Schedule<unknown, MongoError>,
    timeout: Duration.Duration
  ) {
    this.#fiber = fiber
    this.#driver = driver
    this.#timeout = timeout
    this.#backoff = Backoff.make(schedule)
    this.#began = clockOf(fiber).unsafeCurrentTimeNanos()
  }

  /** The time since the first attempt began. */
  get elapsed(): Duration.Duration {
    return Duration.nanos(clockOf(this.#fiber).unsafeCurrentTimeNanos() - this.#began)
  }

  /** The time that is left for retries. */
  get timeLeft(): Duration.Duration {
    return Duration.subtract(this.#timeout, this.elapsed)
  }

  /** What attempts have failed for, and how often. */
  get reasons(): NonNullable<TransactionAborted["reasons"]> {
    return Array.from(this.#counts, ([reason, count]) => ({ reason, count }))
  }

  /** How long to wait before another attempt; none when schedule or time have run out. */
  pause(failure: MongoError): Pause {
    this.#counts.set(failure.reason, (this.#counts.get(failure.reason) ?? 0) + 1)
    const next = this.#backoff.next(failure)
    return Effect.map(
      Backoff.isOverload(failure) ? this.#spare(failure, next) : next,
      Option.filter((time) => Duration.lessThan(Duration.sum(this.elapsed, time), this.#timeout))
    )
  }

  /** {@link pause}, after a commit that has failed. */
  pauseAfterCommit(attempt: Attempt, failure: MongoError): Pause {
    // What has ended the transaction may be a failure that the caller's own code has swallowed: then each attempt ends so.
    this.#unnoticed = attempt.isOpaque && failure.reason === "NoSuchTransaction" ? this.#unnoticed + 1 : 0
    const pause = this.pause(failure)
    return this.#unnoticed < mostUnnoticed ? pause : Effect.succeedNone
  }

  // A server that is overloaded is given more time, and asked less often.
  #spare(failure: MongoError, next: Pause): Pause {
    const retry = ++this.#overloads
    if (retry > Backoff.overloadLimitOf(this.#driver)) return Effect.succeedNone
    return Effect.zipWith(
      next,
      Backoff.overloadDelay(failure, retry),
      (delay, least) => Option.map(delay, (time) => Duration.max(time, least))
    )
  }
}

// A lost primary ends one attempt so, seldom two.
const mostUnnoticed = 3
