/**
 * The operations of a collection that write.
 */
import * as Effect from "effect/Effect"
import type * as Driver from "mongodb"
import type { Filter } from "../../Filter.js"
import type { DecodeFailed } from "../../SessionErrors.js"
import type { Update } from "../../Update.js"
import { writtenIn, writtenOneIn } from "../driver/written.js"
import { tried } from "../values/fault.js"
import * as Bulk from "./bulk.js"
import { type BulkWrite, bulkWrite } from "./bulkWrite.js"
import { call, encode, insertable, type Of } from "./collection.js"
import * as Decoding from "./decode.js"
import { type OperationError } from "./operation.js"
import { type Given, readable } from "./options.js"
import type * as Overloads from "./overloads.js"
import type { BulkWritten, InsertedMany, InsertedOne, Updated } from "./results.js"
import { refuse } from "./target.js"

/**
 * The operations that write. What goes in as a value of the schema fails with `DecodeFailed` before anything is sent, when
 * it does not fit. Of such a value, fields that are undefined are left out, with and without a schema; in filters and updates
 * undefined is refused, as `MongoError` (`EncodingFailed`) whose hint has the path. So is what BSON does not have, wherever it
 * is. A filter that is no object is refused (`InvalidOptions`); `{}` is for all documents. An interruption waits until the write is
 * done.
 *
 * @since 0.1.0
 * @category models
 */
export interface Writes<A, I extends Driver.Document, R, C, In = A> {
  /** Inserts a document. Fails with `MongoError` (`DuplicateKey`) when a unique index holds its key already. */
  readonly insertOne: (
    value: In,
    options?: Given<Driver.InsertOneOptions>
  ) => Effect.Effect<InsertedOne<I>, OperationError | DecodeFailed, R | C>
  /** Inserts documents. Of none, nothing is sent. A failure tells by its `details` which were inserted. */
  readonly insertMany: (
    values: ReadonlyArray<In>,
    options?: Given<Driver.BulkWriteOptions>
  ) => Effect.Effect<InsertedMany<I>, OperationError | DecodeFailed, R | C>
  /** Updates the first document that matches. */
  readonly updateOne: (
    filter: Filter<I>,
    update: Update<I>,
    options?: Given<Omit<Driver.UpdateOptions, "sort">> & Overloads.Sorted<I>
  ) => Effect.Effect<Updated<I>, OperationError, C>
  /** Updates all documents that match. */
  readonly updateMany: (
    filter: Filter<I>,
    update: Update<I>,
    options?: Given<Driver.UpdateOptions>
  ) => Effect.Effect<Updated<I>, OperationError, C>
  /** Replaces the first document that matches. */
  readonly replaceOne: (
    filter: Filter<I>,
    replacement: In,
    options?: Given<Omit<Driver.ReplaceOptions, "sort">> & Overloads.Sorted<I>
  ) => Effect.Effect<Updated<I>, OperationError | DecodeFailed, R | C>
  /** Deletes the first document that matches. */
  readonly deleteOne: (
    filter: Filter<I>,
    options?: Given<Driver.DeleteOptions>
  ) => Effect.Effect<Driver.DeleteResult, OperationError, C>
  /** Deletes all documents that match. */
  readonly deleteMany: (
    filter: Filter<I>,
    options?: Given<Driver.DeleteOptions>
  ) => Effect.Effect<Driver.DeleteResult, OperationError, C>
  /**
   * Updates the first document that matches, and gives it as it was; as it is, with `returnDocument: "after"`. With
   * `includeResultMetadata` it tells a document that was found from one that was inserted (`upsert`).
   */
  readonly findOneAndUpdate: Overloads.Modify<
    [filter: Filter<I>, update: Update<I>],
    Driver.FindOneAndUpdateOptions,
    A,
    I,
    R,
    C
  >
  /** Replaces the first document that matches. Its result is that of {@link Writes.findOneAndUpdate}. */
  readonly findOneAndReplace: Overloads.Modify<
    [filter: Filter<I>, replacement: In],
    Driver.FindOneAndReplaceOptions,
    A,
    I,
    R,
    R | C,
    OperationError | DecodeFailed
  >
  /** Deletes the first document that matches, and gives it. */
  readonly findOneAndDelete: Overloads.One<[filter: Filter<I>], Driver.FindOneAndDeleteOptions, A, I, R, C>
  /** Runs many writes with as few commands as possible. Of none, nothing is sent. */
  readonly bulkWrite: (
    operations: ReadonlyArray<BulkWrite<In, I>>,
    options?: Given<Driver.BulkWriteOptions>
  ) => Effect.Effect<BulkWritten<I>, OperationError | DecodeFailed, R | C>
}

/** What a write sends, as it was given; what is wrong with it is found before. */
interface Sent {
  readonly filters?: ReadonlyArray<unknown>
  readonly updates?: ReadonlyArray<unknown>
  /** About how many bytes its documents have. */
  readonly bytes?: number
  /** See {@link Request.inserted}. */
  readonly inserted?: unknown
}

const idOf = (document: unknown): unknown => {
  const _id: unknown = Object(document)["_id"]
  return _id === undefined ? undefined : { _id }
}

