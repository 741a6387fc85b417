// Of options of no type, the compiler does not know what the schema in them needs.
// @effect-diagnostics anyUnknownInErrorContext:off unsafeEffectTypeAssertion:off
import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import * as ChangeStream from "../../src/ChangeStream.js"
import * as Collection from "../../src/Collection.js"
import * as Cursor from "../../src/Cursor.js"
import * as Database from "../../src/Database.js"
import * as Lease from "../../src/Lease.js"
import * as MongoClient from "../../src/MongoClient.js"
import { MongoError } from "../../src/MongoError.js"
import * as Once from "../../src/Once.js"
import * as Outbox from "../../src/Outbox.js"
import * as Session from "../../src/Session.js"
import * as SessionCommands from "../../src/SessionCommands.js"
import * as Steps from "../../src/Steps.js"
import * as FailPoint from "../../src/testing/FailPoint.js"
import * as MongoServer from "../../src/testing/MongoServer.js"
import * as Transaction from "../../src/Transaction.js"
import { connected } from "../support/server/connected.js"

type Run = Effect.Effect<unknown, unknown, never>
type Taking = (options: never) => ReadonlyArray<unknown>

class Other extends MongoClient.Tag("Other")<Other>() {}
const drain = Stream.runDrain
const things = Collection.make("things")
const nothing = () => Effect.void
const unheld = { db: () => ({ command: () => Promise.reject(Object.assign(new Error("sent"), { code: 1 })) }) }
const untyped = (options: Collection.Options & { readonly schema?: undefined }) => Collection.make("a", options)
const untypedOf = (options: Collection.Concerns & { readonly schema?: undefined }) =>
  Database.make("a").collection("b", options)
const ofCollection = (all: typeof things) => [
  all.findOne({}),
  drain(all.find({})),
  drain(all.watch()),
  all.insertOne({}),
  all.bulkWrite([{ deleteOne: { filter: {} } }]),
  all.listIndexNames(),
  all.rename("others"),
  all.drop(),
  all.use(() => Promise.reject(new Error("sent"))),
  all.withReadConcern("majority").countDocuments()
]

