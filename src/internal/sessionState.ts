/**
 * An open session: the driver session behind it, its lane, its idle time, and the order in which it is ended.
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import type * as FiberRefs from "effect/FiberRefs"
import * as Option from "effect/Option"
import type * as Tracer from "effect/Tracer"
import type * as Driver from "mongodb"
import type { MongoError } from "../MongoError.js"
import { type SessionBusy, SessionEnded, SessionLapsed, type TransactionEnded } from "../SessionErrors.js"
import type { Member } from "../SessionKeeper.js"
import type * as SessionOptions from "../SessionOptions.js"
import type * as Attempt from "./attempt.js"
import { closingStep, errorName, within } from "./bounded.js"
import { abandon } from "./byHand.js"
import * as Calling from "./calling.js"
import type * as MongoClient from "./connection.js"
import * as Cursors from "./cursors.js"
import * as Gate from "./driver.js"
import * as DriverTransaction from "./driverTransaction.js"
import { type Restore, runAs, type RunningFiber } from "./fiber.js"
import * as Idleness from "./idleness.js"
import * as Lane from "./lane.js"
import type * as Observing from "./observing.js"
import * as Pool from "./pool.js"
import * as Reporting from "./reporting.js"
import { type Evaluate, type Gate as Transactional, type Name, turns } from "./sessionGate.js"
import * as Signal from "./signal.js"

/**
 * What a session is doing.
 *
 * - `idle`: ready for an operation
 * - `busy`: an operation is in flight
 * - `lapsed`: idle for longer than the server keeps sessions
 * - `broken`: an interrupted operation never settled; refuses every further use
 * - `ended`: released
 *
 * @since 0.1.0
 * @category models
 */
export type State = "idle" | "busy" | "lapsed" | "broken" | "ended"

// What a session that has lapsed is told of itself.
interface Lapse {
  readonly idle: Duration.Duration
  readonly timeout: Duration.Duration
}

/**
 * An open session, as its client and its transactions see it.
 *
 * A class, and effects that are made when they are asked for: sessions are opened and closed for a few operations each, and
 * to make a closure and an effect for each thing that one may be asked for took longer than those.
 */
export class OpenSession implements Transactional, Member {
  readonly lane = Lane.make()
  readonly client: MongoClient.Service
  readonly options: SessionOptions.Decoded
  readonly observer: Observing.Observer
  readonly settleTimeout: Duration.Duration
  readonly timeout: Duration.Duration | undefined
  readonly openedIn: Tracer.AnySpan | undefined
  manual: Attempt.Part | undefined = undefined
  readonly #signals = Signal.lender()
  // Those of the fiber that opened it: it is closed as that one would.
  readonly #refs: FiberRefs.FiberRefs
  #turns: ReturnType<typeof turns> | undefined
  #session: Driver.ClientSession
  #lastUsed: Idleness.Instant
  #ended = false
  #broken = false
  #lapseNoted = false
  // A find that was given up may have left a cursor on the server whose id nobody knows. It lives as long as its session.
  #mayHoldCursor = false
  #closing: Deferred.Deferred<void> | undefined
  #isClosed = false

  constructor(client: MongoClient.Service, options: SessionOptions.Decoded, opener: RunningFiber) {
    this.client = client
    this.options = options
    this.observer = client.observer
    this.openedIn = opener.currentSpan
    this.settleTimeout = options.settleTimeout ?? client.settleTimeout
    this.timeout = options.timeout ?? client.timeout
    this.#refs = opener.getFiberRefs()
    const { lastUsed, session } = this.#take(Idleness.nowOf(opener))
    this.#lastUsed = lastUsed
    this.#session = session
    Reporting.sessionsOpen(1)
  }

  session(): Driver.ClientSession {
    return this.#session
  }

  lsid(): Driver.ServerSessionId {
    return this.#session.serverSession.id
  }

  keepAlive(): boolean {
    return this.options.keepAlive && !this.#ended && !this.#broken
  }

  isBusy(): boolean {
    return Lane.isBusy(this.lane)
  }

  isOpen(): boolean {
    return !this.#ended
  }

  isBroken(): boolean {
    return this.#broken
  }

