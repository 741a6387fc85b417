/**
 * Runs promises of the driver as effects.
 *
 * All of them go through {@link call} or {@link begin}. An interruption waits until the driver is done with the operation, a
 * failure of the driver becomes a MongoError, and a bug in the user's code stays a defect.
 */
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { constVoid } from "effect/Function"
import type * as Driver from "mongodb"
import type { MongoError } from "../../MongoError.js"
import { within } from "../time/bounded.js"
import { matchCause, type Restore, traced } from "../time/fiber.js"
import * as DriverCursor from "./cursor.js"
import { brokenSocket, toCause } from "./errors.js"
import * as Signal from "./signal.js"
import { marked, readable } from "./understood.js"

/** What a call is for and how long an interruption may wait for it. */
export interface CallOptions {
  readonly operation: string
  readonly namespace?: string | undefined
  readonly settleTimeout: Duration.Duration
  /** Whether it runs the caller's own code, whose bugs are none of the driver's. Default `false`. */
  readonly isOpaque?: boolean | undefined
  /** The client on which the operation may open cursors with the signal. Default: it opens none. */
  readonly client?: Driver.MongoClient | undefined
  /** Called when the connection broke while a command was written, with the error that takes the place of the socket's. */
  readonly onBroken?: ((error: Driver.MongoNetworkError) => void) | undefined
  /** Called when the operation was given up at the signal. */
  readonly onAborted?: (() => void) | undefined
  /** What runs when the driver's promise had not settled within `settleTimeout` after an interruption. */
  readonly onUnsettled: (call: Pick<CallOptions, "operation" | "settleTimeout">) => Effect.Effect<void>
}

/**
 * Runs one promise of the driver.
 *
 * An interruption fires the AbortSignal and then waits until the promise has settled, for at most `settleTimeout`: a
 * command that is still in flight must not be overtaken by the next one of its session.
 */
export const call = <A>(
  options: CallOptions,
  evaluate: (controller: Signal.Signalled) => PromiseLike<A>,
  watcher?: Watcher
): Effect.Effect<A, MongoError> =>
  Effect.uninterruptibleMask((restore) =>
    settling(restore, (done) => begin({ ...options, evaluate, done }), (exit) => watcher?.over(exit))
  )

/** Listens to the end of an operation. */
export interface Watcher {
  readonly over: (exit: Exit.Exit<unknown, unknown>) => void
}

/**
 * Runs an effect, and tells a watcher its exit, in a step of the fiber: what the watcher throws, as a tracer may, is a defect
 * beside what the effect has failed with.
 */
export const telling = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  watcher: Watcher | undefined
): Effect.Effect<A, E, R> =>
  watcher === undefined ? effect : Effect.uninterruptibleMask((restore) =>
    matchCause(restore(effect), (cause) => {
      const exit = Exit.failCause(cause)
      return Effect.ensuring(exit, Effect.sync(() => watcher.over(exit)))
    }, (value) => {
      const exit = Exit.succeed(value)
      watcher.over(exit)
      return exit
    })
  )

/**
 * Begins a call and waits until it has settled, where nothing but the wait can be interrupted. `over` is called when nothing
 * of the call is in flight any more: an interruption may have closed cursors after it.
 *
 * `Effect.async` alone is not enough: it begins before it guards, and an interruption in between would be lost.
 */
export const settling = <A, E>(
  restore: Restore,
  begin: (done: (exit: Exit.Exit<A, E>) => void) => Effect.Effect<void>,
  over: (exit: Exit.Exit<A, E>) => void = constVoid
): Effect.Effect<A, E> => {
  let exit: Exit.Exit<A, E> | undefined
  let resume: ((exit: Exit.Exit<A, E>) => void) | undefined
  const onInterrupt = begin((settled) => {
    exit = settled
    resume?.(settled)
  })
  const wait = Effect.async<A, E>((wake) => {
    resume = wake
    if (exit !== undefined) wake(exit)
  })
  return matchCause(restore(wait), (cause) => {
    if (Cause.isInterruptedOnly(cause)) {
      const exit = Exit.failCause(cause)
      return Effect.zipRight(Effect.ensuring(onInterrupt, Effect.sync(() => over(exit))), exit)
    }
    const exit = Exit.failCause(cause)
    over(exit)
    return traced(exit)
  }, (value) => {
    const exit = Exit.succeed(value)
    over(exit)
    return exit
  })
}

/** A call, and who is told when it has settled. */
export interface Call<A> extends CallOptions {
  /** Lends signals to calls of which the next one begins when this is over. Default: this has one of its own. */
  readonly signals?: Signal.Lender | undefined
  /** Whether a command of it was sent. Default: it may have been. */
  readonly isSent?: (() => boolean) | undefined
  /** What an interruption does besides, when the promise has settled. Default: nothing. */
  readonly afterwards?: (() => Effect.Effect<void>) | undefined
  readonly evaluate: (controller: Signal.Signalled) => PromiseLike<A>
  readonly done: (exit: Exit.Exit<A, MongoError>) => void
}

/** Begins a {@link call}, and returns the effect that an interruption runs. */
export const begin = <A>(call: Call<A>): Effect.Effect<void> => {
  const controllers = new Signal.Controllers(call.signals)
  let isAborted = false
  const settled = start(call, controllers).then(
    (value) => call.done(Exit.succeed(value)),
    (error: unknown) => {
      if (isAborted) call.onAborted?.()
      call.done(failed(call, error))
    }
  )
  return Effect.suspend(() => {
    isAborted = true
    const cursors = controllers.due(isSent(call)).flatMap((controller) => {
      const cursors = DriverCursor.withSignal(call.client, controller.signal)
      DriverCursor.abort(controller, cursors)
      return cursors
    })
    const over = settle(call, settled.then(() => DriverCursor.closeAll(cursors)))
    return Effect.zipRight(over, Effect.suspend(() => call.afterwards?.() ?? Effect.void))
  })
}

// Reading the fields of a foreign error may throw.
const failed = <A>(call: Call<A>, error: unknown): Exit.Exit<A, MongoError> => {
  try {
    const broken = isSent(call) ? brokenSocket(error) : undefined
    if (broken !== undefined) call.onBroken?.(broken)
    return Exit.failCause(toCause(call, broken ?? readable(call.isOpaque === true ? error : marked(error))))
  } catch (defect) {
    return Exit.die(defect)
  }
}

// A function that throws instead of rejecting is treated alike.
const start = <A>(call: Call<A>, controller: Signal.Signalled): Promise<A> => {
  try {
    return Promise.resolve(call.evaluate(controller))
  } catch (error) {
    return Promise.reject(error)
  }
}

const isSent = <A>(call: Call<A>): boolean => call.isSent === undefined || call.isSent()

// An unsent operation is waited for twice as long: the driver may be about to give up the selection of a server.
const settle = <A>(call: Call<A>, settled: Promise<void>, isLast = false): Effect.Effect<void> =>
  Effect.flatMap(within(call.settleTimeout, Effect.promise(() => settled)), (inTime) => {
    if (inTime) return Effect.void
    return isLast || isSent(call) ? call.onUnsettled(call) : settle(call, settled, true)
  })
