/**
 * How long a server lets a transaction be open: its parameter `transactionLifetimeLimitSeconds`.
 *
 * See the manual, "Production Considerations", section "Runtime Limit".
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Driver from "mongodb"
import type { MongoError } from "../../MongoError.js"
import { within } from "../time/bounded.js"
import type { RunningFiber } from "../time/fiber.js"
import { numberOf } from "../values/numbers.js"
import { runLike } from "./background.js"
import { tagsOfConflict } from "./log.js"
import { Series } from "./series.js"

/** What is known of it: nobody has asked yet, the server does not tell, or a time. */
export type Limit = Duration.Duration | "unknown" | undefined

/** The limit of one client's servers, which are asked once. Keeps the tags of conflicts for as long. */
export class Lifetime {
  /** The tags of the conflicts that the client's transactions lose. */
  readonly conflicts = new Series(tagsOfConflict)
  readonly #send: (command: Driver.Document) => Effect.Effect<Driver.Document, MongoError>
  readonly #isClosed: () => boolean
  #limit: Limit
  #waiting: Array<() => void> | undefined

  constructor(
    send: (command: Driver.Document) => Effect.Effect<Driver.Document, MongoError>,
    isClosed: () => boolean
  ) {
    this.#send = send
    this.#isClosed = isClosed
  }

  /** What is known now. */
  get limit(): Limit {
    return this.#limit
  }

  /**
   * Asks the server for it in the background, as a fiber does that nobody waits for, and calls a function when the answer is
   * there. Who asks meanwhile shares the answer. After a question that no server has answered, the next one asks again.
   */
  ask(fiber: RunningFiber, then: () => void): void {
    if (this.#waiting !== undefined) {
      this.#waiting.push(then)
      return
    }
    // The driver would connect a closed client again.
    if (this.#isClosed()) return
    this.#waiting = [then]
    const asked = Effect.map(Effect.exit(this.#send({ getParameter: 1, [name]: 1 })), (exit) => {
      this.#limit = Exit.match(exit, { onFailure: limitOf, onSuccess: limitIn })
    })
    const told = Effect.map(within(patience, asked), () => {
      const waiting = this.#waiting ?? []
      this.#waiting = undefined
      for (const then of waiting) then()
    })
    // It is no part of whatever the fiber runs.
    runLike(fiber, told, Context.empty())
  }
}

/** For how long an answer is waited for. */
const patience = Duration.seconds(10)

const name = "transactionLifetimeLimitSeconds"

// What the server refuses each time: the user may not ask, or there is no such command or parameter. Anything else passes.
const limitOf = (cause: Cause.Cause<MongoError>): Limit =>
  Option.match(Cause.failureOption(cause), {
    onNone: () => undefined,
    onSome: ({ code }) => code !== undefined && forGood.has(code) ? "unknown" : undefined
  })

// Unauthorized, CommandNotFound, InvalidOptions, CommandNotSupported, APIStrictError, AtlasError.
const forGood: ReadonlySet<number> = new Set([13, 59, 72, 115, 323, 8000])

const limitIn = (reply: Driver.Document): Limit => {
  const seconds = numberOf(reply[name])
  return seconds > 0 ? Duration.seconds(seconds) : "unknown"
}
