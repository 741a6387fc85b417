import { describe, expect, layer } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Collection from "../../src/Collection.js"
import * as Database from "../../src/Database.js"
import * as MongoClient from "../../src/MongoClient.js"
import { Label } from "../../src/MongoError.js"
import * as Session from "../../src/Session.js"
import * as Transaction from "../../src/Transaction.js"
import { on, things } from "../support/data/collections.js"
import { logged } from "../support/server/connected.js"
import * as TestServer from "../support/server/testServer.js"
import { inPlace, type Place, witness } from "../support/transactions/transactions.js"
import * as Monitor from "../support/watch/monitor.js"

/** The commands of a name, each with the time limit that the server was told. */
const limits = ({ monitor }: Pick<Place, "monitor">, name: string) =>
  Effect.map(monitor.named(name), (seen) => seen.map(({ command }): unknown => command["maxTimeMS"]))

const outcomes = ({ monitor }: Pick<Place, "monitor">, name: string) =>
  Effect.map(monitor.named(name), (seen) => seen.map(({ outcome }) => outcome))

const upTo = (millis: number) => expect.toSatisfy((found) => Number.isInteger(found) && found > 0 && found <= millis)

const timedOut = { _tag: "MongoError", reason: "TimedOut" }

/** Fails an effect that is not over long before the server answers. */
const soon = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.timed(effect), ([time, value]) => {
    expect(Duration.toMillis(time)).toBeLessThan(1000)
    return value
  })

