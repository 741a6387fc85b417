import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import {
  BSON,
  MongoAPIError,
  MongoClient,
  MongoNetworkError,
  MongoServerError,
  ReadPreference,
  WriteConcern
} from "mongodb"
import { vi } from "vitest"
import { CausalToken } from "../../src/CausalToken.js"
import * as Gate from "../../src/internal/driver.js"
import * as Failure from "../../src/internal/failure.js"
import { MongoError } from "../../src/MongoError.js"
import * as SessionOptions from "../../src/SessionOptions.js"
import * as Telemetry from "../../src/Telemetry.js"

const options = { operation: "test", settleTimeout: Duration.seconds(30) }

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

describe("the random source", () => {
  it("is tried where it is another one than before", () => {
    const isSecure = Gate.secureRandom()
    expect(isSecure()).toBe(true)
    for (
      const broken of [undefined, () => new Uint8Array(0), () => {
        throw new Error("none")
      }]
    ) {
      vi.stubGlobal("crypto", { getRandomValues: broken })
      expect([isSecure(), isSecure()]).toEqual([false, false])
      vi.unstubAllGlobals()
      expect(isSecure()).toBe(true)
    }
    vi.stubGlobal("crypto", { getRandomValues: undefined })
    expect(Gate.secureRandom()()).toBe(false)
    vi.unstubAllGlobals()
  })
})

describe("call", () => {
  it.effect("an interruption fires the signal and is over only when the promise has settled", () =>
    Effect.gen(function*() {
      const operation = pending<string>()
      let signal: AbortSignal | undefined
      const fiber = yield* Effect.fork(Gate.call(options, (controller) => {
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
      const fiber = yield* Effect.fork(Gate.call(options, () => operation.promise))
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
      const onUnsettled = Effect.sync(() => void told++)
      const fiber = yield* Effect.fork(Gate.call({ ...options, onUnsettled }, () => new Promise(() => {})))
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
      const failed = yield* Effect.flip(Gate.call({ ...options, namespace: "shop.users" }, () => Promise.reject(error)))
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
      expect(yield* Effect.flip(Gate.call(options, () => Promise.reject(new MongoNetworkError("x")))))
        .toMatchObject({ reason: "NetworkError" })
      expect(yield* Effect.flip(Gate.call(options, () => Promise.reject(new BSON.BSONError("x")))))
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
      const failed = yield* Effect.flip(Gate.call(options, () => Promise.reject(foreign)))
      expect(failed).toMatchObject({ reason: "WriteConflict", labels: ["TransientTransactionError"] })
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
      const rejected = yield* Effect.exit(Gate.call(options, () => Promise.reject(bug)))
      const thrown = yield* Effect.exit(Gate.call(options, () => {
        throw bug
      }))
      expect(rejected).toEqual(Exit.failCause(Cause.die(bug)))
      expect(thrown).toEqual(Exit.failCause(Cause.die(bug)))
    }))
})

describe("options for the driver", () => {
  const decoded = (input: SessionOptions.SessionOptions) => Effect.runSync(SessionOptions.decode(input))
  const full = decoded({
    defaultTransactionOptions: {
      readConcern: "majority",
      writeConcern: { w: "zone", journal: true, wtimeout: "2 seconds" },
      readPreference: { mode: "nearest", tags: [{ dc: "east" }], maxStalenessSeconds: 90 },
      maxCommitTime: "3 seconds"
    }
  })

  it("session options become the driver's, in its units", () => {
    expect(Gate.sessionOptions(full)).toEqual({
      causalConsistency: true,
      snapshot: false,
      defaultTransactionOptions: {
        readConcern: { level: "majority" },
        writeConcern: WriteConcern.fromOptions({
          writeConcern: { w: "zone", journal: true, wtimeoutMS: 2_000 } as never
        }),
        readPreference: new ReadPreference("nearest", [{ dc: "east" }], { maxStalenessSeconds: 90 }),
        maxCommitTimeMS: 3_000
      }
    })
    expect(Gate.sessionOptions(decoded({ snapshot: true }))).toEqual({ causalConsistency: false, snapshot: true })
  })

  it("each call makes a fresh read concern, for the driver writes into it", () => {
    const first = Gate.sessionOptions(full).defaultTransactionOptions?.readConcern
    const second = Gate.sessionOptions(full).defaultTransactionOptions?.readConcern
    expect(first).toEqual(second)
    expect(first).not.toBe(second)
  })
})

describe("causal times", () => {
  const token = new CausalToken({
    operationTime: Option.some(0xffff_ffff_0000_0001n),
    clusterTime: Option.some({ time: 7_000_000_000_000_000_000n, hash: new Uint8Array(20).fill(7), keyId: -5n })
  })

  it("a session advanced to a token has that token, and an earlier one does not take it back", async () => {
    const client = new MongoClient("mongodb://localhost")
    const session = client.startSession()
    Gate.advance(session, token)
    expect(Gate.causalTokenOf(session)).toEqual(token)
    Gate.advance(session, new CausalToken({ operationTime: Option.some(1n), clusterTime: Option.none() }))
    expect(Gate.causalTokenOf(session)).toEqual(token)
    await client.close()
  })
})
