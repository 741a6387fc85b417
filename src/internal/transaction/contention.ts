/**
 * Who of one client's transactions writes which documents, where they have conflicted: who has lost a conflict waits for
 * those that hold or want the same, in order, instead of for a random time.
 *
 * MongoDB never waits for a document that another transaction has written: it fails at once (see the manual, "Production
 * Considerations", section "In-progress Transactions and Write Conflicts"). A waiter has nothing open on the server, so
 * that nobody waits for it. Other processes' conflicts are left to the backoff.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Tracer from "effect/Tracer"
import type * as Driver from "mongodb"
import type { MongoError } from "../../MongoError.js"
import { inner, type Service } from "../session/client.js"
import type { Name } from "../session/turn.js"
import { after } from "../time/bounded.js"
import { clockOf } from "../time/clock.js"
import type { RunningFiber } from "../time/fiber.js"
import type { Conflict } from "../values/conflicts.js"
import { targetOf } from "../values/ids.js"
import { explain } from "./explain.js"
import { HotKeys } from "./hotKeys.js"
import { isConflict } from "./transient.js"
import { type Write, type Writer, Writers } from "./writers.js"

/** For how long after a conflict the writes of a collection are known by their documents. */
const hotTime = 10_000

/** For how long somebody waits at most: who holds the document may wait for the one that waits. */
const patience = Duration.seconds(5)

/** How many that come later get a document before one that waits for it and for others. */
const mostPassed = 4

/** How many documents of one transaction are known. Who writes more would keep too many others waiting. */
const most = 64

/** Somebody who waits for documents: nothing of theirs is open on the server. */
interface Waiter {
  readonly by: Contender
  readonly keys: ReadonlySet<string>
  readonly resume: () => void
  // How many have got one of its documents that came later.
  passed: number
}

/** The documents that transactions of one client hold or wait for. */
export class Contention {
  /** Who has written what. */
  readonly writers = new Writers()
  /** What conflicts were lost for. */
  readonly hotKeys = new HotKeys()
  readonly #hotUntil = new Map<string, number>()
  readonly #holders = new Map<string, Contender>()
  #waiters: ReadonlyArray<Waiter> = []

