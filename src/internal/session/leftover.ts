/**
 * What operations that nobody waits for any more may have left of a session on the server.
 *
 * A find that was given up may have left a cursor there whose id nobody knows. It lives as long as its session. Even when that
 * is killed at once, the session is ended on the server later.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Driver from "mongodb"
import type { MongoError } from "../../MongoError.js"
import * as DriverCursor from "../driver/cursor.js"
import { grace, within } from "../time/bounded.js"
import type * as MongoClient from "./client.js"

/** A session of which something may be left. */
export interface Owner {
  readonly client: MongoClient.Service
  readonly session: Driver.ClientSession
  readonly isBroken: boolean
}

/** What may be left of one session. */
export class Leftover {
  #state: "nothing" | "cursor" | "killed" = "nothing"
  // The number of a transaction that may be open there, though the driver holds it for ended.
  #transaction: number | undefined
  // The greatest number of a transaction or write of which the server has heard.
  #heard = -1

  /** The session goes on with another server session, of which nothing is left. */
  renew(): void {
    this.#state = "nothing"
    this.#transaction = undefined
    this.#heard = -1
  }

  /** There may be a cursor. */
  maybeCursor(): void {
    this.#state = "cursor"
  }

  /** All of it was killed. */
  isKilled(): void {
    this.#state = "killed"
    this.#transaction = undefined
  }

  /** A transaction that the driver holds for ended may be open, or is not. */
  maybeTransaction(number: number, isOpen: boolean): void {
    if (isOpen) this.#transaction = number
    else if (this.#transaction === number) this.#transaction = undefined
  }

  /** The server has answered a command with this number. */
  hears(number: number): void {
    this.#heard = number
  }

  /** Whether the server has heard of a greater number, which ends all that came before. */
  hasHeardAfter(number: number): boolean {
    return this.#heard > number
  }

  /** An operation that was sent was given up. The abort of a transaction kills the cursors that were opened in it. */
  givenUp(isInTransaction: boolean): void {
    if (!isInTransaction) this.maybeCursor()
    else if (this.#state === "nothing") this.#state = "killed"
  }

  /** An operation that was sent is over. Where the driver gives up at the deadline, nobody interrupts it. */
  settled(exit: Exit.Exit<unknown, MongoError>, isInTransaction: boolean): void {
    if (Exit.isFailure(exit) && isOverdue(exit.cause)) this.givenUp(isInTransaction)
  }

  /**
   * Kills all that the server has of the session, with the given effect, in the turn of what was interrupted. What fails is
   * done when the session is closed.
   */
  kill(of: Owner, kill: Effect.Effect<unknown, MongoError>): Effect.Effect<void> {
    const session = of.session
    const isAlone = !of.isBroken && !session.inTransaction() && !DriverCursor.hasOpen(session, of.client.driver)
    if (this.#state !== "cursor" || !isAlone) return Effect.void
    const killed = Effect.map(Effect.exit(kill), (exit) => {
      if (Exit.isSuccess(exit)) this.isKilled()
    })
    return Effect.asVoid(within(grace, killed))
  }

  /** Whether the session must be ended on the server, and what is left of it killed there before. */
  endsOnServer(release: "pool" | "end"): "no" | "end" | "kill" {
    // Nobody can commit it again by now; if it is committed, it stays so.
    const hasTransaction = this.#transaction !== undefined && !this.hasHeardAfter(this.#transaction)
    if (this.#state === "cursor" || hasTransaction) return "kill"
    return this.#state === "killed" || release === "end" ? "end" : "no"
  }
}

// A failure of the server has a code.
const isOverdue = (cause: Cause.Cause<MongoError>): boolean => {
  const failure = Cause.failureOption(cause)
  return Option.isSome(failure) && failure.value.reason === "TimedOut" && failure.value.code === undefined
}
