import { describe, expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { Label } from "../../src/MongoError.js"
import * as Session from "../../src/Session.js"
import * as Transaction from "../../src/Transaction.js"
import * as TestServer from "../support/server/testServer.js"
import { inPlace, noDeadlock, type Place } from "../support/transactions/transactions.js"
import * as Monitor from "../support/watch/monitor.js"

// One connection, for which nobody waits long.
const crowded = { driver: { maxPoolSize: 1, waitQueueTimeoutMS: 100 } }

/** Somebody else uses the only connection until the fiber ends. */
const occupied = ({ client, failing, monitor }: Place) =>
  Effect.gen(function*() {
    yield* failing({ failCommands: ["ping"], blockFor: "1 second" })
    const fiber = yield* Effect.forkDaemon(Effect.promise(() => client.driver.db("admin").command({ ping: 1 })))
    yield* Monitor.until(monitor.named("ping"), ({ length }) => length === 1)
    return fiber
  })

// Nobody holds the document, nor did anybody commit it.
const isFree = ({ items }: Pick<Place, "items">) => noDeadlock(Effect.promise(() => items.insertOne({ _id: 1 })))

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("what ends a transaction and finds no connection", () => {
    // The storm with seed 101: a transaction stayed open on the server, and so did its locks, until the server gave up on it.
    it.effect("is sent when there is one, if it is an abort", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { insert, stored, wire } = place
          let held: Fiber.Fiber<unknown> | undefined
          const body = Effect.gen(function*() {
            yield* insert(1)
            held = yield* occupied(place)
            return yield* Effect.fail("enough")
          })
          expect(yield* Effect.flip(Transaction.run(body))).toBe("enough")
          expect(yield* wire).toEqual(["1 insert start"])
          if (held !== undefined) yield* Fiber.join(held)
          yield* Monitor.until(wire, ({ length }) => length > 1)
          expect(yield* wire).toEqual(["1 insert start", "1 abortTransaction w:majority"])
          expect(yield* stored).toEqual([])
        }), crowded))

    // The storm with seed 103: an earlier try of the driver's had been done, and its caller was told that nothing was committed.
    it.effect("leaves its result unknown, if it is a commit by hand, and may be sent again", () =>
      inPlace((place) =>
        Session.scoped(Effect.gen(function*() {
          yield* Transaction.start()
          yield* place.insert(1)
          const held = yield* occupied(place)
          const error = yield* Effect.flip(Transaction.commit)
          expect(error).toMatchObject({ reason: "PoolFailure", operation: "commitTransaction" })
          expect(error).toMatchObject({ labels: expect.arrayContaining([Label.UnknownTransactionCommitResult]) })
          yield* Fiber.join(held)
          yield* Transaction.commit
          expect(yield* place.stored).toEqual([1])
        })), crowded))
  })

  describe("a transaction by hand leaves nothing open on the server", () => {
    // The driver tries twice, and tells nobody that both have failed.
    const lost = ["1 insert start", "1 abortTransaction", "1 abortTransaction", "1 abortTransaction w:majority"]

    it.effect("where the abort was lost with its connection", () =>
      inPlace(({ closeConnectionOn, insert, wire, ...place }) =>
        Session.scoped(Effect.gen(function*() {
          yield* Transaction.start()
          yield* insert(1)
          yield* closeConnectionOn(["abortTransaction"], 2)
          yield* Transaction.abort
          expect(yield* wire).toEqual(lost)
          yield* isFree(place)
        }))
      ))

    it.effect("where the abort was lost that the end of its session sends", () =>
      inPlace(({ closeConnectionOn, insert, wire, ...place }) =>
        Effect.gen(function*() {
          yield* Session.scoped(Effect.gen(function*() {
            yield* Transaction.start()
            yield* insert(1)
            yield* closeConnectionOn(["abortTransaction"], 2)
          }))
          expect(yield* wire).toEqual(lost)
          yield* isFree(place)
        })
      ))

    it.effect("where the abort finds no connection", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { insert, wire } = place
          const held = yield* Session.scoped(Effect.gen(function*() {
            yield* Transaction.start()
            yield* insert(1)
            const held = yield* occupied(place)
            yield* Transaction.abort
            return held
          }))
          yield* Fiber.join(held)
          yield* Monitor.until(wire, ({ length }) => length > 1)
          expect(yield* wire).toEqual(["1 insert start", "1 abortTransaction w:majority"])
        }), crowded))

    it.effect("where its first command was interrupted", () =>
      inPlace(({ failing, insert, wire, ...place }) =>
        Session.scoped(Effect.gen(function*() {
          yield* Transaction.start()
          yield* failing({ failCommands: ["insert"], blockFor: "200 millis" })
          const fiber = yield* Effect.fork(insert(1))
          yield* Monitor.until(wire, ({ length }) => length === 1)
          yield* Fiber.interrupt(fiber)
          yield* Transaction.abort
          expect(yield* wire).toEqual(["1 insert start", "1 abortTransaction"])
          yield* isFree(place)
        }))
      ))

    it.effect("where its abort was refused", () =>
      inPlace(({ failing, insert, wire, ...place }) =>
        Effect.gen(function*() {
          yield* Session.scoped(Effect.gen(function*() {
            yield* Transaction.start()
            yield* insert(1)
            yield* failing({ failCommands: ["abortTransaction"], errorCode: 13 })
            yield* Transaction.abort
          }))
          yield* isFree(place)
          expect(yield* wire).toEqual(["1 insert start", "1 abortTransaction", "1 abortTransaction w:majority"])
        })
      ))

    it.effect("where each abort is refused: its session is killed", () =>
      inPlace(({ failing, insert, monitor, wire, ...place }) =>
        Effect.gen(function*() {
          yield* failing({ failCommands: ["abortTransaction"], mode: "alwaysOn", errorCode: 13 })
          yield* Effect.flip(Transaction.run(Effect.zipRight(insert(1), Effect.fail("enough"))))
          yield* isFree(place)
          expect(yield* wire).toEqual(["1 insert start", "1 abortTransaction", "1 abortTransaction w:majority"])
          expect(yield* monitor.named("killSessions")).toMatchObject([{ outcome: "succeeded" }])
        })
      ))

    it.effect("where its commit was refused", () =>
      inPlace(({ failing, insert, monitor, ...place }) =>
        Effect.gen(function*() {
          yield* Session.scoped(Effect.gen(function*() {
            yield* Transaction.start()
            yield* insert(1)
            yield* failing({ failCommands: ["commitTransaction"], errorCode: 13 })
            expect(yield* Effect.flip(Transaction.commit)).toMatchObject({ reason: "Unauthorized" })
          }))
          expect((yield* monitor.commands).map(({ name }) => name).slice(-2)).toEqual(["killSessions", "endSessions"])
          yield* isFree(place)
        })
      ))

    it.effect("where its commit stays unknown, and another is started that sends nothing", () =>
      inPlace(({ closeConnectionOn, insert, ...place }) =>
        Effect.gen(function*() {
          yield* Session.scoped(Effect.gen(function*() {
            yield* Transaction.start()
            yield* insert(1)
            yield* closeConnectionOn(["commitTransaction"], 2)
            yield* Effect.flip(Transaction.commit)
            yield* Transaction.start()
          }))
          yield* isFree(place)
        })
      ))

    it.effect("where its commit stays unknown, and what kills it is lost, too", () =>
      inPlace(({ failing, insert, monitor, ...place }) =>
        Effect.gen(function*() {
          yield* Session.scoped(Effect.gen(function*() {
            yield* Transaction.start()
            yield* insert(1)
            const failCommands = ["commitTransaction", "killSessions"]
            yield* failing({ failCommands, mode: { times: 3 }, closeConnection: true })
            yield* Effect.flip(Transaction.commit)
          }))
          const kills = yield* Monitor.until(monitor.named("killSessions"), (all) => all[1]?.outcome !== undefined)
          expect(kills.map(({ outcome }) => outcome)).toEqual(["failed", "succeeded"])
          yield* isFree(place)
        })
      ))

    it.effect("and nothing is killed where the server has ended it", () =>
      inPlace(({ failing, insert, monitor }) =>
        Effect.gen(function*() {
          yield* Session.scoped(Effect.gen(function*() {
            yield* Transaction.start()
            yield* insert(1)
            yield* failing({
              failCommands: ["commitTransaction"],
              errorCode: 251,
              errorLabels: [Label.TransientTransactionError]
            })
            yield* Effect.flip(Transaction.commit)
          }))
          expect(yield* monitor.named("killSessions")).toEqual([])
        })
      ))
  })
})
