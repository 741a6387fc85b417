import { expect, layer } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as Session from "../../src/Session.js"
import * as Transaction from "../../src/Transaction.js"
import { on, things } from "../support/data/collections.js"
import * as TestServer from "../support/server/testServer.js"
import * as Monitor from "../support/watch/monitor.js"
import { type Exported, exported } from "../support/watch/otel.js"

class NotInserted extends Data.TaggedError("NotInserted")<{ readonly cause: unknown }> {
  override readonly message = "not inserted"
}

layer(TestServer.layer, { excludeTestServices: true })((it) => {
  type There = Effect.Effect.Success<ReturnType<typeof things>>

  /** What OpenTelemetry is given of what is done with three things. */
  const spansOf = <A, E, R>(test: (there: There, watched: Monitor.Watched) => Effect.Effect<A, E, R>) =>
    Monitor.withClient({}, (watched) =>
      Effect.gen(function*() {
        const there = yield* on(watched)(things(watched, 3))
        const { spans } = yield* exported(on(watched)(Effect.exit(test(there, watched))))
        return { ...there, spans }
      }))

  const tree = (spans: ReadonlyArray<Exported>) => spans.map(({ name, parent }) => [name, parent])

  it.effect("what fails has the status of an error and its type, also where it is a defect", () =>
    Effect.gen(function*() {
      const { database, spans } = yield* spansOf(({ Things }, watched) =>
        Effect.gen(function*() {
          yield* Effect.exit(Things.insertOne({ _id: 1, n: 1 }))
          // Refused before it is sent.
          yield* Effect.exit(Things.deleteOne({ n: undefined as unknown as string }))
          yield* Effect.exit(
            Things.use(broken, { operation: "bulk" })
          )
          yield* Monitor.fail(watched, { failCommands: ["find"], errorCode: 13 })
          yield* Effect.exit(Transaction.run(Things.findOne()))
        })
      )
      expect(spans.map(({ attributes, name, status }) => [name, status, attributes["error.type"]])).toEqual([
        [`insert ${database}.things`, "error", "DuplicateKey"],
        [`delete ${database}.things`, "error", "EncodingFailed"],
        [`bulk ${database}.things`, "error", "TypeError"],
        ["transaction", "error", undefined],
        [`find ${database}.things`, "error", "Unauthorized"],
        ["abortTransaction admin", "ok", undefined]
      ])
      expect(spans.map(({ attributes }) => attributes["db.response.status_code"]))
        .toEqual(["11000", undefined, undefined, undefined, "13", undefined])
    }))

  it.effect("what fails shows nothing of what the server or the driver say, which may be of documents", () =>
    Effect.gen(function*() {
      const { spans } = yield* spansOf(({ Things }) =>
        Transaction.run(
          Effect.mapError(Things.insertOne({ _id: 1, n: 1 }), (cause) => new NotInserted({ cause }))
        )
      )
      const told = spans.flatMap(({ events }) => events.filter(({ name }) => name === "exception"))
      expect(told.map(({ attributes }) => attributes)).toEqual([
        expect.objectContaining({ "exception.message": "not inserted" }),
        expect.objectContaining({ "exception.message": expect.stringContaining("DuplicateKey") })
      ])
      expect(JSON.stringify(spans)).not.toMatch(/E11000|dup key/)
    }))

  it.effect("what is interrupted says so, and is no error", () =>
    Effect.gen(function*() {
      const { database, spans } = yield* spansOf(({ Things }, watched) =>
        Effect.gen(function*() {
          yield* Monitor.block(watched, ["find"], "2 seconds")
          const running = yield* Effect.fork(Transaction.run(Things.findOne()))
          yield* watched.monitor.awaitStarted("find")
          yield* Fiber.interrupt(running)
        })
      )
      expect(spans.map(({ attributes, name, status }) => [name, status, attributes["error.type"]])).toEqual([
        ["transaction", "ok", undefined],
        [`find ${database}.things`, "ok", "interrupted"],
        ["abortTransaction admin", "ok", undefined],
        // For the cursor that it may have opened.
        ["endSessions admin", "ok", undefined]
      ])
      expect(spans[0]?.events).toEqual([{ name: "rolledBack", attributes: {} }])
    }))

  it.effect("a transaction is a span with its operations and its commit in it, all of one session and number", () =>
    Effect.gen(function*() {
      const { database, spans } = yield* spansOf(({ Things }) =>
        Session.scoped(Effect.gen(function*() {
          yield* Things.findOne()
          yield* Effect.repeatN(Transaction.run(Things.updateOne({ _id: 1 }, { $set: { n: "2" } })), 1)
          const session = yield* Session.Session
          yield* Effect.annotateCurrentSpan("lsid", session.id.uuid)
        })).pipe(Effect.withSpan("all"))
      )
      const lsid = spans[0]?.attributes["lsid"]
      const server = { "server.address": expect.any(String), "server.port": expect.any(Number) }
      const common = { "db.system.name": "mongodb", "db.mongodb.lsid": lsid, ...server }
      const ofThings = { ...common, "db.namespace": database, "db.collection.name": "things" }
      const transaction = (number: number) => [
        {
          name: "transaction",
          kind: "internal",
          parent: "all",
          status: "ok",
          attributes: { "db.system.name": "mongodb" },
          events: [{ name: "committed", attributes: {} }]
        },
        {
          name: `update ${database}.things`,
          kind: "client",
          parent: "transaction",
          status: "ok",
          attributes: {
            ...ofThings,
            "db.operation.name": "update",
            "db.operation.summary": `update ${database}.things`,
            "db.mongodb.txn_number": number
          },
          events: []
        },
        {
          name: "commitTransaction admin",
          kind: "client",
          parent: "transaction",
          status: "ok",
          attributes: {
            ...common,
            "db.namespace": "admin",
            "db.operation.name": "commitTransaction",
            "db.operation.summary": "commitTransaction admin",
            "db.mongodb.txn_number": number
          },
          events: []
        }
      ]
      const first = Number(spans[3]?.attributes["db.mongodb.txn_number"])
      expect(first).toBeGreaterThan(0)
      expect(spans.slice(1)).toEqual([
        {
          name: `find ${database}.things`,
          kind: "client",
          parent: "all",
          status: "ok",
          attributes: { ...ofThings, "db.operation.name": "find", "db.operation.summary": `find ${database}.things` },
          events: []
        },
        ...transaction(first),
        ...transaction(first + 1)
      ])
    }))

  it.effect("a transaction in a session of its own is a part of the one around it, and has other attributes", () =>
    Effect.gen(function*() {
      const { database, spans } = yield* spansOf(({ Things }) =>
        Transaction.run(Effect.gen(function*() {
          yield* Things.deleteOne({ _id: 0 })
          yield* Transaction.run(Things.deleteOne({ _id: 1 }), { propagation: "requiresNew" })
          yield* Transaction.run(Things.deleteOne({ _id: 2 }))
        }))
      )
      expect(tree(spans)).toEqual([
        ["transaction", undefined],
        [`delete ${database}.things`, "transaction"],
        ["transaction", "transaction"],
        [`delete ${database}.things`, "transaction"],
        ["commitTransaction admin", "transaction"],
        [`delete ${database}.things`, "transaction"],
        ["commitTransaction admin", "transaction"]
      ])
      const [, outer, , inner, innerCommit, joined, outerCommit] = spans.map(({ attributes }) =>
        attributes["db.mongodb.lsid"]
      )
      expect(outer).not.toBe(inner)
      expect([joined, outerCommit, innerCommit]).toEqual([outer, outer, inner])
      expect(spans.map(({ events }) => events.map(({ name }) => name)).filter((names) => names.length > 0))
        .toEqual([["committed"], ["committed"]])
    }))

  it.effect("what steps out of a transaction is in its span, and not of its session", () =>
    Effect.gen(function*() {
      const { database, spans } = yield* spansOf(({ Things }) =>
        Transaction.run(Effect.gen(function*() {
          yield* Things.deleteOne({ _id: 0 })
          yield* Session.detached(Transaction.outside(Things.findOne()))
          yield* Transaction.onCommit(Effect.orDie(Session.detached(Things.countDocuments())))
        }))
      )
      expect(spans.map(({ attributes, name, parent }) => [name, parent, Object.keys(attributes).filter(isOfSession)]))
        .toEqual([
          ["transaction", undefined, []],
          [`delete ${database}.things`, "transaction", ["db.mongodb.lsid", "db.mongodb.txn_number"]],
          [`find ${database}.things`, "transaction", []],
          ["commitTransaction admin", "transaction", ["db.mongodb.lsid", "db.mongodb.txn_number"]],
          [`countDocuments ${database}.things`, "transaction", []]
        ])
    }))

  it.effect("a transaction under manual control is a span from its start to its end, with its operations in it", () =>
    Effect.gen(function*() {
      const { database, spans } = yield* spansOf(({ Things }) =>
        Session.scoped(Effect.gen(function*() {
          yield* Transaction.start()
          yield* Effect.withSpan(Things.deleteOne({ _id: 0 }), "step")
          yield* Transaction.commit
          yield* Things.countDocuments()
          yield* Transaction.start()
          yield* Things.deleteOne({ _id: 1 })
          yield* Transaction.abort
          yield* Transaction.start()
          yield* Transaction.commit
          yield* Transaction.start()
        })).pipe(Effect.withSpan("by hand"))
      )
      expect(tree(spans)).toEqual([
        ["by hand", undefined],
        ["transaction", "by hand"],
        ["step", "by hand"],
        [`delete ${database}.things`, "transaction"],
        ["commitTransaction admin", "transaction"],
        [`countDocuments ${database}.things`, "by hand"],
        ["transaction", "by hand"],
        [`delete ${database}.things`, "transaction"],
        ["abortTransaction admin", "transaction"],
        ["transaction", "by hand"],
        ["transaction", "by hand"]
      ])
      expect(spans[1]?.attributes).toEqual({ "db.system.name": "mongodb" })
      const numbers = [3, 4, 7, 8].map((index) => Number(spans[index]?.attributes["db.mongodb.txn_number"]))
      expect(numbers[2]).toBe(numbers[0]! + 1)
      expect(numbers).toEqual([numbers[0], numbers[0], numbers[2], numbers[2]])
      expect(spans.flatMap(({ events, name }) => events.map((event) => [name, event.name]))).toEqual([
        ["transaction", "committed"],
        ["transaction", "rolledBack"],
        ["transaction", "committed"],
        ["transaction", "rolledBack"]
      ])
    }))

  it.effect("each batch of a stream in a session is one of that session", () =>
    Effect.gen(function*() {
      const { database, spans } = yield* spansOf(({ Things }) =>
        Session.scoped(Effect.zipRight(
          Stream.runDrain(Things.find({}, { batchSize: 2 })),
          Transaction.run(Stream.runDrain(Things.find({}, { batchSize: 2 })))
        ))
      )
      const lsid = spans[0]?.attributes["db.mongodb.lsid"]
      expect(lsid).toMatch(/^[0-9a-f-]{36}$/)
      expect(spans.map(({ attributes, name }) => [
        name,
        attributes["db.mongodb.lsid"] === lsid,
        attributes["db.mongodb.txn_number"] !== undefined
      ])).toEqual([
        [`find ${database}.things`, true, false],
        [`getMore ${database}.things`, true, false],
        ["transaction", false, false],
        [`find ${database}.things`, true, true],
        [`getMore ${database}.things`, true, true],
        ["commitTransaction admin", true, true]
      ])
    }))
})

const isOfSession = (name: string) => name.startsWith("db.mongodb.")

const broken = () => {
  throw new TypeError("a bug")
}
