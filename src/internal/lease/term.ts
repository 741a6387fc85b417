/**
 * One acquisition of a lease: waits for it, renews it, notices when it is lost, and releases it.
 *
 * Who holds a lease is decided by the server alone, by its clock. The client measures only how long ago it sent the last
 * renewal that was answered. If that is longer ago than the lease lasts, it counts as lost here. On the server it runs out
 * later than that, for the server has counted from when the renewal came.
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { LeaseLost, LeaseTaken } from "../../LeaseErrors.js"
import type { Reason } from "../../MongoError.js"
import type { OperationError } from "../../SessionErrors.js"
import * as Transaction from "../../Transaction.js"
import { isLostOnTheWay } from "../changes/position.js"
import * as Time from "../time/clock.js"
import type { Decision } from "./record.js"
import * as Store from "./store.js"

/** One acquisition of a lease. */
export class Term<C> {
  readonly #acquisition: Store.Acquisition<C>
  readonly #lost: Deferred.Deferred<never, LeaseLost>
  // When the last command was sent that has taken or renewed it.
  #since: Time.Instant
  #token = 0
  // Whether the server may have given it the lease.
  #mayHold = false
  #last: OperationError | undefined

  private constructor(acquisition: Store.Acquisition<C>, lost: Deferred.Deferred<never, LeaseLost>, now: Time.Instant) {
    this.#acquisition = acquisition
    this.#lost = lost
    this.#since = now
  }

  static make<C>(acquisition: Store.Acquisition<C>): Effect.Effect<Term<C>> {
    return Effect.zipWith(
      Deferred.make<never, LeaseLost>(),
      Time.now,
      (lost, now) => new Term(acquisition, lost, now)
    )
  }

  get token(): number {
    return this.#token
  }

