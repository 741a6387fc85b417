// Of options of no type, the compiler does not know what the schema in them needs.
// @effect-diagnostics anyUnknownInErrorContext:off unsafeEffectTypeAssertion:off
import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Collection from "../../src/Collection.js"
import * as Database from "../../src/Database.js"
import * as MongoClient from "../../src/MongoClient.js"
import * as Session from "../../src/Session.js"
import * as Transaction from "../../src/Transaction.js"
import { build, type Described } from "../support/hostile/hostile.js"
import { connected } from "../support/server/connected.js"
import * as Responder from "../support/server/responder.js"

type Run = () => Effect.Effect<unknown, unknown, unknown>
type Operation = (options: never) => ReturnType<Run>

const drain = Stream.runDrain
const Raw = Collection.make("u", { database: "d" })
const Typed = Collection.make("u", { database: "d", schema: Schema.Struct({ _id: Schema.Number, n: Schema.String }) })
const db = Database.make("d")
const value = { _id: 1, n: "1" }
const set = { $set: { n: "2" } }
const write = [{ insertOne: { document: value } }]
const placed = { namespace: "d.u", name: "insertOne", document: {} } as const
const code = (collection: { readonly collectionName: string }) => Promise.resolve(collection.collectionName)

/** Every operation with its options. */
const operations: Readonly<Record<string, Operation>> = {
  find: (options) => drain(Raw.find({}, options)),
  findTyped: (options) => drain(Typed.find({}, options)),
  findOne: (options) => Raw.findOne({}, options),
  aggregate: (options) => drain(Raw.aggregate([], options)),
  explainFind: (options) => Raw.explainFind({}, options),
  explainAggregate: (options) => Raw.explainAggregate([], options),
  countDocuments: (options) => Raw.countDocuments({}, options),
  estimatedDocumentCount: (options) => Raw.estimatedDocumentCount(options),
  distinct: (options) => Raw.distinct("n", {}, options),
  insertOne: (options) => Raw.insertOne({ a: 1 }, options),
  insertTyped: (options) => Typed.insertOne(value, options),
  insertMany: (options) => Typed.insertMany([value], options),
  updateOne: (options) => Typed.updateOne({}, set, options),
  updateMany: (options) => Typed.updateMany({}, set, options),
  replaceOne: (options) => Typed.replaceOne({}, value, options),
  deleteOne: (options) => Typed.deleteOne({}, options),
  deleteMany: (options) => Typed.deleteMany({}, options),
  findOneAndUpdate: (options) => Typed.findOneAndUpdate({}, set, options),
  findOneAndReplace: (options) => Typed.findOneAndReplace({}, value, options),
  findOneAndDelete: (options) => Raw.findOneAndDelete({}, options),
  bulkWrite: (options) => Typed.bulkWrite(write, options),
  createIndex: (options) => Raw.createIndex({ a: 1 }, options),
  createIndexes: (options) => Raw.createIndexes([{ key: { a: 1 } }], options),
  dropIndex: (options) => Raw.dropIndex("a_1", options),
  dropIndexes: (options) => Raw.dropIndexes(options),
  listIndexes: (options) => drain(Raw.listIndexes(options)),
  listIndexNames: (options) => Raw.listIndexNames(options),
  listSearchIndexes: (options) => drain(Raw.listSearchIndexes("a", options)),
  rename: (options) => Raw.rename("v", options),
  drop: (options) => Raw.drop(options),
  isCapped: (options) => Raw.isCapped(options),
  options: (options) => Raw.options(options),
  use: (options) => Raw.use(code, options),
  command: (options) => db.command({ ping: 1 }, options),
  createCollection: (options) => db.createCollection("v", options),
  listCollections: (options) => drain(db.listCollections({}, options)),
  "Database.aggregate": (options) => drain(db.aggregate([], options)),
  stats: (options) => db.stats(options),
  dropDatabase: (options) => db.drop(options),
  "MongoClient.bulkWrite": (options) => MongoClient.bulkWrite([placed], options),
  listDatabases: (options) => MongoClient.listDatabases(options)
}

