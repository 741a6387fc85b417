import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as Schedule from "effect/Schedule"
import * as TestClock from "effect/TestClock"
import * as Tracer from "effect/Tracer"
import { inner } from "../../src/internal/session/client.js"
import * as MongoClient from "../../src/MongoClient.js"
import * as Session from "../../src/Session.js"
import * as Telemetry from "../../src/Telemetry.js"
import * as Transaction from "../../src/Transaction.js"
import { connected, logged, send } from "../support/server/connected.js"
import type * as Responder from "../support/server/responder.js"
import * as Monitor from "../support/watch/monitor.js"
import { recorder } from "../support/watch/spans.js"

const transient = { ok: 0, code: 251, errmsg: "gone", errorLabels: ["TransientTransactionError"] }

/** How many transactions have ended so, and how long these were open in all, in whole seconds. */
const ended = (outcome: string) =>
  Effect.map(Metric.value(Metric.tagged(Telemetry.transactionDuration, "outcome", outcome)), ({ count, sum }) => ({
    count,
    sum
  }))

const changeOf = <E, R>(outcomes: ReadonlyArray<string>, effect: Effect.Effect<unknown, E, R>) =>
  Effect.gen(function*() {
    const all = Effect.all(outcomes.map(ended))
    const before = yield* all
    yield* Effect.exit(effect)
    return (yield* all).map(({ count, sum }, n) => [count - before[n]!.count, Math.round(sum - before[n]!.sum)])
  })

const long = Effect.map(Metric.value(Telemetry.longTransactions), ({ count }) => count)

/** A session of a client on a scripted server, as the ambient one. */
const inSession = <A, E>(
  test: (session: Session.Service) => Effect.Effect<A, E, Session.Session | MongoClient.MongoClient>,
  handlers: Responder.Options["handlers"] = {}
) =>
  Effect.gen(function*() {
    const { client, open } = yield* connected({ handlers: { insert: {}, ...handlers } })
    const session = yield* open({ keepAlive: false })
    return yield* test(session).pipe(
      Session.provide(session),
      Effect.provideService(MongoClient.MongoClient, client)
    )
  })

const insert = (session: Session.Service) => send(session, { insert: "things", documents: [{}] })

describe("how long a transaction is open", () => {
  it.scoped("is told with how it ended, of each attempt", () =>
    inSession((session) =>
      Effect.gen(function*() {
        let attempts = 0
        const body = Effect.zipRight(
          TestClock.adjust("3 seconds"),
          Effect.suspend(() => attempts++ === 0 ? insert(session) : Effect.void)
        )
        const run = Transaction.run(body, { retry: Schedule.recurs(1) })
        expect(yield* changeOf(["retried", "committed", "rolledBack"], run)).toEqual([[1, 3], [1, 3], [0, 0]])
        expect(attempts).toBe(2)
        const failed = Transaction.run(Effect.zipRight(TestClock.adjust("7 seconds"), Effect.fail("no")))
        expect(yield* changeOf(["retried", "committed", "rolledBack"], failed)).toEqual([[0, 0], [0, 0], [1, 7]])
      }), { insert: transient }))

  it.scoped("is told of those under manual control, and of those that a body ends by hand", () =>
    inSession((session) =>
      Effect.gen(function*() {
        const byHand = <E>(end: Effect.Effect<void, E, Session.Session>) =>
          Effect.zipRight(Transaction.start(), Effect.zipRight(TestClock.adjust("2 seconds"), end))
        expect(yield* changeOf(["committed"], byHand(Transaction.commit))).toEqual([[1, 2]])
        expect(yield* changeOf(["rolledBack"], byHand(Transaction.abort))).toEqual([[1, 2]])
        const body = insert(session).pipe(
          Effect.zipRight(TestClock.adjust("4 seconds")),
          Effect.zipRight(Transaction.commit),
          Effect.zipRight(TestClock.adjust("8 seconds")),
          Effect.zipRight(byHand(Transaction.abort))
        )
        expect(yield* changeOf(["committed", "rolledBack"], Transaction.run(body))).toEqual([[1, 4], [1, 2]])
      })
    ))

  it.scoped("is told of one that a body has started by hand in the place of its own, and no longer when that is over", () =>
    logged((entries) =>
      inSession((session) =>
        Effect.gen(function*() {
          const body = insert(session).pipe(
            Effect.zipRight(Transaction.abort),
            Effect.zipRight(TestClock.adjust("1 second")),
            Effect.zipRight(Transaction.start()),
            Effect.zipRight(TestClock.adjust("3 seconds"))
          )
          expect(yield* changeOf(["committed", "rolledBack"], Transaction.run(body))).toEqual([[1, 3], [1, 0]])
          yield* TestClock.adjust("2 minutes")
          expect(entries.filter(({ message }) => message === Telemetry.messages.long)).toEqual([])
        })
      )
    ))

  it.scoped("is told of one whose session ends before it", () =>
    Effect.gen(function*() {
      const { client } = yield* connected()
      const left = Session.scoped(Effect.zipRight(Transaction.start(), TestClock.adjust("5 seconds")))
      const change = changeOf(["rolledBack"], left)
      expect(yield* Effect.provideService(change, MongoClient.MongoClient, client)).toEqual([[1, 5]])
    }))
})

