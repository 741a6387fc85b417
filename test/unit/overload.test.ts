import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { Long, MongoClient, MongoServerError } from "mongodb"
import * as Backoff from "../../src/internal/transaction/backoff.js"
import { MongoError } from "../../src/MongoError.js"

const refused = (reply: object = {}) =>
  new MongoError({
    reason: "Overloaded",
    operation: "insert",
    labels: ["SystemOverloadedError"],
    cause: new MongoServerError({ message: "no", ...reply })
  })

// As far as it goes, and not at random.
const delays = (error: MongoError) =>
  Effect.forEach([1, 2, 3, 7, 60], (retry) => Effect.map(Backoff.overloadDelay(error, retry), Duration.toMillis)).pipe(
    Effect.withRandom(Random.fixed([1]))
  )

describe("a transaction that an overloaded server has refused", () => {
  it.effect.each<readonly [string, object, ReadonlyArray<number>]>([
    ["100 ms", {}, [200, 400, 800, 10_000, 10_000]],
    ["what the server asks for", { baseBackoffMS: 5 }, [10, 20, 40, 640, 10_000]],
    ["what the server asks for, in another form", { baseBackoffMS: Long.fromNumber(5) }, [10, 20, 40, 640, 10_000]],
    ["100 ms, where that is nothing", { baseBackoffMS: 0 }, [200, 400, 800, 10_000, 10_000]]
  ])("waits for a time that doubles, beginning with %s", ([_, reply, expected]) =>
    Effect.gen(function*() {
      expect(yield* delays(refused(reply))).toEqual(expected)
    }))

  it("is repeated as often as the driver repeats a command", () => {
    expect(Backoff.overloadLimitOf(new MongoClient("mongodb://localhost"))).toBe(2)
    expect(Backoff.overloadLimitOf(new MongoClient("mongodb://localhost", { maxAdaptiveRetries: 5 }))).toBe(5)
  })

  it("is known by its label", () => {
    expect(Backoff.isOverload(refused())).toBe(true)
    expect(Backoff.isOverload(new MongoError({ ...refused(), labels: [] }))).toBe(false)
  })
})