/** Every operation that takes a list or a command, which the compiler knows and a program in JavaScript does not. */
const lists: Readonly<Record<string, Operation>> = {
  aggregate: (list) => drain(Raw.aggregate(list)),
  "Database.aggregate": (list) => drain(db.aggregate(list)),
  explainAggregate: (list) => Raw.explainAggregate(list),
  insertMany: (list) => Typed.insertMany(list),
  bulkWrite: (list) => Typed.bulkWrite(list),
  createIndexes: (list) => Raw.createIndexes(list),
  findByIds: (list) => Raw.findByIds(list),
  command: (command) => db.command(command),
  "MongoClient.bulkWrite": (list) => MongoClient.bulkWrite(list)
}

const names = [
  ...["schema", "projection", "onInvalid", "timeout", "timeoutMode", "sort", "hint", "collation", "let"],
  ...[
    "comment",
    "readConcern",
    "writeConcern",
    "readPreference",
    "serializeFunctions",
    "verbosity",
    "kind",
    "operation"
  ],
  ...["arrayFilters", "partialFilterExpression", "validator", "pipeline"]
]

// The driver sends whatever the options of a new collection are; of these, the library looks into some.
const looked = [
  "timeout",
  "collation",
  "comment",
  "readConcern",
  "writeConcern",
  "readPreference",
  "validator",
  "pipeline"
]

const leaves = (["null", "a getter that throws", "a proxy that throws", "a revoked proxy"] as const)
  .map((leaf): Described => ({ leaf }))

const onResponder = <A, E>(body: Effect.Effect<A, E, MongoClient.MongoClient>) =>
  Effect.scoped(Effect.gen(function*() {
    const { url } = yield* Responder.make({ record: false })
    return yield* Effect.provide(body, MongoClient.layer({ url: Redacted.make(url), timeout: "200 millis" }))
  }))

/** An operation ends, or fails by type: it neither throws when it is made nor dies when it is run. */
const isTyped = (name: string, run: Run) =>
  Effect.flatMap(
    Effect.sync(() => run() as Effect.Effect<unknown, unknown, MongoClient.MongoClient>),
    (made) =>
      Effect.map(Effect.exit(made), (exit) => {
        if (Exit.isSuccess(exit)) return undefined
        expect(Array.from(Cause.defects(exit.cause)), name).toEqual([])
        return Option.getOrThrow(Cause.failureOption(exit.cause))
      })
  )