// What the server answers when it is asked comes in its own time, and so nobody waits for it here.
const halfAMinute = (attempt = 1) => ({
  message: Telemetry.messages.long,
  annotations: { attempt, open: "30s", limit: "not known", hint: expect.any(String) }
})

describe("a transaction that is open for half of a minute, and whose server does not tell how old it may become", () => {
  it.scoped("is counted, once for each attempt that is, and told of in its first such attempt", () =>
    logged((entries) =>
      inSession((session) =>
        Effect.gen(function*() {
          const before = yield* long
          const { spans, tracer } = recorder()
          let attempts = 0
          const body = Effect.suspend(() =>
            attempts++ < 2
              ? Effect.zipRight(TestClock.adjust("40 seconds"), insert(session))
              : TestClock.adjust("29 seconds")
          )
          yield* Effect.withTracer(Transaction.run(body, { retry: Schedule.recurs(2) }), tracer)
          expect(attempts).toBe(3)
          expect(entries.filter(({ message }) => message === Telemetry.messages.long)).toEqual([halfAMinute()])
          expect(yield* long).toBe(before + 2)
          const events = spans.filter(({ name }) => name === "transaction").flatMap(({ events }) => events)
          expect(events.map(({ name }) => name).filter((name) => name !== Telemetry.messages.long))
            .toEqual(["long", "retry", "retry", "committed"])
        }), { insert: transient, getParameter: "hang" })
    ))

  it.scoped("is told of under manual control, but not when it has ended", () =>
    logged((entries) =>
      inSession(() =>
        Effect.gen(function*() {
          yield* Transaction.start()
          yield* TestClock.adjust("29 seconds")
          yield* Transaction.commit
          yield* TestClock.adjust("2 minutes")
          expect(entries).toEqual([])
          yield* Transaction.start()
          yield* TestClock.adjust("30 seconds")
          expect(entries).toEqual([halfAMinute()])
          yield* Transaction.abort
        }), { getParameter: "hang" })
    ))
})

