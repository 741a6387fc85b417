/**
 * The state of an open session: its driver session, its lane, its idle time, and what is in flight.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Tracer from "effect/Tracer"
import type * as Driver from "mongodb"
import { SessionEnded, type SessionLapsed } from "../../SessionErrors.js"
import type { Member } from "../../SessionKeeper.js"
import type * as SessionOptions from "../../SessionOptions.js"
import { bounded } from "../driver/deadline.js"
import * as Pool from "../driver/pool.js"
import * as DriverSession from "../driver/session.js"
import * as Log from "../telemetry/log.js"
import type * as Operations from "../telemetry/operations.js"
import * as Time from "../time/clock.js"
import type { RunningFiber } from "../time/fiber.js"
import { inner } from "./client.js"
import type * as MongoClient from "./client.js"
import { Closing, type Ending } from "./close.js"
import { Flights } from "./flight.js"
import type { Gate } from "./gate.js"
import * as Lane from "./lane.js"
import { lapsed } from "./lapse.js"
import { inTurn } from "./operation.js"
import { insist } from "./owed.js"
import type { Standing } from "./turn.js"

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

/**
 * An open session, as its client and what runs in it see it.
 *
 * It is a class, and makes its effects on demand: a program opens a session for a few operations, and making a closure and an
 * effect for each method took longer than those operations.
 */
export class OpenSession implements Gate, Member, Ending {
  readonly lane = Lane.make()
  readonly client: MongoClient.Service
  readonly options: SessionOptions.Decoded
  readonly onBusy: Lane.OnBusy
  readonly observer: Operations.Observer
  readonly settleTimeout: Duration.Duration
  readonly timeout: Duration.Duration | undefined
  readonly openedIn: Tracer.AnySpan | undefined
  readonly flights: Flights
  readonly #closing: Closing
  readonly #usage: Time.Usage
  #isEnding = false
  // Fields, for each operation reads them several times. Whoever has the session as a gate cannot write them.
  session: Driver.ClientSession
  standing: Standing | undefined
  isCalling = false
  isBroken = false

  constructor(client: MongoClient.Service, options: SessionOptions.Decoded, opener: RunningFiber) {
    this.client = client
    this.options = options
    this.onBusy = options.onBusy
    this.observer = client[inner].observer
    this.openedIn = opener.currentSpan
    this.settleTimeout = options.settleTimeout ?? client.settleTimeout
    this.timeout = options.timeout ?? client.timeout
    this.#closing = new Closing(opener.getFiberRefs())
    const { lastUsed, session } = this.#take(Time.nowOf(opener))
    this.#usage = new Time.Usage(lastUsed, client[inner].knownTimeout)
    this.flights = new Flights(this, this.#usage)
    this.session = session
    Log.sessionsOpen(1)
  }

  stand(turn: Standing): void {
    this.standing = turn
  }

  lsid(): Driver.ServerSessionId {
    return this.session.serverSession.id
  }

  keepAlive(): boolean {
    return this.options.keepAlive && this.refusal("refresh") === undefined
  }

  isBusy(): boolean {
    return Lane.isBusy(this.lane)
  }

  isOpen(): boolean {
    return !this.#isEnding
  }

  idleAt(now: Time.Instant): number {
    return this.#usage.idleAt(now)
  }

  touch(at: Time.Instant): void {
    this.#usage.heard(at)
    // An operation that waits to be sent looks at what is noted here.
    if (this.flights.isEmpty()) this.client[inner].pool.touch(this.session)
  }

  noteLapse(): boolean {
    return this.#usage.noteLapse()
  }

  /** Goes on with another driver session, which has seen what the old one has. */
  renew(now: Time.Instant): void {
    const old = this.session
    const { lastUsed, session } = this.#take(now)
    this.#usage.renew(lastUsed)
    this.session = session
    DriverSession.carryOver(old, session)
    this.flights.leftover.renew()
    Pool.discard(old)
  }

  stateOf(fiber: RunningFiber): State {
    if (!this.isOpen()) return "ended"
    if (this.isBroken) return "broken"
    return this.isBusy() ? "busy" : this.#usage.lapse(fiber) === undefined ? "idle" : "lapsed"
  }

  refusal(operation: string): SessionEnded | undefined {
    return this.isOpen() && !this.isBroken
      ? undefined
      : new SessionEnded({ operation, reason: this.isOpen() ? "broken" : "released" })
  }

  ready(operation: string, fiber: RunningFiber): Effect.Effect<void, SessionEnded | SessionLapsed> | undefined {
    if (this.#isEnding || this.isBroken) return this.refusal(operation)
    // Of a transaction in it, the server knows nothing any more. To abort it is the way to go on.
    if (operation === "abortTransaction") return undefined
    const lapse = this.#usage.lapse(fiber)
    return lapse && lapsed(this, operation, lapse)
  }

  calling<A>(call: () => A): A {
    this.isCalling = true
    try {
      return call()
    } finally {
      this.isCalling = false
    }
  }

  get breakUp(): Effect.Effect<void> {
    return Effect.sync(() => {
      this.isBroken = true
      // What never settled may be going on there, with all that it holds.
      this.flights.leftover.maybeCursor()
      Pool.markDirty(this.session)
    })
  }

  get kill(): Effect.Effect<void> {
    // Where it is closed meanwhile, that has killed it.
    const once = Effect.suspend(() =>
      this.session.hasEnded ? Effect.void : Effect.map(this.flights.kill, () => this.flights.leftover.isKilled())
    )
    return insist(this.client, this.lsid(), once, ({ code }) => code === undefined)
  }

  // In its turn: it may renew the session, and no operation may be in flight then.
  get refresh() {
    return inTurn(this, "refresh", (fiber) => {
      const sent = Time.nowOf(fiber)
      const refreshing = this.client[inner].adminCommand({ refreshSessions: [this.lsid()] })
      // Nobody gets the turn before its answer, which may never come.
      const deadline = Time.start(fiber, this.timeout ?? this.settleTimeout)
      return Effect.map(
        bounded(deadline, { operation: "refreshSessions" }, refreshing),
        () => this.touch(sent)
      )
    })
  }

  get close(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#isEnding = true
      return this.#closing.run(this)
    })
  }

  lastUsed(): Time.Instant {
    return this.#usage.last
  }

  endsOnServer(): "no" | "end" | "kill" {
    return this.flights.leftover.endsOnServer(this.options.release)
  }

  left(): void {
    this.client[inner].keeper.remove(this)
    Log.sessionsOpen(-1)
  }

  #take(now: Time.Instant): Pool.Taken {
    const { client, options } = this
    const taken = client[inner].pool.take(DriverSession.sessionOptions(options), client[inner].knownTimeout(), now)
    if (!options.causalConsistency) DriverSession.keepOperationTime(taken.session)
    // The driver ignores it as an option.
    if (options.snapshotTime !== undefined) DriverSession.setSnapshotTime(taken.session, options.snapshotTime)
    return taken
  }
}
