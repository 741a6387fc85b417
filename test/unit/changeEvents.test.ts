import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Int32, Long, Timestamp } from "mongodb"
import type { Document } from "mongodb"
import type { Event } from "../../src/ChangeEvent.js"
import { fromSchema } from "../../src/Codec.js"
import * as ChangeEvents from "../../src/internal/changes/events.js"
import { ResumeToken } from "../../src/ResumeToken.js"

const clusterTime = new Timestamp({ t: 1700000000, i: 7 })
const wallTime = new Date(1700000000123)
const token = { _data: "8263F2A1B2" }
const ns = { db: "shop", coll: "users" }
const common = { _id: token, clusterTime, wallTime }

const User = fromSchema(Schema.Struct({ _id: Schema.Number, born: Schema.DateFromString }))
const ada = { _id: 1, born: "1815-12-10T00:00:00.000Z" }
const decodedAda = { _id: 1, born: new Date("1815-12-10T00:00:00.000Z") }

const run = (raw: Document, onInvalid: ChangeEvents.OnInvalid = "fail") =>
  ChangeEvents.decode(raw, ChangeEvents.decoder("shop.users", User, onInvalid))

const event = (raw: Document, onInvalid?: ChangeEvents.OnInvalid) =>
  Effect.map(run(raw, onInvalid), (found): Event<unknown> => Option.getOrThrow(found))

const expected = {
  resumeToken: new ResumeToken(token),
  clusterTime: Option.some(clusterTime),
  wallTime: Option.some(wallTime),
  transaction: Option.none()
}
const namespace = { database: "shop", collection: "users" }
const ofDocument = { ...expected, namespace, documentKey: { _id: 1 } }
const without = { fullDocument: Option.none(), fullDocumentBeforeChange: Option.none() }

const insert = { ...common, operationType: "insert", ns, documentKey: { _id: 1 }, fullDocument: ada }

const kinds: ReadonlyArray<readonly [Document, object]> = [
  [insert, { ...ofDocument, ...without, _tag: "insert", fullDocument: Option.some(decodedAda) }],
  [
    {
      ...common,
      operationType: "replace",
      ns,
      documentKey: { _id: 1 },
      fullDocument: ada,
      fullDocumentBeforeChange: ada
    },
    {
      ...ofDocument,
      _tag: "replace",
      fullDocument: Option.some(decodedAda),
      fullDocumentBeforeChange: Option.some(decodedAda)
    }
  ],
  [
    {
      ...common,
      operationType: "update",
      ns,
      documentKey: { _id: 1 },
      fullDocument: null,
      updateDescription: {
        updatedFields: { "address.city": "London" },
        removedFields: ["phone"],
        truncatedArrays: [{ field: "tags", newSize: new Int32(2) }],
        disambiguatedPaths: { "a.0": ["a", "0"] }
      }
    },
    {
      ...ofDocument,
      ...without,
      _tag: "update",
      updateDescription: {
        updatedFields: { "address.city": "London" },
        removedFields: ["phone"],
        truncatedArrays: [{ field: "tags", newSize: 2 }],
        disambiguatedPaths: Option.some({ "a.0": ["a", "0"] })
      }
    }
  ],
  [
    { ...common, operationType: "update", ns, documentKey: { _id: 1 }, updateDescription: { updatedFields: { a: 1 } } },
    {
      ...ofDocument,
      ...without,
      _tag: "update",
      updateDescription: {
        updatedFields: { a: 1 },
        removedFields: [],
        truncatedArrays: [],
        disambiguatedPaths: Option.none()
      }
    }
  ],
  [
    { ...common, operationType: "delete", ns, documentKey: { _id: 1 }, fullDocumentBeforeChange: ada },
    { ...ofDocument, ...without, _tag: "delete", fullDocumentBeforeChange: Option.some(decodedAda) }
  ],
  [
    { ...common, operationType: "drop", ns },
    { ...expected, _tag: "drop", namespace, operationDescription: Option.none() }
  ],
  ...["create", "modify", "createIndexes", "dropIndexes", "shardCollection", "refineCollectionShardKey"].map((type) =>
    [
      { ...common, operationType: type, ns, operationDescription: { indexes: [] } },
      { ...expected, _tag: type, namespace, operationDescription: Option.some({ indexes: [] }) }
    ] as const
  ),
  [
    { ...common, operationType: "rename", ns, to: { db: "shop", coll: "people" } },
    { ...expected, _tag: "rename", namespace, to: { database: "shop", collection: "people" } }
  ],
  [
    { ...common, operationType: "dropDatabase", ns: { db: "shop" } },
    { ...expected, _tag: "dropDatabase", namespace: { database: "shop" } }
  ],
  [{ ...common, operationType: "invalidate" }, { ...expected, _tag: "invalidate" }]
]

