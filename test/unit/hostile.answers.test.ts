import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as Driver from "mongodb"
import * as Codec from "../../src/Codec.js"
import * as Events from "../../src/internal/changes/events.js"
import * as Patterns from "../../src/internal/commands/patterns.js"
import * as Replies from "../../src/internal/commands/replies.js"
import * as Errors from "../../src/internal/driver/errors.js"
import { MongoError } from "../../src/MongoError.js"
import { DecodeFailed } from "../../src/SessionErrors.js"
import { build, type Described, described, everyLeafOfBson, holds } from "../support/hostile/hostile.js"

const isTypedExit = (exit: Exit.Exit<unknown, unknown>): void => {
  if (Exit.isFailure(exit) && exit.cause._tag !== "Fail") throw new Error(Cause.pretty(exit.cause))
}

const eventFields = [
  ...["_id", "operationType", "ns", "to", "documentKey", "fullDocument", "fullDocumentBeforeChange", "clusterTime"],
  ...["wallTime", "lsid", "txnNumber", "updateDescription", "splitEvent", "operationDescription", "db", "coll"],
  ...["updatedFields", "removedFields", "truncatedArrays", "disambiguatedPaths", "field", "newSize"]
]
const types = ["insert", "update", "replace", "delete", "rename", "drop", "dropDatabase", "invalidate", "create", "new"]

describe("a change event of a hostile server", () => {
  const decoder = Events.decoder("shop.users", Codec.fromSchema(Schema.Struct({ _id: Schema.String })), "fail")
  const isTyped = (fields: ReadonlyArray<readonly [string, Described]>): void => {
    for (const type of types) {
      const raw = build({
        fields: [["_id", { given: { _data: "82" } }], ["operationType", { given: type }], ...fields]
      })
      const exit = Effect.runSyncExit(Events.decode(raw as Driver.Document, decoder))
      isTypedExit(exit)
    }
  }

  it("is an event, of whatever kind, or fails by type", () => {
    for (const leaf of everyLeafOfBson) {
      for (const name of eventFields) isTyped([[name, leaf]])
      isTyped([["updateDescription", {
        fields: [["truncatedArrays", { list: [{ fields: [["field", leaf], ["newSize", leaf]] }] }]]
      }]])
      isTyped([["lsid", { given: {} }], ["txnNumber", leaf]])
      isTyped([["ns", { fields: [["db", leaf], ["coll", leaf]] }]])
    }
    holds(described(eventFields, ["shop", 5], everyLeafOfBson), (given) => {
      const event = build(given)
      isTypedExit(Effect.runSyncExit(Events.decode(event as Driver.Document, decoder)))
      if ("fields" in given) isTyped(given.fields)
    })
  })

  it("is no text nor number for what has none: a transaction's number of 500,000 digits is none", () => {
    const raw = { _id: { _data: "1" }, operationType: "drop", lsid: {}, txnNumber: "9".repeat(500_000) }
    const exit = Effect.runSyncExit(Events.decode(raw, decoder))
    expect(Exit.isSuccess(exit)).toBe(true)
  })
})

describe("a reply of a hostile server", () => {
  const replies = [Replies.acknowledged, Replies.started, Replies.listedSession, Replies.operation]
  const fields = [
    ...["ok", "id", "timeoutMinutes", "_id", "uid", "lastUse", "user", "lsid", "active", "transaction", "parameters"],
    ...["txnNumber", "autocommit", "readConcern", "level", "readTimestamp", "startWallClockTime", "timeOpenMicros"]
  ]
  const isTyped = (given: Described): void => {
    for (const reply of replies) {
      const exit = Effect.runSyncExit(
        Effect.mapError(
          Schema.decodeUnknown<unknown, unknown, never>(reply as Schema.Schema<unknown, unknown>)(build(given)),
          (error) => DecodeFailed.fromParseError("reply", error)
        )
      )
      isTypedExit(exit)
    }
  }

  it("is decoded or refused", () => {
    everyLeafOfBson.forEach(isTyped)
    for (const leaf of everyLeafOfBson) {
      for (const name of fields) isTyped({ fields: [[name, leaf]] })
      isTyped({ fields: [["_id", { fields: [["id", leaf], ["uid", leaf]] }], ["lastUse", leaf]] })
      isTyped({ fields: [["id", { fields: [["id", leaf]] }], ["timeoutMinutes", { given: 30 }]] })
    }
    holds(described(fields, [1, true], everyLeafOfBson), isTyped)
  })

  it("whose texts are patterns of killed sessions is refused where it is none", () => {
    for (const leaf of everyLeafOfBson) {
      Patterns.ofPattern.issuesOf(build(leaf), "0")
      Patterns.ofPattern.issuesOf(build({ fields: [["lsid", leaf], ["uid", leaf], ["users", leaf]] }), "0")
    }
    holds(
      described(["lsid", "uid", "users", "roles", "id"], [], everyLeafOfBson),
      (given) => void Patterns.ofPattern.issuesOf(build(given), "0")
    )
  })
})

