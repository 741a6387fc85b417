/**
 * The operations of a session that are in flight: whether their commands are sent, when the server has last heard of the session,
 * and what they have left there when they were given up.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Driver from "mongodb"
import type { MongoError } from "../../MongoError.js"
import * as Call from "../driver/call.js"
import * as Command from "../driver/command.js"
import * as Signal from "../driver/signal.js"
import * as DriverTransaction from "../driver/transaction.js"
import * as Log from "../telemetry/log.js"
import type * as Time from "../time/clock.js"
import type { RunningFiber } from "../time/fiber.js"
import { inner } from "./client.js"
import { Leftover, type Owner } from "./leftover.js"
import type { Description } from "./turn.js"

/** An operation of the driver. */
export type Evaluate<A> = (session: Driver.ClientSession, controller: Signal.Signalled) => PromiseLike<A>

/** The session that operations are in flight in. */
interface Home extends Owner {
  readonly settleTimeout: Duration.Duration
  /** Refuses every further use: something in the session has not settled. */
  readonly breakUp: Effect.Effect<void>
}

/** All operations of one session that are in flight. */
export class Flights {
  readonly home: Home
  /** What those that were given up have left on the server. */
  readonly leftover = new Leftover()
  readonly signals = Signal.lender()
  readonly #usage: Time.Usage
  // What the driver notes as the last use of the server session until a command of the operation is sent.
  #mark = 0
  #count = 0
  #wake: (() => void) | undefined

  constructor(home: Home, usage: Time.Usage) {
    this.home = home
    this.#usage = usage
  }

  /** Begins a promise of the driver for the one whose turn it is, and gives what an interruption does. */
  launch<A>(
    fiber: RunningFiber,
    description: Description,
    evaluate: Evaluate<A>,
    done: (exit: Exit.Exit<A, MongoError>) => void,
    onAborted?: (isSent: boolean) => void
  ): Effect.Effect<void> {
    return Call.begin(new Flight(this, fiber, description, evaluate, done, onAborted))
  }

  /** One begins. The mark stays in the server session until a command is sent: the driver notes whole milliseconds. */
  begins(server: Driver.ServerSession): number {
    const mark = this.#mark = Math.ceil(server.lastUse) - 0.25
    server.lastUse = mark
    this.#count++
    return mark
  }

  /**
   * The one with this mark is over. The server has heard of the session when the driver last sent its id, not now: an operation may
   * go on without the server, or never have needed it.
   */
  ends(server: Driver.ServerSession, mark: number, fiber: RunningFiber): void {
    if (server.lastUse === mark) {
      server.lastUse = Math.ceil(mark)
      // It stays unsent for who asks afterwards.
      if (this.#mark === mark) this.#mark = server.lastUse
    } else {
      this.#usage.heardBefore(this.home.client[inner].pool.sinceLastUse(server), fiber)
    }
    if (--this.#count === 0) this.#wake?.()
  }

  /** Whether a command of the operation that was launched last has been sent. */
  isSent(): boolean {
    return this.home.session.serverSession.lastUse !== this.#mark
  }

  /** Whether none is in flight, neither in its turn nor after somebody has stopped waiting for it. */
  isEmpty(): boolean {
    return this.#count === 0
  }

  /** Waits until none is in flight. */
  get quiet(): Effect.Effect<void> {
    return Effect.async((resume) => {
      if (this.#count === 0) resume(Effect.void)
      this.#wake = () => resume(Effect.void)
    })
  }

  /** Kills the session on the server. Not told to anybody: it belongs to the operation that was interrupted. */
  get kill(): Effect.Effect<unknown, MongoError> {
    const { home } = this
    const call = { operation: "killSessions", settleTimeout: home.settleTimeout, onUnsettled: Log.unsettled }
    return Call.call(
      call,
      ({ signal }) =>
        Command.adminCommand(home.client.driver, { killSessions: [home.session.serverSession.id] }, signal)
    )
  }
}

/**
 * One of them, as the call of a promise of the driver.
 *
 * A class, and no record of functions: V8 puts records that have often outlived a collection among the old objects from the start,
 * where each keeps all that it refers to until the next whole collection.
 */
class Flight<A> implements Call.Call<A> {
  readonly operation: string
  readonly namespace: string | undefined
  readonly isOpaque: boolean | undefined
  readonly #flights: Flights
  readonly #fiber: RunningFiber
  readonly #session: Driver.ClientSession
  readonly #mark: number
  readonly #txnNumber: number
  readonly #isNumbered: boolean
  readonly #evaluate: Evaluate<A>
  readonly #done: (exit: Exit.Exit<A, MongoError>) => void
  readonly #onAborted: ((isSent: boolean) => void) | undefined

  constructor(
    flights: Flights,
    fiber: RunningFiber,
    { isOpaque, namespace, operation }: Description,
    evaluate: Evaluate<A>,
    done: (exit: Exit.Exit<A, MongoError>) => void,
    onAborted: ((isSent: boolean) => void) | undefined
  ) {
    const session = flights.home.session
    this.operation = operation
    this.namespace = namespace
    this.isOpaque = isOpaque
    this.#flights = flights
    this.#fiber = fiber
    this.#session = session
    this.#mark = flights.begins(session.serverSession)
    this.#txnNumber = session.serverSession.txnNumber
    // The driver tells nothing of an abort that was lost.
    this.#isNumbered = operation === "commitTransaction" ||
      session.inTransaction() && operation !== "abortTransaction"
    this.#evaluate = evaluate
    this.#done = done
    this.#onAborted = onAborted
  }

  get settleTimeout() {
    return this.#flights.home.settleTimeout
  }

  get client(): Driver.MongoClient {
    return this.#flights.home.client.driver
  }

  get signals(): Signal.Lender {
    return this.#flights.signals
  }

  isSent(): boolean {
    return this.#session.serverSession.lastUse !== this.#mark
  }

  evaluate(controller: Signal.Signalled): PromiseLike<A> {
    const session = this.#session
    return session.inTransaction()
      ? DriverTransaction.keepStarting(session, this.#evaluate, controller)
      : this.#evaluate(session, controller)
  }

  done(exit: Exit.Exit<A, MongoError>): void {
    const session = this.#session
    const { serverSession } = session
    const { leftover } = this.#flights
    if (this.isSent()) {
      leftover.settled(exit, session.inTransaction())
      const hasNumber = this.#isNumbered || serverSession.txnNumber > this.#txnNumber
      // The caller's own code may hide that a command was lost.
      const isSure = Exit.isSuccess(exit) && !(this.isOpaque === true && serverSession.isDirty)
      if (hasNumber && isSure) leftover.hears(serverSession.txnNumber)
    }
    this.#flights.ends(serverSession, this.#mark, this.#fiber)
    this.#done(exit)
  }

  onBroken(error: Driver.MongoNetworkError): void {
    DriverTransaction.broken(this.#session, error)
  }

  onAborted(): void {
    const isSent = this.isSent()
    if (isSent) this.#flights.leftover.givenUp(this.#session.inTransaction())
    this.#onAborted?.(isSent)
  }

  onUnsettled(call: Parameters<Call.CallOptions["onUnsettled"]>[0]): Effect.Effect<void> {
    return Effect.zipRight(Log.unsettled(call), this.#flights.home.breakUp)
  }

  afterwards(): Effect.Effect<void> {
    const { home, kill, leftover } = this.#flights
    return leftover.kill(home, kill)
  }
}
