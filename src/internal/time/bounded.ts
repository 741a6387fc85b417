/**
 * Waits with a time limit, which also holds where nothing can be interrupted.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import { constVoid } from "effect/Function"
import * as Option from "effect/Option"
import { clockOf, start } from "./clock.js"
import type { Restore, RunningFiber } from "./fiber.js"

/**
 * Waits for an effect until a time limit, and says whether the effect ended. A further interruption does not shorten the
 * wait.
 */
export const within = <A, R>(
  time: Duration.Duration,
  effect: Effect.Effect<A, never, R>
): Effect.Effect<boolean, never, R> =>
  Effect.uninterruptible(Effect.gen(function*() {
    const outcome = yield* Deferred.make<boolean>()
    const race = (racer: Effect.Effect<boolean, never, R>) =>
      // Daemons: a fiber that is interrupted again interrupts its children, even in its finalizers.
      Effect.forkDaemon(Effect.onExit(Effect.interruptible(racer), (exit) => Deferred.done(outcome, exit)))
    const racers = [
      yield* race(Effect.as(effect, true)),
      yield* race(Effect.as(Effect.sleep(time), false))
    ]
    const inTime = yield* Deferred.await(outcome)
    // Not waited for: what is late may be slow to give up, too.
    yield* Effect.forEach(racers, Fiber.interruptFork, { discard: true })
    return inTime
  }))

/** Waits for an effect until a time limit, and fails then. What is late is interrupted, and not waited for. */
export const giveUpAfter = <A, E, R>(
  time: Duration.Duration,
  effect: Effect.Effect<A, E, R>,
  late: () => E
): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    let exit: Exit.Exit<A, E> | undefined
    const noted = Effect.map(Effect.exit(effect), (settled) => void (exit = settled))
    return Effect.zipRight(within(time, noted), Effect.suspend(() => exit ?? Effect.failSync(late)))
  })

/** The time limit, after an interruption, of what cannot be interrupted. */
export const grace = Duration.seconds(5)

/**
 * Waits for a caller's effect where nothing can be interrupted, until a time limit, and until {@link grace} after an
 * interruption. If the effect is not over by then, it is interrupted, and the result is none.
 */
export const patiently = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  time: Duration.Duration,
  restore: Restore
): Effect.Effect<Option.Option<Exit.Exit<A, E>>, never, R> =>
  Effect.gen(function*() {
    const outcome = yield* Deferred.make<Option.Option<Exit.Exit<A, E>>>()
    const late = Deferred.succeed(outcome, Option.none())
    const settling = Effect.flatMap(Effect.exit(Effect.interruptible(effect)), (exit) =>
      Deferred.succeed(outcome, Option.some(exit)))
    const running = yield* Effect.forkDaemon(settling)
    // Not by a time-out of the wait, which could not end it where the caller cannot be interrupted either.
    const limit = yield* Effect.forkDaemon(Effect.interruptible(Effect.delay(late, time)))
    const over = Deferred.await(outcome)
    const waited = yield* Effect.exit(restore(over))
    if (Exit.isFailure(waited) && !(yield* within(Duration.min(grace, time), over))) {
      yield* late
    }
    yield* Fiber.interruptFork(limit)
    const end = yield* over
    if (Option.isNone(end)) {
      yield* Fiber.interruptFork(running)
    }
    return end
  })

/**
 * Calls a function after a time, by the clock of a fiber. The returned function cancels the call.
 *
 * With the real clock it is a timer, not a fiber that sleeps: each commit needs one, it hardly ever fires, and a fiber
 * costs more than all else that this library does for a commit.
 */
export const after = (
  fiber: RunningFiber,
  time: Duration.Duration,
  then: () => void
): () => void => {
  const clock = clockOf(fiber)
  if (clock !== realClock) {
    const sleeping = Effect.runFork(Effect.map(clock.sleep(time), then))
    return () => sleeping.unsafeInterruptAsFork(FiberId.none)
  }
  const millis = Duration.toMillis(time)
  if (millis > longest) return constVoid
  const { left } = start(fiber, time)
  const arm = (millis: number): ReturnType<typeof setTimeout> =>
    // eslint-disable-next-line no-restricted-globals
    setTimeout(() => {
      // A timer counts from when the event loop last looked at the clock, and so may fire early.
      const rest = left()
      if (rest > 0) timer = arm(Math.ceil(rest))
      else then()
    }, millis)
  let timer = arm(millis)
  return () => clearTimeout(timer)
}

const realClock = Context.get(DefaultServices.liveServices, Clock.Clock)

// The platform fires a longer timer, of 24.8 days and more, at once.
const longest = 2 ** 31 - 1
