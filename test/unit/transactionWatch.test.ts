import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Metric from "effect/Metric"
import * as TestClock from "effect/TestClock"
import type { Document } from "mongodb"
import { Lifetime } from "../../src/internal/telemetry/lifetime.js"
import { Watch } from "../../src/internal/telemetry/transactions.js"
import { Warnings } from "../../src/internal/telemetry/warnings.js"
import { MongoError } from "../../src/MongoError.js"
import * as Telemetry from "../../src/Telemetry.js"
import * as TransactionOptions from "../../src/TransactionOptions.js"
import { logged } from "../support/server/connected.js"
import { recorder } from "../support/watch/spans.js"

type Answer = Effect.Effect<Document, MongoError>

/** A server that tells by this how old a transaction may become, and how often it was asked. */
const asking = (...answers: ReadonlyArray<Answer>) => {
  const asked: Array<Document> = []
  const lifetime = new Lifetime(
    (command) => answers[asked.push(command) - 1] ?? Effect.die("not expected"),
    () => false
  )
  return { asked, lifetime }
}

const seconds = (transactionLifetimeLimitSeconds: number): Answer =>
  Effect.succeed({ transactionLifetimeLimitSeconds, ok: 1 })

const failing = (reason: MongoError["reason"], code?: number): Answer =>
  Effect.fail(new MongoError({ reason, operation: "getParameter", labels: [], ...(code !== undefined && { code }) }))

const warningsOf = (lifetime: Lifetime, warnings?: TransactionOptions.TransactionOptions["warnings"]) =>
  new Warnings(Either.getOrThrow(TransactionOptions.decode({ warnings })).warnings, lifetime)

/** Begins to watch an attempt. */
const begin = (warnings: Warnings, attempt = 3) =>
  Effect.withFiberRuntime<Watch>((fiber) => Effect.succeed(new Watch(fiber, attempt, warnings)))

const beginAsking = (...answers: ReadonlyArray<Answer>) => begin(warningsOf(asking(...answers).lifetime))

const long = Effect.map(Metric.value(Telemetry.longTransactions), ({ count }) => count)

const durations = (outcome: string) =>
  Effect.map(Metric.value(Metric.tagged(Telemetry.transactionDuration, "outcome", outcome)), ({ count, sum }) => ({
    count,
    sum
  }))

// Effect makes an event of what is logged in a span, too.
const isOwn = (name: string) => !Object.values<string>(Telemetry.messages).includes(name)

const eventsOf = (spans: ReturnType<typeof recorder>["spans"]) =>
  spans.flatMap(({ events }) => events).filter(({ name }) => isOwn(name))
    .map(({ attributes, name }) => [name, attributes])

const aged = (open: string, limit: string, attempt = 3) => ({
  message: Telemetry.messages.long,
  annotations: { attempt, open, limit, hint: expect.stringContaining("transactionLifetimeLimitSeconds") }
})

