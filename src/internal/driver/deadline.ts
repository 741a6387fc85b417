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
import { ofSession } from "./privates.js"

/** What errors call the operation. */
interface Name {
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
const ensureLeft = ({ left }: Deadline, name: Name): Effect.Effect<void, MongoError> =>
  Effect.suspend(() => left() > 0 ? Effect.void : Effect.fail(timedOut(name)))

/** The failure of an operation that exceeded its deadline. */
export const timedOut = ({ namespace, operation }: Name, last?: MongoError): MongoError =>
  new MongoError({ reason: "TimedOut", operation, namespace, labels: last?.labels ?? [], cause: last })

/** Turns a failed wait of the driver, such as that for a server, into a time-out if the deadline is over. */
export const late = <E>({ left }: Deadline, name: Name, error: E): E | MongoError =>
  error instanceof MongoError && left() <= 0 && waits.has(error.reason) ? timedOut(name, error) : error

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

/** A time limit in the form that the driver waits for. */
interface Expiry extends Promise<never> {
  /** In milliseconds, for the messages of the driver. */
  readonly duration: number
  readonly clear: () => void
  readonly expire: () => void
  readonly throwIfExpired: () => void
}

/** What the driver asks of a deadline. */
interface TimeoutContext {
  /** With `true` the driver would repeat what fails until the deadline, and need a clock of its own. */
  readonly csotEnabled: () => boolean
  readonly clearServerSelectionTimeout: boolean
  readonly serverSelectionTimeout: Expiry
  readonly connectionCheckoutTimeout: Expiry
  readonly timeoutForSocketRead: Expiry | null
  readonly timeoutForSocketWrite: Expiry | null
  readonly maxTimeMS: null
  readonly addMaxTimeMSToCommand: (command: Driver.Document, options: { readonly omitMaxTimeMS?: boolean }) => void
  readonly getSocketTimeoutMS: () => number | undefined
  readonly clear: () => void
  readonly refresh: () => void
  readonly refreshed: () => TimeoutContext
}

/**
 * Runs an operation with a deadline, of which the server may be told, or without one: then the client's own limits hold.
 * Nothing else may run in its session meanwhile.
 */
export const during = async <A>(
  session: Driver.ClientSession,
  deadline: Deadline | undefined,
  fiber: RunningFiber,
  evaluate: () => PromiseLike<A>,
  omitsMaxTime = false
): Promise<A> => {
  const own = ofSession(session)
  // Where the driver keeps no deadline, only the waiting for it has an end.
  if (own.timeoutContext === undefined) return evaluate()
  const context = new Limits(fiber, deadline, own.client.options, omitsMaxTime)
  own.timeoutContext = context
  try {
    return await evaluate()
  } finally {
    if (own.timeoutContext === context) own.timeoutContext = null
  }
}

/**
 * Calls off what runs {@link during} in a session, as far as it is not sent: it waits for no server and no connection any
 * more.
 */
export const callOff = (session: Driver.ClientSession): void => {
  const { timeoutContext } = ofSession(session)
  if (timeoutContext instanceof Limits) timeoutContext.callOff()
}

/** The limits of the driver that count before a command is sent, and beside a deadline do not count any more. */
interface ClientLimits {
  readonly serverSelectionTimeoutMS: number
  readonly waitQueueTimeoutMS: number
  readonly socketTimeoutMS?: number | undefined
}

class Limits implements TimeoutContext {
  readonly clearServerSelectionTimeout = true
  readonly maxTimeMS = null
  readonly #fiber: RunningFiber
  readonly #deadline: Deadline | undefined
  readonly #client: ClientLimits
  readonly #omitsMaxTime: boolean
  // What the driver waits with before it has sent the command.
  readonly #waits = new Set<Expiry>()
  #isCalledOff = false

  constructor(fiber: RunningFiber, deadline: Deadline | undefined, client: ClientLimits, omitsMaxTime: boolean) {
    this.#fiber = fiber
    this.#deadline = deadline
    this.#client = client
    this.#omitsMaxTime = omitsMaxTime
  }

  get serverSelectionTimeout(): Expiry {
    return this.#wait(this.#client.serverSelectionTimeoutMS)
  }

  get connectionCheckoutTimeout(): Expiry {
    return this.#wait(this.#client.waitQueueTimeoutMS)
  }

  get timeoutForSocketRead(): Expiry | null {
    return this.#socket
  }

  get timeoutForSocketWrite(): Expiry | null {
    return this.#socket
  }

  get #socket(): Expiry | null {
    return this.#deadline === undefined ? null : expiry(this.#fiber, least(this.#deadline, 0))
  }

  csotEnabled(): boolean {
    return false
  }

  addMaxTimeMSToCommand(
    command: Driver.Document,
    { omitMaxTimeMS = this.#omitsMaxTime }: { readonly omitMaxTimeMS?: boolean }
  ): void {
    if (this.#deadline === undefined) return
    withoutEmptyConcern(command)
    // A cursor has the time limit that it was opened with.
    if (!omitMaxTimeMS && command["getMore"] === undefined) {
      command["maxTimeMS"] = maxTimeMS(this.#deadline, command["maxTimeMS"])
    }
  }

  getSocketTimeoutMS(): number | undefined {
    // Beside a deadline, that of the client does not count.
    return this.#deadline === undefined ? this.#client.socketTimeoutMS : 0
  }

  clear(): void {
    this.#waits.clear()
  }

  refresh(): void {
    return
  }

  refreshed(): TimeoutContext {
    return this
  }

  callOff(): void {
    this.#isCalledOff = true
    for (const wait of this.#waits) wait.expire()
  }

  #wait(limit: number): Expiry {
    const wait = expiry(this.#fiber, this.#isCalledOff ? 0 : least(this.#deadline, limit))
    this.#waits.add(wait)
    return wait
  }
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
const least = (deadline: Deadline | undefined, limit: number): number => {
  const own = limit > 0 ? limit : Infinity
  return deadline === undefined ? own : Math.max(0, Math.min(deadline.left(), own))
}

const expiry = (fiber: RunningFiber, millis: number): Expiry => {
  const duration = Math.ceil(millis)
  // The driver knows it by its name.
  const error = Object.assign(new Error(`Expired after ${duration}ms`), { name: "TimeoutError", duration })
  let isExpired = false
  let clear = () => {}
  let expire = () => {}
  const promise = new Promise<never>((_, reject) => {
    expire = () => {
      isExpired = true
      reject(error)
    }
  })
  // Nobody may be waiting for it any more.
  promise.catch(() => undefined)
  if (millis <= 0) expire()
  else clear = after(fiber, Duration.millis(millis), expire)
  return Object.assign(promise, {
    duration,
    expire,
    clear: () => clear(),
    throwIfExpired: () => {
      if (isExpired) throw error
    }
  })
}
