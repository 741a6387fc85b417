import { describe, expect, layer } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as MongoClient from "../../src/MongoClient.js"
import * as Session from "../../src/Session.js"
import * as Telemetry from "../../src/Telemetry.js"
import * as Transaction from "../../src/Transaction.js"
import { clientOf, comeBack, goDown, send } from "../support/server/connected.js"
import * as Responder from "../support/server/responder.js"
import * as TestServer from "../support/server/testServer.js"
import { inPlace, toLines } from "../support/transactions/transactions.js"
import { recorder } from "../support/watch/spans.js"

class PaymentFailed extends Data.TaggedError("PaymentFailed")<{ readonly cause: unknown }> {}
class OrderFailed extends Data.TaggedError("OrderFailed")<{ readonly cause?: unknown }> {}

const once = ["1 insert start", "1 abortTransaction"]
const twice = [...once, "2 insert start", "2 commitTransaction"]

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("a transient failure is retried", () => {
    it.effect("when the body has turned it into an error of its own that tells nothing of it", () =>
      inPlace(({ insert, stored, transientOn, wire }) =>
        Effect.gen(function*() {
          yield* transientOn(["insert"])
          yield* Transaction.run(Effect.mapError(insert(1), () => new OrderFailed({})))
          expect(yield* stored).toEqual([1])
          expect(yield* wire).toEqual(twice)
        })
      ))

    it.effect("when it comes from elsewhere and is wrapped twice", () =>
      inPlace(({ client, insert, items, monitor, stored, transientOn, wire }) =>
        Effect.gen(function*() {
          // Not `find`: the server itself looks the session's transactions up with one, which would fail, too.
          yield* transientOn(["distinct"])
          let runs = 0
          // Not seen by the attempt, for it is not an operation in its session: only `cause` leads to it.
          const elsewhere = Effect.gen(function*() {
            if (runs++ > 0) return
            const session = client.driver.startSession()
            session.startTransaction()
            const read = Effect.tryPromise(() => items.distinct("_id", {}, { session }))
            yield* read.pipe(
              Effect.ensuring(Effect.promise(() => session.endSession())),
              Effect.mapError(({ error }) => new OrderFailed({ cause: new PaymentFailed({ cause: error }) }))
            )
          })
          yield* Transaction.run(Effect.zipRight(insert(1), elsewhere))
          expect(runs).toBe(2)
          expect(yield* monitor.named("distinct")).toHaveLength(1)
          expect(yield* stored).toEqual([1])
          const lines = (yield* wire).filter((line) => !line.startsWith("2 "))
          expect(lines).toEqual(["1 insert start", "1 abortTransaction", "3 insert start", "3 commitTransaction"])
        })
      ))

    it.effect("when a domain error wraps it", () =>
      inPlace(({ insert, stored, transientOn, wire }) =>
        Effect.gen(function*() {
          yield* transientOn(["insert"])
          yield* Transaction.run(Effect.mapError(insert(1), (cause) => new PaymentFailed({ cause })))
          expect(yield* stored).toEqual([1])
          expect(yield* wire).toEqual(twice)
        })
      ))

    it.effect("when the connection is closed under an operation", () =>
      inPlace(({ closeConnectionOn, count, insert, stored, wire }) =>
        Effect.gen(function*() {
          yield* closeConnectionOn(["insert"])
          yield* Transaction.run(Effect.zipRight(count, insert(1)))
          expect(yield* stored).toEqual([1])
          expect(yield* wire).toEqual([
            "1 aggregate start",
            "1 insert",
            "1 abortTransaction",
            "2 aggregate start",
            "2 insert",
            "2 commitTransaction"
          ])
        })
      ))

    it.scoped("when no server was found for an operation", () =>
      Effect.gen(function*() {
        const down = yield* Scope.make()
        const first = yield* Scope.extend(Responder.make(), down)
        const { client, open } = yield* clientOf(first, {
          driver: { serverSelectionTimeoutMS: 500, heartbeatFrequencyMS: 500 }
        })
        const session = yield* open()
        const insert = send(session, { insert: "items", documents: [{}] })
        const scope = yield* Effect.scope
        let second: Responder.Responder | undefined
        const retries: Array<Telemetry.Retry> = []
        let failure: unknown
        let attempts = 0
        const body = Effect.gen(function*() {
          yield* insert
          if (++attempts > 1) return
          yield* goDown(client, Scope.close(down, Exit.void))
          yield* Effect.tapError(insert, (error) => Effect.sync(() => void (failure = error)))
        })
        yield* Transaction.run(body, {
          onRetry: (retry) =>
            Effect.gen(function*() {
              retries.push(retry)
              second ??= yield* comeBack(client, Scope.extend(Responder.make({ port: first.port }), scope))
            })
        }).pipe(Session.provide(session), Effect.provideService(MongoClient.MongoClient, client))
        expect(failure).toMatchObject({ _tag: "MongoError", reason: "ServerSelectionFailed", labels: [] })
        expect(retries.map(({ reason, step }) => [step, reason])).toEqual([["body", "ServerSelectionFailed"]])
        const commands = second === undefined ? [] : yield* second.commands
        expect(toLines(commands)).toEqual(["1 insert start", "1 commitTransaction"])
        expect(attempts).toBe(2)
      }))
  })

  describe("a cause of several kinds is not retried, although one of them is transient", () => {
    const mixed = {
      "a defect": Cause.die("a bug"),
      "an interruption": Cause.interrupt(Effect.runSync(Effect.fiberId))
    }
    for (const [kind, other] of Object.entries(mixed)) {
      it.effect(`with ${kind}, and stays as it is`, () =>
        inPlace(({ insert, stored, transientOn, wire }) =>
          Effect.gen(function*() {
            yield* transientOn(["insert"])
            const body = Effect.catchAllCause(insert(1), (cause) => Effect.failCause(Cause.parallel(cause, other)))
            const exit = yield* Effect.exit(Transaction.run(body))
            const cause = Exit.isFailure(exit) ? exit.cause : Cause.empty
            expect([...Cause.failures(cause)]).toMatchObject([{ _tag: "MongoError", code: 251 }])
            expect([...Cause.defects(cause)]).toEqual([...Cause.defects(other)])
            expect(Cause.isInterrupted(cause)).toBe(Cause.isInterrupted(other))
            expect(yield* stored).toEqual([])
            expect(yield* wire).toEqual(once)
          })
        ))
    }
  })

  describe("a retry is told", () => {
    it.effect("to onRetry, in the span and in the metrics, with attempt, step, reason and label", () =>
      inPlace(({ insert, lostCommit, transientOn }) =>
        Effect.gen(function*() {
          const retries: Array<Telemetry.Retry> = []
          const onRetry = (retry: Telemetry.Retry) =>
            Effect.gen(function*() {
              // Outside of the transaction: neither is in the context.
              expect(yield* Effect.serviceOption(Session.Session)).toEqual(Option.none())
              expect(yield* Effect.serviceOption(Transaction.Transaction)).toEqual(Option.none())
              retries.push(retry)
              if (retry.attempt === 2 && retry.step === "body") yield* Effect.orDie(lostCommit(1, 64))
            })
          const before = yield* counted
          const { spans, tracer } = recorder()
          yield* transientOn(["insert"], 2)
          const retry = Schedule.spaced("2 millis")
          yield* Effect.withTracer(Transaction.run(insert(1), { onRetry, retry }), tracer)

          const body = { step: "body", reason: "NoSuchTransaction", label: "TransientTransactionError" }
          const commit = { step: "commit", reason: "WriteConcernFailed", label: "UnknownTransactionCommitResult" }
          const told = [{ attempt: 1, ...body }, { attempt: 2, ...body }, { attempt: 3, ...commit }]
          expect(retries).toMatchObject(told)
          expect(retries.slice(0, 2).map(({ delay }) => Duration.toMillis(delay))).toEqual([2, 2])
          const elapsed = retries.map((one) => Duration.toMillis(one.elapsed))
          expect(elapsed).toEqual([...elapsed].sort((a, b) => a - b))
          const after = yield* counted
          expect(after.map((count, n) => count - before[n]!)).toEqual([2, 1, 1])
          const events = spans.filter(({ name }) => name === "transaction").flatMap((span) => span.events)
          expect(events).toEqual([
            ...told.map((attributes) => ({ name: "retry", attributes })),
            { name: "committed", attributes: {} }
          ])
        }).pipe(Effect.scoped)
      ))

    it.effect("in the body's own span where it runs, so that each attempt's operations are found below one", () =>
      inPlace(({ insert, transientOn }) =>
        Effect.gen(function*() {
          const { spans, tracer } = recorder()
          yield* transientOn(["insert"])
          yield* Effect.withTracer(Transaction.run(Effect.withSpan(insert(1), "part")), tracer)
          expect(spans.map(({ name, parent }) => [name, parent])).toEqual([
            ["transaction", undefined],
            ["part", "transaction"],
            ["abortTransaction admin", "transaction"],
            ["part", "transaction"],
            ["commitTransaction admin", "transaction"]
          ])
        })
      ))

    it.effect("in a span only where a tracer is set, for one is dear to make", () =>
      inPlace(() =>
        Effect.gen(function*() {
          const { spans, tracer } = recorder()
          const spanOfBody = Transaction.run(
            Effect.map(Effect.option(Effect.currentSpan), Option.map(({ name }) => name))
          )
          expect(yield* spanOfBody).toEqual(Option.none())
          expect(yield* Effect.withSpan(spanOfBody, "around")).toEqual(Option.some("around"))
          expect(yield* Effect.withTracer(spanOfBody, tracer)).toEqual(Option.some("transaction"))
          expect(spans.map(({ ended, name }) => [name, ended])).toEqual([["transaction", "success"]])
        })
      ))
  })
})

const retriesBy = (step: string, label: string) =>
  Metric.tagged(Metric.tagged(Telemetry.transactionRetries, "label", label), "step", step)

const counted = Effect.map(
  Effect.all([
    Metric.value(retriesBy("body", "TransientTransactionError")),
    Metric.value(retriesBy("commit", "UnknownTransactionCommitResult")),
    Metric.value(Metric.tagged(Telemetry.transactions, "outcome", "committed"))
  ]),
  (states) => states.map(({ count }) => count)
)