const blockFor = "1200 millis"

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  describe("an operation that takes longer than its timeout", () => {
    for (
      const [where, ofClient, ofSession] of [
        ["the session", {}, { timeout: "300 millis" }],
        ["the client", { timeout: "300 millis" }, {}],
        ["the session, not the client", { timeout: "1 hour" }, { timeout: "300 millis" }]
      ] as const
    ) {
      it.effect(`of ${where} fails in time; the next one waits until it has settled, and works`, () =>
        inPlace((place) =>
          Effect.gen(function*() {
            const { count, failing, insert, monitor } = place
            yield* failing({ failCommands: ["insert"], mode: { times: 1 }, blockFor })
            const session = yield* Session.make(ofSession)
            expect(yield* soon(Effect.flip(Session.provide(insert(1), session)))).toMatchObject(timedOut)
            yield* soon(Session.provide(count, session))
            expect(yield* outcomes(place, "insert")).toEqual(["failed"])
            expect(yield* limits(place, "insert")).toEqual([upTo(300)])
            expect(yield* session.state).toBe("idle")
            expect(yield* monitor.checkedOut).toBe(0)
          }), ofClient))
    }

    it.effect("fails in time without a session, too: a read is called off, a write no longer waited for", () =>
      Monitor.withClient({ timeout: "300 millis" }, (watched) =>
        Effect.gen(function*() {
          const { raw, Things } = yield* things(watched, 1)
          yield* Monitor.block(watched, ["find", "insert"], "600 millis")
          const once = yield* soon(Effect.flip(on(watched)(Things.findOne({ _id: 0 }, { maxTimeMS: 100 }))))
          expect(once).toMatchObject(timedOut)
          expect(yield* soon(Effect.flip(on(watched)(Things.insertOne({ _id: 1, n: 1 }))))).toMatchObject(timedOut)
          expect(yield* limits(watched, "find")).toEqual([upTo(100)])
          expect(yield* limits(watched, "insert")).toEqual([upTo(300)])
          // Nobody waits for the write any more, but the server keeps to the time limit that it was told.
          yield* Monitor.until(outcomes(watched, "insert"), ([outcome]) => outcome !== undefined)
          expect(yield* outcomes(watched, "insert")).toEqual(["failed"])
          expect(yield* outcomes(watched, "find")).toEqual(["failed"])
          expect(yield* Effect.promise(() => raw.countDocuments())).toBe(1)
        })))

    it.effect("because it waits for its turn fails in time, and is not sent", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const session = yield* Session.make({ timeout: "200 millis", settleTimeout: "5 seconds" })
          let finish: () => void = () => undefined
          const held = yield* Effect.fork(
            Effect.flip(session.use(() => new Promise<void>((resolve) => finish = resolve)))
          )
          yield* Monitor.until(session.state, (state) => state === "busy")
          expect(yield* soon(Effect.flip(Session.provide(place.insert(1), session)))).toMatchObject(timedOut)
          expect(yield* soon(held)).toMatchObject({ ...timedOut, operation: "use" })
          // Nobody waits for the promise any more, but the session does.
          expect(yield* session.state).toBe("busy")
          finish()
          yield* Monitor.until(session.state, (state) => state === "idle")
          expect(yield* place.monitor.named("insert")).toEqual([])
        })
      ))

    it.effect("that never settles breaks its session after settleTimeout", () =>
      inPlace(() =>
        Effect.gen(function*() {
          const session = yield* Session.make({ timeout: "100 millis", settleTimeout: "100 millis" })
          const never = session.use(() => new Promise<void>(() => undefined))
          yield* logged(() =>
            Effect.zipRight(
              Effect.map(soon(Effect.flip(never)), (error) => expect(error).toMatchObject(timedOut)),
              Monitor.until(session.state, (state) => state === "broken")
            )
          )
        })
      ))

    it.effect("is no batch of a cursor that is quick, where each batch has the time", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { raw, Things } = yield* things(place, 6)
          const session = yield* Session.make({ timeout: "300 millis" })
          const slowly = Stream.mapEffect(
            Things.find({}, { batchSize: 2, timeoutMode: "iteration" }),
            () => Effect.sleep("80 millis")
          )
          expect(yield* Session.provide(Stream.runCount(slowly), session)).toBe(6)
          expect(yield* limits(place, "find")).toEqual([undefined])
          expect(new Set(yield* limits(place, "getMore"))).toEqual(new Set([undefined]))
          expect(yield* Effect.promise(() => raw.countDocuments())).toBe(6)
        })
      ))

    it.effect("is a cursor whose batches take longer together", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { Things } = yield* things(place, 6)
          const session = yield* Session.make({ timeout: "300 millis" })
          const seen: Array<number> = []
          const slowly = Stream.runForEach(
            Things.find({}, { batchSize: 2 }),
            ({ _id }) => Effect.zipRight(Effect.sleep("200 millis"), Effect.sync(() => seen.push(_id)))
          )
          expect(yield* Effect.flip(Session.provide(slowly, session))).toMatchObject({
            ...timedOut,
            operation: "getMore"
          })
          // What had been read is not lost.
          expect(seen).toEqual([0, 1])
          expect(yield* limits(place, "find")).toEqual([upTo(300)])
          expect(yield* session.state).toBe("idle")
        })
      ))

    it.effect("is told to the server with a time limit that a caller has set lower", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { raw } = yield* things(place, 1)
          const session = yield* Session.make({ timeout: "1 minute" })
          const items = Collection.make(raw.collectionName, { database: raw.dbName })
          yield* Session.provide(items.findOne({}, { maxTimeMS: 50 }), session)
          yield* Session.provide(items.findOne({}), session)
          expect(yield* limits(place, "find")).toEqual([50, upTo(60_000)])
        })
      ))

    it.effect("is told so with a command that brings its own, in a session and without one", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const session = yield* Session.make({ timeout: "1 minute" })
          const own = Database.make("admin")
          const ping = own.command({ ping: 1, maxTimeMS: 50 }, { timeout: "1 minute" })
          yield* ping
          yield* Session.provide(own.command({ ping: 1, maxTimeMS: 50 }), session)
          yield* own.command({ ping: 1 }, { timeout: "1 minute" })
          expect(yield* limits(place, "ping")).toEqual([50, 50, upTo(60_000)])
        })
      ))
  })

  describe("the timeout of a transaction", () => {
    it.effect("is that of all its operations together, and the abort has it once more", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const { failing, insert, stored, wire } = place
          yield* failing({ failCommands: ["insert"], mode: "alwaysOn", blockFor: "300 millis" })
          const { hooks, register } = witness()
          const body = Effect.zipRight(register, Effect.zipRight(insert(1), insert(2)))
          expect(yield* soon(Effect.flip(Transaction.run(body, { timeout: "500 millis" })))).toMatchObject(timedOut)
          expect(yield* wire).toEqual(["1 insert start", "1 insert", "1 abortTransaction"])
          expect(yield* limits(place, "insert")).toEqual([upTo(500), upTo(200)])
          // More than there was left.
          expect(yield* limits(place, "abortTransaction")).toEqual([
            expect.toSatisfy((found) => found > 300 && found <= 500)
          ])
          expect(yield* stored).toEqual([])
          expect(hooks).toEqual(["onRollback"])
        })
      ))

    it.effect("lets nothing be committed when an operation that was late is swallowed", () =>
      inPlace(({ failing, insert, stored }) =>
        Effect.gen(function*() {
          yield* failing({ failCommands: ["insert"], mode: { times: 1 }, blockFor })
          const run = Transaction.run(Effect.ignore(insert(1)), { timeout: "300 millis" })
          expect(yield* soon(Effect.flip(run))).toMatchObject({ _tag: "TransactionDoomed", first: timedOut })
          expect(yield* stored).toEqual([])
        })
      ))

    it.effect("gives the whole up when a hook before the commit is late, for which the body can do nothing", () =>
      inPlace(({ failing, insert, stored }) =>
        Effect.gen(function*() {
          yield* failing({ failCommands: ["insert"], mode: { times: 1 }, blockFor })
          const run = Transaction.run(Transaction.beforeCommit(insert(1)), { timeout: "300 millis" })
          expect(yield* soon(Effect.flip(run))).toMatchObject({
            _tag: "TransactionAborted",
            attempts: 1,
            last: timedOut
          })
          expect(yield* stored).toEqual([])
        })
      ))

    it.effect("lets nothing more be sent when it is over, not even the commit", () =>
      inPlace(({ insert, stored, wire }) =>
        Effect.gen(function*() {
          const late = Transaction.run(Effect.zipLeft(insert(1), Effect.sleep("350 millis")), { timeout: "300 millis" })
          expect(yield* Effect.flip(late)).toMatchObject({
            _tag: "TransactionAborted",
            last: { reason: "TimedOut", operation: "commitTransaction" }
          })
          const body = Effect.zipRight(Effect.sleep("350 millis"), insert(2))
          expect(yield* Effect.flip(Transaction.run(body, { timeout: "300 millis" }))).toMatchObject(timedOut)
          expect(yield* wire).toEqual(["1 insert start", "1 abortTransaction"])
          expect(yield* stored).toEqual([])
        })
      ))

    it.effect("keeps what the attempt before the last has failed for, with its labels", () =>
      inPlace(({ failing, insert }) =>
        Effect.gen(function*() {
          yield* failing({
            failCommands: ["insert"],
            mode: "alwaysOn",
            blockFor: "200 millis",
            errorCode: 24,
            errorLabels: [Label.TransientTransactionError]
          })
          const error = yield* soon(Effect.flip(Transaction.run(insert(1), { timeout: "500 millis" })))
          expect(error).toMatchObject({
            _tag: "TransactionAborted",
            last: { code: 24, labels: [Label.TransientTransactionError] }
          })
        })
      ))

    it.effect("is told to the commit, whose write concern has no time limit then", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const writeConcern = { w: "majority", journal: true, wtimeout: "4 seconds" } as const
          yield* Transaction.run(place.insert(1), { timeout: "30 seconds", writeConcern })
          yield* place.lostCommit(1)
          yield* Transaction.run(place.insert(2), { timeout: "30 seconds", writeConcern: 1 })
          const commits = yield* place.monitor.named("commitTransaction")
          expect(commits.map(({ command }) => command["writeConcern"])).toEqual([
            { w: "majority", j: true },
            { w: 1 },
            { w: "majority" }
          ])
          expect(yield* limits(place, "commitTransaction")).toEqual([upTo(30_000), upTo(30_000), upTo(30_000)])
          expect(yield* place.stored).toEqual([1, 2])
        })
      ))

    it.effect("of an operation in it is refused before it is sent", () =>
      inPlace((place) =>
        Effect.gen(function*() {
          const items = Collection.make("items", { database: place.items.dbName })
          // What the types leave out, a program without types may still say.
          const options = { timeout: "100 millis" } as const
          const refused = { _tag: "InvalidInTransaction" }
          const database = Database.make(place.items.dbName)
          const operations = [
            items.insertOne({ _id: 1 }, options),
            items.bulkWrite([{ insertOne: { document: { _id: 1 } } }], options),
            MongoClient.bulkWrite([], options),
            database.command({ ping: 1 }, options),
            items.findOne({}, options),
            items.distinct("_id", {}, options),
            ...[
              items.find({}, options),
              items.aggregate([], options),
              database.aggregate([], options),
              database.runCursorCommand({ find: "items" }, options)
            ].map((rows) => Stream.runDrain(rows))
          ]
          for (const operation of operations) {
            const error = yield* Effect.flip(Transaction.run(operation))
            expect(error).toMatchObject({ ...refused, option: "timeout" })
          }
          for (const end of [Transaction.commitWith, Transaction.abortWith]) {
            const run = Transaction.run(end({ timeout: "1 second" }))
            expect(yield* Effect.flip(run)).toMatchObject({ ...refused, option: "timeout" })
          }
          expect(yield* place.wire).toEqual([])
        })
      ))
  })

  describe("by hand, a timeout", () => {
    const started = (place: Place) => Effect.zipRight(Transaction.start(), place.insert(1))

    it.effect("of the commit makes it unknown whether it happened", () =>
      inPlace((place) =>
        Session.scoped(Effect.gen(function*() {
          yield* place.failing({ failCommands: ["commitTransaction"], mode: { times: 1 }, blockFor: "500 millis" })
          yield* started(place)
          const error = yield* soon(Effect.flip(Transaction.commitWith({ timeout: "200 millis" })))
          expect(error).toMatchObject({ ...timedOut, labels: [Label.UnknownTransactionCommitResult] })
          expect(yield* limits(place, "commitTransaction")).toEqual([upTo(200)])
          // The fail point holds the first one back for that long.
          yield* Effect.sleep("400 millis")
          yield* Transaction.commit
          expect(yield* place.stored).toEqual([1])
          expect(yield* limits(place, "commitTransaction")).toEqual([upTo(200), undefined])
        }))
      ))

    it.effect("of the abort gives it up without a failure", () =>
      inPlace((place) =>
        Session.scoped(Effect.gen(function*() {
          yield* place.failing({ failCommands: ["abortTransaction"], mode: { times: 1 }, blockFor: "500 millis" })
          yield* started(place)
          yield* soon(Transaction.abortWith({ timeout: "200 millis" }))
          expect(yield* outcomes(place, "abortTransaction")).toEqual(["failed"])
          expect(yield* place.stored).toEqual([])
        }))
      ))

    it.effect("that is none is refused", () =>
      inPlace((place) =>
        Session.scoped(Effect.gen(function*() {
          yield* started(place)
          for (const end of [Transaction.commitWith, Transaction.abortWith]) {
            expect(yield* Effect.flip(end({ timeout: 0 }))).toMatchObject({ _tag: "SessionMisconfigured" })
          }
          yield* Transaction.abortWith({})
        }))
      ))
  })

  it.effect("without a timeout nothing is told to the server", () =>
    inPlace((place) =>
      Effect.gen(function*() {
        yield* Transaction.run(place.insert(1))
        yield* Effect.ignore(Transaction.run(Effect.zipRight(place.insert(2), Effect.fail("no"))))
        const commands = yield* place.monitor.commands
        expect(commands.filter(({ command }) => "maxTimeMS" in command)).toEqual([])
      })
    ))
})
