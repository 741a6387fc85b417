/**
 * Time limits of operations: how much time is left, and an end to waiting when there is none.
 *
 * See the specification "Client Side Operations Timeout".
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { MongoError } from "../MongoError.js"
import { after } from "./bounded.js"
import { clockOf, type RunningFiber } from "./fiber.js"

/** When something is to be over. */
export interface Deadline {
  /** How much time there was in the beginning. */
  readonly timeout: Duration.Duration
  /** How many milliseconds are left; none or fewer when the time is over. */
  readonly left: () => number
}

/** What errors call that which takes its time. */
interface Name {
  readonly operation: string
  readonly namespace?: string | undefined
}

/** A deadline so far ahead, by the clock of a fiber. */
export const start = (fiber: RunningFiber, timeout: Duration.Duration): Deadline => {
  const clock = clockOf(fiber)
  const began = clock.unsafeCurrentTimeNanos()
  const millis = Duration.toMillis(timeout)
  return { timeout, left: () => millis - Number(clock.unsafeCurrentTimeNanos() - began) / 1_000_000 }
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
