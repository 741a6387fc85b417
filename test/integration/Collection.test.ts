import { describe, expect, layer } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Driver from "mongodb"
import type { TestContext } from "vitest"
import * as Collection from "../../src/Collection.js"
import * as Session from "../../src/Session.js"
import * as Transaction from "../../src/Transaction.js"
import { on, things } from "../support/data/collections.js"
import { type On, type Operation, operations, watches } from "../support/data/operations.js"
import * as TestServer from "../support/server/testServer.js"
import * as Versions from "../support/server/versions.js"
import * as Monitor from "../support/watch/monitor.js"

/** Everything that is in a database. */
const contents = (db: Driver.Db) =>
  Effect.promise(async () => {
    const names = (await db.listCollections({}, { nameOnly: true }).toArray()).map(({ name }) => name).sort()
    return Promise.all(names.map(async (name) => ({
      name,
      indexes: (await db.collection(name).indexes()).map((index) => index.name).sort(),
      documents: await db.collection(name).find({}, { sort: { _id: 1 } }).toArray()
    })))
  })

/** Three things, an index, and a look at their database by another client. */
const seeded = (watched: Monitor.Watched) =>
  Effect.gen(function*() {
    const { Things, database } = yield* things(watched, 0)
    const db = (yield* TestServer.driver()).db(database)
    const collection = db.collection<{ _id: number; n: string }>("things")
    // The server takes 100 ms for an index on what holds documents already.
    yield* Effect.promise(() => collection.createIndex({ n: 1 }))
    yield* Effect.promise(() => collection.insertMany([0, 1, 2].map((n) => ({ _id: n, n: String(n) }))))
    const there: On = { Things, database }
    return { there, contents: contents(db) }
  })

/** Runs an operation. One that needs the search service fails, and says what it needs. */
const attempt = ({ needsSearch, run }: Operation, there: On) =>
  needsSearch === true
    ? Effect.map(Effect.flip(Effect.asVoid(run(there))), (error) =>
      expect(error).toMatchObject({
        _tag: "MongoError",
        reason: "NotSupported",
        hint: expect.stringContaining("need MongoDB Atlas")
      }))
    : run(there)

// The operations to which the driver passes the signal on, and some of those to which it does not.
const abortable = new Set(["find", "findOne", "aggregate", "countDocuments", "command", "listCollections"])
const settling = new Set(["insertOne", "updateMany", "deleteOne", "findOneAndUpdate", "bulkWrite"])