describe("every operation", () => {
  it.live("refuses what is given as options and is none", () =>
    onResponder(Effect.gen(function*() {
      const throwing = new Proxy({}, {
        ownKeys: () => {
          throw new Error("secret")
        }
      })
      const getter = (option: string) =>
        Object.defineProperty({}, option, {
          enumerable: true,
          get: () => {
            throw new Error("secret")
          }
        })
      const none = [null, 5, "x", true, [], () => 1, throwing, getter("timeout"), getter("sort"), getter("session")]
      for (const [name, operation] of Object.entries(operations)) {
        for (const options of none) {
          const failure = yield* isTyped(name, () => operation(options as never))
          expect(failure, name).toMatchObject({
            reason: "InvalidOptions",
            hint: expect.stringMatching(/[Oo]ptions .*Nothing was sent\.$/)
          })
        }
        for (const concern of ["readConcern", "writeConcern", "readPreference", "comment", "timeout"]) {
          const failure = yield* isTyped(name, () => operation({ [concern]: getter("level") } as never))
          expect(failure, name).toMatchObject({ hint: expect.stringContaining(`\`${concern}\` cannot be read`) })
        }
      }
    })))

  it.live("reads each option once: what was checked is what is sent", () =>
    onResponder(Effect.gen(function*() {
      for (const [name, operation] of Object.entries(operations)) {
        const reads = new Map<string, number>()
        const options = {}
        for (const option of names) {
          Object.defineProperty(options, option, {
            enumerable: true,
            get: () => void reads.set(option, (reads.get(option) ?? 0) + 1)
          })
        }
        yield* isTyped(name, () => operation(options as never))
        expect([...reads.values()], name).toEqual(names.map(() => 1))
      }
    })))

  it.effect("refuses the options by which the driver would do something else than it says", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      const all: Readonly<Record<string, Operation>> = {
        ...operations,
        runCursorCommand: (options) => drain(db.runCursorCommand({ ping: 1 }, options)),
        watch: (options) => drain(Raw.watch([], options)),
        "Database.watch": (options) => drain(db.watch([], options)),
        "MongoClient.watch": (options) => drain(MongoClient.watch([], options))
      }
      const hints = {
        out: /^`out` is not taken.*\$out.*Nothing was sent\.$/,
        dbName: /^`dbName` is not taken.*Database\.make.*Nothing was sent\.$/,
        authdb: /^`authdb` is not taken.*Database\.make.*Nothing was sent\.$/
      }
      for (const [name, operation] of Object.entries(all)) {
        for (const [option, hint] of Object.entries(hints)) {
          const run = () => operation({ [option]: "copy" } as never)
          for (const around of [run, () => Transaction.run(run() as Effect.Effect<unknown, unknown>)]) {
            expect(
              yield* Effect.provideService(isTyped(name, around), MongoClient.MongoClient, client),
              `${name} with ${option}`
            ).toMatchObject({ _tag: "MongoError", reason: "InvalidOptions", hint: expect.stringMatching(hint) })
          }
        }
      }
      expect(yield* server.commands).toEqual([])
    }).pipe(Effect.scoped))

  it.effect("has the number of a transaction in its command only where the driver gives it one", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      const run = Raw.updateMany({}, set, { willRetryWrite: true } as never)
      yield* Effect.provideService(Session.scoped(run), MongoClient.MongoClient, client)
      const [{ command } = {}] = yield* server.named("update")
      expect(command).toHaveProperty("lsid")
      expect(command).not.toHaveProperty("txnNumber")
    }).pipe(Effect.scoped))

  it.live("goes to the client that it names, though another option cannot be read", () =>
    Effect.gen(function*() {
      class Other extends MongoClient.Tag("Other")<Other>() {}
      const circular: { self?: unknown } = {}
      circular.self = circular
      const { client } = yield* connected()
      const unread = Object.defineProperty({ client: Other }, "timeout", {
        enumerable: true,
        get: () => {
          throw new TypeError("secret")
        }
      })
      for (
        const operation of [
          Effect.asVoid(Collection.make("things", unread).countDocuments()),
          Effect.asVoid(Database.make("a", unread).stats())
        ]
      ) {
        expect(yield* Effect.flip(Effect.provideService(operation, Other, client)))
          .toMatchObject({ reason: "InvalidOptions", hint: expect.stringContaining("Options") })
      }
      const options = { client: Other, comment: circular, timeout: circular as never }
      for (
        const operation of [
          MongoClient.listDatabases(options),
          MongoClient.bulkWrite([placed], options),
          drain(MongoClient.watch([], options))
        ]
      ) {
        expect(yield* Effect.flip(Effect.provideService(operation, Other, client)))
          .toMatchObject({ reason: "InvalidOptions", hint: expect.stringContaining("is nested too deeply") })
      }
    }).pipe(Effect.scoped))

  it.live("refuses a comment, or what a collection is made of, that throws when it is encoded", () =>
    onResponder(Effect.gen(function*() {
      const throwing = {
        toBSON: () => {
          throw new Error("secret")
        }
      }
      const all = {
        ...operations,
        runCursorCommand: (options: never) => drain(db.runCursorCommand({ ping: 1 }, options))
      }
      for (const [name, operation] of Object.entries(all)) {
        for (const comment of [throwing, { a: throwing }]) {
          expect(yield* isTyped(name, () => operation({ comment } as never)), name)
            .toMatchObject({ reason: "EncodingFailed" })
        }
      }
      for (const option of ["timeseries", "storageEngine", "clusteredIndex"]) {
        for (const leaf of leaves) {
          const options = build({ fields: [[option, { fields: [["a", leaf]] }]] }) as never
          yield* isTyped(option, () => db.createCollection("v", options))
        }
        expect(yield* isTyped(option, () => db.createCollection("v", { [option]: throwing })))
          .toMatchObject({ reason: "EncodingFailed" })
      }
    })))

  it.live("ends or fails by type, whatever an option is", () =>
    onResponder(Effect.gen(function*() {
      for (const [name, operation] of Object.entries(operations)) {
        for (const option of name === "createCollection" ? looked : names) {
          for (const leaf of leaves) {
            yield* isTyped(`${name} with ${option} ${JSON.stringify(leaf)}`, () =>
              operation(build({ fields: [[option, leaf]] }) as never))
          }
        }
      }
    })), 120_000)

  it.live("refuses a list or a command that is none", () =>
    onResponder(Effect.gen(function*() {
      for (const [name, operation] of Object.entries(lists)) {
        for (const list of [null, undefined, 5, true]) {
          const failure = yield* isTyped(name, () => operation(list as never))
          expect(failure, name).toMatchObject({ reason: "InvalidOptions" })
        }
      }
      const bulks = [[null], [{}], [{ updateOne: null }], [{ updateOn: {} }], [{ deleteOne: {}, updateOne: {} }], ["x"]]
      for (const bulk of bulks) {
        for (const run of [() => Typed.bulkWrite(bulk as never), () => MongoClient.bulkWrite(bulk as never)]) {
          expect(yield* isTyped("bulkWrite", run)).toMatchObject({
            reason: "InvalidOptions",
            hint: expect.stringContaining("list of writes")
          })
        }
      }
    })))

  it.live("refuses a write of a bulk without what its name asks for", () =>
    onResponder(Effect.gen(function*() {
      const filter = { _id: 1 }
      const models: ReadonlyArray<readonly [name: string, model: object, refused: object]> = [
        ...["updateOne", "updateMany"].flatMap((name) =>
          [{}, { update: undefined }, { update: null }, { replacement: value }].map((model) =>
            [name, { filter, ...model }, {
              reason: "InvalidOptions",
              hint: expect.stringContaining("operators")
            }] as const
          )
        ),
        ...["updateOne", "updateMany", "deleteOne", "deleteMany", "replaceOne"].map((name) =>
          [
            name,
            { document: value, replacement: value, update: set },
            { reason: "InvalidOptions", hint: expect.stringContaining("filter") }
          ] as const
        ),
        ...["insertOne", "replaceOne"].map((name) =>
          [name, { filter }, { hint: expect.stringContaining("Nothing was sent.") }] as const
        )
      ]
      for (const [name, model, refused] of models) {
        const placed = { namespace: "d.u", name, ...model }
        const raw = yield* isTyped(name, () => Raw.bulkWrite([{ [name]: model }] as never))
        expect(raw, name).toMatchObject({ operation: "bulkWrite", ...refused })
        const ofClient = yield* isTyped(name, () => MongoClient.bulkWrite([placed] as never))
        expect(ofClient, name).toMatchObject({ operation: "bulkWrite", ...refused })
      }
    })))

  it.live("refuses indexes without keys, and to drop an index that is not named", () =>
    onResponder(Effect.gen(function*() {
      for (const key of [undefined, null, "a", ["a"], 1, {}]) {
        for (const indexes of [[{ key }], [{ key: { a: 1 } }, { key, name: "b" }]]) {
          expect(yield* isTyped("createIndexes", () => Raw.createIndexes(indexes as never))).toMatchObject({
            reason: "InvalidOptions",
            hint: expect.stringContaining("key")
          })
        }
      }
      for (const name of ["*", "", undefined, null, 1, ["*"], { a: 1 }]) {
        expect(yield* isTyped("dropIndex", () => Raw.dropIndex(name as never))).toMatchObject({
          reason: "InvalidOptions",
          operation: "dropIndex",
          hint: expect.stringContaining("`dropIndexes`")
        })
      }
    })))

  it.live("ends or fails by type, whatever a list or a command is", () =>
    onResponder(Effect.gen(function*() {
      const fields = [
        "insertOne",
        "updateOne",
        "document",
        "filter",
        "namespace",
        "key",
        "$match",
        "$out",
        "readConcern"
      ]
      const ofLeaf = (leaf: Described): ReadonlyArray<Described> => [
        leaf,
        { list: [leaf] },
        ...fields.flatMap((field): ReadonlyArray<Described> => [
          { fields: [[field, leaf]] },
          { list: [{ fields: [[field, leaf]] }] },
          { list: [{ fields: [["updateOne", { fields: [[field, leaf]] }]] }] },
          { list: [{ fields: [["namespace", { given: "d.u" }], ["name", { given: "updateOne" }], [field, leaf]] }] }
        ])
      ]
      for (const [name, operation] of Object.entries(lists)) {
        for (const given of leaves.flatMap(ofLeaf)) {
          yield* isTyped(`${name} of ${JSON.stringify(given)}`, () => operation(build(given) as never))
        }
      }
    })), 120_000)
})