describe("a transaction", () => {
  it.effect("that is open for half of what the server allows is told of once, in log, metrics and its span", () =>
    logged((entries) =>
      Effect.gen(function*() {
        const before = yield* long
        const { spans, tracer } = recorder()
        const { asked, lifetime } = asking(seconds(80))
        const watch = yield* begin(warningsOf(lifetime)).pipe(
          Effect.zipLeft(TestClock.adjust("5 seconds")),
          Effect.zipLeft(
            Effect.zipRight(TestClock.adjust("34999 millis"), Effect.sync(() => expect(entries).toEqual([])))
          ),
          Effect.zipLeft(TestClock.adjust("1 millis")),
          Effect.zipLeft(TestClock.adjust("2 minutes")),
          Effect.annotateLogs("request", 7),
          Effect.withSpan("transaction"),
          Effect.withTracer(tracer)
        )
        const told = aged("40s", "1m 20s")
        expect(entries).toEqual([{ ...told, annotations: { ...told.annotations, request: 7 } }])
        expect(eventsOf(spans)).toEqual([["long", { attempt: 3, open: "40s", limit: "1m 20s" }]])
        expect(yield* long).toBe(before + 1)
        expect(asked).toEqual([{ getParameter: 1, transactionLifetimeLimitSeconds: 1 }])
        watch.over("committed")
      })
    ))

  it.effect("that may not become older than twice the age at which the server is asked is told of at once", () =>
    logged((entries) =>
      Effect.gen(function*() {
        yield* beginAsking(seconds(8))
        yield* TestClock.adjust("4999 millis")
        expect(entries).toEqual([])
        yield* TestClock.adjust("1 millis")
        expect(entries).toEqual([aged("4s", "8s")])
      })
    ))

  it.effect("that is short does not ask the server", () =>
    Effect.gen(function*() {
      const { asked, lifetime } = asking()
      const watch = yield* begin(warningsOf(lifetime))
      yield* TestClock.adjust("4999 millis")
      watch.over("committed")
      yield* TestClock.adjust("2 minutes")
      expect(asked).toEqual([])
    }))

  it.effect("shares the answer with others, and later ones know it", () =>
    logged((entries) =>
      Effect.gen(function*() {
        const answer = yield* Deferred.make<Document>()
        const { asked, lifetime } = asking(Deferred.await(answer))
        yield* begin(warningsOf(lifetime), 1)
        yield* TestClock.adjust("1 seconds")
        yield* begin(warningsOf(lifetime), 2)
        yield* TestClock.adjust("9 seconds")
        yield* Deferred.succeed(answer, { transactionLifetimeLimitSeconds: 24 })
        // It does not know it yet, but before it would ask.
        yield* begin(warningsOf(lifetime), 3)
        yield* TestClock.adjust("2 seconds")
        yield* begin(warningsOf(lifetime), 4)
        for (const time of ["1 seconds", "2 seconds", "7 seconds", "2 seconds"] as const) yield* TestClock.adjust(time)
        expect(entries).toEqual([1, 2, 3, 4].map((attempt) => aged("12s", "24s", attempt)))
        expect(asked).toHaveLength(1)
      })
    ))

  const notTold: ReadonlyArray<readonly [why: string, answer: Answer]> = [
    ["the user may not ask for it", failing("Unauthorized", 13)],
    ["the server knows no such parameter", failing("InvalidOptions", 72)],
    ["the answer says nothing", Effect.succeed({ ok: 1 })],
    ["the answer is no time", seconds(-1)]
  ]
  for (const [why, answer] of notTold) {
    it.effect(`is told of after half a minute where the server does not tell: ${why}`, () =>
      logged((entries) =>
        Effect.gen(function*() {
          const { asked, lifetime } = asking(answer)
          yield* begin(warningsOf(lifetime))
          yield* TestClock.adjust("5 seconds")
          yield* TestClock.adjust("24999 millis")
          expect(entries).toEqual([])
          yield* TestClock.adjust("1 millis")
          expect(entries).toEqual([aged("30s", "not known")])
          yield* begin(warningsOf(lifetime), 4)
          yield* TestClock.adjust("30 seconds")
          expect(entries).toEqual([aged("30s", "not known"), aged("30s", "not known", 4)])
          expect(asked).toHaveLength(1)
        })
      ))
  }

  it.effect("asks again after a question that no server has answered", () =>
    logged((entries) =>
      Effect.gen(function*() {
        const { asked, lifetime } = asking(
          failing("NetworkError"),
          Effect.die("bug"),
          Effect.never,
          // Of a server that is about to stop, which says nothing of its limit.
          failing("NotPrimary", 91),
          seconds(20)
        )
        for (const attempt of [1, 2, 3, 4]) {
          yield* begin(warningsOf(lifetime), attempt)
          yield* TestClock.adjust("30 seconds")
        }
        expect(entries).toEqual([1, 2, 3, 4].map((attempt) => aged("30s", "not known", attempt)))
        yield* begin(warningsOf(lifetime), 5)
        yield* TestClock.adjust("5 seconds")
        yield* TestClock.adjust("5 seconds")
        expect(entries.at(-1)).toEqual(aged("10s", "20s", 5))
        expect(asked).toHaveLength(5)
      })
    ))

  it.effect("is told of once where the answer comes after half a minute", () =>
    logged((entries) =>
      Effect.gen(function*() {
        const before = yield* long
        const answer = yield* Deferred.make<Document>()
        yield* beginAsking(Deferred.await(answer))
        yield* TestClock.adjust("5 seconds")
        yield* TestClock.adjust("25 seconds")
        yield* Deferred.succeed(answer, { transactionLifetimeLimitSeconds: 70 })
        yield* TestClock.adjust("2 minutes")
        expect(entries).toEqual([aged("30s", "not known")])
        expect(yield* long).toBe(before + 1)
      })
    ))

  it.effect("of a client that is closed asks nobody", () =>
    Effect.gen(function*() {
      const lifetime = new Lifetime(() => Effect.die("asked"), () => true)
      yield* begin(warningsOf(lifetime))
      yield* TestClock.adjust("5 seconds")
      expect(lifetime.limit).toBeUndefined()
    }))

  it.effect("is told of at the age that its options say, or never, and the server is not asked", () =>
    logged((entries) =>
      Effect.gen(function*() {
        const { asked, lifetime } = asking()
        yield* begin(warningsOf(lifetime, { age: "2 seconds" }))
        yield* begin(warningsOf(lifetime, { age: false }))
        yield* TestClock.adjust("1999 millis")
        expect(entries).toEqual([])
        yield* TestClock.adjust("10 minutes")
        expect(entries).toEqual([aged("2s", "not known")])
        expect(asked).toEqual([])
      })
    ))

  it.effect("that is over by then is not, whoever ended it", () =>
    logged((entries) =>
      Effect.gen(function*() {
        const before = yield* long
        const answer = yield* Deferred.make<Document>()
        const watch = yield* beginAsking(Deferred.await(answer))
        yield* TestClock.adjust("29 seconds")
        watch.over("rolledBack")
        yield* Deferred.succeed(answer, { transactionLifetimeLimitSeconds: 60 })
        yield* TestClock.adjust("2 minutes")
        expect(entries).toEqual([])
        expect(yield* long).toBe(before)
      })
    ))

  it.effect("is counted in the end with the time that it was open for, and once", () =>
    Effect.gen(function*() {
      const before = yield* durations("doomed")
      const watch = yield* beginAsking(seconds(60))
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
        const watch = yield* Effect.withTracer(Effect.withSpan(beginAsking(seconds(60)), "over"), tracer)
        yield* TestClock.adjust("5 seconds")
        yield* TestClock.adjust("25 seconds")
        expect(entries).toHaveLength(1)
        expect(spans.map(({ ended }) => ended)).toEqual(["success"])
        expect(eventsOf(spans)).toEqual([])
        watch.over("committed")
      })
    ))
})

