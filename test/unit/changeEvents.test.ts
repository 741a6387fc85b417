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
  Effect.map(run(raw, onInvalid), (found): Event<unknown> => found)

const expected = {
  resumeToken: new ResumeToken(token),
  clusterTime: Option.some(clusterTime),
  wallTime: Option.some(wallTime),
  transaction: Option.none()
}
const namespace = { database: "shop", collection: "users" }
const ofDocument = { ...expected, namespace, documentKey: { _id: 1 }, unavailable: [] }
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
      unavailable: ["fullDocument"],
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

const nothing = { updatedFields: {}, removedFields: [], truncatedArrays: [], disambiguatedPaths: Option.none() }

// What a pipeline has removed or changed, and what a newer server may tell.
const unusual: ReadonlyArray<readonly [string, Document, object]> = [
  ["an insert without a document key", { ...insert, documentKey: undefined }, { _tag: "insert", documentKey: {} }],
  ["an insert without a namespace", { ...insert, ns: undefined }, { _tag: "insert", namespace }],
  [
    "an insert with a namespace of another form",
    { ...insert, ns: { db: "shop", coll: 5, viewOn: "shop.users" } },
    { _tag: "insert", namespace, document: { ns: { viewOn: "shop.users" } } }
  ],
  [
    "an insert with a new field in its namespace",
    { ...insert, ns: { ...ns, viewOn: "shop.users" } },
    { _tag: "insert", namespace, document: { ns: { viewOn: "shop.users" } } }
  ],
  ["an insert with new fields", { ...insert, added: 1, collectionUUID: "u" }, {
    _tag: "insert",
    document: { added: 1 }
  }],
  ["an update without a description", { ...insert, operationType: "update" }, { updateDescription: nothing }],
  [
    "an update with a description of another form",
    {
      ...insert,
      operationType: "update",
      updateDescription: { updatedFields: 5, removedFields: "a", truncatedArrays: {} }
    },
    { updateDescription: nothing }
  ],
  ["a rename to nowhere", { ...common, operationType: "rename", ns }, { to: { database: "", collection: "" } }],
  ["a drop of a collection without a name", { ...common, operationType: "drop", ns: { db: "shop" } }, { namespace }],
  ["a dropped database without a name", { ...common, operationType: "dropDatabase", ns: {} }, {
    namespace: { database: "shop" }
  }]
]

describe("a change event", () => {
  it.effect.each(unusual)(
    "that is %s is no error, in whichever mode, and is there as it came",
    ([, raw, wanted]) =>
      Effect.gen(function*() {
        for (const onInvalid of ["fail", "skip", "either"] as const) {
          const found = yield* event(raw, onInvalid)
          expect(found).toMatchObject(wanted)
          expect(found.document).toBe(raw)
        }
      })
  )

  it.effect("that was asked for a document which is gone can be told from one that was not", () =>
    Effect.gen(function*() {
      const unavailable = (raw: Document) =>
        Effect.map(event(raw), (found) => "unavailable" in found ? found.unavailable : undefined)
      const { fullDocument: _, ...deleted } = insert
      expect(yield* unavailable({ ...deleted, operationType: "delete" })).toEqual([])
      expect(yield* unavailable({ ...deleted, operationType: "delete", fullDocumentBeforeChange: null }))
        .toEqual(["fullDocumentBeforeChange"])
      expect(yield* unavailable({ ...insert, fullDocument: null, fullDocumentBeforeChange: null }))
        .toEqual(["fullDocument", "fullDocumentBeforeChange"])
    }))

  it.effect("with a document that does not fit fails to decode, names it, and quotes nothing of it", () =>
    Effect.gen(function*() {
      const raw = { ...insert, fullDocument: { _id: 1, born: { secret: "hunter2" } } }
      // Whether it is left out is up to the stream.
      for (const onInvalid of ["fail", "skip"] as const) {
        const error = yield* Effect.flip(run(raw, onInvalid))
        expect(error).toMatchObject({ _tag: "DecodeFailed", source: "shop.users", documentId: "1", path: ["born"] })
        expect(error.message).not.toContain("hunter2")
      }
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
          expect(yield* event(raw, onInvalid)).toEqual({ ...wanted, document: raw })
        }
      })
  )

  it.effect.each(["startIndexBuild", "endOfTransaction", "", undefined, 5])(
    "of an unknown kind (%s) is given as it came",
    (operationType) =>
      Effect.gen(function*() {
        const raw = { ...insert, operationType }
        expect(yield* event(raw)).toEqual({ ...expected, _tag: "Other", document: raw })
      })
  )

  it.effect("that is a part of a split one is given as it came", () =>
    Effect.gen(function*() {
      const raw = { ...common, operationType: "update", splitEvent: { fragment: 1, of: 2 } }
      expect(yield* event(raw)).toMatchObject({ _tag: "Other", document: raw })
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
        document: rest,
        clusterTime: Option.none(),
        wallTime: Option.none()
      })
    }))
})
