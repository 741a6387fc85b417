import { describe, expect, layer } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Scheduler from "effect/Scheduler"
import * as Call from "../../src/internal/driver/call.js"
import * as Log from "../../src/internal/telemetry/log.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"

const steps = Array.from({ length: 90 }, (_, step) => step + 1)

/** Runs an effect whose fiber gives way to others after so many steps, and is interrupted by them. */
const interruptedAfter = <A, E, R>(step: number, effect: Effect.Effect<A, E, R>, isInFlight: () => boolean) =>
  Effect.gen(function*() {
    let taken = 0
    const scheduler: Scheduler.Scheduler = {
      shouldYield: (fiber) => {
        if (fiber !== running || ++taken !== step) return false
        fiber.unsafeInterruptAsFork(FiberId.none)
        return 0
      },
      scheduleTask: (task, priority) => Scheduler.defaultScheduler.scheduleTask(task, priority)
    }
    let running: Fiber.RuntimeFiber<unknown, unknown> | undefined
    const begun = Effect.withFiberRuntime<A, E, R>((fiber) => {
      running = fiber
      return effect
    })
    const fiber = yield* Effect.fork(Effect.withScheduler(begun, scheduler))
    // What takes fewer steps is interrupted while it waits for its promise.
    yield* Monitor.until(Effect.sync(() => isInFlight() || fiber.unsafePoll() !== null), Boolean)
    return yield* Fiber.interrupt(fiber)
  })

/** Operations that are in flight until they are aborted, and for a moment more. */
const operations = () => {
  const seen = { begun: 0, inFlight: 0, overlaps: 0 }
  const operation = (signal: AbortSignal) => {
    seen.begun++
    if (++seen.inFlight > 1) seen.overlaps++
    return new Promise<void>((_, reject) => {
      signal.addEventListener("abort", () =>
        setImmediate(() => {
          seen.inFlight--
          reject(signal.reason)
        }))
    })
  }
  return { seen, operation, isInFlight: () => seen.inFlight > 0 }
}

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("an operation that is interrupted between any two of its steps", () => {
    it.effect("has settled when its interruption is over, whether or not it had to wait for its turn", () =>
      Monitor.withClient({}, (watched) =>
        Effect.gen(function*() {
          const session = yield* Monitor.session(watched, { settleTimeout: "2 seconds" })
          for (const isQueued of [false, true]) {
            const { isInFlight, operation, seen } = operations()
            for (const step of steps) {
              const turn = yield* Deferred.make<void>()
              if (isQueued) yield* Effect.fork(session.use(() => Effect.runPromise(Deferred.await(turn))))
              yield* Effect.yieldNow()
              if (isQueued) yield* Effect.fork(Effect.zipRight(Effect.yieldNow(), Deferred.succeed(turn, undefined)))
              yield* interruptedAfter(step, session.use((_, signal) => operation(signal)), isInFlight)
              expect(seen.inFlight, `in flight after ${step} steps`).toBe(0)
              expect(yield* session.use(() => Promise.resolve("next"))).toBe("next")
            }
            expect(seen.overlaps).toBe(0)
            expect(seen.begun).toBeGreaterThan(10)
            expect(seen.begun).toBeLessThan(steps.length)
          }
        })))

    it.effect("is aborted, without a session, too", () =>
      Monitor.withClient({}, ({ client }) =>
        Effect.gen(function*() {
          const { isInFlight, operation, seen } = operations()
          for (const step of steps) {
            yield* interruptedAfter(
              step,
              Call.call(
                { operation: "find", settleTimeout: client.settleTimeout, onUnsettled: Log.unsettled },
                ({ signal }) => operation(signal)
              ),
              isInFlight
            )
            expect(seen.inFlight, `in flight after ${step} steps`).toBe(0)
          }
          expect(seen.begun).toBeGreaterThan(10)
        })))
  })

  describe("the signal of an operation", () => {
    it.effect("is a signal, or is not given: to what takes one parameter in writing", () =>
      Monitor.withClient({}, (watched) =>
        Effect.gen(function*() {
          const session = yield* Monitor.session(watched)
          expect(yield* session.use((...given) => Promise.resolve(given[1]))).toBeInstanceOf(AbortSignal)
          expect(yield* session.use((_, signal) => Promise.resolve(signal))).toBeInstanceOf(AbortSignal)
          expect(yield* session.use((_, ...given) => Promise.resolve(given))).toEqual([])
        })))
  })

  describe("a read with a cursor", () => {
    it.effect("lets no other operation in before its cursor is closed", () =>
      Monitor.withClient({}, (watched) =>
        Effect.gen(function*() {
          const collection = watched.client.driver.db(yield* TestServer.database).collection("users")
          yield* Effect.promise(() => collection.insertMany([1, 2, 3, 4, 5, 6].map((n) => ({ n }))))
          const session = yield* Monitor.session(watched)
          yield* Monitor.block(watched, ["aggregate", "killCursors"], "100 millis")
          const isOpen = yield* Deferred.make<void>()
          const read = yield* Effect.fork(session.use(async (s, signal) => {
            await collection.find({}, { session: s, signal, batchSize: 2 }).next()
            Deferred.unsafeDone(isOpen, Effect.void)
            await new Promise((resolve) => signal.addEventListener("abort", resolve))
          }))
          yield* Deferred.await(isOpen)
          const next = yield* Effect.fork(session.use((s) => collection.countDocuments({}, { session: s })))
          yield* Effect.yieldNow()
          yield* Fiber.interrupt(read)
          expect(yield* Fiber.join(next)).toBe(6)
          expect(yield* watched.monitor.named("killCursors")).toMatchObject([{ outcome: "succeeded" }])
          expect(yield* watched.monitor.overlaps).toEqual([])
        })))
  })
})