/** All that takes options, but the operations of collections and databases; with what is made of them, used in each way. */
const all: Readonly<Record<string, Taking>> = {
  "Once.make": (options) => [Once.make("a", options).run("b", Effect.void)],
  "Once.run": (options) => [Once.make("a").run("b", Effect.void, options)],
  "Lease.make": (options) => {
    const lease = Lease.make("a", options)
    return [Effect.scoped(lease.acquire), lease.run(Effect.void)]
  },
  "Lease.leader": (options) => [Lease.leader("a", Effect.void, options)],
  "Steps.make": (options) => {
    const steps = Steps.make("a", options)
    return [steps.run("b", nothing), steps.resume(nothing)]
  },
  "Collection.make": (options) => ofCollection(untyped(options)),
  "Collection.withOptions": (options) => ofCollection(things.withOptions(options)),
  "Database.make": (options) => {
    const db = Database.make("a", options)
    return [
      ...ofCollection(db.collection("b")),
      db.command({ ping: 1 }),
      drain(db.runCursorCommand({ find: "b" })),
      db.createCollection("b"),
      drain(db.listCollections()),
      drain(db.aggregate([])),
      drain(db.watch()),
      db.stats(),
      db.drop()
    ]
  },
  "Database.collection": (options) => ofCollection(untypedOf(options)),
  "Database.runCursorCommand": (options) => [drain(Database.make("a").runCursorCommand({ find: "b" }, options))],
  "Outbox.make": (options) => {
    const outbox = Outbox.make("a", options)
    return [
      Transaction.run(outbox.publish({})),
      Transaction.run(outbox.publishAll([{}])),
      drain(outbox.relay(nothing)),
      outbox.pending,
      drain(outbox.deadLetters.list),
      outbox.deadLetters.retry("a"),
      outbox.deadLetters.drop("a")
    ]
  },
  "Outbox.relay": (options) => [drain(Outbox.make("a").relay(nothing, options))],
  "Collection.watch": (options) => [drain(things.watch([], options))],
  "Database.watch": (options) => [drain(Database.make("a").watch([], options))],
  "MongoClient.watch": (options) => [drain(MongoClient.watch([], options))],
  "ChangeStream.consume": (options) => [ChangeStream.consume(things.watch(), "a", nothing, options)],
  "ChangeStream.deadLetters": (options) => {
    const dead = ChangeStream.deadLetters(things.watch(), "a", options)
    return [drain(dead.list), dead.drop("a"), dead.retry("a", nothing)]
  },
  "ChangeStream.checkpoints": (options) => {
    const { list, reset } = ChangeStream.checkpoints(options)
    return [list, reset("a")]
  },
  "Cursor.stream": (options) => [drain(Cursor.stream((added, db) => db.listCollections({}, added), options))],
  "MongoClient.make": (options) => [Effect.scoped(MongoClient.make(options))],
  "MongoClient.makeConfig": (options) => [Effect.scoped(MongoClient.makeConfig(options))],
  "MongoClient.fromDriver": (options) => [Effect.scoped(MongoClient.fromDriver(Effect.die("reached"), options))],
  "MongoClient.layer": (options) => [Effect.scoped(Layer.build(MongoClient.layer(options)))],
  "MongoClient.layerConfig": (options) => [Effect.scoped(Layer.build(MongoClient.layerConfig(options)))],
  "MongoClient.layerFromDriver": (options) => [
    Effect.scoped(Layer.build(MongoClient.layerFromDriver(Effect.die("reached"), options)))
  ],
  "MongoClient.Tag, layer": (options) => [Effect.scoped(Layer.build(Other.layer(options)))],
  "MongoClient.Tag, layerConfig": (options) => [Effect.scoped(Layer.build(Other.layerConfig(options)))],
  "MongoClient.Tag, layerFromDriver": (options) => [
    Effect.scoped(Layer.build(Other.layerFromDriver(Effect.die("reached"), options)))
  ],
  "MongoClient.bulkWrite": (options) => [
    MongoClient.bulkWrite([{ name: "insertOne", namespace: "a.b", document: {} }], options)
  ],
  "MongoClient.listDatabases": (options) => [MongoClient.listDatabases(options)],
  "Session.make": (options) => [Effect.scoped(Session.make(options))],
  "Session.layer": (options) => [Effect.scoped(Layer.build(Session.layer(options)))],
  "Session.scoped": (options) => [Session.scoped(Effect.void, options)],
  "Session.ensure": (options) => [Session.ensure(Effect.void, options)],
  "Transaction.run": (options) => [Transaction.run(Effect.void, options)],
  "Transaction.run, session": (options) => [Transaction.run(Effect.void, { session: options })],
  "Transaction.sandbox": (options) => [Transaction.sandbox(Effect.void, options)],
  "Transaction.start": (options) => [Session.scoped(Transaction.start(options))],
  "Transaction.commitWith": (options) => [Session.scoped(Transaction.commitWith(options))],
  "Transaction.abortWith": (options) => [Session.scoped(Transaction.abortWith(options))],
  "SessionCommands.refreshSessions": (options) => [SessionCommands.refreshSessions([], options)],
  "SessionCommands.endSessions": (options) => [SessionCommands.endSessions([], options)],
  "SessionCommands.killSessions": (options) => [SessionCommands.killSessions([], options)],
  "SessionCommands.killAllSessions": (options) => [SessionCommands.killAllSessions([], options)],
  "SessionCommands.killAllSessionsByPattern": (options) => [SessionCommands.killAllSessionsByPattern([], options)],
  "SessionCommands.listSessions": (options) => [drain(SessionCommands.listSessions(options))],
  "SessionCommands.listLocalSessions": (options) => [drain(SessionCommands.listLocalSessions(options))],
  "SessionCommands.currentTransactions": (options) => [drain(SessionCommands.currentTransactions(options))],
  "FailPoint.failCommand": (options) => [Effect.scoped(FailPoint.failCommand(unheld, options))],
  "FailPoint.during": (options) => [FailPoint.during(unheld, options)(Effect.void)],
  "MongoServer.make": (options) => [Effect.scoped(MongoServer.make(options))],
  "MongoServer.layer": (options) => [Effect.scoped(Layer.build(MongoServer.layer(options)))],
  "MongoServer.layerClient": (options) => [Effect.scoped(Layer.build(MongoServer.layerClient(options)))]
}