const malformed: ReadonlyArray<readonly [string, Document, ReadonlyArray<string>]> = [
  ["an insert without a document key", { ...insert, documentKey: undefined }, ["documentKey"]],
  ["an insert without a namespace", { ...insert, ns: undefined }, ["ns"]],
  ["an update without a description", { ...insert, operationType: "update" }, ["updateDescription"]],
  ["a rename to nowhere", { ...common, operationType: "rename", ns }, ["to"]],
  ["a drop of a collection without a name", { ...common, operationType: "drop", ns: { db: "shop" } }, ["ns", "coll"]],
  ["a dropped database without a name", { ...common, operationType: "dropDatabase", ns: {} }, ["ns", "db"]]
]

describe("a change event", () => {
  it.effect.each(malformed)("that is %s fails to decode, and tells where", ([, raw, path]) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(run(raw))
      expect(error).toMatchObject({ _tag: "DecodeFailed", source: "change event of shop.users", path })
    }))

  it.effect.each(malformed)(
    "that is %s is left out, or told as it is, if that is asked for",
    ([, raw, path]) =>
      Effect.gen(function*() {
        expect(yield* run(raw, "skip")).toEqual(Option.none())
        const found = yield* event(raw, "either")
        expect(found).toMatchObject({ _tag: "Other", document: raw, resumeToken: { document: token } })
        expect(found._tag === "Other" && Option.getOrThrow(found.issue).path).toEqual(path)
      })
  )

  it.effect("with a document that does not fit fails to decode, names it, and quotes nothing of it", () =>
    Effect.gen(function*() {
      const raw = { ...insert, fullDocument: { _id: 1, born: { secret: "hunter2" } } }
      const error = yield* Effect.flip(run(raw))
      expect(error).toMatchObject({ _tag: "DecodeFailed", source: "shop.users", documentId: "1", path: ["born"] })
      expect(error.message).not.toContain("hunter2")
      expect(yield* run(raw, "skip")).toEqual(Option.none())
      const found = yield* event(raw, "either")
      expect(found).toMatchObject({ _tag: "insert", documentKey: { _id: 1 } })
      expect(found._tag === "insert" && Option.map(found.fullDocument, (document) => Either.isEither(document)))
        .toEqual(Option.some(true))
    }))

  it.effect("with a document that fits is a Right where Eithers are asked for", () =>
    Effect.gen(function*() {
      const found = yield* event(insert, "either")
      expect(found).toMatchObject({ _tag: "insert", fullDocument: Option.some(Either.right(decodedAda)) })
    }))

  it.effect.each([undefined, null, "8263F2A1B2", 5])(
    "without a resume token (%s) can't be passed on in any mode",
    (_id) =>
      Effect.gen(function*() {
        for (const onInvalid of ["fail", "skip", "either"] as const) {
          expect(yield* Effect.flip(run({ ...insert, _id }, onInvalid)))
            .toMatchObject({ _tag: "MongoError", reason: "ChangeStreamLost", namespace: "shop.users" })
        }
      })
  )

  it.effect.each(kinds.map(([raw, wanted]) => [raw["operationType"], raw, wanted] as const))(
    "of the kind %s is decoded",
    ([, raw, wanted]) =>
      Effect.gen(function*() {
        for (const onInvalid of ["fail", "skip"] as const) {
          expect(yield* event(raw, onInvalid)).toEqual(wanted)
        }
      })
  )

  it.effect.each(["startIndexBuild", "endOfTransaction", "", undefined, 5])(
    "of an unknown kind (%s) is given as it came",
    (operationType) =>
      Effect.gen(function*() {
        const raw = { ...insert, operationType }
        expect(yield* event(raw)).toEqual({ ...expected, _tag: "Other", document: raw, issue: Option.none() })
      })
  )

  it.effect("that is a part of a split one is given as it came", () =>
    Effect.gen(function*() {
      const raw = { ...common, operationType: "update", splitEvent: { fragment: 1, of: 2 } }
      expect(yield* event(raw)).toMatchObject({ _tag: "Other", document: raw, issue: Option.none() })
    }))

  it.effect("tells its transaction, however the client's options represent numbers", () =>
    Effect.gen(function*() {
      const lsid = { id: "id", uid: "uid" }
      for (const txnNumber of [7, 7n, Long.fromNumber(7), new Int32(7)]) {
        const { transaction } = yield* event({ ...insert, lsid, txnNumber })
        expect(transaction).toEqual(Option.some({ lsid, txnNumber: 7n }))
      }
      expect((yield* event({ ...insert, lsid, txnNumber: "x" })).transaction).toEqual(Option.none())
    }))

  it.effect("need not have times, nor its document: a pipeline may have removed them", () =>
    Effect.gen(function*() {
      const { clusterTime: _, fullDocument: __, wallTime: ___, ...rest } = insert
      expect(yield* event(rest)).toEqual({
        ...ofDocument,
        ...without,
        _tag: "insert",
        clusterTime: Option.none(),
        wallTime: Option.none()
      })
    }))
})
