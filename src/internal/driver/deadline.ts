/**
 * Applies the deadline of an operation: as a time limit for the server, and for the wait for the driver.
 *
 * See the specification "Client Side Operations Timeout". The driver has given up its own `timeoutMS`: a session still
 * keeps a deadline for its operations, but no option sets one any more. A driver session keeps it in a field that its
 * typings leave out.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Driver from "mongodb"
import { MongoError } from "../../MongoError.js"
import { after } from "../time/bounded.js"
import type { Deadline } from "../time/clock.js"
import type { RunningFiber } from "../time/fiber.js"
import { amended } from "./errors.js"
import { ofSession } from "./privates.js"

/** What errors call the operation. */
interface Operation {
  readonly operation: string
  readonly namespace?: string | undefined
}

/**
 * The server's time limit in whole milliseconds: the time that is left, or the limit that was asked for if that is shorter.
 * Never 0, which means no limit.
 */
export const maxTimeMS = ({ left }: Deadline, asked: unknown): number => {
  const millis = Math.max(1, Math.min(Math.floor(left()), longest))
  return typeof asked === "number" && asked > 0 ? Math.min(asked, millis) : millis
}

// What the server takes: its times are signed 32-bit numbers.
const longest = 2 ** 31 - 1

// An operation that begins after its deadline sends nothing.
const ensureLeft = ({ left }: Deadline, name: Operation): Effect.Effect<void, MongoError> =>
  Effect.suspend(() => left() > 0 ? Effect.void : Effect.fail(timedOut(name)))

/** The failure of an operation that exceeded its deadline. */
export const timedOut = ({ namespace, operation }: Operation, last?: MongoError): MongoError =>
  new MongoError({ reason: "TimedOut", operation, namespace, labels: last?.labels ?? [], cause: last })

/**
 * Turns a failed wait of the driver, such as that for a server, into a time-out if the deadline is over; and that of the server for
 * a majority, if that has taken longer than the server was told that it may.
 */
export const late = <E>({ left }: Deadline, name: Operation, error: E): E | MongoError => {
  if (!(error instanceof MongoError)) return error
  if (error.reason === "WriteConcernFailed" && error.code === maxTimeMSExpired) {
    return amended(error, { reason: "TimedOut" })
  }
  return left() <= 0 && waits.has(error.reason) ? timedOut(name, error) : error
}

/** The code with which a server says that its own time limit ran out. */
export const maxTimeMSExpired = 50

const waits: ReadonlySet<MongoError["reason"]> = new Set<MongoError["reason"]>([
  "ServerSelectionFailed",
  "PoolFailure",
  "Interrupted"
])

/**
 * Runs an effect until its deadline. At the deadline it fails at once and interrupts the effect. The effect keeps what it
 * holds until its interruption is complete.
 */
