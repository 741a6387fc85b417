/**
 * The queue for documents that transactions of one client fight for: who has lost a conflict waits for those that hold or want
 * the same instead of for a random time: in order, those that have lost before first.
 *
 * A waiter has nothing open on the server, so that nobody waits for it.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { after } from "../time/bounded.js"
import type { RunningFiber } from "../time/fiber.js"
import type { Heat } from "./heat.js"

/** How many that come later get a document before one that waits for it and for others. */
const mostPassed = 4

/**
 * For how long somebody waits at most whose documents are free, because too many others run: also where transactions take long, it
 * costs little beside the attempt that it may save.
 */
const crowded = Duration.millis(250)

/** What somebody waits for. */
export interface Wish {
  readonly keys: ReadonlySet<string>
  /** The collection in which too many are not to run at once; none where nobody fights any more. */
  readonly heat: Heat | undefined
  /** Whether it is for another attempt, which comes before the first ones of others. */
  readonly isAgain: boolean
  /** How long to wait at most. */
  readonly longest: Duration.Duration
}

/** Somebody who waits for documents: nothing of theirs is open on the server. */
interface Waiter<By> extends Wish {
  readonly by: By
  readonly resume: () => void
  /** Whether it goes on though too many others run. */
  isPressing: boolean
  /** How many have got one of its documents that came later. */
  passed: number
}

/** Who holds which documents, and who waits for them. */
export class Queue<By> {
  readonly #holders = new Map<string, By>()
  // Those that run in a collection where others wait.
  readonly #running = new Map<By, Heat>()
  #waiters: ReadonlyArray<Waiter<By>> = []

  /** Who holds a document, if somebody is known to. */
  holderOf(key: string): By | undefined {
    return this.#holders.get(key)
  }

  /** Notes that a document is being written, unless somebody else holds it: the server decides between them. Says who holds it. */
  take(key: string, by: By): By {
    const holder = this.#holders.get(key) ?? by
    this.#holders.set(key, holder)
    return holder
  }

  /** Gives documents back, and gives them on. */
  release(keys: Iterable<string>, by: By, hasLost: boolean): void {
    for (const key of keys) if (this.#holders.get(key) === by) this.#holders.delete(key)
    this.#running.get(by)?.leave(hasLost)
    this.#running.delete(by)
    this.#handOn()
  }

  /** Waits until all of some documents are free and few enough run, then holds them; or until the wait is over. */
  acquire(wish: Wish, by: By, fiber: RunningFiber): Effect.Effect<void> {
    return Effect.async((resume) => {
      const timers: Array<() => void> = []
      const stop = () => {
        for (const cancel of timers) cancel()
      }
      let isOver = false
      const over = () => {
        isOver = true
        stop()
        resume(Effect.void)
      }
      const waiter: Waiter<By> = { ...wish, by, isPressing: false, passed: 0, resume: over }
      const leave = () => {
        stop()
        this.#waiters = this.#waiters.filter((other) => other !== waiter)
        // Those behind it may have waited for it only.
        this.#handOn()
      }
      this.#waiters = wish.isAgain
        ? [
          ...this.#waiters.filter(({ isAgain }) => isAgain),
          waiter,
          ...this.#waiters.filter(({ isAgain }) => !isAgain)
        ]
        : [...this.#waiters, waiter]
      this.#handOn()
      if (isOver) return
      timers.push(after(fiber, wish.longest, () => {
        leave()
        resume(Effect.void)
      }))
      if (wish.heat !== undefined) {
        timers.push(after(fiber, crowded, () => {
          waiter.isPressing = true
          this.#handOn()
        }))
      }
      return Effect.sync(leave)
    })
  }

  // First come, first served. Who wants several documents may be passed for one of them while it waits for another, so
  // that they are not idle, but only so often.
  #handOn(): void {
    if (this.#waiters.length === 0) return
    const granted: Array<Waiter<By>> = []
    const waiting: Array<Waiter<By>> = []
    for (const waiter of this.#waiters) {
      if (this.#isGranted(waiter, waiting)) granted.push(waiter)
      else waiting.push(waiter)
    }
    if (granted.length === 0) return
    this.#waiters = waiting
    for (const { resume } of granted) resume()
  }

  #isGranted({ by, heat, isPressing, keys }: Waiter<By>, before: ReadonlyArray<Waiter<By>>): boolean {
    if (!isPressing && heat?.hasRoom === false) return false
    for (const key of keys) if (this.#holders.has(key)) return false
    const passed = keys.size === 0 ? [] : before.filter((other) => sharesKey(keys, other.keys))
    if (passed.some((other) => other.passed >= mostPassed)) return false
    for (const other of passed) other.passed++
    for (const key of keys) this.#holders.set(key, by)
    if (heat !== undefined) {
      heat.enter()
      this.#running.set(by, heat)
    }
    return true
  }
}

const sharesKey = (ones: ReadonlySet<string>, others: ReadonlySet<string>): boolean => {
  for (const key of ones) if (others.has(key)) return true
  return false
}
