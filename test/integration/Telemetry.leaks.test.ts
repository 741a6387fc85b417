import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as MongoClient from "../../src/MongoClient.js"
import * as Session from "../../src/Session.js"
import * as Telemetry from "../../src/Telemetry.js"
import * as Transaction from "../../src/Transaction.js"
import { connected, logged, ping } from "../support/server/connected.js"
import * as Responder from "../support/server/responder.js"
import * as Monitor from "../support/watch/monitor.js"

const leaked = Effect.map(Metric.value(Telemetry.sessionsLeaked), ({ count }) => count)

const url = Effect.map(Responder.make(), (server) => Redacted.make(server.url))

describe("a client that closes", () => {
  it.scoped("tells once of all sessions that are still open, and of the spans that opened them", () =>
    logged((entries) =>
      Effect.gen(function*() {
        const before = yield* leaked
        const outer = yield* Effect.scope
        const scope = yield* Scope.make()
        const { open } = yield* Scope.extend(connected(), scope)
        const first = yield* Effect.withSpan(
          Effect.zip(Scope.extend(open(), outer), Effect.orDie(Effect.currentSpan)),
          "checkout"
        )
        const second = yield* Scope.extend(open(), outer)
        yield* Scope.close(scope, Exit.void)
        expect(entries.filter(({ message }) => message === Telemetry.messages.leaked)).toEqual([{
          message: Telemetry.messages.leaked,
          annotations: {
            sessions: 2,
            open: [
              { id: first[0].id.uuid, span: "checkout", traceId: first[1].traceId, spanId: first[1].spanId },
              { id: second.id.uuid }
            ]
          }
        }])
        expect(yield* leaked).toBe(before + 2)
        expect(yield* first[0].state).toBe("ended")
      })
    ))

  it.scoped("has nothing to tell where sessions are closed before it", () =>
    logged((entries) =>
      Effect.gen(function*() {
        const before = yield* leaked
        const client = MongoClient.layer({ url: yield* url })
        yield* Effect.provide(Session.scoped(Session.use((session) => Promise.resolve(session))), client)
        yield* Effect.provide(Transaction.run(Effect.void), client)
        yield* Effect.provide(Session.Session, Layer.provide(Session.layer(), client))
        yield* Effect.provide(Session.Session, Layer.provideMerge(Session.layer(), client))
        yield* Effect.provide(Session.Session, Layer.merge(client, Layer.provide(Session.layer(), client)))
        yield* Effect.provide(Effect.scoped(Session.make()), client)
        yield* Effect.scoped(Effect.flatMap(MongoClient.make({ url: yield* url }), (service) =>
          Effect.provideService(Session.make(), MongoClient.MongoClient, service)))
        expect(entries).toEqual([])
        expect(yield* leaked).toBe(before)
      })
    ))

  it.scopedLive("has nothing to tell of a session that is being closed at the same time", () =>
    logged((entries) =>
      Effect.gen(function*() {
        const inner = yield* Scope.make()
        const scope = yield* Scope.make()
        const { open, server } = yield* Scope.extend(connected({ handlers: { ping: () => "hang" } }), scope)
        const session = yield* Scope.extend(open({ settleTimeout: "200 millis" }), inner)
        yield* Effect.fork(ping(session))
        yield* server.awaitCommand("ping")
        const closing = yield* Effect.fork(Scope.close(inner, Exit.void))
        yield* Monitor.until(session.state, (state) => state === "ended")
        yield* Scope.close(scope, Exit.void)
        yield* closing
        expect(entries.map(({ message }) => message)).not.toContain(Telemetry.messages.leaked)
      })
    ))
})
