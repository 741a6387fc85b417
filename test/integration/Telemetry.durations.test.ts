import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as MetricState from "effect/MetricState"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Collection from "../../src/Collection.js"
import * as MongoClient from "../../src/MongoClient.js"
import * as Session from "../../src/Session.js"
import * as Transaction from "../../src/Transaction.js"
import { connected, ping } from "../support/server/connected.js"
import * as Responder from "../support/server/responder.js"
import { recorder } from "../support/watch/spans.js"

/** A collection that no other test has, and how often an operation of it was timed, by operation and type of error. */
const timed = (name: string) => ({
  Things: Collection.make(name, { database: "durations" }),
  counts: Effect.sync(() =>
    Object.fromEntries(
      Metric.unsafeSnapshot().flatMap(({ metricKey, metricState }) => {
        const tags = new Map(metricKey.tags.map(({ key, value }) => [key, value]))
        return metricKey.name === "db.client.operation.duration" && tags.get("db.collection.name") === name &&
            MetricState.isHistogramState(metricState)
          ? [[[tags.get("db.operation.name"), tags.get("error.type")].join(" ").trim(), metricState.count]]
          : []
      })
    )
  )
})

describe("an operation is timed once", () => {
  it.scoped("in a session or none, be it its turn at once or not", () =>
    Effect.gen(function*() {
      const { Things, counts } = timed("turns")
      const { client, open, server } = yield* connected()
      const session = yield* open()
      yield* Effect.gen(function*() {
        yield* Things.findOne({})
        expect(yield* counts).toEqual({ find: 1 })
        yield* Session.provide(Things.findOne({}), session)
        expect(yield* counts).toEqual({ find: 2 })
        const answer = yield* Deferred.make<void>()
        yield* server.on("ping", () => Effect.as(Deferred.await(answer), {}))
        const holder = yield* Effect.fork(ping(session))
        yield* server.awaitCommand("ping")
        const queued = yield* Effect.fork(Session.provide(Things.findOne({}), session))
        yield* Effect.yieldNow()
        expect(yield* counts).toEqual({ find: 2 })
        yield* Deferred.succeed(answer, undefined)
        yield* Fiber.join(holder)
        yield* Fiber.join(queued)
        expect(yield* counts).toEqual({ find: 3 })
        yield* Transaction.run(Things.findOne({}))
        expect(yield* counts).toEqual({ find: 4 })
      }).pipe(Effect.provideService(MongoClient.MongoClient, client))
    }))

  it.scoped("with the type of its error, wherever that was found", () =>
    Effect.gen(function*() {
      const { Things, counts } = timed("failures")
      const scope = yield* Scope.make()
      const { client, open } = yield* Scope.extend(
        connected({ handlers: { distinct: { ok: 0, code: 13, codeName: "Unauthorized", errmsg: "no" } } }),
        scope
      )
      const inner = yield* Scope.make()
      const session = yield* Scope.extend(open(), inner)
      yield* Effect.gen(function*() {
        yield* Effect.exit(Session.provide(Things.estimatedDocumentCount(), session))
        yield* Effect.exit(Session.provide(Things.distinct("n"), session))
        yield* Effect.exit(Things.distinct("n"))
        yield* Scope.close(inner, Exit.void)
        yield* Effect.exit(Session.provide(Things.findOne({}), session))
        yield* Scope.close(scope, Exit.void)
        yield* Effect.exit(Things.findOne({}))
        expect(yield* counts).toEqual({
          "count InvalidInTransaction": 1,
          "distinct Unauthorized": 2,
          "find SessionEnded": 1,
          "find ConnectionClosed": 1
        })
      }).pipe(Effect.provideService(MongoClient.MongoClient, client))
    }))

  it.scopedLive("when its time is over, and when it is interrupted, in a session or none", () =>
    Effect.gen(function*() {
      const { Things, counts } = timed("late")
      const { client, open, server } = yield* connected({ handlers: { find: () => "hang" } }, {
        settleTimeout: "50 millis",
        timeout: "100 millis"
      })
      yield* Effect.gen(function*() {
        yield* Effect.exit(Things.findOne({}))
        yield* Effect.exit(Session.provide(Things.findOne({}), yield* open()))
        expect(yield* counts).toEqual({ "find TimedOut": 2 })
        for (const session of [undefined, yield* open({ timeout: "1 minute" })]) {
          yield* server.clear
          const find = session === undefined ? Things.findOne({}) : Session.provide(Things.findOne({}), session)
          const running = yield* Effect.fork(find)
          yield* server.awaitCommand("find")
          yield* Fiber.interrupt(running)
        }
        expect(yield* counts).toEqual({ "find TimedOut": 2, "find interrupted": 2 })
      }).pipe(Effect.provideService(MongoClient.MongoClient, client))
    }))
})

describe("the server of an operation", () => {
  it.scoped("is that which its transaction is pinned to, where there are several to choose from", () =>
    Effect.gen(function*() {
      const hello = { setName: undefined, msg: "isdbgrid" }
      const servers = [yield* Responder.make({ hello }), yield* Responder.make({ hello })]
      const hosts = servers.map(({ port }) => `127.0.0.1:${port}`)
      const client = yield* MongoClient.make({ url: Redacted.make(`mongodb://${hosts.join(",")}`) })
      const { Things } = timed("pinned")
      const { spans, tracer } = recorder()
      yield* Transaction.run(Effect.repeatN(Things.findOne({}), 1)).pipe(
        Effect.zipRight(Things.findOne({})),
        Effect.withTracer(tracer),
        Effect.provideService(MongoClient.MongoClient, client)
      )
      const ports = spans.map(({ attributes }) => attributes["server.port"])
      const pinned = servers.map(({ port }) => port).find((port) => port === ports[1])
      expect(pinned).toBeDefined()
      expect(spans.map(({ name }, n) => [name, ports[n]])).toEqual([
        ["transaction", undefined],
        ["find durations.pinned", pinned],
        ["find durations.pinned", pinned],
        ["commitTransaction admin", pinned],
        ["find durations.pinned", undefined]
      ])
    }))
})