export const bounded = <A, E, R>(
  deadline: Deadline,
  name: Operation,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E | MongoError, R> =>
  Effect.zipRight(
    ensureLeft(deadline, name),
    Effect.uninterruptibleMask((restore) =>
      // A fiber of its own, also where nothing can be interrupted: there, too, the time runs out.
      Effect.flatMap(Effect.forkDaemon(Effect.interruptible(effect)), (running) => {
        const waiting = Effect.withFiberRuntime<A, E | MongoError>((fiber) =>
          Effect.async((resume) => {
            const stop = atEnd(fiber, deadline, () => {
              resume(Effect.fail(timedOut(name)))
              running.unsafeInterruptAsFork(fiber.id())
            })
            running.addObserver((exit) => {
              stop()
              resume(Effect.mapError(exit, (error) => late(deadline, name, error)))
            })
            return Effect.sync(stop)
          })
        )
        return Effect.onInterrupt(restore(waiting), () => Fiber.interrupt(running))
      })
    )
  )

// Who waits until a deadline, for as long as they wait.
const waiters = new WeakMap<Deadline, Set<() => void>>()

// Gives up at the deadline. The returned function ends the wait.
const atEnd = (fiber: RunningFiber, deadline: Deadline, giveUp: () => void): () => void => {
  const all = waiters.get(deadline) ?? new Set()
  waiters.set(deadline, all)
  const end = () => {
    stop()
    all.delete(over)
  }
  const over = () => {
    end()
    giveUp()
  }
  const stop = after(fiber, Duration.millis(Math.max(0, deadline.left())), over)
  all.add(over)
  return end
}

/** A time limit in the form that the driver waits for. */
interface Expiry extends Promise<never> {
  /** In milliseconds, for the messages of the driver. */
  readonly duration: number
  readonly clear: () => void
  readonly throwIfExpired: () => void
}

/** What the driver asks of a deadline. */
interface TimeoutContext {
  /** Asked by this library alone: whether no time is left. */
  readonly isOver: () => boolean
  /** With `true` the driver would repeat what fails until the deadline, and need a clock of its own. */
  readonly csotEnabled: () => boolean
  readonly clearServerSelectionTimeout: boolean
  readonly serverSelectionTimeout: Expiry
  readonly connectionCheckoutTimeout: Expiry
  readonly timeoutForSocketRead: Expiry
  readonly timeoutForSocketWrite: Expiry
  readonly maxTimeMS: null
  readonly addMaxTimeMSToCommand: (command: Driver.Document, options: { readonly omitMaxTimeMS?: boolean }) => void
  readonly getSocketTimeoutMS: () => number
  readonly clear: () => void
  readonly refresh: () => void
  readonly refreshed: () => TimeoutContext
}

/** Runs an operation with a deadline, of which the server may be told. Nothing else may run in its session meanwhile. */
export const during = async <A>(
  session: Driver.ClientSession,
  deadline: Deadline,
  fiber: RunningFiber,
  evaluate: () => PromiseLike<A>,
  omitsMaxTime = false
): Promise<A> => {
  const own = ofSession(session)
  // Where the driver keeps no deadline, only the waiting for it has an end.
  if (own.timeoutContext === undefined) return evaluate()
  const { serverSelectionTimeoutMS, waitQueueTimeoutMS } = own.client.options
  const context = make(deadline, fiber, serverSelectionTimeoutMS, waitQueueTimeoutMS, omitsMaxTime)
  own.timeoutContext = context
  try {
    return await evaluate()
  } finally {
    if (own.timeoutContext === context) own.timeoutContext = null
  }
}

/** Whether the operation that runs in a session has no time left, so that nothing more is sent for it. */
export const isOver = (session: Driver.ClientSession): boolean => {
  const context: Partial<TimeoutContext> | null = ofSession(session).timeoutContext
  return context?.isOver?.() ?? false
}

const make = (
  deadline: Deadline,
  fiber: RunningFiber,
  serverSelectionTimeoutMS: number,
  waitQueueTimeoutMS: number,
  omitsMaxTime: boolean
): TimeoutContext => {
  const context: TimeoutContext = {
    isOver: () => deadline.left() <= 0,
    csotEnabled: () => false,
    clearServerSelectionTimeout: true,
    get serverSelectionTimeout() {
      return expiry(fiber, deadline, serverSelectionTimeoutMS)
    },
    get connectionCheckoutTimeout() {
      return expiry(fiber, deadline, waitQueueTimeoutMS)
    },
    get timeoutForSocketRead() {
      return expiry(fiber, deadline)
    },
    get timeoutForSocketWrite() {
      return expiry(fiber, deadline)
    },
    maxTimeMS: null,
    addMaxTimeMSToCommand: (command, { omitMaxTimeMS = omitsMaxTime }) => {
      withoutEmptyConcern(command)
      // A cursor has the time limit that it was opened with.
      if (omitMaxTimeMS !== true && command["getMore"] === undefined) {
        command["maxTimeMS"] = maxTimeMS(deadline, command["maxTimeMS"])
      }
    },
    // None: that of the client does not count beside a deadline.
    getSocketTimeoutMS: () => 0,
    clear: () => undefined,
    refresh: () => undefined,
    refreshed: () => context
  }
  return context
}

// A write concern that had nothing but a time limit, which the deadline takes the place of.
const withoutEmptyConcern = (command: Driver.Document): void => {
  const { writeConcern } = command
  if (
    writeConcern !== undefined && writeConcern !== null &&
    Object.values(writeConcern).every((value) => value === undefined)
  ) {
    delete command["writeConcern"]
  }
}

// Of the driver's own limits, 0 is none.
const least = ({ left }: Deadline, limit: number): number => Math.max(0, limit > 0 ? Math.min(left(), limit) : left())

const expiry = (fiber: RunningFiber, deadline: Deadline, limit = 0): Expiry => {
  const millis = least(deadline, limit)
  const duration = Math.ceil(millis)
  // The driver knows it by its name.
  const error = Object.assign(new Error(`Expired after ${duration}ms`), { name: "TimeoutError", duration })
  let isExpired = millis <= 0
  let clear: () => void = () => undefined
  const promise = new Promise<never>((_, reject) => {
    if (isExpired) {
      reject(error)
    } else {
      clear = after(fiber, Duration.millis(millis), () => {
        isExpired = true
        // Who waits with the same deadline gives up first, and then closes what the server may have opened meanwhile. Two
        // timers of one moment fire in any order, so that theirs may be late; and their fibers need a moment.
        if (deadline.left() <= 0) waiters.get(deadline)?.forEach((giveUp) => giveUp())
        // eslint-disable-next-line no-restricted-globals
        setImmediate(reject, error)
      })
    }
  })
  // Nobody may be waiting for it any more.
  promise.catch(() => undefined)
  return Object.assign(promise, {
    duration,
    clear: () => clear(),
    throwIfExpired: () => {
      if (isExpired) throw error
    }
  })
}
