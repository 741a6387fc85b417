import { expect, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import * as Driver from "mongodb"
import * as Collection from "../../src/Collection.js"
import * as Database from "../../src/Database.js"
import * as MongoClient from "../../src/MongoClient.js"
import * as Session from "../../src/Session.js"
import * as Telemetry from "../../src/Telemetry.js"
import * as Transaction from "../../src/Transaction.js"
import { on, things } from "../support/data/collections.js"
import { logged } from "../support/server/connected.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"
import { recorder } from "../support/watch/spans.js"

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  /** What is traced of what is done with three things, with the client that has these options. */
  const spansOf = <A, E, R>(
    telemetry: MongoClient.TelemetryOptions,
    test: (there: Effect.Effect.Success<ReturnType<typeof things>>, watched: Monitor.Watched) => Effect.Effect<A, E, R>
  ) =>
    Monitor.withClient({}, (watched) =>
      Effect.scoped(Effect.gen(function*() {
        const there = yield* on(watched)(things(watched, 3))
        const { driver } = watched.client
        const client = yield* MongoClient.fromDriver(Effect.succeed(driver), { telemetry })
        // So that nobody asks for it later.
        yield* client.deployment
        const { spans, tracer } = recorder()
        yield* test(there, watched).pipe(
          Effect.exit,
          Effect.provideService(MongoClient.MongoClient, client),
          Effect.withTracer(tracer)
        )
        return { ...there, spans }
      })))

  const tree = (spans: ReturnType<typeof recorder>["spans"]) => spans.map(({ name, parent }) => [name, parent])

  it.effect("a command has no span where nobody asks for it", () =>
    Effect.gen(function*() {
      const { database, spans } = yield* spansOf({}, ({ Things }) => Things.findOne())
      expect(tree(spans)).toEqual([[`find ${database}.things`, undefined]])
    }))

  it.effect("each command of an operation is a span below it, with what MongoDB's specification tells of it", () =>
    Effect.gen(function*() {
      const { database, spans } = yield* spansOf({ commands: true }, ({ Things }) =>
        Effect.zipRight(
          Session.scoped(Things.updateOne({ _id: 1 }, { $set: { n: "2" } })),
          Stream.runDrain(Things.find({}, { batchSize: 2 }))
        ))
      expect(tree(spans)).toEqual([
        [`update ${database}.things`, undefined],
        ["update", `update ${database}.things`],
        [`find ${database}.things`, undefined],
        ["find", `find ${database}.things`],
        [`getMore ${database}.things`, undefined],
        ["getMore", `getMore ${database}.things`]
      ])
      expect(spans[1]).toMatchObject({ kind: "client", ended: "success" })
      expect(spans[1]?.attributes).toEqual({
        "db.system.name": "mongodb",
        "db.namespace": database,
        "db.collection.name": "things",
        "db.command.name": "update",
        "db.query.summary": `update ${database}.things`,
        "network.transport": "tcp",
        "server.address": spans[0]?.attributes["server.address"],
        "server.port": expect.any(Number),
        "server.type": expect.any(String),
        "db.mongodb.server_connection_id": expect.any(Number),
        "db.mongodb.driver_connection_id": expect.any(Number),
        "db.mongodb.lsid": spans[0]?.attributes["db.mongodb.lsid"],
        "db.mongodb.txn_number": expect.any(Number)
      })
      const cursors = spans.slice(2).map(({ attributes }) => attributes["db.mongodb.cursor_id"])
      expect(cursors).toEqual([expect.any(BigInt), cursors[0], cursors[0], cursors[0]])
    }))

  it.effect("operations side by side each have their own commands", () =>
    Effect.gen(function*() {
      const { database, spans } = yield* spansOf({ commands: true }, ({ Things }) =>
        Effect.all(
          [1, 2, 3, 4].flatMap((
            n
          ) => [Effect.asVoid(Things.findOne({ _id: n })), Effect.asVoid(Things.countDocuments())]),
          { concurrency: "unbounded" }
        ))
      const commands = spans.filter(({ attributes }) => attributes["db.command.name"] !== undefined)
      expect(commands.map(({ name, parent }) => [name, parent]).sort()).toEqual([
        ...Array(4).fill(["aggregate", `countDocuments ${database}.things`]),
        ...Array(4).fill(["find", `find ${database}.things`])
      ])
    }))

  it.effect("a command that fails says why, and nothing that the server says of documents", () =>
    Effect.gen(function*() {
      const { spans } = yield* spansOf({ commands: true }, ({ Things }, watched) =>
        Effect.gen(function*() {
          yield* Monitor.fail(watched, { failCommands: ["find"], errorCode: 91 })
          yield* Things.findOne()
          yield* Things.insertOne({ _id: 1, n: 1 })
        }))
      const commands = spans.filter(({ attributes }) => attributes["db.command.name"] !== undefined)
      expect(commands.map(({ attributes, ended, name }) => [name, ended, attributes["db.response.status_code"]]))
        .toEqual([["find", "failure", "91"], ["find", "success", undefined], ["insert", "success", undefined]])
      expect(commands[0]?.attributes).toMatchObject({
        "error.type": "91",
        "exception.type": "MongoServerError",
        "exception.message": "find failed (ShutdownInProgress 91)",
        "exception.stacktrace": expect.stringMatching(/^MongoServerError: find failed .*\n {4}at /)
      })
      expect(JSON.stringify(spans.map(({ attributes }) => Object.values(attributes).map(String))))
        .not.toMatch(/E11000|dup key|failpoint/i)
    }))

  it.effect("what is interrupted leaves no span open", () =>
    Effect.gen(function*() {
      const { spans } = yield* spansOf({ commands: true }, ({ Things }, watched) =>
        Effect.gen(function*() {
          yield* Monitor.block(watched, ["find"], "2 seconds")
          const reading = yield* Effect.fork(Things.findOne())
          yield* watched.monitor.awaitStarted("find")
          yield* Fiber.interrupt(reading)
        }))
      expect(spans.map(({ ended }) => ended)).not.toContain("open")
    }))

  it.effect("the commands of a transaction are below its operations, its commit's too", () =>
    Effect.gen(function*() {
      const { database, spans } = yield* spansOf({ commands: true }, ({ Things }) =>
        Transaction.run(Things.deleteOne({ _id: 0 })))
      expect(tree(spans)).toEqual([
        ["transaction", undefined],
        [`delete ${database}.things`, "transaction"],
        ["delete", `delete ${database}.things`],
        ["commitTransaction admin", "transaction"],
        ["commitTransaction", "commitTransaction admin"]
      ])
    }))

  it.effect("its text is told only where that is asked for, without the session, and cut off", () =>
    Effect.gen(function*() {
      const find = ({ Things, database }: { readonly Things: ThingsOf; readonly database: string }) =>
        Effect.zipRight(Things.findOne({ n: "424242" }), Database.make(database).command({ usersInfo: "ada" }))
      const textsOf = (spans: ReturnType<typeof recorder>["spans"]) =>
        spans.flatMap(({ attributes }) => attributes["db.query.text"] ?? [])
      const { spans: silent } = yield* spansOf({ commands: true }, find)
      expect(textsOf(silent)).toEqual([])
      expect(silent.at(-1)?.attributes).not.toHaveProperty("db.collection.name")
      const { spans } = yield* spansOf({ commands: true, queryTextLength: 1000 }, find)
      expect(JSON.parse(String(textsOf(spans)[0])))
        .toEqual({ find: "things", filter: { n: "424242" }, limit: 1, singleBatch: true })
      const { spans: short } = yield* spansOf({ commands: true, queryTextLength: 9 }, find)
      expect(textsOf(short)).toEqual(["{\"find\":\"...", "{\"usersIn..."])
    }))

  it.effect("its text is what is sent, also of a class that says itself how it is stored", () =>
    Effect.gen(function*() {
      class Money {
        readonly secret = "not sent"
        toBSON() {
          return { cents: 5 }
        }
      }
      const { spans } = yield* spansOf(
        { commands: true, queryTextLength: 1000 },
        ({ database }) => Collection.make("prices", { database }).findOne({ price: new Money() })
      )
      const text = spans.flatMap(({ attributes }) => attributes["db.query.text"] ?? []).join()
      expect(JSON.parse(text)).toMatchObject({ filter: { price: { cents: 5 } } })
      expect(text).not.toContain("secret")
    }))

  it.effect("a command is sent, and its span ends, also where a part of it cannot be told", () =>
    Effect.gen(function*() {
      // It is asked when it is checked, then for the span's text, and then by the driver, which gets what is sent.
      let asked = 0
      const shy = {
        toBSON() {
          asked += 1
          if (asked === 2) throw new RangeError("not now")
          return 1
        }
      }
      yield* logged((entries) =>
        Effect.gen(function*() {
          const { spans } = yield* spansOf({ commands: true, queryTextLength: 1000 }, ({ database }) =>
            Effect.gen(function*() {
              const { command } = Database.make(database)
              expect(yield* command({ ping: 1, comment: shy })).toMatchObject({ ok: 1 })
              expect(yield* Effect.flip(command({ ping: 1, lsid: "none" }))).toMatchObject({ _tag: "MongoError" })
            }))
          expect(asked).toBeGreaterThan(2)
          expect(spans.length).toBeGreaterThan(3)
          expect(spans.map(({ ended }) =>
            ended
          )).not.toContain("open")
          expect(entries.filter(({ message }) => message === Telemetry.messages.untraced)).toEqual([
            { message: Telemetry.messages.untraced, annotations: { error: "RangeError" } }
          ])
        })
      )
    }))

  it.scoped("a tracer that throws breaks no command", () =>
    Effect.gen(function*() {
      const driver = TestServer.driver({ monitorCommands: true })
      const mongo = yield* MongoClient.fromDriver(driver, { telemetry: { commands: true } })
      const { tracer } = recorder()
      const broken = Tracer.make({
        ...tracer,
        span: (name, ...rest) => {
          if (name === "ping") throw new Error("no span")
          return tracer.span(name, ...rest)
        }
      })
      const ping = Database.make("admin").command({ ping: 1 })
      const reply = yield* Effect.withTracer(Effect.provideService(ping, MongoClient.MongoClient, mongo), broken)
      expect(reply).toMatchObject({ ok: 1 })
    }))

  it.effect("with a tracer that is disabled nothing is traced, nor the context of a promise taken along", () =>
    Effect.gen(function*() {
      const { spans } = yield* spansOf(
        { commands: true },
        ({ Things }) => Effect.withTracerEnabled(Things.findOne(), false)
      )
      expect(spans).toEqual([])
    }))

  it.effect("is refused of a client that tells of no commands, and a text without commands", () =>
    Effect.gen(function*() {
      const silent = Effect.sync(() => new Driver.MongoClient("mongodb://localhost:1"))
      const refused = (telemetry: MongoClient.TelemetryOptions) =>
        Effect.scoped(Effect.flip(MongoClient.fromDriver(silent, { telemetry })))
      expect(yield* refused({ commands: true })).toMatchObject({
        reason: "InvalidOptions",
        message: expect.stringContaining("monitorCommands")
      })
      expect(yield* refused({ queryTextLength: 10 })).toMatchObject({
        reason: "InvalidOptions",
        message: expect.stringContaining("telemetry.queryTextLength: needs `commands: true`")
      })
      expect(yield* refused({ commands: true, queryTextLength: -1 })).toMatchObject({ reason: "InvalidOptions" })
    }))
})

type ThingsOf = Effect.Effect.Success<ReturnType<typeof things>>["Things"]
