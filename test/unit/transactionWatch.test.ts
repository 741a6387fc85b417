import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as TestClock from "effect/TestClock"
import { Watch } from "../../src/internal/telemetry/transactions.js"
import * as Telemetry from "../../src/Telemetry.js"
import { logged } from "../support/server/connected.js"
import { recorder } from "../support/watch/spans.js"

const begin = Effect.withFiberRuntime<Watch>((fiber) => Effect.succeed(new Watch(fiber, 3)))

const long = Effect.map(Metric.value(Telemetry.longTransactions), ({ count }) => count)

const durations = (outcome: string) =>
  Effect.map(Metric.value(Metric.tagged(Telemetry.transactionDuration, "outcome", outcome)), ({ count, sum }) => ({
    count,
    sum
  }))

// Effect makes an event of what is logged in a span, too.
const eventsOf = (spans: ReturnType<typeof recorder>["spans"]) =>
  spans.flatMap(({ events }) => events)
    .filter(({ name }) => name !== Telemetry.messages.long)
    .map(({ attributes, name }) => [name, attributes])

describe("a transaction", () => {
  it.effect("that is open for half a minute is told of once, in log, metrics and its span", () =>
    logged((entries) =>
      Effect.gen(function*() {
        const before = yield* long
        const { spans, tracer } = recorder()
        const watch = yield* begin.pipe(
          Effect.zipLeft(
            Effect.zipRight(TestClock.adjust("29999 millis"), Effect.sync(() => expect(entries).toEqual([])))
          ),
          Effect.zipLeft(TestClock.adjust("1 millis")),
          Effect.zipLeft(TestClock.adjust("2 minutes")),
          Effect.annotateLogs("request", 7),
          Effect.withSpan("transaction"),
          Effect.withTracer(tracer)
        )
        expect(entries).toEqual([
          { message: Telemetry.messages.long, annotations: { attempt: 3, open: "30s", request: 7 } }
        ])
        expect(eventsOf(spans)).toEqual([["long", { attempt: 3 }]])
        expect(yield* long).toBe(before + 1)
        watch.over("committed")
      })
    ))

  it.effect("that is over by then is not, whoever ended it", () =>
    logged((entries) =>
      Effect.gen(function*() {
        const before = yield* long
        const watch = yield* begin
        yield* TestClock.adjust("29 seconds")
        watch.over("rolledBack")
        yield* TestClock.adjust("2 minutes")
        expect(entries).toEqual([])
        expect(yield* long).toBe(before)
      })
    ))

  it.effect("is counted in the end with the time that it was open for, and once", () =>
    Effect.gen(function*() {
      const before = yield* durations("doomed")
      const watch = yield* begin
      yield* TestClock.adjust("61 seconds")
      watch.over("doomed")
      yield* TestClock.adjust("1 seconds")
      watch.over("doomed")
      watch.over("committed")
      const after = yield* durations("doomed")
      expect(after.count - before.count).toBe(1)
      expect(after.sum - before.sum).toBe(61)
    }))

  it.effect("of a span that is over is told of in the log only", () =>
    logged((entries) =>
      Effect.gen(function*() {
        const { spans, tracer } = recorder()
        const watch = yield* Effect.withTracer(Effect.withSpan(begin, "over"), tracer)
        yield* TestClock.adjust("30 seconds")
        expect(entries).toHaveLength(1)
        expect(spans.map(({ ended }) => ended)).toEqual(["success"])
        expect(eventsOf(spans)).toEqual([])
        watch.over("committed")
      })
    ))
})