  idleAt(now: Idleness.Instant): number {
    return Idleness.elapsed(this.#lastUsed, now)
  }

  touch(at: Idleness.Instant): void {
    this.#lastUsed = Idleness.latest(this.#lastUsed, at)
    this.client.pool.touch(this.#session)
  }

  noteLapse(): boolean {
    const news = !this.#lapseNoted
    this.#lapseNoted = true
    return news
  }

  stateAt(now: Idleness.Instant): State {
    if (this.#ended) return "ended"
    if (this.#broken) return "broken"
    return this.isBusy() ? "busy" : this.#lapseAt(now) === undefined ? "idle" : "lapsed"
  }

  isReady(fiber: RunningFiber): boolean {
    return !this.#ended && !this.#broken && this.#lapseAt(Idleness.nowOf(fiber)) === undefined
  }

  ready(operation: string): Effect.Effect<void, SessionEnded | SessionLapsed> {
    return Effect.withFiberRuntime<void, SessionEnded | SessionLapsed>((fiber) => {
      const lapse = this.#lapseAt(Idleness.nowOf(fiber))
      const refusal = this.#refusal(operation)
      if (refusal !== undefined || lapse === undefined) return refusal ?? Effect.void
      return Effect.when(Reporting.lapsed(1, lapse.timeout), () => this.noteLapse()).pipe(
        // A transaction is gone with its session; what remains of it must not run outside of one.
        Effect.zipRight(
          this.options.onLapse === "renew" && !this.#session.inTransaction()
            ? this.#renew()
            : Effect.fail(new SessionLapsed({ operation, ...lapse }))
        )
      )
    })
  }

  ensureOpen(operation: string): Effect.Effect<void, SessionEnded> {
    return Effect.suspend(() => this.#refusal(operation) ?? Effect.void)
  }

  enter(
    operation: string,
    restore: Restore,
    fiber: RunningFiber
  ): Effect.Effect<Lane.Waiter, SessionEnded | SessionBusy> {
    return this.#inLane.enter(operation, restore, fiber)
  }

  inTurn<A, E, R>(
    operation: string,
    effect: (part: Attempt.Part | undefined) => Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | SessionEnded | SessionBusy | TransactionEnded, R> {
    return this.#inLane.inTurn(operation, effect)
  }

  begin<A>(
    fiber: RunningFiber,
    { namespace, operation }: Name,
    evaluate: Evaluate<A>,
    done: (exit: Exit.Exit<A, MongoError>) => void,
    onAborted?: () => void
  ): Effect.Effect<void> {
    const session = this.#session
    const before = session.serverSession.lastUse
    return Calling.begin({
      operation,
      namespace,
      settleTimeout: this.settleTimeout,
      client: this.client.driver,
      signals: this.#signals,
      evaluate: (controller) => DriverTransaction.keepStarting(session, evaluate, controller),
      done: (exit) => {
        this.#noteUse(before, fiber)
        done(exit)
      },
      onAborted: () => {
        this.#mayHoldCursor = true
        onAborted?.()
      },
      onUnsettled: this.breakUp
    })
  }

  get breakUp(): Effect.Effect<void> {
    return Effect.sync(() => {
      this.#broken = true
      Pool.markDirty(this.#session)
    })
  }

  // In its turn: it may renew the session, which must not happen under an operation that is in flight.
  get refresh() {
    const { client } = this
    return this.inTurn("refresh", () =>
      Effect.gen(this, function*() {
        yield* this.ready("refresh")
        const sent = yield* Idleness.now
        yield* client.adminCommand({ refreshSessions: [this.lsid()] })
        this.touch(sent)
      }))
  }

  /** Ends it, once. Whoever comes second, the session's own scope or its client's, waits for the first. */
  get close(): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.#isClosed) return Effect.void
      if (this.#closing !== undefined) return Deferred.await(this.#closing)
      this.#ended = true
      if (this.#endAtOnce()) return Effect.void
      const closing = this.#closing = Deferred.unsafeMake<void>(FiberId.none)
      const end = Effect.onExit(runAs(this.#refs, this.#end()), (exit) => Deferred.done(closing, exit))
      return Effect.uninterruptible(end)
    })
  }

  // All that ending comes down to where nothing is to be waited for, as mostly; says whether it has done it.
  #endAtOnce(): boolean {
    const session = this.#session
    const waits = this.isBusy() || Cursors.hasOpen(session, this.client.driver) || this.manual !== undefined
    const needsCommand = this.#mayHoldCursor || this.options.release === "end"
    if (waits || needsCommand || this.#broken || !Pool.canEndAtOnce(session)) return false
    this.client.pool.note(session, this.#lastUsed)
    Pool.endAtOnce(session)
    this.#left()
    return true
  }

  #end(): Effect.Effect<void> {
    const { client, lane, options, settleTimeout } = this
    return Effect.gen(this, function*() {
      if (yield* within(settleTimeout, Lane.withPermit(lane, "release", Effect.void))) {
        yield* this.#closeCursors(this.#session)
      } else {
        yield* Reporting.closingFailed("running operation", "not done in time")
        Pool.markDirty(this.#session)
      }
      const session = this.#session
      const lsid = session.serverSession.id
      // Where somebody else has ended the driver session, its server session is in the pool already, or in use again.
      const isOurs = !session.hasEnded
      const endOnServer = isOurs && (options.release === "end" || this.#mayHoldCursor)
      if (endOnServer) {
        Pool.markDirty(session)
      }
      if (isOurs) {
        client.pool.note(session, this.#lastUsed)
      }
      yield* closingStep("session", client.closeTimeout, Effect.tryPromise(() => session.endSession()), errorName)
      if (endOnServer) {
        // Only now: an id that were still in the pool could be in use again, and this would kill its cursors.
        const command = client.adminCommand({ endSessions: [lsid] })
        yield* closingStep("endSessions", client.closeTimeout, command, (error) => error.reason)
      }
      yield* abandon(this)
    }).pipe(Effect.ensuring(Effect.sync(() => this.#left())))
  }

  #left(): void {
    this.#isClosed = true
    this.client.keeper.remove(this)
    Reporting.sessionsOpen(-1)
  }

  get #inLane(): ReturnType<typeof turns> {
    return this.#turns ??= turns(this.lane, this.options.onBusy, (operation) => this.#refusal(operation))
  }

  #take(now: Idleness.Instant): Pool.Taken {
    const { client, options } = this
    const taken = client.pool.take(Gate.sessionOptions(options), client.knownTimeout(), now)
    if (!options.causalConsistency) Gate.keepOperationTime(taken.session)
    // The driver ignores it as an option.
    if (options.snapshotTime !== undefined) Gate.setSnapshotTime(taken.session, options.snapshotTime)
    return taken
  }

  // How long the session has been idle and how long it may be, if that is too long.
  #lapseAt(now: Idleness.Instant): Lapse | undefined {
    const timeout = Option.getOrUndefined(this.client.knownTimeout())
    const time = this.idleAt(now)
    return timeout !== undefined && Idleness.hasLapsed(time, timeout)
      ? { idle: Duration.millis(Math.floor(time)), timeout }
      : undefined
  }

  #refusal(operation: string): SessionEnded | undefined {
    return this.#ended || this.#broken
      ? new SessionEnded({ operation, reason: this.#ended ? "released" : "broken" })
      : undefined
  }

  #closeCursors(of: Driver.ClientSession): Effect.Effect<void> {
    const { closeTimeout, driver } = this.client
    return closingStep("cursors", closeTimeout, Effect.tryPromise(() => Cursors.closeOf(of, driver)), errorName)
  }

  #renew(): Effect.Effect<void> {
    return Effect.uninterruptible(Effect.gen(this, function*() {
      const old = this.#session
      yield* this.#closeCursors(old)
      const { lastUsed, session } = this.#take(yield* Idleness.now)
      this.#lastUsed = lastUsed
      this.#session = session
      Gate.carryOver(old, session)
      this.#lapseNoted = false
      this.#mayHoldCursor = false
      Pool.discard(old)
    }))
  }

  // The server has heard of the session when the driver last sent its id, not when the operation was over: an operation
  // may go on without the server, or never have needed it.
  #noteUse(before: number, fiber: RunningFiber): void {
    const server = this.#session.serverSession
    if (server.lastUse !== before) {
      const at = Idleness.before(Idleness.nowOf(fiber), this.client.pool.sinceLastUse(server))
      this.#lastUsed = Idleness.latest(this.#lastUsed, at)
    }
  }
}
