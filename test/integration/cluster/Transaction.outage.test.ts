/**
 * Transactions while the set has no primary, and when the primary dies with a commit: no session breaks, nobody waits for
 * ever, and nothing stays open.
 */
import { describe, expect, layer } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Collection from "../../../src/Collection.js"
import * as MongoClient from "../../../src/MongoClient.js"
import { Label, MongoError } from "../../../src/MongoError.js"
import * as Session from "../../../src/Session.js"
import * as MongoServer from "../../../src/testing/MongoServer.js"
import * as Transaction from "../../../src/Transaction.js"
import * as TestServer from "../../support/server/testServer.js"
import * as Monitor from "../../support/watch/monitor.js"
import * as Spans from "../../support/watch/spans.js"

const itemsOf = () => Collection.make("items")
type Items = ReturnType<typeof itemsOf>

/** A client of the set, and a collection that is there. */
const place = (
  options: Partial<MongoClient.Options> = {}
): Effect.Effect<
  { readonly client: MongoClient.Service; readonly items: Items },
  MongoError,
  MongoServer.MongoServer | Scope.Scope
> =>
  Effect.gen(function*() {
    const { url } = yield* MongoServer.MongoServer
    const database = yield* TestServer.database
    const client = yield* MongoClient.make({ url: Redacted.make(url), database, ...options })
    yield* Effect.promise(() => client.driver.db(database).createCollection("items"))
    return { client, items: itemsOf() }
  })

