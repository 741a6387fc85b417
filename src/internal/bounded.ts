/**
 * Waiting that comes to an end, also where nothing can be interrupted.
 */
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Telemetry from "../Telemetry.js"

/**
 * Waits for an effect for at most so long, and says whether it came to its end; a further interruption does not cut the
 * wait short.
 */
export const within = <A, R>(
  time: Duration.Duration,
  effect: Effect.Effect<A, never, R>
): Effect.Effect<boolean, never, R> =>
  Effect.uninterruptible(Effect.gen(function*() {
    const outcome = yield* Deferred.make<boolean>()
    const race = (racer: Effect.Effect<boolean, never, R>) =>
      // Daemons, for a fiber that is interrupted once more passes that on to its children even in its finalizers.
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

/**
 * What an effect gives, that comes to its end by itself; or, where that takes longer than so long, something else. It is
 * not interrupted then, and goes on alone.
 */
export const awaited = <A, B, R>(
  time: Duration.Duration,
  effect: Effect.Effect<A, never, R>,
  late: B
): Effect.Effect<A | B, never, R> =>
  Effect.uninterruptible(Effect.gen(function*() {
    const outcome = yield* Deferred.make<A | B>()
    yield* Effect.forkDaemon(Effect.flatMap(effect, (value) => Deferred.succeed(outcome, value)))
    const timer = yield* Effect.forkDaemon(
      Effect.interruptible(Effect.zipRight(Effect.sleep(time), Deferred.succeed(outcome, late)))
    )
    const value = yield* Deferred.await(outcome)
    yield* Fiber.interruptFork(timer)
    return value
  }))

/** Runs a step of closing: bounded in time, never failing, and logged when it does not succeed. */
export const closingStep = <E, R>(
  step: string,
  time: Duration.Duration,
  effect: Effect.Effect<unknown, E, R>,
  problem: (error: E) => string
): Effect.Effect<void, never, R> =>
  Effect.flatMap(
    within(time, Effect.catchAll(effect, (error) => Telemetry.closingFailed(step, problem(error)))),
    (inTime) => inTime ? Effect.void : Telemetry.closingFailed(step, "not done in time")
  )

/** The name of what a promise was rejected with. Not its message: a driver's may quote documents or hosts. */
export const errorName = ({ error }: { readonly error: unknown }): string =>
  error instanceof Error ? error.name : typeof error
