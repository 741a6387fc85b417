/**
 * Deadlines as the driver knows them: it has all that it takes to keep one, sends `maxTimeMS` with each command and gives
 * a connection up that did not answer in time, but since version 7 no option sets one any more.
 *
 * A driver session keeps its deadline in a field that the typings keep to themselves. A driver whose sessions have no such
 * field is left alone: then only the waiting for it has an end.
 */
import * as Duration from "effect/Duration"
import type * as Driver from "mongodb"
import { after } from "./bounded.js"
import { type Deadline, maxTimeMS } from "./deadline.js"
import type { RunningFiber } from "./fiber.js"

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

// What the driver's sessions have, but its typings keep to itself.
interface Hidden {
  timeoutContext?: TimeoutContext | null
  readonly client: Driver.MongoClient
}

/** Runs an operation of a session that nothing else runs in meanwhile, with a deadline. */
export const during = async <A>(
  session: Driver.ClientSession,
  deadline: Deadline,
  fiber: RunningFiber,
  evaluate: () => PromiseLike<A>
): Promise<A> => {
  const hidden = session as Driver.ClientSession & Hidden
  if (hidden.timeoutContext === undefined) return evaluate()
  const { serverSelectionTimeoutMS, waitQueueTimeoutMS } = hidden.client.options
  const context = make(deadline, fiber, serverSelectionTimeoutMS, waitQueueTimeoutMS)
  hidden.timeoutContext = context
  try {
    return await evaluate()
  } finally {
    if (hidden.timeoutContext === context) hidden.timeoutContext = null
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
