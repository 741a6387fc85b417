import { describe, expect, layer } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Collection from "../../src/Collection.js"
import * as MongoClient from "../../src/MongoClient.js"
import * as Session from "../../src/Session.js"
import * as Transaction from "../../src/Transaction.js"
import * as TestServer from "../support/server/testServer.js"
import { inPlace, noDeadlock, type Place } from "../support/transactions/transactions.js"
import * as Monitor from "../support/watch/monitor.js"

// Nobody holds the document, nor did anybody commit it.
const isFree = ({ items }: Pick<Place, "items">) => noDeadlock(Effect.promise(() => items.insertOne({ _id: 1 })))

// Starts one by hand whose commit is lost, so that the server still has it.
const lost = ({ closeConnectionOn, insert }: Place) =>
  Effect.gen(function*() {
    yield* Transaction.start()
    yield* insert(1)
    yield* closeConnectionOn(["commitTransaction"], 2)
    yield* Effect.flip(Transaction.commit)
  })

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("a transaction of which the server has heard no more is not left there", () => {
    it.effect("though a write with a greater number followed, which was lost as well", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          yield* Session.scoped(Effect.gen(function*() {
            yield* lost(place)
            yield* place.closeConnectionOn(["insert"], 2)
            yield* Effect.flip(place.insert(2))
          }))
          yield* isFree(place)
        })
      ))

    it.effect("though another one followed, whose only operation was lost, and was committed", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          yield* Session.scoped(Effect.gen(function*() {
            yield* lost(place)
            yield* Transaction.start()
            yield* place.closeConnectionOn(["insert"])
            yield* Effect.flip(place.insert(2))
            yield* Effect.flip(Transaction.commit)
          }))
          yield* isFree(place)
        })
      ))

    it.effect("though another one followed, which was empty, and was committed", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          yield* Session.scoped(Effect.gen(function*() {
            yield* lost(place)
            yield* Transaction.start()
            yield* Transaction.commit
          }))
          yield* isFree(place)
        })
      ))

    it.effect("and a session that the server has heard of since is not killed", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const Items = Collection.make("items", { database: place.items.dbName })
          yield* Session.scoped(Effect.zipRight(lost(place), Items.insertOne({ _id: 2 })))
          expect(yield* place.monitor.named("killSessions")).toEqual([])
          yield* isFree(place)
        })
      ))

    it.effect("though the attempt that followed was lost, too", () =>
      inPlace((place) =>
        Session.scoped(Effect.gen(function*() {
          let attempts = 0
          const body = Effect.gen(function*() {
            if (attempts++ === 0) yield* place.insert(1)
            // The second insert, both tries of its abort, and the first insert of the other attempt.
            if (attempts === 1) {
              yield* place.failing({
                failCommands: ["insert", "abortTransaction"],
                mode: { times: 4 },
                closeConnection: true
              })
            }
            yield* place.insert(2)
          })
          yield* Effect.flip(Transaction.run(body, { retry: Schedule.recurs(1) }))
          expect(attempts).toBe(2)
          yield* isFree(place)
        }))
      ))
  })

  describe("what has to be done on the server", () => {
    it.effect("is done when the client closes, if it could not be done before", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const scope = yield* Scope.make()
          const client = yield* Scope.extend(
            Monitor.connect({ driver: { appName: place.appName } }),
            scope
          )
          const Items = Collection.make("items", { database: place.items.dbName })
          // Both tries of the driver, and the one that asks by the number.
          yield* place.closeConnectionOn(["abortTransaction"], 3)
          yield* Effect.flip(
            Effect.provideService(
              Transaction.run(Effect.zipRight(Items.insertOne({ _id: 1 }), Effect.fail("no"))),
              MongoClient.MongoClient,
              client.client
            )
          )
          yield* Scope.close(scope, Exit.void)
          expect(yield* client.monitor.named("killSessions")).toHaveLength(1)
          yield* isFree(place)
        })
      ))

    it.effect("is done where an operation is still going on when its session is closed", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          yield* place.failing({ failCommands: ["ping"], blockFor: "10 seconds" })
          const running = yield* Session.scoped(Effect.gen(function*() {
            const ping = Session.use((session) => place.client.driver.db("admin").command({ ping: 1 }, { session }))
            const fiber = yield* Effect.forkDaemon(Effect.exit(ping))
            yield* place.monitor.awaitStarted("ping", 1)
            return fiber
          }))
          const names = (yield* place.monitor.commands).map(({ name }) => name)
          expect(names).toEqual(expect.arrayContaining(["killSessions", "endSessions"]))
          yield* Fiber.interruptFork(running)
        }), { settleTimeout: "200 millis" }))

    it.effect("does not hold the closing of a session for longer than `closeTimeout`, where no connection is free", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          yield* place.failing({ failCommands: ["ping"], blockFor: "3 seconds" })
          const scope = yield* Scope.make()
          const session = yield* Scope.extend(Session.make(), scope)
          const inside = Session.provide(Effect.zipRight(Transaction.start(), place.insert(1)), session)
          yield* inside
          const ping = yield* Effect.forkDaemon(
            Effect.promise(() => place.client.driver.db("admin").command({ ping: 1 }))
          )
          yield* Monitor.until(place.monitor.named("ping"), ({ length }) => length === 1)
          const [time] = yield* Effect.timed(Scope.close(scope, Exit.void))
          expect(Duration.toMillis(time)).toBeLessThan(2000)
          yield* Fiber.join(ping)
          yield* isFree(place)
        }), { closeTimeout: "200 millis", driver: { maxPoolSize: 1 } }))

    it.effect("is an abort that was sent and not answered in its time, once more on another connection", () =>
      inPlace((place) =>
        Session.scoped(Effect.gen(function*() {
          yield* Transaction.start()
          yield* place.insert(1)
          yield* place.failing({ failCommands: ["abortTransaction"], blockFor: "2 seconds" })
          const [time] = yield* Effect.timed(Transaction.abortWith({ timeout: "200 millis" }))
          expect(Duration.toMillis(time)).toBeLessThan(1000)
          yield* Monitor.until(place.wire, (lines) => lines.at(-1) === "1 abortTransaction w:majority")
          yield* isFree(place)
        }))
      ))
  })

  describe("a hook that never ends", () => {
    it.effect("does not hold the closing of a session for ever", () =>
      inPlace((place) =>
        Session.scoped(Effect.gen(function*() {
          yield* Transaction.start()
          yield* Transaction.run(Effect.zipRight(Transaction.onRollback(Effect.never), place.insert(1)))
        })).pipe(noDeadlock), { settleTimeout: "200 millis" }))

    it.effect("holds who waits for it and is interrupted only so long, and goes on", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const begun = yield* Deferred.make<void>()
          const released = yield* Deferred.make<void>()
          const ended = yield* Deferred.make<void>()
          const hook = Deferred.succeed(begun, undefined).pipe(
            Effect.zipRight(Deferred.await(released)),
            Effect.zipRight(Deferred.succeed(ended, undefined))
          )
          const running = yield* Effect.fork(
            Transaction.run(Effect.zipRight(Transaction.onCommit(hook), place.insert(1)))
          )
          yield* Deferred.await(begun)
          yield* noDeadlock(Fiber.interrupt(running))
          expect(yield* place.stored).toEqual([1])
          yield* Deferred.succeed(released, undefined)
          yield* noDeadlock(Deferred.await(ended))
        }), { settleTimeout: "200 millis" }))
  })
})
