import { describe, expect, layer } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Session from "../../src/Session.js"
import type { UseError } from "../../src/SessionErrors.js"
import * as Transaction from "../../src/Transaction.js"
import * as TestServer from "../support/server/testServer.js"
import { inPlace, noDeadlock, type Place, witness } from "../support/transactions/transactions.js"
import * as Monitor from "../support/watch/monitor.js"

const numbers = (length: number) => Array.from({ length }, (_, n) => n)

/** A session in which another fiber runs a transaction that waits, after its first insert, to be released. */
const held = (place: Place, options?: Session.Options) =>
  Effect.gen(function*() {
    const session = yield* Monitor.session(place, options)
    const inside = yield* Deferred.make<void>()
    const release = yield* Deferred.make<void>()
    const body = Effect.gen(function*() {
      yield* place.insert(1)
      yield* Deferred.succeed(inside, undefined)
      yield* Deferred.await(release)
      yield* place.insert(2)
    })
    const holder = yield* Effect.fork(Session.provide(Transaction.run(body), session))
    yield* Deferred.await(inside)
    const done = Effect.zipRight(Deferred.succeed(release, undefined), Fiber.join(holder))
    return { session, done }
  })

const commandsOf = ({ monitor }: Place, session: Session.Service) =>
  Effect.map(monitor.commands, (seen) => seen.filter(({ lsid }) => lsid === lsidOf(session)).map(({ name }) => name))