const fail = () => {
  throw new TypeError("secret")
}

/** What no function takes as options. */
const none: Readonly<Record<string, unknown>> = {
  null: null,
  text: "majority",
  "empty text": "",
  number: 5,
  NaN,
  bigint: 5n,
  boolean: false,
  symbol: Symbol("options"),
  array: [],
  "filled array": [{ timeout: 5 }],
  function: () => ({}),
  "proxy whose keys throw": new Proxy({}, { ownKeys: fail }),
  "proxy whose every trap throws": new Proxy({}, new Proxy({}, { get: fail })),
  "proxy whose fields throw": new Proxy({ client: undefined }, { get: fail }),
  "getter that throws": Object.defineProperty({}, "client", { enumerable: true, get: fail })
}

it.effect("FailPoint.failCommand refuses options that name no commands", () =>
  Effect.gen(function*() {
    for (const options of [{}, { failCommand: ["find"] }, { failCommands: "find" }]) {
      const error = yield* Effect.flip(Effect.scoped(FailPoint.failCommand(unheld, options as never)))
      expect(error).toMatchObject({ _tag: "FailPointFailed", hint: expect.stringContaining("failCommands") })
    }
  }))

const isTyped = (failure: unknown): boolean =>
  Predicate.hasProperty(failure, "_tag") && (
    ["SessionMisconfigured", "MongoServerUnavailable", "FailPointFailed"].includes(String(failure._tag)) ||
    failure instanceof MongoError && failure.reason === "InvalidOptions"
  )

/** What each use of what is made of options ends with. */
const ends = (taking: Taking, options: unknown, client: MongoClient.Service) =>
  Effect.forEach(
    taking(options as never),
    (run) => Effect.exit(Effect.provideService(run as Run, MongoClient.MongoClient, client))
  )

/** Options that are wrong, and that say how often each of them was read. */
const counting = () => {
  const reads = new Map<string, number>()
  const names = [
    ...["client", "database", "collection", "timeout", "schema", "readConcern", "writeConcern", "readPreference"],
    ...["comment", "operation", "version", "result", "fingerprint", "for", "batch", "transaction", "session", "retry"],
    ...[
      "which",
      "allUsers",
      "keepAlive",
      "url",
      "driver",
      "failCommands",
      "mode",
      "maxAwaitTime",
      "snapshot",
      "propagation"
    ]
  ]
  const options = {}
  for (const name of names) {
    Object.defineProperty(options, name, {
      enumerable: true,
      get: () => {
        reads.set(name, (reads.get(name) ?? 0) + 1)
        return name === "client" ? undefined : name === "which" ? "nowhere" : null
      }
    })
  }
  return { options, reads }
}

describe("whatever takes options", () => {
  it.scopedLive("refuses by type what is none, when it is run, and sends nothing", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      yield* Effect.provideService(Session.scoped(Effect.void), MongoClient.MongoClient, client)
      yield* server.clear
      for (const [name, taking] of Object.entries(all)) {
        for (const [what, options] of Object.entries(none)) {
          for (const [index, exit] of (yield* ends(taking, options, client)).entries()) {
            const failure = Exit.isFailure(exit) ? Cause.failureOption(exit.cause) : Option.none()
            if (!Option.exists(failure, isTyped)) {
              throw new Error(`${name} (${index}) of ${what}: ${String(exit)}`)
            }
          }
        }
      }
      expect(yield* server.commands).toEqual([])
    }))

  it.scopedLive("reads each option once", () =>
    Effect.gen(function*() {
      const { client } = yield* connected()
      for (const [name, taking] of Object.entries(all)) {
        // What is checked must be what is used, whatever a getter says later.
        for (const index of taking({} as never).keys()) {
          const { options, reads } = counting()
          const exits = yield* ends((given) => taking(given).slice(index, index + 1), options, client)
          expect(exits.flatMap((exit) => Exit.isFailure(exit) ? [...Cause.defects(exit.cause)] : []), name).toEqual([])
          expect([...reads].filter(([, count]) => count > 1), `${name} (${index})`).toEqual([])
        }
      }
    }))
})
