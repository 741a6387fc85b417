/**
 * The lane: what makes the operations of one session sequential.
 *
 * One permit, handed on first come, first served. It is not Effect's Semaphore, which wakes every waiting fiber at each
 * release: 1,000 operations queued on one session took seconds there, and their order was not kept when a newcomer
 * slipped in. Here a release hands the permit to the first in the queue and to nobody else.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { SessionBusy } from "../SessionErrors.js"
import { laneWait, messages } from "../Telemetry.js"
import { andThen, clockOf, type Restore, type RunningFiber, secondsSince } from "./fiber.js"
import { update } from "./reporting.js"
import { spanOf } from "./spans.js"

/** Who asks for the permit: the operation, and the span that it runs in. */
export interface Claim {
  readonly operation: string
  readonly span: string | undefined
}

/** A claim to the permit, granted or still in the queue. */
export interface Waiter {
  readonly claim: Claim
  wake: (() => void) | undefined
}

/** A queue for one permit. */
export interface Lane {
  holder: Waiter | undefined
  // A Set keeps the order of arrival and forgets an interrupted waiter in constant time.
  readonly waiting: Set<Waiter>
}

/** How long a wait for the permit is silent. */
const patience = Duration.seconds(10)

export const make = (): Lane => ({ holder: undefined, waiting: new Set() })

/** Whether an operation holds the permit at this moment. */
export const isBusy = (lane: Lane): boolean => lane.holder !== undefined

/**
 * Runs an effect with the lane's permit; the permit is given back when the effect has come to its end, however it ends.
 *
 * Waiting is interruptible and leaves the queue at once.
 */
export const withPermit = <A, E, R>(
  lane: Lane,
  operation: string,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.withFiberRuntime<A, E, R>((fiber) =>
      andThen(enter(lane, operation, restore, fiber), (held) => keeping(lane, held, restore(effect)))
    )
  )

/** {@link withPermit}, but fails instead of waiting. */
export const withPermitNow = <A, E, R>(
  lane: Lane,
  operation: string,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E | SessionBusy, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.withFiberRuntime<A, E | SessionBusy, R>((fiber) =>
      andThen(enterNow(lane, operation, fiber), (held) => keeping(lane, held, restore(effect)))
    )
  )

const keeping = <A, E, R>(lane: Lane, held: Waiter, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.ensuring(effect, Effect.sync(() => leave(lane, held)))

/**
 * Takes the permit for a fiber, at once or after a wait, where nothing else can be interrupted; whoever has it gives it back
 * by {@link leave}.
 */
export const enter = (
  lane: Lane,
  operation: string,
  restore: Restore,
  fiber: RunningFiber
): Effect.Effect<Waiter> => {
  if (lane.holder === undefined) return Effect.succeed(take(lane, operation, fiber))
  const waiter: Waiter = { claim: claimOf(operation, fiber), wake: undefined }
  lane.waiting.add(waiter)
  const began = clockOf(fiber).unsafeCurrentTimeNanos()
  // Whether the permit was handed over is looked up here, where nothing can interrupt: a fiber interrupted just as its
  // turn comes passes the permit on instead of taking it to its grave.
  return Effect.flatMap(Effect.exit(restore(turn(lane, waiter))), (exit) => {
    update(fiber, laneWait, secondsSince(began, fiber))
    if (Exit.isSuccess(exit)) return Effect.succeed(waiter)
    leave(lane, waiter)
    return Effect.failCause(exit.cause)
  })
}

/** {@link enter}, but fails instead of waiting. */
export const enterNow = (lane: Lane, operation: string, fiber: RunningFiber): Effect.Effect<Waiter, SessionBusy> =>
  lane.holder === undefined
    ? Effect.succeed(take(lane, operation, fiber))
    : Effect.fail(new SessionBusy({ operation, holder: lane.holder.claim.operation }))

/** Takes the permit of a lane that is not busy. */
export const take = (lane: Lane, operation: string, fiber: RunningFiber): Waiter => {
  const waiter: Waiter = { claim: claimOf(operation, fiber), wake: undefined }
  lane.holder = waiter
  return waiter
}

/** Gives the permit to the first in the queue, or leaves the queue. Once is enough, twice does no harm. */
export const leave = (lane: Lane, waiter: Waiter): void => {
  if (lane.holder !== waiter) {
    lane.waiting.delete(waiter)
    return
  }
  const next = lane.waiting.values().next()
  if (next.done === true) {
    lane.holder = undefined
    return
  }
  lane.waiting.delete(next.value)
  lane.holder = next.value
  next.value.wake?.()
}

const claimOf = (operation: string, fiber: RunningFiber): Claim => ({ operation, span: spanOf(fiber)?.name })

const turn = (lane: Lane, waiter: Waiter): Effect.Effect<void> =>
  Effect.flatMap(Effect.fork(complain(lane, waiter)), (watch) =>
    Effect.ensuring(
      Effect.async<void>((resume) => {
        if (lane.holder === waiter) {
          resume(Effect.void)
        } else {
          waiter.wake = () => resume(Effect.void)
        }
      }),
      Fiber.interruptFork(watch)
    ))

const complain = (lane: Lane, waiter: Waiter): Effect.Effect<void> =>
  // A wait inside an uninterruptible region must still be able to call off its watch.
  Effect.interruptible(Effect.delay(
    Effect.suspend(() => {
      if (!lane.waiting.has(waiter)) {
        return Effect.void
      }
      const holder = lane.holder?.claim
      return Effect.annotateLogs(
        Effect.logWarning(messages.waiting),
        {
          operation: waiter.claim.operation,
          holder: holder?.operation ?? "none",
          holderSpan: holder?.span ?? "none"
        }
      )
    }),
    patience
  ))
