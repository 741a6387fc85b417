import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import * as Driver from "mongodb"
import { BSON, MongoAPIError, MongoNetworkError, MongoServerError } from "mongodb"
import { createRequire } from "node:module"
import * as Call from "../../src/internal/driver/call.js"
import * as Failure from "../../src/internal/driver/errors.js"
import * as Log from "../../src/internal/telemetry/log.js"
import { isCommitUnknown, isTransient } from "../../src/internal/transaction/transient.js"
import { MongoError } from "../../src/MongoError.js"
import * as Telemetry from "../../src/Telemetry.js"

const options = { operation: "test", settleTimeout: Duration.seconds(30), onUnsettled: Log.unsettled }

/** A promise of the driver whose end the test decides. */
const pending = <A>() => {
  let resolve: (value: A) => void = () => {}
  let reject: (error: unknown) => void = () => {}
  const promise = new Promise<A>((onResolve, onReject) => {
    resolve = onResolve
    reject = onReject
  })
  return { promise, resolve, reject }
}

/** What the driver rejects the operations in flight with when it gives a server up. It does not export the class. */
const interrupted = (): Driver.MongoNetworkError => {
  const { PoolClearedOnNetworkError: Interrupted } = createRequire(import.meta.url)("mongodb/lib/cmap/errors.js") as {
    readonly PoolClearedOnNetworkError: new(pool: object) => Driver.MongoNetworkError
  }
  return new Interrupted({ address: "db.internal:27017", serverError: null })
}

/** An error of each class that the driver exports: made as the root of its kind is, for constructors differ. */
const driverErrors = Object.entries({ ...Driver, ...BSON }).flatMap(([name, of]) => {
  if (typeof of !== "function" || !(of.prototype instanceof Error)) return []
  const error = of.prototype instanceof Driver.MongoError || of === Driver.MongoError
    ? new Driver.MongoError("x")
    : new BSON.BSONError("x")
  return [[name, Object.setPrototypeOf(error, of.prototype) as Error] as const]
})