const lsidOf = (session: Session.Service): string => Buffer.from(session.id.bytes).toString("hex")

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("L2: for as long as a transaction runs in a session", () => {
    it.effect("operations of other fibers wait until it is over, and are no part of it", () =>
      inPlace((place) =>
        noDeadlock(Effect.gen(function*() {
          const { done, session } = yield* held(place)
          const other = yield* Effect.fork(Session.provide(place.insert(3), session))
          yield* Effect.yieldNow()
          expect(yield* commandsOf(place, session)).toEqual(["insert"])
          yield* done
          yield* Fiber.join(other)
          expect(yield* commandsOf(place, session)).toEqual(["insert", "insert", "commitTransaction", "insert"])
          expect(yield* place.wire).toEqual(["1 insert start", "1 insert", "1 commitTransaction"])
          expect(yield* place.stored).toEqual([1, 2, 3])
        }))
      ))

    it.effect("other runs wait, too, and are transactions of their own", () =>
      inPlace((place) =>
        noDeadlock(Effect.gen(function*() {
          const { done, session } = yield* held(place)
          const other = yield* Effect.fork(Session.provide(Transaction.run(place.insert(3)), session))
          yield* Effect.yieldNow()
          yield* done
          yield* Fiber.join(other)
          expect(yield* place.wire).toEqual([
            ...["1 insert start", "1 insert", "1 commitTransaction"],
            ...["2 insert start", "2 commitTransaction"]
          ])
        }))
      ))

    it.effect("they wait through its retries, too", () =>
      inPlace((place) =>
        noDeadlock(Effect.gen(function*() {
          yield* place.transientOn(["insert"])
          const session = yield* Monitor.session(place)
          const other = yield* Deferred.make<void>()
          const told = yield* Deferred.make<void>()
          const run = Transaction.run(place.insert(1), {
            onRetry: () => Effect.zipRight(Deferred.succeed(told, undefined), Deferred.await(other))
          })
          const first = yield* Effect.fork(Session.provide(run, session))
          yield* Deferred.await(told)
          const second = yield* Effect.fork(Session.provide(place.insert(2), session))
          yield* Effect.yieldNow()
          yield* Deferred.succeed(other, undefined)
          yield* Fiber.join(Fiber.zip(first, second))
          expect(yield* commandsOf(place, session)).toEqual([
            ...["insert", "abortTransaction"],
            ...["insert", "commitTransaction", "insert"]
          ])
        }))
      ))

    it.effect("onRetry, which it waits for, is refused the session", () =>
      inPlace((place) =>
        noDeadlock(Effect.gen(function*() {
          yield* place.transientOn(["insert"])
          const session = yield* Monitor.session(place)
          let error: Option.Option<unknown> = Option.none()
          const insert = session.use((driverSession) => place.items.insertOne({ _id: 2 }, { session: driverSession }))
          yield* Transaction.run(place.insert(1), {
            onRetry: () => Effect.map(Effect.either(insert), (result) => void (error = Either.getLeft(result)))
          }).pipe(Session.provide(session))
          expect(Option.getOrUndefined(error)).toMatchObject({
            _tag: "SessionBusy",
            operation: "use",
            reason: "outside"
          })
          expect(yield* place.stored).toEqual([1])
        }))
      ))

    it.effect("operations of other fibers are SessionBusy where the session does not queue", () =>
      inPlace((place) =>
        noDeadlock(Effect.gen(function*() {
          const { done, session } = yield* held(place, { onBusy: "fail" })
          const busy = { _tag: "SessionBusy", holder: "transaction" }
          expect(yield* Effect.flip(Session.provide(place.insert(3), session))).toMatchObject(busy)
          const run = Session.provide(Transaction.run(place.insert(3)), session)
          expect(yield* Effect.flip(run)).toMatchObject({ ...busy, operation: "transaction" })
          yield* done
          expect(yield* place.stored).toEqual([1, 2])
        }))
      ))
  })

  describe("L2: operations of one attempt queue, whichever fibers run them", () => {
    it.effect("from Effect.all without a limit", () =>
      inPlace(({ insert, stored, wire }) =>
        noDeadlock(Effect.gen(function*() {
          yield* Transaction.run(Effect.forEach(numbers(10), insert, { concurrency: "unbounded" }))
          expect(yield* stored).toEqual(numbers(10))
          const inserts = numbers(9).map(() => "1 insert")
          expect(yield* wire).toEqual(["1 insert start", ...inserts, "1 commitTransaction"])
        }))
      ))

    it.effect("from a race, a timeout, and forked fibers that are joined", () =>
      inPlace(({ insert, stored }) =>
        noDeadlock(Effect.gen(function*() {
          yield* Transaction.run(Effect.gen(function*() {
            const forked = yield* Effect.fork(insert(1))
            const daemon = yield* Effect.forkDaemon(insert(2))
            yield* Effect.race(Effect.as(insert(3), "one"), Effect.as(Effect.never, "other"))
            yield* Effect.timeout(insert(4), "5 seconds")
            yield* Fiber.join(Fiber.zip(forked, daemon))
          }))
          expect(yield* stored).toEqual([1, 2, 3, 4])
        }))
      ))

    it.effect("and where one fails for good, what follows from that in the others is no reason to run it again", () =>
      inPlace(({ failing, insert, stored, wire }) =>
        noDeadlock(Effect.gen(function*() {
          yield* failing({ failCommands: ["insert"], errorCode: 2, errorLabels: [] })
          const error = yield* Effect.flip(Transaction.run(Effect.all(numbers(5).map(insert), {
            concurrency: "unbounded"
          })))
          expect(error).toMatchObject({ _tag: "MongoError", code: 2 })
          expect((yield* wire).filter((line) => line !== "1 insert")).toEqual([
            "1 insert start",
            "1 abortTransaction"
          ])
          expect(yield* stored).toEqual([])
        }))
      ))
  })

  describe("a fiber that outlives the attempt", () => {
    it.effect("finds it closed: TransactionEnded, and nothing is sent", () =>
      inPlace(({ insert, stored, wire }) =>
        noDeadlock(Effect.gen(function*() {
          const over = yield* Deferred.make<void>()
          const late = Transaction.run(insert(3))
          const daemon = yield* Transaction.run(Effect.zipRight(
            insert(1),
            Effect.forkDaemon(Effect.zipRight(
              Deferred.await(over),
              Effect.all({
                operation: Effect.flip(insert(2)),
                run: Effect.flip(late),
                rollback: Effect.flip(Transaction.rollbackOnly)
              })
            ))
          ))
          yield* Deferred.succeed(over, undefined)
          const errors = yield* Fiber.join(daemon)
          expect(errors.operation).toMatchObject({ _tag: "TransactionEnded", operation: "use" })
          expect(errors.run).toMatchObject({ _tag: "TransactionEnded", operation: "Transaction.run" })
          expect(errors.rollback).toMatchObject({ _tag: "TransactionEnded", operation: "Transaction.rollbackOnly" })
          expect(yield* wire).toEqual(["1 insert start", "1 commitTransaction"])
          expect(yield* stored).toEqual([1])
        }))
      ))

    it.effect("has its operation in flight waited for before the commit, and those that queue refused", () =>
      inPlace(({ failing, insert, monitor, stored, wire }) =>
        noDeadlock(Effect.gen(function*() {
          yield* failing({ failCommands: ["insert"], blockFor: "300 millis" })
          const [first, second] = yield* Transaction.run(Effect.gen(function*() {
            const first = yield* Effect.forkDaemon(insert(1))
            const second = yield* Effect.forkDaemon(Effect.flip(insert(2)))
            yield* monitor.awaitStarted("insert")
            return [first, second] as const
          }))
          yield* Fiber.join(first)
          expect(yield* Fiber.join(second)).toMatchObject({ _tag: "TransactionEnded" })
          expect(yield* wire).toEqual(["1 insert start", "1 commitTransaction"])
          expect(yield* stored).toEqual([1])
        }))
      ))

    it.effect("of the first attempt finds that one closed while the second is running", () =>
      inPlace(({ insert, stored, transientOn }) =>
        noDeadlock(Effect.gen(function*() {
          yield* transientOn(["insert"])
          const second = yield* Deferred.make<void>()
          let daemon: Fiber.RuntimeFiber<UseError, void> | undefined
          let error: unknown
          yield* Transaction.run(Effect.gen(function*() {
            if ((yield* Transaction.Transaction).attempt === 1) {
              daemon = yield* Effect.forkDaemon(Effect.flip(Effect.zipRight(Deferred.await(second), insert(9))))
            }
            yield* insert(1)
            yield* Deferred.succeed(second, undefined)
            if (daemon !== undefined) error = yield* Fiber.join(daemon)
          }))
          expect(error).toMatchObject({ _tag: "TransactionEnded" })
          expect(yield* stored).toEqual([1])
        }))
      ))
  })

  describe("there is no deadlock", () => {
    it.effect("for a run inside a run, three deep", () =>
      inPlace(({ insert, stored, wire }) =>
        noDeadlock(Effect.gen(function*() {
          const third = Transaction.run(insert(3))
          const second = Transaction.run(Effect.zipRight(insert(2), third))
          yield* Transaction.run(Effect.zipRight(insert(1), second))
          expect(yield* stored).toEqual([1, 2, 3])
          expect(yield* wire).toEqual(["1 insert start", "1 insert", "1 insert", "1 commitTransaction"])
        }))
      ))

    it.effect("for the session's value, kept from outside and used in the body: it is the transaction's", () =>
      inPlace((place) =>
        noDeadlock(Effect.gen(function*() {
          const session = yield* Monitor.session(place)
          const insert = session.use((driverSession) => place.items.insertOne({ _id: 1 }, { session: driverSession }))
          yield* Session.provide(Transaction.run(insert), session)
          expect(yield* place.wire).toEqual(["1 insert start", "1 commitTransaction"])
        }))
      ))

    it.effect("for a cursor that is read while the body writes", () =>
      inPlace(({ insert, items, stored, wire }) =>
        noDeadlock(Effect.gen(function*() {
          yield* Transaction.run(Effect.gen(function*() {
            yield* Effect.forEach(numbers(4), insert)
            const cursor = yield* Session.use(async (session) => items.find({}, { session, batchSize: 2 }))
            const next = Effect.map(Session.use(() => cursor.next()), Option.fromNullable)
            for (let row = yield* next; Option.isSome(row); row = yield* next) {
              if (row.value._id < 10) yield* insert(row.value._id + 10)
            }
          }))
          expect((yield* stored).slice(0, 8)).toEqual([...numbers(4), ...numbers(4).map((n) => n + 10)])
          expect((yield* wire).filter((line) => line === "1 getMore").length).toBeGreaterThanOrEqual(1)
        }))
      ))

    it.effect("for a refresh of the session in the body", () =>
      inPlace(({ insert, monitor, stored }) =>
        noDeadlock(Effect.gen(function*() {
          yield* Transaction.run(Effect.zipRight(insert(1), Effect.flatMap(Session.Session, ({ refresh }) => refresh)))
          expect(yield* monitor.named("refreshSessions")).toHaveLength(1)
          expect(yield* stored).toEqual([1])
        }))
      ))

    it.effect("for an effect that has stepped out and uses the session's value all the same: SessionBusy", () =>
      inPlace((place) =>
        noDeadlock(Effect.gen(function*() {
          const session = yield* Monitor.session(place)
          const insert = session.use((driverSession) => place.items.insertOne({ _id: 2 }, { session: driverSession }))
          const body = Effect.zipRight(place.insert(1), Effect.flip(Transaction.outside(insert)))
          const error = yield* Session.provide(Transaction.run(body), session)
          expect(error).toMatchObject({ _tag: "SessionBusy", operation: "use", reason: "outside" })
          expect(yield* place.wire).toEqual(["1 insert start", "1 commitTransaction"])
          expect(yield* place.stored).toEqual([1])
        }))
      ))

    it.effect("for a transaction of its own that uses the outer session's value: that joins the outer one", () =>
      inPlace(({ insert, items, stored, wire }) =>
        noDeadlock(Effect.gen(function*() {
          const { hooks, register } = witness()
          const body = Effect.gen(function*() {
            yield* register
            const outer = yield* Session.Session
            const inOuter = outer.use((session) => items.insertOne({ _id: 1 }, { session }))
            yield* Transaction.run(Effect.zipRight(insert(2), inOuter), { propagation: "requiresNew" })
            return yield* Effect.fail("no")
          })
          expect(yield* Effect.flip(Transaction.run(body))).toBe("no")
          expect(yield* stored).toEqual([2])
          expect(yield* wire).toEqual(["1 insert start", "2 insert start", "1 commitTransaction", "2 abortTransaction"])
          expect(hooks).toEqual(["onRollback"])
        }))
      ))

    it.effect("for a hook that uses the session, which is free again", () =>
      inPlace((place) =>
        noDeadlock(Effect.gen(function*() {
          const session = yield* Monitor.session(place)
          const insert = session.use((driverSession) => place.items.insertOne({ _id: 2 }, { session: driverSession }))
          yield* Session.provide(
            Transaction.run(Effect.zipRight(place.insert(1), Transaction.onCommit(insert))),
            session
          )
          expect(yield* place.stored).toEqual([1, 2])
          expect(yield* place.wire).toEqual(["1 insert start", "1 commitTransaction"])
        }))
      ))
  })
})
