/**
 * How many transactions at once may write where transactions fight.
 *
 * Each conflict costs a whole attempt. So the number follows how many attempts lose one: it grows while they are fewer than one in
 * four, and shrinks while they are more.
 */

/** For how long after a conflict the writes of a collection are known by their documents. */
const hotTime = 10_000

/** Which share of the attempts may lose. */
const share = 1 / 4

/** How many there are before anything is known, and at most. */
const [first, most] = [4, 256]

/** What is known of the conflicts in one collection. */
export class Heat {
  #until: number
  #limit = first
  #running = 0

  constructor(now: number) {
    this.#until = now + hotTime
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
    this.#limit = hasLost ? Math.max(1, this.#limit - (1 - share)) : Math.min(most, this.#limit + share)
  }
}
