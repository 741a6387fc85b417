/**
 * Who of one client's transactions writes which documents, where they have conflicted: who has lost a conflict queues.
 *
 * MongoDB never waits for a document that another transaction has written: it fails at once (see the manual, "Production
 * Considerations", section "In-progress Transactions and Write Conflicts"). Other processes' conflicts are left to the backoff.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Tracer from "effect/Tracer"
import type * as Driver from "mongodb"
import type { MongoError } from "../../MongoError.js"
import { inner, type Service } from "../session/client.js"
import type { Description } from "../session/turn.js"
import { clockOf } from "../time/clock.js"
import type { RunningFiber } from "../time/fiber.js"
import type { Conflict } from "../values/conflicts.js"
import { targetOf } from "../values/ids.js"
import { explain } from "./explain.js"
import { Heat } from "./heat.js"
import { HotKeys } from "./hotKeys.js"
import { Queue } from "./queue.js"
import { isConflict } from "./transient.js"
import { type Write, type Writer, Writers } from "./writers.js"

/** For how long somebody waits at most: who holds the document may wait for the one that waits. */
const patience = Duration.seconds(5)

/** How many documents of one transaction are known. Who writes more would keep too many others waiting. */
const most = 64

/** What the transactions of one client write, and fight for. */
export class Contention {
  /** Who has written what. */
  readonly writers = new Writers()
  /** What conflicts were lost for. */
  readonly hotKeys = new HotKeys()
  /** Who waits for whom. */
  readonly queue = new Queue<Contender>()
  readonly #hot = new Map<string, Heat>()

  /** What is known of the conflicts in a collection; nothing where there was none. Then this is all that is asked. */
  heatOf(namespace: string, now: () => number): Heat | undefined {
    if (this.#hot.size === 0) return undefined
    const heat = this.#hot.get(namespace)
    if (heat === undefined || !heat.isOver(now())) return heat
    this.#hot.delete(namespace)
    return undefined
  }

  /** Notes a conflict. */
  heat(namespace: string, now: number): void {
    const heat = this.#hot.get(namespace)
    if (heat !== undefined) return heat.renew(now)
    // A program may make up ever new collections.
    for (const [name, heat] of this.#hot) if (heat.isOver(now)) this.#hot.delete(name)
    this.#hot.set(namespace, new Heat(now))
  }
}

/** How a transaction takes part. */
export interface Manner {
  /** Whether it waits for others, and others for it. Default `true`. */
  readonly doesQueue?: boolean | undefined
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
  #lost: { readonly namespace: string; readonly keys: ReadonlySet<string>; readonly isToKnown: boolean } | undefined

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
  before(description: Description): Effect.Effect<void> | undefined {
    if (this.#hasBegun || this.#held !== undefined || !this.#doesQueue || !isWrite(description)) return undefined
    const heat = this.#contention.heatOf(description.namespace, this.#now)
    if (heat === undefined) return undefined
    const key = targetOf(description.namespace, description.filter)
    return this.#acquire(new Set(key === undefined ? [] : [key]), heat, patience, false)
  }

  /** An operation begins. */
  begins(description: Description): void {
    this.#hasBegun = true
    if (!isWrite(description) || this.#writes.length >= most) return
    if (this.#writes.push(description) === 1) this.#contention.writers.enter(this)
    if (!this.#doesQueue) return
    const isHot = this.#contention.heatOf(description.namespace, this.#now) !== undefined
    const key = isHot ? targetOf(description.namespace, description.filter) : undefined
    if (key === undefined) return
    if (this.#contention.queue.take(key, this) === this) (this.#held ??= new Set()).add(key)
  }

  /**
   * An operation has failed. If it has lost a conflict, the server has ended the transaction: tells what is known of that.
   */
  loses(error: MongoError, description?: Description): Conflict | undefined {
    if (!isConflict(error) || this.#lost !== undefined) return undefined
    const conflict = explain(this, this.#contention, this.#fiber, this.#keepsValues, error, description)
    const last = this.#writes.at(-1)
    if (error.reason === "WriteConflict" && last !== undefined && error.namespace !== undefined && this.#doesQueue) {
      const isToKnown = this.#isHeld(last)
      this.#contention.heat(last.namespace, this.#now())
      const keys = this.#writes.flatMap((write) => targetOf(write.namespace, write.filter) ?? [])
      this.#lost = { namespace: last.namespace, keys: new Set(keys), isToKnown }
    }
    this.#contention.writers.leave(this)
    this.#release(true)
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
    this.#release(false)
  }

  /** What an attempt waits for that follows a lost conflict: to be alone with what the last one has written. */
  again(longest: Duration.Duration): Effect.Effect<void> {
    return Effect.suspend(() => {
      const lost = this.#lost
      this.#lost = undefined
      if (lost === undefined) return Effect.void
      const heat = this.#contention.heatOf(lost.namespace, this.#now)
      return this.#acquire(lost.keys, heat, Duration.min(longest, patience), true)
    })
  }

  #acquire(
    keys: ReadonlySet<string>,
    heat: Heat | undefined,
    longest: Duration.Duration,
    isAgain: boolean
  ): Effect.Effect<void> {
    // Noted before the wait: what is granted is given back also if the wait is interrupted just then.
    this.#held = new Set(keys)
    return this.#contention.queue.acquire({ keys, heat, longest, isAgain }, this, this.#fiber)
  }

  #release(hasLost: boolean): void {
    const held = this.#held
    this.#held = undefined
    if (held !== undefined) this.#contention.queue.release(held, this, hasLost)
  }

  #isHeld({ filter, namespace }: Write): boolean {
    const key = targetOf(namespace, filter)
    const holder = key === undefined ? undefined : this.#contention.queue.holderOf(key)
    return holder !== undefined && holder !== this
  }

  readonly #now = (): number => clockOf(this.#fiber).unsafeCurrentTimeMillis()
}

const isWrite = (description: Description): description is Write =>
  description.filter !== undefined && description.namespace !== undefined

/** What others see of a transaction of a client. */
export const contender = (
  fiber: RunningFiber,
  client: Service,
  { doesQueue, span }: Omit<Manner, "keepsValues">
): Contender =>
  new Contender(fiber, of(client.driver), { doesQueue, span, keepsValues: client[inner].conflicts.values })

const all = new WeakMap<Driver.MongoClient, Contention>()

/** What the transactions of a client of the driver fight for. */
export const of = (driver: Driver.MongoClient): Contention => {
  const known = all.get(driver)
  if (known !== undefined) return known
  const contention = new Contention()
  all.set(driver, contention)
  return contention
}