const ambientId = Effect.map(Session.Session, ({ id }) => id.hex)

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  const onServer = <A, E, R>(
    context: TestContext,
    operation: Operation | undefined,
    test: (watched: Monitor.Watched) => Effect.Effect<A, E, R>
  ) =>
    Monitor.withClient({}, (watched) =>
      Effect.gen(function*() {
        if (operation?.since !== undefined) yield* Versions.needs(context, operation.since)
        return yield* on(watched)(test(watched))
      }))

  describe.each(operations)("$name", (operation) => {
    const { command, kind, refused } = operation

    if (refused !== undefined) {
      it.effect("is refused in a transaction before anything is sent", (context) =>
        onServer(context, operation, (watched) =>
          Effect.gen(function*() {
            const { there } = yield* seeded(watched)
            const error = yield* Effect.flip(Effect.asVoid(Transaction.run(operation.run(there))))
            expect(error).toMatchObject({ _tag: "InvalidInTransaction", option: refused })
            expect(yield* watched.monitor.commands).toEqual([])
          })))
    }

    it.effect("runs without a session, in none of the program's", (context) =>
      onServer(context, operation, (watched) =>
        Effect.gen(function*() {
          const { contents, there } = yield* seeded(watched)
          const before = yield* contents
          const ambient = yield* Session.scoped(
            Effect.zipRight(Session.detached(attempt(operation, there)), ambientId)
          )
          const sent = yield* watched.monitor.named(command)
          expect(sent.length).toBeGreaterThan(0)
          for (const { command, lsid } of sent) {
            expect(lsid).not.toBe(ambient)
            expect(command).not.toHaveProperty("autocommit")
          }
          if (kind === "write") expect(yield* contents).not.toEqual(before)
          else expect(yield* contents).toEqual(before)
        })))

    it.effect("runs in the ambient session", (context) =>
      onServer(context, operation, (watched) =>
        Effect.gen(function*() {
          const { contents, there } = yield* seeded(watched)
          const before = yield* contents
          const ambient = yield* Session.scoped(Effect.zipRight(attempt(operation, there), ambientId))
          const commands = yield* watched.monitor.commands
          expect(commands.map(({ name }) => name)).toContain(command)
          expect(commands.map(({ lsid }) => lsid)).toEqual(commands.map(() => ambient))
          expect(commands.filter(({ command }) => "autocommit" in command)).toEqual([])
          if (kind === "write") expect(yield* contents).not.toEqual(before)
          else expect(yield* contents).toEqual(before)
        })))

    if (refused === undefined) {
      it.effect("runs in the transaction of its session, and is rolled back with it", (context) =>
        onServer(context, operation, (watched) =>
          Effect.gen(function*() {
            const { contents, there } = yield* seeded(watched)
            const before = yield* contents
            const body = Effect.zipRight(operation.run(there), Effect.zipRight(Transaction.rollbackOnly, ambientId))
            const ambient = yield* Transaction.run(body)
            const commands = yield* watched.monitor.commands
            expect(commands.map(({ name }) => name)).toContain(command)
            expect(commands.at(-1)?.name).toBe("abortTransaction")
            expect(commands.map(({ lsid }) => lsid)).toEqual(commands.map(() => ambient))
            expect(commands.map(({ command }) => command["autocommit"])).toEqual(commands.map(() => false))
            expect(new Set(commands.map(({ command }) => String(command["txnNumber"]))).size).toBe(1)
            expect(commands.map(({ command }) => command["startTransaction"] === true))
              .toEqual(commands.map((_, index) => index === 0))
            for (const { command } of commands.slice(1)) expect(command).not.toHaveProperty("readConcern")
            expect(yield* contents).toEqual(before)
          })))
    }

    if (kind === "snapshot") {
      it.effect("reads the snapshot in a snapshot session, whatever read concern the collection has", (context) =>
        onServer(context, operation, (watched) =>
          Effect.gen(function*() {
            yield* Versions.needs(context, Versions.snapshotReads)
            const { there } = yield* seeded(watched)
            const Things = there.Things.withReadConcern("majority")
            yield* Session.scoped(operation.run({ ...there, Things }), { snapshot: true })
            const sent = yield* watched.monitor.named(command)
            expect(sent.map(({ command }) => command["readConcern"])).toMatchObject([{ level: "snapshot" }])
          })))
    }
  })

  describe.each(watches)("$name", ({ run }) => {
    it.effect("is refused in a transaction before anything is sent", (context) =>
      onServer(context, undefined, (watched) =>
        Effect.gen(function*() {
          const { Things, database } = yield* things(watched, 0)
          const error = yield* Effect.flip(Effect.asVoid(Transaction.run(run({ Things, database }))))
          expect(error).toMatchObject({ _tag: "InvalidInTransaction", option: "watch" })
          expect(yield* watched.monitor.commands).toEqual([])
        })))
  })

  describe("estimatedDocumentCount", () => {
    it.effect("is refused in any session before anything is sent, and runs without one", (context) =>
      onServer(context, undefined, (watched) =>
        Effect.gen(function*() {
          const { Things } = yield* things(watched, 3)
          const refused = { _tag: "InvalidInTransaction", option: "estimatedDocumentCount" }
          expect(yield* Effect.flip(Session.scoped(Things.estimatedDocumentCount())))
            .toMatchObject({ ...refused, place: "session", hint: expect.stringContaining("Session.detached") })
          const inTransaction = yield* Effect.flip(Transaction.run(Things.estimatedDocumentCount()))
          expect(inTransaction).toMatchObject({ ...refused, hint: expect.stringContaining("Transaction.outside") })
          expect(inTransaction).not.toHaveProperty("place")
          expect(yield* watched.monitor.commands).toEqual([])
          expect(yield* Things.estimatedDocumentCount()).toBe(3)
          expect(yield* Session.scoped(Session.detached(Things.estimatedDocumentCount()))).toBe(3)
          expect(yield* Transaction.run(Transaction.outside(Things.estimatedDocumentCount()))).toBe(3)
        })))
  })

  it.effect("listIndexNames gives the names of the indexes in order, and fails where there is no collection", (context) =>
    onServer(context, undefined, (watched) =>
      Effect.gen(function*() {
        const { there: { Things, database } } = yield* seeded(watched)
        expect(yield* Things.listIndexNames()).toEqual(["_id_", "n_1"])
        expect(yield* Effect.flip(Collection.make("none", { database }).listIndexNames())).toMatchObject({
          _tag: "MongoError",
          reason: "NamespaceNotFound",
          operation: "listIndexNames"
        })
      })))

  describe.each(operations.filter(({ name }) => abortable.has(name)))("an interrupted $name", (operation) => {
    it.effect("is given up long before the server answers", (context) =>
      onServer(context, operation, (watched) =>
        Effect.gen(function*() {
          const { there } = yield* seeded(watched)
          yield* Monitor.block(watched, [operation.command], "1 second")
          yield* Session.scoped(Effect.gen(function*() {
            const running = yield* Effect.fork(operation.run(there))
            yield* watched.monitor.awaitStarted(operation.command)
            const [time, exit] = yield* Effect.timed(Fiber.interrupt(running))
            expect(Exit.isInterrupted(exit)).toBe(true)
            expect(Duration.toMillis(time)).toBeLessThan(700)
            expect(yield* (yield* Session.Session).state).toBe("idle")
          }))
        })))
  })

  describe.each(operations.filter(({ name }) => settling.has(name)))("an interrupted $name", (operation) => {
    it.effect("is done when its exit is seen", (context) =>
      onServer(context, operation, (watched) =>
        Effect.gen(function*() {
          const { contents, there } = yield* seeded(watched)
          const before = yield* contents
          yield* Monitor.block(watched, [operation.command], "200 millis")
          const running = yield* Effect.fork(operation.run(there))
          yield* watched.monitor.awaitStarted(operation.command)
          yield* Fiber.interrupt(running)
          const commands = yield* watched.monitor.commands
          expect(commands.map(({ outcome }) => outcome)).toEqual(commands.map(() => "succeeded"))
          expect(yield* contents).not.toEqual(before)
        })))
  })
})
