/**
 * The internal interface of a session, for the operations and transactions that run in it.
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Driver from "mongodb"
import type { SessionEnded, SessionLapsed } from "../../SessionErrors.js"
import type * as Operations from "../telemetry/operations.js"
import type { RunningFiber } from "../time/fiber.js"
import type { Flights } from "./flight.js"
import type * as Lane from "./lane.js"
import type { Standing } from "./turn.js"

/** The key under which a session keeps its gate. */
export const key: unique symbol = Symbol.for("effect-mongo-session/Session/Gate")

/** The internal interface of a session. */
export interface Gate {
  readonly lane: Lane.Lane
  /** The operations that are in flight. */
  readonly flights: Flights
  readonly onBusy: Lane.OnBusy
  /** Who is told of the session's operations. */
  readonly observer: Operations.Observer
  readonly settleTimeout: Duration.Duration
  /** How long an operation may take in all; absent: no limit. */
  readonly timeout: Duration.Duration | undefined
  /** The driver session; another one after a renewal. */
  readonly session: Driver.ClientSession
  /** Why the session refuses every use; none where it does not. */
  readonly refusal: (operation: string) => SessionEnded | undefined
  /**
   * What an operation has to do before it may begin: nothing, mostly. It fails where none may; a session that has lapsed is
   * renewed, if it may be.
   */
  readonly ready: (
    operation: string,
    fiber: RunningFiber
  ) => Effect.Effect<void, SessionEnded | SessionLapsed> | undefined
  /** Calls the caller's own code. */
  readonly calling: <A>(call: () => A) => A
  /** Whether the caller's own code is being called at this moment, by whom everything in the session must wait. */
  readonly isCalling: boolean
  /** Refuses every further use: something in the session has not settled. */
  readonly breakUp: Effect.Effect<void>
  /**
   * Kills in the background all that the server has of a broken session. Nobody can use it again: its transaction would be open
   * until it is closed, and an abort would wait for the operation that never settled.
   */
  readonly kill: Effect.Effect<void>
  readonly isBroken: boolean
  /** The turn that outlives the fiber that took it, until the next such turn. */
  readonly standing: Standing | undefined
  readonly stand: (turn: Standing) => void
}
