/**
 * How long to wait before a transaction or its commit is retried: the backoff of the specification, of a schedule, and of a
 * server that protects itself from overload.
 *
 * See the specifications "Convenient API for Transactions" and "Client Backpressure".
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as ScheduleDecision from "effect/ScheduleDecision"
import * as Intervals from "effect/ScheduleIntervals"
import type * as Driver from "mongodb"
import { Label, type MongoError } from "../../MongoError.js"

const initial = 5
const growth = 1.5
const longest = 500

/**
 * The specification's: before the run number n, counted from 0, a random part of the lesser of 5 ms · 1.5ⁿ and 500 ms. It
 * never ends.
 */
export const specification: Schedule.Schedule<number> = Schedule.addDelayEffect(
  Schedule.forever,
  (failed) =>
    Effect.map(Random.next, (random) => Duration.millis(random * Math.min(initial * growth ** (failed + 1), longest)))
)

const queueing: unique symbol = Symbol("effect-mongo-session/queueing")

const queue = <Out, In>(schedule: Schedule.Schedule<Out, In>): Schedule.Schedule<Out, In> =>
  Object.assign(schedule, { [queueing]: true })

/** {@link specification}, where who loses a conflict to another transaction of the same client waits for that one instead. */
export const queued: Schedule.Schedule<number> = queue(Schedule.map(specification, identity))

/** Whether who loses a conflict queues. */
export const doesQueue = (schedule: Schedule.Schedule<unknown, MongoError>): boolean =>
  Predicate.hasProperty(schedule, queueing)

/** A schedule that ends as soon as it may not go on. It queues if the given one does. */
export const limited = (
  schedule: Schedule.Schedule<unknown, MongoError>,
  mayGoOn: Effect.Effect<boolean>
): Schedule.Schedule<unknown, MongoError> => {
  const ending = Schedule.whileInputEffect(schedule, () => mayGoOn)
  return doesQueue(schedule) ? queue(ending) : ending
}

/** Tells the delays of a schedule one after the other, without waiting; none when it has ended. */
export interface Backoff<In> {
  readonly next: (input: In) => Effect.Effect<Option.Option<Duration.Duration>>
}

/** Goes through a schedule from its beginning. */
export const make = <In>(schedule: Schedule.Schedule<unknown, In>): Backoff<In> => {
  let state: unknown = schedule.initial
  return {
    next: (input) =>
      Effect.gen(function*() {
        const now = yield* Clock.currentTimeMillis
        const [following, , decision] = yield* schedule.step(now, input, state)
        state = following
        return ScheduleDecision.isDone(decision)
          ? Option.none()
          : Option.some(Duration.millis(Math.max(0, Intervals.start(decision.intervals) - now)))
      })
  }
}

const overload = { initial: 100, growth: 2, longest: 10_000, mostRetries: 2 }

/** Whether a server has refused an operation to protect itself. */
export const isOverload = (error: MongoError): boolean => error.hasLabel(Label.SystemOverloadedError)

/** How often an operation may be repeated for it: as often as the driver does. */
export const overloadLimitOf = ({ options }: Driver.MongoClient): number =>
  options.maxAdaptiveRetries ?? overload.mostRetries

/** A random part of the lesser of 100 ms · 2ⁿ and 10 s before the retry n, counted from 1; or of what the server asks for. */
export const overloadDelay = (error: MongoError, retry: number): Effect.Effect<Duration.Duration> =>
  Effect.map(
    Random.next,
    (random) => Duration.millis(random * Math.min(overload.longest, baseOf(error) * overload.growth ** retry))
  )

// The server sends it as an int64; 0 says that it asks for nothing.
const baseOf = ({ cause }: MongoError): number => {
  const reply = Predicate.hasProperty(cause, "errorResponse") ? cause.errorResponse : undefined
  const base = Predicate.hasProperty(reply, "baseBackoffMS") ? Number(reply.baseBackoffMS) : Number.NaN
  return Number.isFinite(base) && base > 0 ? base : overload.initial
}
