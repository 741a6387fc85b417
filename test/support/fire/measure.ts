/**
 * Measures what many open sessions cost: memory, opening, closing, and the commands of keep-alive. The server is scripted, for
 * what is measured is the client.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import type * as Driver from "mongodb"
import { inner } from "../../../src/internal/session/client.js"
import * as MongoClient from "../../../src/MongoClient.js"
import * as Session from "../../../src/Session.js"
import { connect } from "../server/clients.js"
import * as Responder from "../server/responder.js"
import { liveHeap } from "../watch/heap.js"

/** What so many sessions cost. */
export interface Costs {
  readonly sessions: number
  /** Bytes for each session of the library, and for each of the driver's alone. */
  readonly bytes: number
  readonly driverBytes: number
  /** Microseconds for each; closing by the library, and by the driver alone, where it was asked for. */
  readonly opening: number
  readonly closing: number | undefined
  readonly driverClosing: number | undefined
  /** `refreshSessions` commands of one round of keep-alive, and the sessions that they have refreshed. */
  readonly commands: number
  readonly refreshed: number
}

/** Opens so many sessions, refreshes all of them once, and closes them. */
export const costs = (sessions: number): Effect.Effect<Costs> => Effect.scoped(measured(sessions, true))

/** Opens so many sessions, and refreshes all of them once. What closes the scope closes them. */
export const open = (sessions: number): Effect.Effect<Costs, never, Scope.Scope> => measured(sessions, false)

const measured = (sessions: number, isClosed: boolean): Effect.Effect<Costs, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { url } = yield* Responder.make({ record: false })
    const client = yield* MongoClient.make({ url: Redacted.make(url), keepAlive: { idleFor: "1 millis" } })
    yield* Effect.scoped(Effect.provideService(Session.make(), MongoClient.MongoClient, client))

    const beforeDriver = yield* liveHeap
    const raw: Array<Driver.ClientSession> = Array.from({ length: sessions }, () => {
      const session = client.driver.startSession()
      void session.serverSession
      return session
    })
    const driverBytes = ((yield* liveHeap) - beforeDriver) / sessions
    // What has no server session is not given back to the pool, so that the next ones begin as these did.
    for (const session of raw) if (session.serverSession !== null) session.serverSession.isDirty = true
    yield* Effect.promise(() => Promise.all(raw.splice(0).map((session) => session.endSession())))

    const before = yield* liveHeap
    const scopes: Array<Scope.CloseableScope> = []
    const open = Effect.gen(function*() {
      const scope = yield* Scope.make()
      yield* Scope.extend(Session.make(), scope)
      scopes.push(scope)
    })
    const opened = yield* timed(Effect.provideService(repeated(open, sessions), MongoClient.MongoClient, client))
    const bytes = ((yield* liveHeap) - before) / sessions
    yield* Effect.sleep("5 millis")
    const { commands, refreshed } = yield* client[inner].keeper.round
    const closed = Effect.forEach(scopes, (scope) => Scope.close(scope, Exit.void), { discard: true })
    const closing = isClosed ? (yield* timed(closed)) / sessions : undefined
    // By another client, whose pool is empty.
    const driverClosing = isClosed ? (yield* timed(yield* driverSessions(url, sessions))) / sessions : undefined
    return {
      sessions,
      bytes: Math.round(bytes),
      driverBytes: Math.round(driverBytes),
      opening: opened / sessions,
      closing,
      driverClosing,
      commands,
      refreshed
    }
  }).pipe(Effect.orDie)

// Opens so many by the driver alone, and gives what ends them.
const driverSessions = (url: string, sessions: number) =>
  Effect.map(connect(url), (client) => {
    const all = Array.from({ length: sessions }, () => client.startSession())
    return Effect.promise(async () => {
      for (const session of all) await session.endSession()
    })
  })

/** With what power of the number a whole takes more time: 1 where each takes as long, however many there are. */
export const exponent = (
  small: readonly [n: number, each: number],
  large: readonly [n: number, each: number]
): number => Math.log((large[0] * large[1]) / (small[0] * small[1])) / Math.log(large[0] / small[0])

const repeated = <E, R>(effect: Effect.Effect<void, E, R>, times: number) =>
  Effect.forEach(Array.from({ length: times }), () => effect, { discard: true })

const timed = <E, R>(effect: Effect.Effect<void, E, R>): Effect.Effect<number, E, R> =>
  Effect.gen(function*() {
    const from = yield* Clock.currentTimeNanos
    yield* effect
    return Number((yield* Clock.currentTimeNanos) - from) / 1000
  })