/** Runs an effect while only one member of three is there, which is not primary, or is so no more. */
const withoutPrimary = <A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E | MongoServer.MemberFailed, Exclude<R, Scope.Scope> | MongoServer.MongoServer> =>
  Effect.scoped(Effect.gen(function*() {
    const { members } = yield* MongoServer.MongoServer
    const [last, ...others] = members
    yield* Effect.forEach(others, ({ kill }) => kill, { concurrency: "unbounded" })
    const direct = yield* TestServer.connect(`mongodb://${last!.address}/?directConnection=true`)
    const isPrimary = Effect.promise(() => direct.db("admin").command({ hello: 1 }))
    yield* Monitor.until(isPrimary, ({ isWritablePrimary }) => isWritablePrimary === false)
    return yield* effect
  }))

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("while the set has no primary", () => {
    it.scoped("a session does not break, however long looking for one takes, and works when there is one again", () =>
      Effect.gen(function*() {
        const { client, items } = yield* place({
          settleTimeout: "500 millis",
          driver: { serverSelectionTimeoutMS: 2000 }
        })
        yield* Effect.gen(function*() {
          const session = yield* Session.make()
          const started = yield* Deferred.make<void>()
          const lost = yield* Deferred.make<void>()
          const body = items.insertOne({ n: 1 }).pipe(
            Effect.zipRight(Deferred.succeed(started, undefined)),
            Effect.zipRight(Deferred.await(lost)),
            Effect.zipRight(items.insertOne({ n: 2 }))
          )
          const run = yield* Effect.fork(Session.provide(Transaction.run(body), session))
          yield* Deferred.await(started)
          // Twice as long as the driver looks for a primary, and eight times as long as an operation has to settle.
          yield* withoutPrimary(Effect.zipRight(Deferred.succeed(lost, undefined), Effect.sleep("4 seconds")))
          yield* Fiber.join(run)
          expect(yield* session.state).toBe("idle")
          expect(yield* Session.provide(items.countDocuments({}), session)).toBe(2)
          const failed = yield* withoutPrimary(
            Effect.exit(Session.provide(Transaction.run(items.insertOne({ n: 3 }), { timeout: "1 second" }), session))
          )
          expect(failed._tag).toBe("Failure")
          expect(yield* session.state).toBe("idle")
          expect(yield* Session.provide(items.countDocuments({}), session)).toBe(2)
        }).pipe(Effect.provideService(MongoClient.MongoClient, client))
      }))

    it.scoped("who no longer waits for a run is told in a few seconds, for what was not sent is called off", () =>
      Effect.gen(function*() {
        const { client, items } = yield* place()
        yield* Effect.gen(function*() {
          const time = yield* withoutPrimary(Effect.gen(function*() {
            const run = Transaction.run(items.insertOne({ n: 1 })).pipe(Effect.timeout("1 second"), Effect.exit)
            return yield* Effect.map(Effect.timed(run), ([time]) => time)
          }))
          expect(Duration.toMillis(time)).toBeLessThan(12_000)
        }).pipe(Effect.provideService(MongoClient.MongoClient, client))
      }))
  })

  describe("a run that is interrupted when the set has lost its primary", () => {
    it.scoped("is over in a few seconds, though the abort finds no server", () =>
      Effect.gen(function*() {
        const { client, items } = yield* place()
        yield* Effect.gen(function*() {
          const begun = yield* Deferred.make<void>()
          const body = Effect.all([items.insertOne({ n: 1 }), Deferred.succeed(begun, undefined), Effect.never])
          const run = yield* Effect.fork(Transaction.run(body))
          yield* Deferred.await(begun)
          const [time] = yield* withoutPrimary(Effect.timed(Fiber.interrupt(run)))
          expect(Duration.toMillis(time)).toBeLessThan(15_000)
          yield* Transaction.run(items.insertOne({ n: 2 }))
          expect(yield* items.countDocuments({ n: 1 })).toBe(0)
        }).pipe(Effect.provideService(MongoClient.MongoClient, client))
      }))

    it.scoped("is over in a few seconds, though it was interrupted while an abort looked for a server", () =>
      Effect.gen(function*() {
        const { client, items } = yield* place()
        yield* Effect.gen(function*() {
          const { spans, tracer } = Spans.recorder()
          const begun = yield* Deferred.make<void>()
          const lost = yield* Deferred.make<void>()
          const transient = new MongoError({
            reason: "Other",
            operation: "test",
            labels: [Label.TransientTransactionError]
          })
          const body = Effect.all([items.insertOne({ n: 1 }), Deferred.succeed(begun, undefined), Deferred.await(lost)])
          const run = yield* Effect.fork(Effect.withTracer(Transaction.run(Effect.zipRight(body, transient)), tracer))
          yield* Deferred.await(begun)
          const [time] = yield* withoutPrimary(Effect.gen(function*() {
            yield* Deferred.succeed(lost, undefined)
            yield* Monitor.until(Effect.sync(() => spans), (all) => all.some(({ name }) => name.startsWith("abort")))
            return yield* Effect.timed(Fiber.interrupt(run))
          }))
          expect(Duration.toMillis(time)).toBeLessThan(12_000)
        }).pipe(Effect.provideService(MongoClient.MongoClient, client))
      }))
  })

  describe("a commit whose primary dies", () => {
    it.scoped("before it is done is asked for at the next primary, and the body runs again: committed once", () =>
      Effect.gen(function*() {
        const { client, items } = yield* place()
        const { members, primary } = yield* MongoServer.MongoServer
        expect(members).toHaveLength(3)
        yield* Effect.gen(function*() {
          let runs = 0
          const body = Effect.suspend(() => (runs++, items.insertOne({ n: 1 })))
          const old = yield* primary
          const admin = client.driver.db("admin")
          yield* Effect.promise(() =>
            admin.command({
              configureFailPoint: "failCommand",
              mode: { times: 1 },
              data: { failCommands: ["commitTransaction"], blockConnection: true, blockTimeMS: 3000 }
            })
          )
          const run = yield* Effect.fork(Transaction.run(body))
          yield* Effect.sleep("500 millis")
          yield* Effect.scoped(Effect.zipRight(old.kill, Fiber.join(run)))
          expect(runs).toBeGreaterThan(1)
          expect(yield* items.countDocuments({})).toBe(1)
        }).pipe(Effect.provideService(MongoClient.MongoClient, client))
      }))
  })
})