/** The operations of a collection that write. */
export const make = <A, I extends Driver.Document, R, C, In>(of: Of<A, I, R, C, In>): Writes<A, I, R, C, In> => {
  const { codec, target } = of
  const write = <O extends object, X extends object>(
    name: string,
    options: object | undefined,
    evaluate: (collection: Driver.Collection<I>, options: O) => PromiseLike<object>,
    { bytes, filters = [], inserted, updates = [] }: Sent = {}
  ) =>
    call(
      of,
      { name, kind: "write", options, values: [...filters, ...updates], filters, updates, bytes, inserted, writtenIn },
      // The driver's results have an ObjectId where the collection may have any id.
      evaluate as (collection: Driver.Collection<I>, options: O) => PromiseLike<X>
    )
  const modify = (
    name: string,
    options: Decoding.Decoding | undefined,
    evaluate: (collection: Driver.Collection<I>, options: object) => PromiseLike<Driver.Document | null>,
    { bytes, filters = [], updates = [] }: Sent
  ) =>
    Decoding.modified(
      target,
      options,
      codec,
      (given) =>
        call(
          of,
          {
            name,
            kind: "write",
            options: given,
            values: [...filters, ...updates],
            filters,
            updates,
            bytes,
            writtenIn: writtenOneIn(given)
          },
          evaluate
        )
    )
  return {
    insertOne: (value, asked) => {
      const options = readable(asked)
      return Effect.flatMap(
        encode(of, value, { name: "insertOne", options, isInserted: true }),
        ({ bytes, document }) =>
          write(
            "insertOne",
            options,
            (collection, given: Driver.InsertOneOptions) => collection.insertOne(insertable(document), given),
            { bytes, inserted: idOf(document) }
          )
      )
    },
    insertMany: (given, asked) => {
      const options = readable(asked)
      const values = tried(() => Array.isArray(given) ? given.slice() : undefined)
      if (values === undefined) return refuse(target, "insertMany", "`insertMany` takes a list of documents.")
      return values.length === 0
        ? Effect.succeed({ acknowledged: true, insertedCount: 0, insertedIds: {} })
        : Effect.flatMap(
          Effect.forEach(values, (value) => encode(of, value, { name: "insertMany", options, isInserted: true })),
          (documents) =>
            write(
              "insertMany",
              options,
              (collection, given: Driver.BulkWriteOptions) =>
                collection.insertMany(documents.map(({ document }) => insertable(document)), given),
              {
                bytes: Bulk.bytesOf(documents),
                inserted: documents.length === 1 ? idOf(documents[0]?.document) : undefined
              }
            )
        )
    },
    updateOne: (filter, update, options) =>
      write(
        "updateOne",
        options,
        (collection, given: Driver.UpdateOptions) => collection.updateOne(searched(filter), mutable(update), given),
        { filters: [filter], updates: [update] }
      ),
    updateMany: (filter, update, options) =>
      write(
        "updateMany",
        options,
        (collection, given: Driver.UpdateOptions) => collection.updateMany(searched(filter), mutable(update), given),
        { filters: [filter], updates: [update] }
      ),
    replaceOne: (filter, replacement, asked) => {
      const options = readable(asked)
      return Effect.flatMap(
        encode(of, replacement, { name: "replaceOne", options }),
        ({ bytes, document }) =>
          write(
            "replaceOne",
            options,
            (collection, given: Driver.ReplaceOptions) => collection.replaceOne(searched(filter), document, given),
            { filters: [filter], bytes }
          )
      )
    },
    deleteOne: (filter, options) =>
      write(
        "deleteOne",
        options,
        (collection, given: Driver.DeleteOptions) => collection.deleteOne(searched(filter), given),
        { filters: [filter] }
      ),
    deleteMany: (filter, options) =>
      write(
        "deleteMany",
        options,
        (collection, given: Driver.DeleteOptions) => collection.deleteMany(searched(filter), given),
        { filters: [filter] }
      ),
    findOneAndUpdate: ((filter: Filter<I>, update: Update<I>, options?: Decoding.Decoding) =>
      modify(
        "findOneAndUpdate",
        options,
        (collection, given) => collection.findOneAndUpdate(searched(filter), mutable(update), given),
        { filters: [filter], updates: [update] }
      )) as Writes<A, I, R, C, In>["findOneAndUpdate"],
    findOneAndReplace: ((filter: Filter<I>, replacement: In, asked?: Decoding.Decoding) => {
      const options = readable(asked)
      return Effect.flatMap(
        encode(of, replacement, { name: "findOneAndReplace", options }),
        ({ bytes, document }) =>
          modify(
            "findOneAndReplace",
            options,
            (collection, given) => collection.findOneAndReplace(searched(filter), document, given),
            { filters: [filter], bytes }
          )
      )
    }) as Writes<A, I, R, C, In>["findOneAndReplace"],
    findOneAndDelete: ((filter: Filter<I>, options?: Decoding.Decoding) =>
      modify(
        "findOneAndDelete",
        options,
        (collection, given) => collection.findOneAndDelete(searched(filter), given),
        { filters: [filter] }
      )) as Writes<A, I, R, C, In>["findOneAndDelete"],
    bulkWrite: bulkWrite(of)
  }
}

const searched = <I>(filter: Filter<I>) => filter as Driver.Filter<I>

const mutable = <I>(update: Update<I>): Driver.UpdateFilter<I> | Array<Driver.Document> =>
  Array.isArray(update) ? [...update] : update as Driver.UpdateFilter<I>
