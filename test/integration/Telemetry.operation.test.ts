import { expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Database from "../../src/Database.js"
import * as Session from "../../src/Session.js"
import * as Transaction from "../../src/Transaction.js"
import { on, things } from "../support/data/collections.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"
import { recorder } from "../support/watch/spans.js"

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  /** Three things, and a tracer for what is done with them. */
  const traced = <A, E, R>(
    test: (
      there: Effect.Effect.Success<ReturnType<typeof things>> & Pick<ReturnType<typeof recorder>, "spans">,
      watched: Monitor.Watched
    ) => Effect.Effect<A, E, R>
  ) =>
    Monitor.withClient({}, (watched) =>
      Effect.gen(function*() {
        const there = yield* on(watched)(things(watched, 3))
        const { spans, tracer } = recorder()
        return yield* Effect.withTracer(on(watched)(test({ ...there, spans }, watched)), tracer)
      }))

  const names = (spans: ReturnType<typeof recorder>["spans"]) => spans.map(({ name }) => name)

  it.effect("an operation that fails says why, by the server's code too", () =>
    traced(({ Things, database, spans }, watched) =>
      Effect.gen(function*() {
        yield* Monitor.fail(watched, { failCommands: ["find"], errorCode: 13 })
        yield* Effect.flip(Things.findOne())
        expect(spans).toMatchObject([{
          name: `find ${database}.things`,
          ended: "failure",
          attributes: { "error.type": "Unauthorized", "db.response.status_code": "13" }
        }])
      })
    ))

  it.effect("one that is refused before anything is sent says so", () =>
    traced(({ Things, database, spans }) =>
      Effect.gen(function*() {
        yield* Effect.flip(Session.scoped(Things.estimatedDocumentCount()))
        expect(spans).toMatchObject([{
          name: `count ${database}.things`,
          ended: "failure",
          attributes: { "error.type": "InvalidInTransaction" }
        }])
        expect(spans[0]?.attributes).not.toHaveProperty("db.response.status_code")
      })
    ))

  it.effect("one that is interrupted says so", () =>
    traced(({ Things, database, spans }, watched) =>
      Effect.gen(function*() {
        yield* Monitor.block(watched, ["find"], "2 seconds")
        const reading = yield* Effect.fork(Things.findOne())
        yield* watched.monitor.awaitStarted("find")
        yield* Fiber.interrupt(reading)
        expect(spans).toMatchObject([
          { name: `find ${database}.things`, ended: "interrupted", attributes: { "error.type": "interrupted" } }
        ])
      })
    ))

  it.effect("an operation is a span of a client, with the names of OpenTelemetry", () =>
    traced(({ Things, database, spans }, watched) =>
      Effect.gen(function*() {
        yield* Things.insertOne({ _id: 7, n: 7 })
        const lsid = yield* Session.scoped(Effect.zipRight(
          Things.updateOne({ _id: 7 }, { $set: { n: "8" } }),
          Effect.map(Session.Session, ({ id }) => id.uuid)
        ))
        yield* Effect.withSpan(Database.make(database).stats(), "report")
        const { host, port } = yield* serverOf(watched)
        const server = { "server.address": host, "server.port": port }
        const common = { "db.system.name": "mongodb", "db.namespace": database, ...server }
        const ofThings = { ...common, "db.collection.name": "things" }
        expect(spans.map(({ attributes, ended, kind, name, parent }) => ({ name, kind, parent, attributes, ended })))
          .toEqual([
            {
              name: `insert ${database}.things`,
              kind: "client",
              parent: undefined,
              attributes: {
                ...ofThings,
                "db.operation.name": "insert",
                "db.operation.summary": `insert ${database}.things`
              },
              ended: "success"
            },
            {
              name: `update ${database}.things`,
              kind: "client",
              parent: undefined,
              attributes: {
                ...ofThings,
                "db.operation.name": "update",
                "db.operation.summary": `update ${database}.things`,
                "db.mongodb.lsid": lsid
              },
              ended: "success"
            },
            { name: "report", kind: "internal", parent: undefined, attributes: {}, ended: "success" },
            {
              name: `stats ${database}`,
              kind: "client",
              parent: "report",
              attributes: { ...common, "db.operation.name": "stats", "db.operation.summary": `stats ${database}` },
              ended: "success"
            }
          ])
      })
    ))

  it.effect("nothing of documents, filters and errors is in it", () =>
    traced(({ Things, database, spans }) =>
      Effect.gen(function*() {
        yield* Things.updateOne({ n: "424242" }, { $set: { n: "434343" } }, { comment: "454545" })
        yield* Things.insertOne({ _id: 464646, n: 474747 })
        yield* Effect.flip(Things.insertOne({ _id: 464646, n: 484848 }))
        yield* Stream.runDrain(Things.aggregate([{ $match: { n: "494949" } }]))
        expect(names(spans)).toEqual([
          `update ${database}.things`,
          `insert ${database}.things`,
          `insert ${database}.things`,
          `aggregate ${database}.things`
        ])
        expect(JSON.stringify(spans)).not.toMatch(/4\d4\d4\d/)
      })
    ))

  it.effect("each batch of a stream is one, as is the closing of its cursor", () =>
    traced(({ Things, database, spans }) =>
      Effect.gen(function*() {
        yield* Stream.runDrain(Things.find({}, { batchSize: 2 }))
        expect(names(spans)).toEqual([`find ${database}.things`, `getMore ${database}.things`])
        yield* Stream.runDrain(Stream.take(Things.find({}, { batchSize: 2 }), 1))
        expect(names(spans).slice(2)).toEqual([`find ${database}.things`, `killCursors ${database}.things`])
        expect(spans.map(({ attributes }) => attributes["db.operation.name"]))
          .toEqual(["find", "getMore", "find", "killCursors"])
      })
    ))

  it.effect("a command is called after the collection that it names, and what lists indexes as all drivers call it", () =>
    traced(({ Things, database, spans }) =>
      Effect.gen(function*() {
        const shop = Database.make(database)
        yield* Stream.runDrain(shop.runCursorCommand({ find: "things", batchSize: 2 }))
        yield* shop.command({ count: "things" })
        yield* shop.command({ ping: 1 })
        yield* Things.listIndexNames()
        expect(spans.map(({ attributes, name }) => [name, attributes["db.collection.name"]])).toEqual([
          [`runCommand ${database}.things`, "things"],
          [`getMore ${database}.things`, "things"],
          [`runCommand ${database}.things`, "things"],
          [`runCommand ${database}`, undefined],
          [`listIndexes ${database}.things`, "things"]
        ])
      })
    ))

  it.effect("none is open while a stream's consumer is busy, and each has the consumer's span for its parent", () =>
    traced(({ Things, database, spans }) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const pull = yield* Scope.extend(Stream.toPull(Things.find({}, { batchSize: 2 })), scope)
        yield* Effect.withSpan(pull, "first")
        expect(spans.map(({ ended }) => ended)).toEqual(["success", "success"])
        yield* Effect.withSpan(pull, "second")
        expect(spans.map(({ name, parent }) => [name, parent])).toEqual([
          ["first", undefined],
          [`find ${database}.things`, "first"],
          ["second", undefined],
          [`getMore ${database}.things`, "second"]
        ])
        yield* Scope.close(scope, Exit.void)
      })
    ))

  it.effect("in a transaction it is a part of the transaction's span", () =>
    traced(({ Things, database, spans }) =>
      Effect.gen(function*() {
        yield* Transaction.run(Things.deleteOne({ _id: 0 }))
        expect(spans.map(({ ended, kind, name, parent }) => [name, parent, kind, ended])).toEqual([
          ["transaction", undefined, "internal", "success"],
          [`delete ${database}.things`, "transaction", "client", "success"],
          ["commitTransaction admin", "transaction", "client", "success"]
        ])
      })
    ))
})

/** Where the only server of a client is. */
const serverOf = ({ client: { driver } }: Monitor.Watched) =>
  Effect.map(Effect.promise(() => driver.db("admin").command({ hello: 1 })), (hello) => {
    const [host, port] = String(hello["me"] ?? driver.options.hosts[0]).split(":")
    return { host, port: Number(port) }
  })
