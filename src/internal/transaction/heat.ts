/**
 * How many transactions at once may write where transactions fight.
 *
 * Each conflict costs a whole attempt. So the number follows the share of the attempts that lose one: it grows while that is small,
 * and shrinks while it is large. What is large depends on what is short. Where the process waits for the server most of the time, a
 * lost attempt costs nobody anything but its own transaction, which could not have run before. Where the process works all the time,
 * a lost attempt takes its time from others.
 */
import type { Load } from "../time/load.js"

/** For how long after a conflict the writes of a collection are known by their documents. */
const hotTime = 10_000

/** Which share of the attempts may lose while the process works for at most this share of the time, and while it always does. */
const [idle, busy] = [{ load: 0.5, share: 0.4 }, { load: 1, share: 0.1 }]

/** How many there are before anything is known, and at most. */
const [first, most] = [4, 256]

/** What is known of the conflicts in one collection. */
export class Heat {
  #until: number
  #limit = first
  #running = 0
  readonly #load: Load

  constructor(now: number, load: Load) {
    this.#until = now + hotTime
    this.#load = load
  }

  /** A conflict was lost there. */
  renew(now: number): void {
    this.#until = now + hotTime
  }

  isOver(now: number): boolean {
    return this.#until <= now
  }

  get hasRoom(): boolean {
    return this.#running < Math.floor(this.#limit)
  }

  enter(): void {
    this.#running++
  }

  leave(hasLost: boolean): void {
    this.#running--
    const share = shareAt(this.#load())
    this.#limit = hasLost ? Math.max(1, this.#limit - (1 - share)) : Math.min(most, this.#limit + share)
  }
}

const shareAt = (load: number): number =>
  idle.share - (idle.share - busy.share) * Math.max(0, load - idle.load) / (busy.load - idle.load)
