/**
 * How long the server has not heard of a session, and whether the session has lapsed by that.
 *
 * The server never says that it has dropped a session, so only a clock of the client can tell.
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Idleness from "../time/idleness.js"

/** What a session that has lapsed is told of itself. */
export interface Lapse {
  readonly idle: Duration.Duration
  readonly timeout: Duration.Duration
}

/** When the server last heard of a session. */
export class Usage {
  readonly #knownTimeout: () => Option.Option<Duration.Duration>
  #last: Idleness.Instant
  #isNoted = false

  constructor(last: Idleness.Instant, knownTimeout: () => Option.Option<Duration.Duration>) {
    this.#last = last
    this.#knownTimeout = knownTimeout
  }

  get last(): Idleness.Instant {
    return this.#last
  }

  /** The milliseconds since then. */
  idleAt(now: Idleness.Instant): number {
    return Idleness.elapsed(this.#last, now)
  }

  /** Notes that the server has heard of the session. Never goes back. */
  heard(at: Idleness.Instant): void {
    this.#last = Idleness.latest(this.#last, at)
  }

  /** Begins anew with another driver session. */
  renew(last: Idleness.Instant): void {
    this.#last = last
    this.#isNoted = false
  }

  /** How long the session has been idle and how long it may be, if that is too long. */
  lapseAt(now: Idleness.Instant): Lapse | undefined {
    const timeout = Option.getOrUndefined(this.#knownTimeout())
    const time = this.idleAt(now)
    return timeout !== undefined && Idleness.hasLapsed(time, timeout)
      ? { idle: Duration.millis(Math.floor(time)), timeout }
      : undefined
  }

  /** Notes that the session has lapsed, and says whether that is news. */
  noteLapse(): boolean {
    const isNews = !this.#isNoted
    this.#isNoted = true
    return isNews
  }
}
