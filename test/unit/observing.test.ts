import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as TestClock from "effect/TestClock"
import type { Address } from "../../src/internal/driver/topology.js"
import type { OperationName } from "../../src/internal/telemetry/names.js"
import * as Operations from "../../src/internal/telemetry/operations.js"
import { mostSeries } from "../../src/internal/telemetry/series.js"
import { errorTypeOf } from "../../src/internal/telemetry/spans.js"
import { MongoError } from "../../src/MongoError.js"
import { SessionEnded } from "../../src/SessionErrors.js"
import * as Telemetry from "../../src/Telemetry.js"
import { recorder } from "../support/watch/spans.js"

const nowhere: Operations.Observer["server"] = () => undefined

const durationOf = (name: string, tags: Record<string, string> = {}) =>
  Effect.map(
    Metric.value(
      Object.entries({
        "db.system.name": "mongodb",
        "db.namespace": "shop",
        "db.operation.name": name,
        "db.collection.name": "users",
        ...tags
      }).reduce((metric, [key, value]) => Metric.tagged(metric, key, value), Telemetry.operationDuration)
    ),
    ({ count, sum }) => [count, sum]
  )

const of = (name: string): OperationName => ({ name, database: "shop", collection: "users" })

const observe = <A, E>(name: string, effect: Effect.Effect<A, E>) =>
  Operations.operation(Operations.make(nowhere), of(name), () => effect)

const failure = new MongoError({ reason: "DuplicateKey", operation: "insertOne", code: 11000, labels: [] })

describe("the type of an error", () => {
  const table: ReadonlyArray<readonly [Cause.Cause<unknown>, string]> = [
    [Cause.fail(failure), "DuplicateKey"],
    [Cause.fail(new SessionEnded({ operation: "find", reason: "released" })), "SessionEnded"],
    [Cause.parallel(Cause.interrupt(Effect.runSync(Effect.fiberId)), Cause.fail(failure)), "DuplicateKey"],
    [Cause.die(new TypeError("user 42")), "TypeError"],
    [Cause.die("user 42"), "_OTHER"],
    [Cause.fail({ _tag: 42 }), "_OTHER"],
    [Cause.interrupt(Effect.runSync(Effect.fiberId)), "interrupted"]
  ]
  for (const [cause, expected] of table) {
    it(`of ${Cause.pretty(cause).split("\n")[0]} is ${expected}`, () => {
      expect(errorTypeOf(cause)).toBe(expected)
    })
  }
})

describe("the duration of an operation", () => {
  it.effect("is in seconds, by name, database and collection", () =>
    Effect.gen(function*() {
      yield* Effect.zipRight(
        Effect.fork(observe("aggregate", Effect.sleep("1500 millis"))),
        TestClock.adjust("1500 millis")
      )
      expect(yield* durationOf("aggregate")).toEqual([1, 1.5])
    }))

  it.effect("has the type of the error of what failed, was interrupted or was a bug", () =>
    Effect.gen(function*() {
      yield* Effect.exit(observe("updateOne", Effect.fail(failure)))
      yield* Effect.exit(observe("updateOne", Effect.die(new TypeError())))
      const running = yield* Effect.fork(observe("updateOne", Effect.never))
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(running)
      expect(yield* durationOf("update")).toEqual([0, 0])
      for (const type of ["DuplicateKey", "TypeError", "interrupted"]) {
        expect(yield* durationOf("update", { "error.type": type })).toEqual([1, 0])
      }
    }))

  it.effect("has the tags that its fiber gives to all of its metrics", () =>
    Effect.gen(function*() {
      yield* Effect.tagMetrics(observe("deleteOne", Effect.void), "tenant", "blue")
      expect(yield* durationOf("delete")).toEqual([0, 0])
      expect(yield* durationOf("delete", { tenant: "blue" })).toEqual([1, 0])
    }))

  it("is told with the same tags each time, for new ones are dear to look up", () => {
    const observer = Operations.make(nowhere)
    const labels = observer.labelsOf(of("find"))
    expect(observer.labelsOf(of("find"))).toBe(labels)
    expect(observer.labelsOf(of("find"), "TimedOut")).not.toBe(labels)
    expect(observer.labelsOf({ name: "find", database: "shop" })).not.toBe(labels)
  })

  it("has the tags of no more series than a program of usual size has, whatever names are made up", () => {
    const observer = Operations.make(nowhere)
    const first = observer.labelsOf({ name: "find", database: "customer 0", collection: "orders" })
    const made = new Set<unknown>()
    for (let n = 0; n < 10_000; n++) {
      made.add(observer.labelsOf({ name: "find", database: `customer ${n}`, collection: "orders" }))
      made.add(observer.labelsOf({ name: "stats", database: `customer ${n}` }, "TimedOut"))
    }
    expect(made.size).toBe(mostSeries + 2)
    for (let n = 0; n < 10_000; n++) {
      made.add(observer.labelsOf({ name: `made up ${n}`, database: "shop" }, `Made up ${n}`))
      made.add(observer.labelsOf({ name: `made up ${n}`, database: "shop", collection: "orders" }))
    }
    expect(made.size).toBe(2 * mostSeries + 2)
    expect(observer.labelsOf({ name: "find", database: "customer 0", collection: "orders" })).toBe(first)
    const late = observer.labelsOf({ name: "find", database: "late", collection: "late" })
    expect(Object.fromEntries(late.map(({ key, value }) => [key, value]))).toEqual({
      "db.system.name": "mongodb",
      "db.namespace": "_OTHER",
      "db.collection.name": "_OTHER",
      "db.operation.name": "find"
    })
  })

  it.effect("changes nothing of how it ends", () =>
    Effect.gen(function*() {
      expect(yield* observe("find", Effect.succeed(42))).toBe(42)
      expect(yield* Effect.flip(observe("find", Effect.fail(failure)))).toBe(failure)
    }))
})

describe("an operation that nobody looks at", () => {
  /** An operation, and how often anything was asked for its span. */
  const asking = (asked: Array<string>) => {
    const server = (isOnPrimary: () => boolean): Address => {
      asked.push(`server, on the primary: ${isOnPrimary()}`)
      return { host: "a", port: 1 }
    }
    return Operations.operation(Operations.make(server), of("findOne"), (observed) => {
      observed.begins(undefined, () => {
        asked.push("whether it is on the primary")
        return true
      })
      return Effect.void
    })
  }

  it.effect("has nothing computed for a span", () =>
    Effect.gen(function*() {
      const asked: Array<string> = []
      yield* asking(asked)
      expect(asked).toEqual([])
      const { spans, tracer } = recorder()
      yield* Effect.withTracer(asking(asked), tracer)
      expect(asked).toEqual(["whether it is on the primary", "server, on the primary: true"])
      expect(spans).toHaveLength(1)
    }))
})