  /** Whether the writes of a collection are to be known. Without conflicts this is all that is asked. */
  isHot(namespace: string, now: () => number): boolean {
    if (this.#hotUntil.size === 0) return false
    const until = this.#hotUntil.get(namespace)
    if (until === undefined) return false
    if (until > now()) return true
    this.#hotUntil.delete(namespace)
    return false
  }

  /** Notes a conflict. */
  heat(namespace: string, now: number): void {
    this.#hotUntil.set(namespace, now + hotTime)
  }

  /** Who holds a document, if somebody is known to. */
  holderOf(key: string): Contender | undefined {
    return this.#holders.get(key)
  }

  /** Notes that a document is being written, unless somebody else holds it: the server decides between them. Says who holds it. */
  take(key: string, by: Contender): Contender {
    const holder = this.#holders.get(key) ?? by
    this.#holders.set(key, holder)
    return holder
  }

  /** Gives documents back, and gives them on. */
  release(keys: Iterable<string>, by: Contender): void {
    for (const key of keys) if (this.#holders.get(key) === by) this.#holders.delete(key)
    this.#handOn()
  }

  /** Waits until all of some documents are free, then holds them; or until the wait is over. */
  acquire(
    keys: ReadonlySet<string>,
    by: Contender,
    fiber: RunningFiber,
    longest: Duration.Duration
  ): Effect.Effect<void> {
    return Effect.async((resume) => {
      let stop = () => {}
      const waiter: Waiter = {
        by,
        keys,
        passed: 0,
        resume: () => {
          stop()
          resume(Effect.void)
        }
      }
      const leave = () => {
        stop()
        this.#waiters = this.#waiters.filter((other) => other !== waiter)
        // Those behind it may have waited for it only.
        this.#handOn()
      }
      this.#waiters = [...this.#waiters, waiter]
      stop = after(fiber, longest, () => {
        leave()
        resume(Effect.void)
      })
      this.#handOn()
      return Effect.sync(leave)
    })
  }

  // First come, first served. Who wants several documents may be passed for one of them while it waits for another, so
  // that they are not idle, but only so often.
  #handOn(): void {
    const granted: Array<Waiter> = []
    const waiting: Array<Waiter> = []
    for (const waiter of this.#waiters) {
      const keys = [...waiter.keys]
      const passed = waiting.filter((before) => keys.some((key) => before.keys.has(key)))
      if (keys.every((key) => !this.#holders.has(key)) && passed.every((before) => before.passed < mostPassed)) {
        for (const key of keys) this.#holders.set(key, waiter.by)
        for (const before of passed) before.passed++
        granted.push(waiter)
      } else {
        waiting.push(waiter)
      }
    }
    if (granted.length === 0) return
    this.#waiters = waiting
    for (const { resume } of granted) resume()
  }
}

/** How a transaction takes part. */
export interface Manner {
  /** Whether it waits for others, and others for it. Default `true`. */
  readonly doesQueue?: boolean
  /** Whether the values are kept that a conflict was about. Default `false`. */
  readonly keepsValues?: boolean
  /** The span that it was started in. Default: none. */
  readonly span?: Tracer.AnySpan | undefined
}

/** All attempts of one transaction, as others that write the same see them. */
export class Contender implements Writer {
  readonly #fiber: RunningFiber
  readonly #contention: Contention
  readonly #doesQueue: boolean
  readonly #keepsValues: boolean
  /** The span that it was started in. */
  readonly span: Tracer.AnySpan | undefined
  #began: bigint | undefined
  // What the attempt has written so far, and what it holds.
  #writes: Array<Write> = []
  #hasBegun = false
  #held: Set<string> | undefined
  // What the last attempt has written, if it has lost a conflict; and whether to somebody who is known.
  #lost: { readonly keys: ReadonlySet<string>; readonly isToKnown: boolean } | undefined

  constructor(
    fiber: RunningFiber,
    contention: Contention,
    { doesQueue = true, keepsValues = false, span }: Manner = {}
  ) {
    this.#fiber = fiber
    this.#contention = contention
    this.#doesQueue = doesQueue
    this.#keepsValues = keepsValues
    this.span = span
  }

  get writes(): ReadonlyArray<Write> {
    return this.#writes
  }

  get began(): bigint | undefined {
    return this.#began
  }

  /** An attempt has begun. */
  starts(at: bigint): void {
    this.#began = at
  }

  /**
   * What an operation has to wait for before it is sent: the first one of an attempt, if it writes a document for which
   * transactions fight. Later ones hold something themselves.
   */
  before(name: Name): Effect.Effect<void> | undefined {
    if (this.#hasBegun || this.#held !== undefined || !this.#doesQueue) return undefined
    const key = this.#keyOf(name)
    return key === undefined ? undefined : this.#acquire(new Set([key]), patience)
  }

  /** An operation begins. */
  begins(name: Name): void {
    this.#hasBegun = true
    if (!isWrite(name) || this.#writes.length >= most) return
    if (this.#writes.push(name) === 1) this.#contention.writers.enter(this)
    if (!this.#doesQueue) return
    const key = this.#keyOf(name)
    if (key === undefined) return
    if (this.#contention.take(key, this) === this) (this.#held ??= new Set()).add(key)
  }

  /**
   * An operation has failed. If it has lost a conflict, the server has ended the transaction: tells what is known of that.
   */
  loses(error: MongoError, name?: Name): Conflict | undefined {
    if (!isConflict(error) || this.#lost !== undefined) return undefined
    const conflict = explain(this, this.#contention, this.#fiber, this.#keepsValues, error, name)
    const last = this.#writes.at(-1)
    if (error.reason === "WriteConflict" && last !== undefined && error.namespace !== undefined && this.#doesQueue) {
      const isToKnown = this.#isHeld(last)
      this.#contention.heat(last.namespace, this.#now())
      const keys = this.#writes.flatMap((write) => targetOf(write.namespace, write.filter) ?? [])
      this.#lost = { keys: new Set(keys), isToKnown }
    }
    this.#contention.writers.leave(this)
    this.#release()
    return conflict
  }

  /** Whether the last attempt has lost to another transaction of this client, which is known to end. */
  get hasLostToKnown(): boolean {
    return this.#lost?.isToKnown === true
  }

  /** The transaction has ended on the server. */
  ends(): void {
    if (this.#writes.length > 0) {
      this.#contention.writers.leave(this)
      this.#writes = []
    }
    this.#hasBegun = false
    this.#release()
  }

  /** What an attempt waits for that follows a lost conflict: to be alone with what the last one has written. */
  again(longest: Duration.Duration): Effect.Effect<void> {
    return Effect.suspend(() => {
      const lost = this.#lost
      this.#lost = undefined
      return lost === undefined || lost.keys.size === 0
        ? Effect.void
        : this.#acquire(lost.keys, Duration.min(longest, patience))
    })
  }

  #acquire(keys: ReadonlySet<string>, longest: Duration.Duration): Effect.Effect<void> {
    // Noted before the wait: what is granted is given back also if the wait is interrupted just then.
    this.#held = new Set(keys)
    return this.#contention.acquire(keys, this, this.#fiber, longest)
  }

  #release(): void {
    const held = this.#held
    this.#held = undefined
    if (held !== undefined) this.#contention.release(held, this)
  }

  #isHeld({ filter, namespace }: Write): boolean {
    const key = targetOf(namespace, filter)
    const holder = key === undefined ? undefined : this.#contention.holderOf(key)
    return holder !== undefined && holder !== this
  }

  #keyOf(name: Name): string | undefined {
    return isWrite(name) && this.#contention.isHot(name.namespace, this.#now)
      ? targetOf(name.namespace, name.filter)
      : undefined
  }

  readonly #now = (): number => clockOf(this.#fiber).unsafeCurrentTimeMillis()
}

const isWrite = (name: Name): name is Write => name.filter !== undefined && name.namespace !== undefined

/** What others see of a transaction of a client. */
export const contender = (fiber: RunningFiber, client: Service, manner: Omit<Manner, "keepsValues">): Contender =>
  new Contender(fiber, of(client.driver), { ...manner, keepsValues: client[inner].conflicts.values })

const all = new WeakMap<Driver.MongoClient, Contention>()

/** What the transactions of a client of the driver fight for. */
export const of = (driver: Driver.MongoClient): Contention => {
  const known = all.get(driver)
  if (known !== undefined) return known
  const contention = new Contention()
  all.set(driver, contention)
  return contention
}