describe("an error of a hostile server", () => {
  const fields = [
    ...["code", "codeName", "errmsg", "errorLabels", "keyPattern", "keyValue", "errInfo", "writeErrors", "result"],
    ...[
      "insertedIds",
      "insertedCount",
      "partialResult",
      "insertResults",
      "err",
      "op",
      "index",
      "cause",
      "name",
      "q",
      "u"
    ]
  ]
  const isTyped = (given: ReadonlyArray<readonly [string, Described]>): void => {
    for (
      const name of [
        ...["MongoServerError", "MongoBulkWriteError", "MongoClientBulkWriteError", "MongoNetworkError"],
        "MongoWriteConcernError"
      ]
    ) {
      const error = new Driver.MongoServerError({ message: "x" })
      for (const [key, value] of [["name", { given: name }] as const, ...given]) {
        Object.defineProperty(error, key, { value: build(value), configurable: true })
      }
      const mongoError = Errors.toMongoError({ operation: "insert" }, error)
      expect(mongoError).toBeInstanceOf(MongoError)
      expect(mongoError.message.length).toBeLessThan(1000)
      void mongoError.details
      void mongoError.isRetryable
    }
  }

  it("is a MongoError with details or without", () => {
    for (const leaf of everyLeafOfBson) {
      for (const field of fields) isTyped([[field, leaf]])
      isTyped([["errorLabels", { list: [leaf] }]])
      const one: Described = { fields: [["code", { given: 11000 }], ["errmsg", leaf], ["err", leaf], ["index", leaf]] }
      isTyped([["result", leaf], ["writeErrors", { list: [one, leaf] }]])
      isTyped([["result", { fields: [["insertedCount", leaf]] }], ["writeErrors", { list: [one, leaf] }], [
        "insertedIds",
        leaf
      ]])
    }
    holds(described(fields, [11000, 121], everyLeafOfBson), (given) => "fields" in given && isTyped(given.fields))
  })

  const ofDuplicate = (errmsg: string, document: object = {}) => {
    const writeErrors = [{ code: 11000, index: 0, errmsg, err: { op: document } }]
    const result = { getWriteErrors: () => writeErrors }
    const error = new Driver.MongoBulkWriteError({ message: "x", code: 11000 }, result as never)
    const { details } = Errors.toMongoError({ operation: "insert" }, error)
    return details?._tag === "BulkWrite" ? details.writeErrors[0] : undefined
  }

  it("about an index whose name is long and repeats itself is understood in no time", () => {
    const fields = Array.from({ length: 60 }, (_, index) => `f${index}_1`).join("_")
    const started = performance.now()
    expect(ofDuplicate(`E11000 collection: a.b index: ${fields}_x dup key: { f0: 1 }`)?.keyPattern).toBeUndefined()
    expect(ofDuplicate(`E11000 collection: a.b index: ${fields} dup key: { f0: 1 }`)?.indexName).toBe(fields)
    ofDuplicate(`${" index: a ".repeat(200_000)} dup key: ${"{ ".repeat(100_000)}`)
    expect(performance.now() - started).toBeLessThan(2000)
  })

  it("about an index over __proto__ shows what the document has there, not what all objects have", () => {
    const found = ofDuplicate("E11000 collection: a.b index: constructor_1 dup key: { constructor: 1 }", { a: 1 })
    expect(found?.keyValue).toEqual({ constructor: null })
    expect(Object.getPrototypeOf(found?.keyValue ?? {})).toBe(Object.prototype)
  })
})

describe("a document of a stranger", () => {
  const old = Schema.Struct({
    _id: Schema.String,
    n: Schema.optional(Schema.Number),
    at: Schema.optional(Schema.DateFromSelf),
    tags: Schema.optional(Schema.Record({ key: Schema.String, value: Schema.Number })),
    list: Schema.optional(Schema.Array(Schema.Union(Schema.Number, Schema.BigIntFromSelf)))
  })
  interface Tree {
    readonly inner?: Tree | undefined
  }
  const tree: Schema.Schema<Tree> = Schema.Struct({
    inner: Schema.optional(Schema.suspend(() => tree))
  })
  const codecs = [
    Codec.fromSchema(old),
    Codec.fromSchema(Schema.Struct({ _id: Schema.String, n: Schema.Number })),
    Codec.fromSchema(tree)
  ]
  const isTyped = (given: Described): void => {
    for (const codec of codecs) {
      const decode = codec.decode as (value: unknown, source: string) => Effect.Effect<unknown, DecodeFailed>
      isTypedExit(Effect.runSyncExit(decode(build(given), "shop.users")))
      const all = Effect.runSyncExit(
        (codec.decodeAll as (values: ReadonlyArray<unknown>, source: string) => Effect.Effect<
          ReadonlyArray<Either.Either<unknown, DecodeFailed>>
        >)([build(given)], "shop.users")
      )
      isTypedExit(all)
    }
  }

  it("is decoded or refused, and changes no prototype", () => {
    everyLeafOfBson.forEach(isTyped)
    for (const leaf of everyLeafOfBson) {
      for (const name of ["_id", "n", "at", "tags", "list", "inner"]) isTyped({ fields: [[name, leaf]] })
      isTyped({ fields: [["tags", { fields: [["__proto__", leaf], ["a", leaf]] }], ["list", { list: [leaf] }]] })
    }
    holds(described(["_id", "n", "at", "tags", "list", "inner"], [], everyLeafOfBson), isTyped)
  })

  it("nested more deeply than the stack is refused by type", () => {
    let deep: Tree = {}
    for (let level = 0; level < 100_000; level++) deep = { inner: deep }
    isTypedExit(Effect.runSyncExit(Codec.fromSchema(tree).decode(deep, "shop.trees")))
    isTypedExit(Effect.runSyncExit(Codec.fromSchema(tree).encode(deep, "shop.trees")))
  })
})