describe("a transaction that becomes large", () => {
  const large = (message: string, facts: object) => ({
    message,
    annotations: { ...facts, hint: expect.stringContaining("warnings.") }
  })
  const { manyBytes, manyDocuments, manyOperations } = Telemetry.messages
  const { lifetime } = asking()

  it.effect("is told of when it has more than 1,000 documents, 1,000 operations or 16 MiB, once for each", () =>
    logged((entries) =>
      Effect.gen(function*() {
        const { spans, tracer } = recorder()
        const warnings = warningsOf(lifetime)
        yield* begin(warnings, 1).pipe(
          Effect.tap((watch) => {
            watch.wrote(1)
            watch.wrote(999)
            watch.begins(2 ** 24)
            for (let count = 2; count <= 1000; count++) watch.begins(0)
            expect(entries).toEqual([])
            watch.wrote(4)
            watch.begins(0.6)
            watch.wrote(5)
            watch.begins(100)
          }),
          Effect.zipLeft(Effect.yieldNow()),
          Effect.withSpan("transaction"),
          Effect.withTracer(tracer)
        )
        const facts = [
          { attempt: 1, documents: 1004, threshold: 1000 },
          { attempt: 1, operations: 1001, threshold: 1000 },
          { attempt: 1, bytes: 2 ** 24 + 1, threshold: 2 ** 24 }
        ] as const
        expect(entries).toEqual([
          large(manyDocuments, facts[0]),
          large(manyOperations, facts[1]),
          large(manyBytes, facts[2])
        ])
        expect(eventsOf(spans)).toEqual([
          ["manyDocuments", facts[0]],
          ["manyOperations", facts[1]],
          ["manyBytes", facts[2]]
        ])
        const again = yield* begin(warnings, 2)
        again.wrote(5000)
        again.begins(2 ** 25)
        yield* Effect.yieldNow()
        expect(entries).toHaveLength(3)
      })
    ))

  it.effect("is counted anew in each attempt", () =>
    logged((entries) =>
      Effect.gen(function*() {
        const warnings = warningsOf(lifetime)
        for (const attempt of [1, 2, 3]) (yield* begin(warnings, attempt)).wrote(600)
        yield* Effect.yieldNow()
        expect(entries).toEqual([])
      })
    ))

  it.effect("is told of from the thresholds of its options on, and not at all of what these turn off", () =>
    logged((entries) =>
      Effect.gen(function*() {
        const few = yield* begin(warningsOf(lifetime, { documents: 2, operations: 1, bytes: false }))
        few.wrote(2)
        few.begins(2 ** 30)
        yield* Effect.yieldNow()
        expect(entries).toEqual([])
        few.wrote(1)
        few.begins(0)
        const none = yield* begin(warningsOf(lifetime, false))
        none.wrote(10_000)
        none.begins(2 ** 30)
        yield* Effect.yieldNow()
        expect(entries).toEqual([
          large(manyDocuments, { attempt: 3, documents: 3, threshold: 2 }),
          large(manyOperations, { attempt: 3, operations: 2, threshold: 1 })
        ])
      })
    ))
})