  /** Fails when the lease is lost, and not before. */
  get lost(): Effect.Effect<never, LeaseLost> {
    return Deferred.await(this.#lost)
  }

  /** Fails if the lease was lost. */
  get ensureHeld(): Effect.Effect<void, LeaseLost> {
    return Effect.flatMap(Deferred.poll(this.#lost), (lost) => lost._tag === "Some" ? lost.value : Effect.void)
  }

  /** Waits for the lease. */
  get acquire(): Effect.Effect<void, OperationError | LeaseTaken, C> {
    return Effect.retry(this.#try, {
      schedule: this.#acquisition.options.poll,
      while: mayPass
    })
  }

  get #try(): Effect.Effect<void, OperationError | LeaseTaken, C> {
    return Effect.gen(this, function*() {
      const now = yield* Time.now
      // An attempt without an answer may still arrive.
      const mightHold = this.#mayHold
      this.#mayHold = true
      const decision = yield* this.#decision
      if (decision._tag === "Taken") {
        this.#mayHold = mightHold
        return yield* new LeaseTaken({ lease: this.#acquisition.name, remaining: decision.remaining })
      }
      this.#token = decision.token
      this.#since = now
    })
  }

  // A transaction that has the lease, an outage and a slow majority look alike, until the primary is asked.
  get #decision(): Effect.Effect<Decision, OperationError | LeaseTaken, C> {
    const acquisition = this.#acquisition
    const { name, options: { patience } } = acquisition
    if (patience === undefined) return Store.acquire(acquisition)
    // The attempt may still arrive, so it is to be released.
    const taken = new LeaseTaken({ lease: name, remaining: Duration.zero })
    return Effect.catchTag(
      Store.acquire(acquisition, patience),
      "MongoError",
      (error): Effect.Effect<Decision, OperationError | LeaseTaken, C> => {
        if (error.reason === "WriteConflict") return Effect.fail(taken)
        if (error.reason !== "TimedOut") return Effect.fail(error)
        return Effect.flatMap(
          Effect.mapError(Store.isMine(acquisition, patience), () => error),
          (isMine): Effect.Effect<Decision, OperationError | LeaseTaken, C> =>
            isMine ? Store.acquire(acquisition) : Effect.fail(taken)
        )
      }
    )
  }

  /**
   * Lets the lease go, however far its acquisition has come. What runs under it ends first. Where that fails, the lease runs out
   * by itself.
   */
  get release(): Effect.Effect<void, never, C> {
    return Effect.zipRight(
      this.#fail("Released"),
      Effect.suspend(() => {
        if (!this.#mayHold) return Effect.void
        this.#mayHold = false
        return Effect.ignoreLogged(Store.release(this.#acquisition))
      })
    )
  }

  /** Renews the lease until it is lost. */
  get renewing(): Effect.Effect<void, never, C> {
    const { renew, timeout } = this.#acquisition.options
    const again = Schedule.exponential("50 millis").pipe(Schedule.either(Schedule.spaced(timeout)))
    const renewed = Effect.retry(
      Effect.tapError(this.#renew, (error) => Effect.sync(() => void (this.#last = error))),
      {
        schedule: again
      }
    )
    return Effect.asVoid(Effect.schedule(Effect.ignore(renewed), renew))
  }

  get #renew(): Effect.Effect<void, OperationError, C> {
    return Effect.gen(this, function*() {
      const now = yield* Time.now
      const isHeld = yield* Store.extend(this.#acquisition, this.#token)
      if (!isHeld) return yield* this.#lose("NotHeld")
      this.#since = now
      this.#last = undefined
    })
  }

  /** Notices when the lease was not renewed in time. */
  get watching(): Effect.Effect<void> {
    return Effect.flatMap(Effect.map(Time.now, (now) => this.#leftAt(now)), (left) =>
      left > 0
        ? Effect.zipRight(Effect.sleep(Math.min(left, longestSleep)), Effect.suspend(() => this.watching))
        : this.#lose("NotRenewed"))
  }

  #leftAt(now: Time.Instant): number {
    return Duration.toMillis(this.#acquisition.options.for) - Time.elapsed(this.#since, now)
  }

  #lose(reason: LeaseLost["reason"]): Effect.Effect<void> {
    // The server may still count one as held that was not renewed.
    if (reason === "NotHeld") this.#mayHold = false
    return this.#fail(reason)
  }

  // The first reason stays.
  #fail(reason: LeaseLost["reason"]): Effect.Effect<void> {
    return Effect.suspend(() => Effect.asVoid(Deferred.fail(this.#lost, this.#lostFor(reason))))
  }

  #lostFor(reason: LeaseLost["reason"]): LeaseLost {
    const { name: lease } = this.#acquisition
    return new LeaseLost({
      lease,
      token: this.#token,
      reason,
      ...(reason === "NotRenewed" && this.#last !== undefined && { last: this.#last })
    })
  }

  /** See `Lease.Service`. */
  get guard(): Effect.Effect<void, LeaseLost | OperationError, C | Transaction.Transaction> {
    return Effect.gen(this, function*() {
      const sent = yield* Time.now
      const isHeld = yield* Store.guard(this.#acquisition, this.#token)
      if (!isHeld) return yield* this.#lostFor("NotHeld")
      // A commit renews it. A renewal that has to wait for the transactions with a guard may never find a gap between them.
      yield* Transaction.onCommit(Effect.sync(() => {
        this.#since = Time.latest(this.#since, sent)
      }))
    })
  }
}

// After a longer one, a machine that was asleep meanwhile would notice late.
const longestSleep = 60_000

// A transaction with a guard in it keeps an acquisition waiting until its time is over.
const mayPass = (error: OperationError | LeaseTaken): boolean =>
  error._tag === "LeaseTaken" || error._tag === "MongoError" && passing.has(error.reason) || isLostOnTheWay(error)

const passing: ReadonlySet<Reason> = new Set<Reason>(["TimedOut", "WriteConcernFailed", "Interrupted", "WriteConflict"])
