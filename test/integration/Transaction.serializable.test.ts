import { describe, expect, layer, vi } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as Collection from "../../src/Collection.js"
import * as Database from "../../src/Database.js"
import { of } from "../../src/internal/transaction/contention.js"
import * as Outbox from "../../src/Outbox.js"
import * as Transaction from "../../src/Transaction.js"
import { onClient, sent } from "../support/data/collections.js"
import * as TestServer from "../support/server/testServer.js"
import { block } from "../support/watch/monitor.js"

const doctors = (database: string) => Collection.make("doctors", { database })

type Doctors = ReturnType<typeof doctors>

type Isolation = "serializable" | undefined

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  const onCall = Effect.gen(function*() {
    const database = yield* TestServer.database
    const Doctors = doctors(database)
    yield* Doctors.insertMany([{ _id: "ada", onCall: true }, { _id: "bob", onCall: true }, {
      _id: "eve",
      onCall: false
    }])
    return { database, Doctors }
  })

  const reads = {
    find: (Doctors: Doctors) =>
      Effect.map(Stream.runCollect(Doctors.find({ onCall: true })), (found) => Chunk.size(found)),
    findOne: (Doctors: Doctors) =>
      Effect.map(
        Effect.all([Doctors.findOne({ _id: "ada", onCall: true }), Doctors.findOne({ _id: "bob", onCall: true })]),
        (found) => found.filter(({ _tag }) => _tag === "Some").length
      ),
    findByIds: (Doctors: Doctors) =>
      Effect.map(
        Doctors.findByIds(["ada", "bob"]),
        (found) => found.filter((one) => one._tag === "Some" && one.value["onCall"] === true).length
      )
  }

  /** Two doctors leave at once, if another one stays. How many are left. */
  const leave = (isolation: Isolation, read: typeof reads[keyof typeof reads]) =>
    Effect.gen(function*() {
      const { Doctors } = yield* onCall
      const both = yield* Deferred.make<void>()
      let readers = 0
      const goOff = (_id: string) =>
        Transaction.run(
          Effect.gen(function*() {
            const { attempt } = yield* Transaction.Transaction
            const present = yield* read(Doctors)
            // Both have read before one writes. Where reads lock, one of them never comes so far.
            if (++readers === 2) yield* Deferred.succeed(both, void 0)
            if (isolation === undefined && attempt === 1) yield* Deferred.await(both)
            if (present >= 2) yield* Doctors.updateOne({ _id }, { $set: { onCall: false } })
          }),
          { isolation }
        )
      yield* Effect.all([goOff("ada"), goOff("bob")], { concurrency: 2 })
      return yield* Doctors.countDocuments({ onCall: true })
    })

  describe("two doctors who leave at once, if another one stays,", () => {
    for (const [name, read] of Object.entries(reads)) {
      it.effect(`both leave by default, as both have read (${name}) what the other one changes`, () =>
        onClient(() => Effect.map(leave(undefined, read), (left) => expect(left).toBe(0))))

      it.effect(`do not both leave where their reads (${name}) lock`, () =>
        onClient(() => Effect.map(leave("serializable", read), (left) => expect(left).toBe(1))))
    }
  })

  describe("a serializable transaction", () => {
    it.effect("writes what it reads before it reads, by one command more for each read", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Doctors } = yield* onCall
          yield* watched.monitor.clear
          yield* Transaction.run(
            Effect.zip(Doctors.findOne({ _id: "ada" }), Stream.runDrain(Doctors.find({}, { batchSize: 2 }))),
            { isolation: "serializable" }
          )
          expect(yield* sent(watched)).toEqual(["update", "find", "update", "find", "getMore", "commitTransaction"])
          expect(yield* Doctors.countDocuments({ transactionLock: { $type: "string" } })).toBe(3)
        })
      ))

    it.effect("locks what the read matches by its collation", () =>
      onClient(() =>
        Effect.gen(function*() {
          const { Doctors } = yield* onCall
          const options = { collation: { locale: "en", strength: 2 } }
          yield* Transaction.run(
            Effect.zip(
              Doctors.findOne({ _id: "ADA" }, options),
              Stream.runDrain(Doctors.find({ _id: "BOB" }, options))
            ),
            { isolation: "serializable" }
          )
          expect(yield* Doctors.countDocuments({ transactionLock: { $type: "string" } })).toBe(2)
        })
      ))

    it.effect("locks with the variables, hint, time and comment of the read", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Doctors } = yield* onCall
          yield* watched.monitor.clear
          const options = { let: { who: "ada" }, hint: { _id: 1 }, maxTimeMS: 20_000, comment: "rota" } as const
          const filter = { $expr: { $eq: ["$_id", "$$who"] } }
          yield* Transaction.run(
            Effect.zip(Doctors.findOne(filter, options), Stream.runDrain(Doctors.find(filter, options))),
            { isolation: "serializable" }
          )
          const locks = (yield* watched.monitor.commands).filter(({ name }) => name === "update")
          expect(locks).toHaveLength(2)
          for (const { command } of locks) {
            const { hint, ...asked } = options
            expect(command).toMatchObject({ ...asked, updates: [{ hint }] })
          }
          expect(yield* Doctors.countDocuments({ transactionLock: { $type: "string" } })).toBe(1)
        })
      ))

    it.effect("refuses reads that can't be locked, before anything is sent", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Doctors, database } = yield* onCall
          yield* watched.monitor.clear
          yield* Transaction.run(
            Effect.gen(function*() {
              for (
                const read of [
                  Doctors.countDocuments(),
                  Doctors.distinct("onCall"),
                  Stream.runDrain(Doctors.aggregate([{ $match: {} }])),
                  Stream.runDrain(Database.make(database).aggregate([{ $documents: [{ n: 1 }] }]))
                ]
              ) {
                const error = yield* Effect.flip(Effect.asVoid(read))
                expect(error).toMatchObject({ _tag: "InvalidInTransaction", option: "isolation" })
                expect(error.message).toContain("serializable")
              }
            }),
            { isolation: "serializable" }
          )
          expect(yield* sent(watched)).toEqual([])
        })
      ))

    it.effect("refuses of an outbox what only reads: the count of what is pending, and the list of dead letters", () =>
      onClient(() =>
        Effect.gen(function*() {
          const Letters = Outbox.make("letters", { database: yield* TestServer.database })
          yield* Transaction.run(
            Effect.gen(function*() {
              for (const read of [Letters.pending, Stream.runDrain(Letters.deadLetters.list)]) {
                expect(yield* Effect.flip(Effect.asVoid(read)))
                  .toMatchObject({ _tag: "InvalidInTransaction", option: "isolation" })
              }
              yield* Letters.publish({ text: "hello" })
              expect(yield* Letters.deadLetters.drop("none")).toBe(false)
              expect(yield* Letters.deadLetters.retry("none")).toBe(false)
            }),
            { isolation: "serializable" }
          )
          expect(yield* Letters.pending).toBe(1)
        })
      ))

    it.effect("is not what a plain one becomes: a part that asks for it is refused, a plain part locks in it", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Doctors } = yield* onCall
          const inner = (isolation: Isolation) => Transaction.run(Doctors.findOne({ _id: "ada" }), { isolation })
          const refused = yield* Effect.flip(Transaction.run(inner("serializable")))
          expect(refused).toMatchObject({
            _tag: "IncompatibleJoin",
            conflicts: [{ option: "isolation", wanted: "serializable" }]
          })
          yield* watched.monitor.clear
          yield* Transaction.run(inner(undefined), { isolation: "serializable" })
          yield* Transaction.run(inner("serializable"), { isolation: "serializable" })
          expect(yield* sent(watched)).toEqual([..."uu"].flatMap(() => ["update", "find", "commitTransaction"]))
        })
      ))

    it.effect("locks and refuses in a sandbox as it does outside, in the part that asks for it", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Doctors } = yield* onCall
          yield* watched.monitor.clear
          const read = Doctors.findOne({ _id: "ada" })
          const isolated = <A, E, R>(body: Effect.Effect<A, E, R>) =>
            Transaction.run(body, { isolation: "serializable" })
          const { value } = yield* Transaction.sandbox(Effect.gen(function*() {
            yield* read
            yield* isolated(Effect.zipRight(read, Transaction.run(read)))
            yield* isolated(Transaction.run(read, { propagation: "requiresNew" }))
            yield* read
            return yield* isolated(Effect.flip(Doctors.countDocuments()))
          }))
          expect(value).toMatchObject({ _tag: "InvalidInTransaction", option: "isolation" })
          expect(yield* sent(watched)).toEqual([
            "find",
            ...["update", "find", "update", "find"],
            "find",
            "find",
            "abortTransaction"
          ])
        })
      ))

    it.effect("counts a locked stream as one write, however many batches it has", () =>
      onClient(({ client }) =>
        Effect.gen(function*() {
          const { Doctors } = yield* onCall
          const { writers } = of(client.driver)
          const enter = vi.spyOn(writers, "enter")
          const namesOfWrites = () =>
            enter.mock.calls.flatMap(([{ writes }]) => writes.map(({ operation }) => operation))
          yield* Transaction.run(
            Effect.gen(function*() {
              yield* Effect.flip(Doctors.countDocuments())
              expect(namesOfWrites()).toEqual([])
              yield* Stream.runDrain(Doctors.find({}, { batchSize: 1 }))
              expect(namesOfWrites()).toEqual(["find"])
            }),
            { isolation: "serializable" }
          )
        })
      ))

    it.effect("does not read any more when it is interrupted at its lock", () =>
      onClient((watched) =>
        Effect.gen(function*() {
          const { Doctors } = yield* onCall
          yield* watched.monitor.clear
          yield* block(watched, ["update"], "300 millis")
          const fiber = yield* Effect.fork(
            Transaction.run(Doctors.findOne({ _id: "ada" }), { isolation: "serializable" })
          )
          yield* watched.monitor.awaitStarted("update")
          yield* Fiber.interrupt(fiber)
          // The session has ended with it.
          expect(yield* sent(watched)).toEqual(["update", "abortTransaction", "endSessions"])
        })
      ))

    it.effect("is asked for by its name only", () =>
      onClient(() =>
        Effect.gen(function*() {
          const isolation = "snapshot" as "serializable"
          expect(yield* Effect.flip(Transaction.run(Effect.void, { isolation }))).toMatchObject({
            _tag: "SessionMisconfigured",
            issues: [{ path: ["isolation"] }]
          })
        })
      ))
  })
})
