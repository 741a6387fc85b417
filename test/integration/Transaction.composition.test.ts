import { describe, expect, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as MongoClient from "../../src/MongoClient.js"
import * as Session from "../../src/Session.js"
import type { TransactionError } from "../../src/SessionErrors.js"
import * as MongoServer from "../../src/testing/MongoServer.js"
import * as Transaction from "../../src/Transaction.js"
import * as TestServer from "../support/server/testServer.js"
import * as Versions from "../support/server/versions.js"
import { inPlace } from "../support/transactions/transactions.js"
import type { Place } from "../support/transactions/transactions.js"
import * as Monitor from "../support/watch/monitor.js"

const lsids = ({ monitor }: Place, name: string) =>
  Effect.map(monitor.named(name), (seen) => seen.map(({ lsid }) => lsid))

const names = ({ monitor }: Place) => Effect.map(monitor.commands, (seen) => seen.map(({ name }) => name))

const insertAlone = ({ items }: Place, _id: number) => Effect.promise(() => items.insertOne({ _id }))

class OutOfMoney extends Data.TaggedError("OutOfMoney") {}

interface Part<E = never> {
  readonly take: (order: number) => Effect.Effect<void, E | TransactionError>
}
class Inventory extends Context.Tag("Inventory")<Inventory, Part>() {}
class Payments extends Context.Tag("Payments")<Payments, Part<OutOfMoney>>() {}

const itemOf = (order: number) => order
const paymentOf = (order: number) => 100 + order
const cheap = 1
const dear = 2

const inventory = ({ insert }: Place) =>
  Layer.effect(
    Inventory,
    Effect.map(MongoClient.MongoClient, (client) => ({
      take: (order) => Effect.provideService(Transaction.run(insert(itemOf(order))), MongoClient.MongoClient, client)
    }))
  )

const payments = ({ insert }: Place) =>
  Layer.effect(
    Payments,
    Effect.map(MongoClient.MongoClient, (client) => ({
      take: (order) =>
        insert(paymentOf(order)).pipe(
          Effect.zipRight(order === dear ? Effect.fail(new OutOfMoney()) : Effect.void),
          Transaction.run(),
          Effect.provideService(MongoClient.MongoClient, client)
        )
    }))
  )

const checkout = (order: number) =>
  Effect.gen(function*() {
    yield* (yield* Inventory).take(order)
    yield* (yield* Payments).take(order)
  }).pipe(Transaction.run())

const hasTransaction = Effect.map(Effect.serviceOption(Transaction.Transaction), Option.isSome)
const ambient = Effect.map(Effect.serviceOption(Session.Session), Option.map((session) => session.id.uuid))

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("services that were written apart and provided as layers", () => {
    const services = (place: Place) => Layer.merge(inventory(place), payments(place))

    it.effect("are rolled back together when one of them fails, with its failure as it is", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const failure = yield* Effect.flip(Effect.provide(checkout(dear), services(place)))
          expect(failure).toBeInstanceOf(OutOfMoney)
          expect(yield* place.wire).toEqual(["1 insert start", "1 insert", "1 abortTransaction"])
          expect(yield* place.stored).toEqual([])
        })
      ))

    it.effect("are committed together, in one session, by one commit", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          yield* Effect.provide(checkout(cheap), services(place))
          expect(yield* place.wire).toEqual(["1 insert start", "1 insert", "1 commitTransaction"])
          const seen = yield* place.monitor.commands
          expect(new Set(seen.map(({ lsid }) => lsid)).size).toBe(1)
          expect(seen.map(({ command }) => command["startTransaction"])).toEqual([true, undefined, undefined])
          expect(yield* place.stored).toEqual([itemOf(cheap), paymentOf(cheap)])
        })
      ))

    it.effect("each commits by itself where nothing is around it", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { take } = yield* Payments
          expect(yield* Effect.flip(take(dear))).toBeInstanceOf(OutOfMoney)
          yield* (yield* Inventory).take(dear)
          expect(yield* place.stored).toEqual([itemOf(dear)])
        }).pipe(Effect.provide(services(place)))
      ))
  })

  describe("stepping out", () => {
    it.effect("what ran outside stays though the transaction is rolled back", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const found = yield* place.insert(1).pipe(
            Effect.zipRight(Transaction.outside(Effect.zipRight(
              insertAlone(place, 2),
              Effect.all([hasTransaction, Effect.map(ambient, Option.isSome)])
            ))),
            Effect.zipLeft(Transaction.rollbackOnly),
            Transaction.run()
          )
          expect(found).toEqual([false, false])
          expect(yield* place.stored).toEqual([2])
          const [inside, outside] = yield* lsids(place, "insert")
          expect(outside).not.toBe(inside)
        })
      ))

    it.effect("a transaction that is run outside is one of its own, in a session of its own", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const own = Effect.zipRight(place.insert(2), ambient).pipe(
            Transaction.run(),
            Transaction.outside
          )
          const [outer, inner] = yield* Transaction.run(
            Effect.zipLeft(Effect.zip(ambient, own), Transaction.rollbackOnly)
          )
          expect(inner).not.toEqual(outer)
          expect(yield* place.stored).toEqual([2])
        })
      ))

    it.effect("changes nothing where there is no transaction", () =>
      inPlace(() =>
        Effect.gen(function*() {
          const [before, within] = yield* Session.scoped(Effect.zip(ambient, Transaction.outside(ambient)))
          expect(Option.isSome(before)).toBe(true)
          expect(within).toEqual(before)
        })
      ))

    it.effect("a session that the body opens is in no transaction, but may have one of its own", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const other = Effect.zipRight(place.insert(3), Transaction.run(place.insert(2)))
          const failure = yield* place.insert(1).pipe(
            Effect.zipRight(Session.scoped(other)),
            Effect.zipRight(place.insert(4)),
            Effect.zipRight(Effect.fail("no" as const)),
            Transaction.run(),
            Effect.flip
          )
          expect(failure).toBe("no")
          expect(yield* place.stored).toEqual([2, 3])
          const [first, plain, own, last] = yield* lsids(place, "insert")
          expect([last, own]).toEqual([first, plain])
          expect(plain).not.toBe(first)
        })
      ))
  })

  describe("the session of a transaction", () => {
    it.effect("is the ambient one, where each run has the next number", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          yield* Session.scoped(Effect.zipRight(
            Transaction.run(place.insert(1)),
            Transaction.run(place.insert(2))
          ))
          expect(yield* place.wire).toEqual([
            "1 insert start",
            "1 commitTransaction",
            "2 insert start",
            "2 commitTransaction"
          ])
          expect(new Set(yield* lsids(place, "insert")).size).toBe(1)
        })
      ))

    it.effect("is opened where there is none, with the options for it, and released when the run is over", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const within = yield* Transaction.run(
            Effect.all([place.client.openSessions, Effect.map(Session.Session, ({ options }) => options)]),
            { session: { causalConsistency: false } }
          )
          expect(within).toMatchObject([1, { causalConsistency: false }])
          expect(yield* place.client.openSessions).toBe(0)
        })
      ))

    it.effect("does not lend its scope to the body", () =>
      inPlace((place) =>
        Effect.scoped(Effect.gen(function*() {
          let released = false
          const resource = Effect.addFinalizer(() => Effect.sync(() => void (released = true)))
          yield* Transaction.run(Effect.zipRight(resource, place.insert(1)))
          expect(released).toBe(false)
        }))
      ))

    it.effect("is refused when it belongs to another client, before anything is sent", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          class Other extends MongoClient.Tag("Other")<Other>() {}
          const other = yield* Monitor.connect()
          const refused = Transaction.run(place.insert(1), { client: Other }).pipe(
            Effect.flip,
            Effect.provideService(Other, other.client)
          )
          expect(yield* Session.scoped(refused)).toMatchObject({ _tag: "ForeignSession" })
          expect(yield* Transaction.run(refused)).toMatchObject({ _tag: "ForeignSession" })
          expect(yield* names(place)).toEqual([])
          expect(yield* other.monitor.commands).toEqual([])
        })
      ))

    it.effect("cannot be a snapshot session, be it the ambient one or opened for it", (context) =>
      inPlace((place) =>
        Effect.gen(function*() {
          yield* Versions.needs(context, Versions.snapshotReads)
          const unsupported = { _tag: "TransactionUnsupported", reason: "SnapshotSession" }
          const refused = Effect.flip(Transaction.run(place.insert(1)))
          expect(yield* Session.scoped(refused, { snapshot: true })).toMatchObject(unsupported)
          const opened = Transaction.run(place.insert(1), { session: { snapshot: true } })
          expect(yield* Effect.flip(opened)).toMatchObject(unsupported)
          const byHand = Effect.flip(Transaction.start())
          expect(yield* Session.scoped(byHand, { snapshot: true })).toMatchObject(unsupported)
          expect(yield* names(place)).toEqual([])
        })
      ))

    it.effect("when it is closed during the run, refuses further operations, and all is rolled back", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const scope = yield* Scope.make()
          const session = yield* Scope.extend(Session.make(), scope)
          const begun = yield* Deferred.make<void>()
          const closing = yield* Deferred.make<void>()
          const run = yield* place.insert(1).pipe(
            Effect.zipRight(Deferred.succeed(begun, undefined)),
            Effect.zipRight(Deferred.await(closing)),
            Effect.zipRight(place.insert(2)),
            Transaction.run(),
            Session.provide(session),
            Effect.flip,
            Effect.fork
          )
          yield* Deferred.await(begun)
          const closed = yield* Effect.fork(Scope.close(scope, Effect.runSync(Effect.exit(Effect.void))))
          yield* Monitor.until(session.state, (state) => state === "ended")
          yield* Deferred.succeed(closing, undefined)
          expect(yield* Fiber.join(run)).toMatchObject({ _tag: "SessionEnded", operation: "use", reason: "released" })
          yield* Fiber.join(closed)
          expect(yield* place.wire).toEqual(["1 insert start", "1 abortTransaction"])
          expect(yield* place.stored).toEqual([])
        })
      ))
  })
})

layer(TestServer.own({ standalone: true }), { excludeTestServices: true })("on a standalone server", (it) => {
  it.effect("a transaction is refused before anything is sent", () =>
    Effect.scoped(Effect.gen(function*() {
      const { url } = yield* MongoServer.MongoServer
      const place = yield* Monitor.connect({ url: Redacted.make(url) })
      const ping = Session.use((session) => place.client.driver.db("test").command({ ping: 1 }, { session }))
      const unsupported = { _tag: "TransactionUnsupported", reason: "Standalone" }
      const run = Effect.provideService(Transaction.run(ping), MongoClient.MongoClient, place.client)
      expect(yield* Effect.flip(run)).toMatchObject(unsupported)
      const byHand = Effect.provideService(Session.scoped(Transaction.start()), MongoClient.MongoClient, place.client)
      expect(yield* Effect.flip(byHand)).toMatchObject(unsupported)
      expect(yield* place.monitor.named("ping")).toEqual([])
    })))
})