describe("call", () => {
  it.effect("an interruption fires the signal and is over only when the promise has settled", () =>
    Effect.gen(function*() {
      const operation = pending<string>()
      let signal: AbortSignal | undefined
      const fiber = yield* Effect.fork(Call.call(options, (controller) => {
        signal = controller.signal
        return operation.promise
      }))
      yield* Effect.yieldNow()
      const interruption = yield* Effect.fork(Fiber.interrupt(fiber))
      yield* TestClock.adjust(Duration.seconds(29))
      expect(signal?.aborted).toBe(true)
      expect(yield* Fiber.poll(interruption)).toEqual(Option.none())
      operation.resolve("late")
      const exit = yield* Fiber.join(interruption)
      expect(Exit.isInterrupted(exit)).toBe(true)
    }))

  it.effect("an interruption is over when the promise is rejected, whatever with", () =>
    Effect.gen(function*() {
      const operation = pending<string>()
      const fiber = yield* Effect.fork(Call.call(options, () => operation.promise))
      yield* Effect.yieldNow()
      const interruption = yield* Effect.fork(Fiber.interrupt(fiber))
      yield* Effect.yieldNow()
      operation.reject(new Error("late"))
      expect(Exit.isInterrupted(yield* Fiber.join(interruption))).toBe(true)
    }))

  it.effect("a promise that never settles holds an interruption for the settle timeout only, is counted and reported", () =>
    Effect.gen(function*() {
      const before = yield* Metric.value(Telemetry.operationsUnsettled)
      let told = 0
      const onUnsettled: Call.CallOptions["onUnsettled"] = (call) =>
        Effect.zipRight(Log.unsettled(call), Effect.sync(() => void told++))
      const fiber = yield* Effect.fork(Call.call({ ...options, onUnsettled }, () => new Promise(() => {})))
      yield* Effect.yieldNow()
      const interruption = yield* Effect.fork(Fiber.interrupt(fiber))
      yield* TestClock.adjust(Duration.millis(29_999))
      expect(yield* Fiber.poll(interruption)).toEqual(Option.none())
      yield* TestClock.adjust(Duration.millis(1))
      expect(Exit.isInterrupted(yield* Fiber.join(interruption))).toBe(true)
      expect(told).toBe(1)
      expect((yield* Metric.value(Telemetry.operationsUnsettled)).count - before.count).toBe(1)
    }))

  it.effect("the failures of driver, server and BSON are MongoErrors, with code and labels", () =>
    Effect.gen(function*() {
      const error = new MongoServerError({
        message: "E11000 { email: 'a@b.c' }",
        code: 11000,
        codeName: "DuplicateKey"
      })
      error.addErrorLabel("RetryableWriteError")
      const failed = yield* Effect.flip(
        Call.call({ ...options, namespace: "shop.users" }, () => Promise.reject(error))
      )
      expect(failed).toMatchObject({
        _tag: "MongoError",
        reason: "DuplicateKey",
        operation: "test",
        namespace: "shop.users",
        code: 11000,
        codeName: "DuplicateKey",
        labels: ["RetryableWriteError"],
        cause: error
      })
      expect(failed.message).not.toContain("email")
      expect(yield* Effect.flip(Call.call(options, () => Promise.reject(new MongoNetworkError("x")))))
        .toMatchObject({ reason: "NetworkError" })
      expect(yield* Effect.flip(Call.call(options, () => Promise.reject(new BSON.BSONError("x")))))
        .toMatchObject({ reason: "EncodingFailed" })
    }))

  it.effect("a failure of another copy of the driver is a MongoError too", () =>
    Effect.gen(function*() {
      const foreign = Object.assign(new Error("x"), {
        name: "MongoServerError",
        code: 112,
        errorLabels: ["TransientTransactionError"],
        hasErrorLabel: () => true
      })
      const failed = yield* Effect.flip(Call.call(options, () => Promise.reject(foreign)))
      expect(failed).toMatchObject({ reason: "WriteConflict", labels: ["TransientTransactionError"] })
    }))

  it.effect("what was in flight when the driver gave a hanging server up failed on the way, and was sent", () =>
    Effect.gen(function*() {
      const failed = yield* Effect.flip(Call.call(options, () => Promise.reject(interrupted())))
      expect(failed).toMatchObject({ _tag: "MongoError", reason: "NetworkError", labels: ["PoolRequestedRetry"] })
      expect(failed.isRetryable).toBe(true)
      expect(isTransient(failed)).toBe(false)
      expect(isCommitUnknown(failed)).toBe(true)
      const inTransaction = interrupted()
      inTransaction.addErrorLabel("TransientTransactionError")
      expect(isTransient(yield* Effect.flip(Call.call(options, () => Promise.reject(inTransaction))))).toBe(true)
    }))

  it.effect("every class of errors that the driver exports is its failure, and so is a class below one of them", () =>
    Effect.gen(function*() {
      expect(driverErrors.length).toBeGreaterThan(30)
      for (const [name, rejected] of driverErrors) {
        const error = yield* Effect.flip(Call.call(options, () => Promise.reject(rejected)))
        expect([name, error]).toMatchObject([name, { _tag: "MongoError" }])
      }
      class Renamed extends MongoNetworkError {
        override get name() {
          return "x"
        }
      }
      expect(yield* Effect.flip(Call.call(options, () => Promise.reject(new Renamed("gone")))))
        .toMatchObject({ reason: "NetworkError" })
    }))

  it.effect("an error of the program with a name like the driver's stays a defect", () =>
    Effect.gen(function*() {
      const own = Object.assign(new Error("mine"), { name: "MongoNetworkError" })
      const exit = yield* Effect.exit(Call.call(options, () => Promise.reject(own)))
      expect(exit).toEqual(Exit.die(own))
    }))

  it("an unacknowledged write is recognised whichever copy of the driver refused it, and nothing else is", () => {
    const refusal = "Cannot have explicit session with unacknowledged writes"
    const because = (cause?: unknown) =>
      Failure.isUnacknowledgedWrite(
        new MongoError({ reason: "InvalidArgument", operation: "test", labels: [], cause })
      )
    expect(because(Object.assign(new Error(refusal), { name: "MongoAPIError" }))).toBe(true)
    expect(because(new MongoAPIError(refusal))).toBe(true)
    expect(because(new MongoAPIError("something else"))).toBe(false)
    expect(because(new Error(refusal))).toBe(false)
    expect(because({ name: "MongoAPIError", message: refusal })).toBe(false)
    expect(because()).toBe(false)
  })

  it.effect("a bug in the user's code stays that very defect, thrown or rejected", () =>
    Effect.gen(function*() {
      const bug = new TypeError("bug")
      const rejected = yield* Effect.exit(Call.call(options, () => Promise.reject(bug)))
      const thrown = yield* Effect.exit(Call.call(options, () => {
        throw bug
      }))
      expect(rejected).toEqual(Exit.failCause(Cause.die(bug)))
      expect(thrown).toEqual(Exit.failCause(Cause.die(bug)))
    }))

  it.effect("what listens to its end and throws is a defect beside the failure, which stays", () =>
    Effect.gen(function*() {
      const bug = new TypeError("bug")
      const watcher = {
        over: () => {
          throw bug
        }
      }
      const failed = yield* Effect.exit(Call.telling(Effect.fail("lost"), watcher))
      const succeeded = yield* Effect.exit(Call.telling(Effect.succeed(1), watcher))
      expect(failed).toEqual(Exit.failCause(Cause.sequential(Cause.fail("lost"), Cause.die(bug))))
      expect(succeeded).toEqual(Exit.failCause(Cause.die(bug)))
    }))
})
