/**
 * Many writes to a collection at once.
 */
import * as Effect from "effect/Effect"
import type * as Driver from "mongodb"
import type { Filter } from "../../Filter.js"
import type { MongoError } from "../../MongoError.js"
import type { DecodeFailed } from "../../SessionErrors.js"
import type { Update } from "../../Update.js"
import { writtenIn } from "../driver/written.js"
import * as Bulk from "./bulk.js"
import { call, encode, insertable, type Of } from "./collection.js"
import type { OperationError } from "./operation.js"
import { type Given, readable } from "./options.js"
import type * as Overloads from "./overloads.js"
import type { BulkWritten } from "./results.js"
import { refuse } from "./target.js"
import type { Stored } from "./values.js"

/** One write of a bulk. A document to insert, and one that replaces another, is a value of the schema. */
export type BulkWrite<A, I extends Driver.Document> =
  | { readonly insertOne: { readonly document: A } }
  | { readonly replaceOne: Replacing<A, I> }
  | { readonly updateOne: Updating<Driver.UpdateOneModel, I> & Overloads.Sorted<I> }
  | { readonly updateMany: Updating<Driver.UpdateManyModel, I> }
  | { readonly deleteOne: Filtered<Driver.DeleteOneModel, I> }
  | { readonly deleteMany: Filtered<Driver.DeleteManyModel, I> }

type Filtered<M, I> = Given<Omit<M, "filter" | "update" | "replacement" | "sort">> & { readonly filter: Filter<I> }

type Updating<M, I> = Filtered<M, I> & { readonly update: Update<I> }

/** A replacement as one write of a bulk. */
export type Replacing<A, I> = Filtered<Driver.ReplaceOneModel, I> & Overloads.Sorted<I> & { readonly replacement: A }

/** Runs many writes with as few commands as possible. Of none, nothing is sent. */
export const bulkWrite = <A, I extends Driver.Document, R, C, In>(of: Of<A, I, R, C, In>) =>
(
  given: ReadonlyArray<BulkWrite<In, I>>,
  asked?: Given<Driver.BulkWriteOptions>
): Effect.Effect<BulkWritten<I>, OperationError | DecodeFailed, R | C> => {
  const options = readable(asked)
  const operations = Bulk.writesIn(given, Bulk.isNamed)
  if (operations === undefined) return refuse(of.target, "bulkWrite", Bulk.named)
  return operations.length === 0 ? Effect.succeed(nothing) : Effect.flatMap(
    Effect.forEach(operations, (one) => encodeWrite(of, one, options)),
    (encoded) => {
      const models: ReadonlyArray<Bulk.Named> = operations.flatMap(Object.entries)
      return call(
        of,
        {
          name: "bulkWrite",
          kind: "write",
          options,
          parts: models.map(([, model]) => Bulk.partOf(model)),
          filters: models.map(Bulk.filterOf),
          updates: models.flatMap(Bulk.updateOf),
          bytes: Bulk.bytesOf(encoded),
          writtenIn
        },
        (collection, given: Driver.BulkWriteOptions) =>
          collection.bulkWrite(encoded.map(({ document }) => document), given)
      )
    }
  )
}

const nothing = {
  insertedCount: 0,
  matchedCount: 0,
  modifiedCount: 0,
  deletedCount: 0,
  upsertedCount: 0,
  insertedIds: {},
  upsertedIds: {}
}

const encodeWrite = <A, I extends Driver.Document, R, C, In>(
  of: Of<A, I, R, C, In>,
  operation: BulkWrite<In, I>,
  options: object | undefined
): Effect.Effect<Stored<Driver.AnyBulkWriteOperation<I>>, DecodeFailed | MongoError, R | C> => {
  if ("insertOne" in operation) {
    return Effect.map(
      encode(of, operation.insertOne.document, { name: "bulkWrite", options, isInserted: true }),
      ({ bytes, document }) => ({
        document: { insertOne: { document: insertable(document) as Driver.OptionalId<I> } },
        bytes
      })
    )
  }
  if ("replaceOne" in operation) {
    return Effect.map(
      encode(of, operation.replaceOne.replacement, { name: "bulkWrite", options }),
      ({ bytes, document }) => ({
        document: {
          replaceOne: { ...operation.replaceOne, replacement: document } as unknown as Driver.ReplaceOneModel<I>
        },
        bytes
      })
    )
  }
  return Effect.succeed({ document: operation as Driver.AnyBulkWriteOperation<I>, bytes: 0 })
}
