/**
 * The deadline of an operation: what the server is told of it, and what ends the waiting for the driver when it is over.
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
import type { Deadline } from "../time/deadline.js"
import type { RunningFiber } from "../time/fiber.js"
import { ofSession } from "./privates.js"

/** What errors call that which takes its time. */
interface Name {
  readonly operation: string
  readonly namespace?: string | undefined
}

/**
 * What the server is told that it may take, in whole milliseconds: what is left, or less if less is asked for. Never 0,
 * which would be no limit.
 */
export const maxTimeMS = ({ left }: Deadline, asked: unknown): number => {
  const millis = Math.max(1, Math.min(Math.floor(left()), longest))
  return typeof asked === "number" && asked > 0 ? Math.min(asked, millis) : millis
}

// What the server takes: its times are signed 32-bit numbers.
const longest = 2 ** 31 - 1

// What begins too late is not sent.
const ensureLeft = ({ left }: Deadline, name: Name): Effect.Effect<void, MongoError> =>
  Effect.suspend(() => left() > 0 ? Effect.void : Effect.fail(timedOut(name)))

/** The failure of what was not over in time. */
export const timedOut = ({ namespace, operation }: Name, last?: MongoError): MongoError =>
  new MongoError({ reason: "TimedOut", operation, namespace, labels: last?.labels ?? [], cause: last })

/** A failure, seen at its deadline: what the driver waited for in vain until then is a time-out like any other. */
export const late = <E>({ left }: Deadline, name: Name, error: E): E | MongoError =>
  error instanceof MongoError && left() <= 0 && waits.has(error.reason) ? timedOut(name, error) : error

const waits: ReadonlySet<MongoError["reason"]> = new Set<MongoError["reason"]>([
  "ServerSelectionFailed",
  "PoolFailure",
  "Interrupted"
])

/**
 * Runs an effect until its deadline. Then it fails at once, and the effect is interrupted, which goes on for as long as
 * that takes: what the effect holds, it holds until then.
 */
export const bounded = <A, E, R>(
  deadline: Deadline,
  name: Name,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E | MongoError, R> =>
  Effect.zipRight(
    ensureLeft(deadline, name),
    Effect.uninterruptibleMask((restore) =>
      // A fiber of its own, also where nothing can be interrupted: there, too, the time runs out.
      Effect.flatMap(Effect.forkDaemon(Effect.interruptible(effect)), (running) => {
        const waiting = Effect.withFiberRuntime<A, E | MongoError>((fiber) =>
          Effect.async((resume) => {
            const stop = after(fiber, Duration.millis(Math.max(0, deadline.left())), () => {
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

/** Something that the driver waits for at most so long. */
interface Expiry extends Promise<never> {
  /** The driver tells it in its messages. */
  readonly duration: number
  readonly clear: () => void
  readonly throwIfExpired: () => void
}

/** What the driver asks of a deadline. */
interface TimeoutContext {
  /** With `true` the driver would repeat what fails until the deadline, and need a clock of its own. */
  readonly csotEnabled: () => boolean
  readonly clearServerSelectionTimeout: boolean
  readonly serverSelectionTimeout: Expiry
  readonly connectionCheckoutTimeout: Expiry
  readonly timeoutForSocketRead: Expiry
  readonly timeoutForSocketWrite: Expiry
  readonly maxTimeMS: null
  readonly addMaxTimeMSToCommand: (command: Driver.Document, options: { readonly omitMaxTimeMS?: boolean }) => void
  readonly getSocketTimeoutMS: () => undefined
  readonly clear: () => void
  readonly refresh: () => void
  readonly refreshed: () => TimeoutContext
}

/** Runs an operation of a session that nothing else runs in meanwhile, with a deadline. */
export const during = async <A>(
  session: Driver.ClientSession,
  deadline: Deadline,
  fiber: RunningFiber,
  evaluate: () => PromiseLike<A>
): Promise<A> => {
  const own = ofSession(session)
  // Where the driver keeps no deadline, only the waiting for it has an end.
  if (own.timeoutContext === undefined) return evaluate()
  const { serverSelectionTimeoutMS, waitQueueTimeoutMS } = own.client.options
  const context = make(deadline, fiber, serverSelectionTimeoutMS, waitQueueTimeoutMS)
  own.timeoutContext = context
  try {
    return await evaluate()
  } finally {
    if (own.timeoutContext === context) own.timeoutContext = null
  }
}

const make = (
  deadline: Deadline,
  fiber: RunningFiber,
  serverSelectionTimeoutMS: number,
  waitQueueTimeoutMS: number
): TimeoutContext => {
  const context: TimeoutContext = {
    csotEnabled: () => false,
    clearServerSelectionTimeout: true,
    get serverSelectionTimeout() {
      return expiry(fiber, least(deadline, serverSelectionTimeoutMS))
    },
    get connectionCheckoutTimeout() {
      return expiry(fiber, least(deadline, waitQueueTimeoutMS))
    },
    get timeoutForSocketRead() {
      return expiry(fiber, least(deadline, 0))
    },
    get timeoutForSocketWrite() {
      return expiry(fiber, least(deadline, 0))
    },
    maxTimeMS: null,
    addMaxTimeMSToCommand: (command, { omitMaxTimeMS }) => {
      // A cursor has the time limit that it was opened with.
      if (omitMaxTimeMS !== true && command["getMore"] === undefined) {
        command["maxTimeMS"] = maxTimeMS(deadline, command["maxTimeMS"])
      }
    },
    getSocketTimeoutMS: () => undefined,
    clear: () => undefined,
    refresh: () => undefined,
    refreshed: () => context
  }
  return context
}

// Of the driver's own limits, 0 is none.
const least = ({ left }: Deadline, limit: number): number => Math.max(0, limit > 0 ? Math.min(left(), limit) : left())

const expiry = (fiber: RunningFiber, millis: number): Expiry => {
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
        reject(error)
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
