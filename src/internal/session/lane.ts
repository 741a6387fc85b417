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
import type * as Tracer from "effect/Tracer"
import { SessionBusy } from "../../SessionErrors.js"
import { laneWait, messages } from "../../Telemetry.js"
import { update } from "../telemetry/log.js"
import { clockOf, secondsSince } from "../time/clock.js"
import type { Restore, RunningFiber } from "../time/fiber.js"

/** Who asks for the permit: the operation, and the span that it runs in. */
export interface Claim {
  readonly operation: string
  readonly span: Tracer.AnySpan | undefined
}

/** What whoever finds the permit taken does: waits in the queue, or fails with `SessionBusy`. */
export type OnBusy = "queue" | "fail"

/** A claim to the permit of a lane, granted or still in the queue. */
export interface Waiter {
  readonly lane: Lane
  readonly claim: Claim
  wake: (() => void) | undefined
  /** Whether nobody waits any more for the operation that has the permit. */
  isAbandoned: boolean
}

/** A queue for one permit. */
export interface Lane {
  holder: Waiter | undefined
  // A Set keeps the order of arrival and forgets an interrupted waiter in constant time. None until somebody waits: most
  // sessions are used by one fiber.
  waiting: Set<Waiter> | undefined
}

/** How long a wait for the permit is silent. */
const patience = Duration.seconds(10)

export const make = (): Lane => ({ holder: undefined, waiting: undefined })

/** Whether an operation holds the permit at this moment. */
export const isBusy = (lane: Lane): boolean => lane.holder !== undefined

/** Whether one holds it for which nobody waits any more. */
export const isAbandoned = (lane: Lane): boolean => lane.holder?.isAbandoned === true

/**
 * Runs an effect with the lane's permit, and gives the permit back when the effect ends, however it ends.
 *
 * The wait can be interrupted, and then leaves the queue at once.
 */
export const withPermit = <A, E, R>(
  lane: Lane,
  operation: string,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.withFiberRuntime<A, E, R>((fiber) =>
      Effect.flatMap(
        enter(lane, operation, restore, fiber),
        (held) => Effect.ensuring(restore(effect), Effect.sync(() => leave(held)))
      )
    )
  )

/**
 * Takes the permit for a fiber where nothing but the wait for it can be interrupted, at once if nobody has it. Whoever has
 * it gives it back by {@link leave}.
 */
export function enter(lane: Lane, operation: string, restore: Restore, fiber: RunningFiber): Effect.Effect<Waiter>
export function enter(
  lane: Lane,
  operation: string,
  restore: Restore,
  fiber: RunningFiber,
  onBusy: OnBusy
): Effect.Effect<Waiter, SessionBusy>
export function enter(
  lane: Lane,
  operation: string,
  restore: Restore,
  fiber: RunningFiber,
  onBusy: OnBusy = "queue"
): Effect.Effect<Waiter, SessionBusy> {
  const waiter: Waiter = { lane, claim: { operation, span: fiber.currentSpan }, wake: undefined, isAbandoned: false }
  if (lane.holder === undefined) {
    lane.holder = waiter
    return Effect.succeed(waiter)
  }
  return onBusy === "queue"
    ? queue(waiter, restore, fiber)
    : Effect.fail(new SessionBusy({ operation, holder: lane.holder.claim.operation, reason: "running" }))
}

const queue = (waiter: Waiter, restore: Restore, fiber: RunningFiber): Effect.Effect<Waiter> => {
  const { lane } = waiter
  lane.waiting ??= new Set()
  lane.waiting.add(waiter)
  const began = clockOf(fiber).unsafeCurrentTimeNanos()
  // Whether the permit was handed over is looked up here, where nothing can interrupt: a fiber interrupted just as its
  // turn comes passes the permit on instead of taking it to its grave.
  return Effect.flatMap(Effect.exit(restore(wait(waiter))), (exit) => {
    update(fiber, laneWait, secondsSince(began, fiber))
    if (Exit.isSuccess(exit)) return Effect.succeed(waiter)
    leave(waiter)
    return Effect.failCause(exit.cause)
  })
}

/** Gives the permit to the first in the queue, or leaves the queue. Once is enough, twice does no harm. */
export const leave = (waiter: Waiter): void => {
  const { lane } = waiter
  if (lane.holder !== waiter) {
    lane.waiting?.delete(waiter)
    return
  }
  const next = lane.waiting?.values().next().value
  lane.holder = next
  if (next === undefined) return
  lane.waiting?.delete(next)
  next.wake?.()
}

const wait = (waiter: Waiter): Effect.Effect<void> =>
  Effect.flatMap(Effect.fork(complain(waiter)), (watch) =>
    Effect.ensuring(
      Effect.async<void>((resume) => {
        if (waiter.lane.holder === waiter) {
          resume(Effect.void)
        } else {
          waiter.wake = () => resume(Effect.void)
        }
      }),
      Fiber.interruptFork(watch)
    ))

const complain = (waiter: Waiter): Effect.Effect<void> =>
  // A wait inside an uninterruptible region must still be able to call off its watch.
  Effect.interruptible(Effect.delay(
    Effect.suspend(() => {
      const { lane } = waiter
      if (lane.waiting?.has(waiter) !== true) {
        return Effect.void
      }
      const holder = lane.holder?.claim
      return Effect.annotateLogs(
        Effect.logWarning(messages.waiting),
        {
          operation: waiter.claim.operation,
          holder: holder?.operation ?? "none",
          holderSpan: holder?.span?._tag === "Span" ? holder.span.name : "none"
        }
      )
    }),
    patience
  ))