describe("a tracer that throws", () => {
  const no = () => {
    throw new Error("no")
  }
  const changing = (tracer: Tracer.Tracer, change: (span: Tracer.Span) => Tracer.Span) =>
    Tracer.make({ ...tracer, span: (...args) => change(tracer.span(...args)) })
  const { errorType, txnNumber } = Telemetry.attributes
  for (const when of [txnNumber, errorType, "end"]) {
    it.scoped(`as it is told of a commit is a defect, and leaves all around as it was: ${when}`, () =>
      inSession((session) =>
        Effect.gen(function*() {
          const { tracer } = recorder()
          const throwing = changing(tracer, (span) =>
            span.name.startsWith("commitTransaction")
              ? {
                ...span,
                attribute: (key) => key === when ? no() : undefined,
                end: () => when === "end" ? no() : undefined
              }
              : span)
          const around = yield* Effect.gen(function*() {
            const outside = yield* Effect.currentSpan
            const exit = yield* Effect.exit(Transaction.run(insert(session)))
            expect(Exit.isFailure(exit) && Cause.isDie(exit.cause)).toBe(true)
            return (yield* Effect.currentSpan) === outside
          }).pipe(Effect.withSpan("around"), Effect.withTracer(throwing))
          expect(around).toBe(true)
          expect(yield* session.state).toBe("idle")
        }), when === errorType ? { commitTransaction: { ok: 0, code: 2, errmsg: "no" } } : {}))
  }

  it.scoped("as it is told of a commit by hand leaves its result unknown: no hook runs", () =>
    inSession((session) =>
      Effect.gen(function*() {
        const { tracer } = recorder()
        const throwing = changing(tracer, (span) =>
          span.name.startsWith("commitTransaction") ? { ...span, end: no } : span)
        const ran: Array<string> = []
        yield* Transaction.start()
        yield* Transaction.run(
          Effect.zipRight(
            Transaction.onRollback(Effect.sync(() =>
              ran.push("onRollback")
            )),
            insert(session)
          )
        )
        const exit = yield* Effect.exit(Effect.withTracer(Effect.withSpan(Transaction.commit, "around"), throwing))
        expect(Exit.isFailure(exit) && Cause.isDie(exit.cause)).toBe(true)
        expect(ran).toEqual([])
        expect(yield* session.state).toBe("idle")
      })
    ))

  it.scoped("as it is told of a lost conflict is a defect, and the operation ends", () =>
    inSession((session) =>
      Effect.gen(function*() {
        const { tracer } = recorder()
        const throwing = changing(tracer, (span) => ({ ...span, event: no }))
        const exit = yield* Transaction.run(insert(session)).pipe(
          Effect.withSpan("around"),
          Effect.withTracer(throwing),
          Effect.exit
        )
        expect(Exit.isFailure(exit) && Cause.isDie(exit.cause)).toBe(true)
        expect(yield* session.state).toBe("idle")
      }), { insert: { ok: 0, code: 112, errmsg: "no", errorLabels: ["TransientTransactionError"] } }))
})

describe("a round of the keep-alive", () => {
  it.scoped("is a span of its own with its commands, where there is anything to refresh", () =>
    Effect.gen(function*() {
      const { spans, tracer } = recorder()
      const { open, server } = yield* Effect.withTracer(
        Effect.withSpan(
          connected({}, { keepAlive: { schedule: Schedule.spaced("1 minute"), idleFor: "2 minutes" } }),
          "start"
        ),
        tracer
      )
      yield* open()
      yield* open()
      yield* TestClock.adjust("1 minute")
      expect(spans.map(({ name }) => name)).toEqual(["start"])
      yield* TestClock.adjust("1 minute")
      yield* server.awaitCommand("refreshSessions")
      yield* Monitor.until(Effect.sync(() => spans[1]?.ended), (ended) => ended !== "open")
      expect(
        spans.slice(1).map(({ attributes, ended, kind, name, parent }) => ({ attributes, ended, kind, name, parent }))
      )
        .toMatchObject([
          {
            name: "keepAlive",
            kind: "internal",
            parent: undefined,
            attributes: { "db.system.name": "mongodb", "mongo.session.count": 2 },
            ended: "success"
          },
          {
            name: "refreshSessions admin",
            kind: "client",
            parent: "keepAlive",
            attributes: {
              "db.operation.name": "refreshSessions",
              "db.namespace": "admin",
              "server.address": "127.0.0.1"
            },
            ended: "success"
          }
        ])
    }))

  it.scoped("that fails has the status of an error, and is tried again in another", () =>
    Effect.gen(function*() {
      const { spans, tracer } = recorder()
      let failing = 1
      const refreshSessions = () => failing-- > 0 ? { ok: 0, code: 13, codeName: "Unauthorized", errmsg: "no" } : {}
      const { client, open } = yield* Effect.withTracer(connected({ handlers: { refreshSessions } }), tracer)
      yield* open()
      yield* TestClock.adjust("12 minutes")
      const round = yield* Effect.fork(Effect.withTracer(client[inner].keeper.round, tracer))
      yield* Monitor.until(Effect.sync(() => spans[0]?.ended), (ended) => ended === "failure")
      yield* TestClock.adjust("1 second")
      yield* round
      expect(
        spans.filter(({ name }) => name === "keepAlive").map((
          { attributes, ended }
        ) => [ended, attributes["error.type"]])
      )
        .toEqual([["failure", "Unauthorized"], ["success", undefined]])
    }))
})
