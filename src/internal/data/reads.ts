/**
 * The operations of a collection that read.
 */
import type * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type * as Driver from "mongodb"
import { raw } from "../../Codec.js"
import type { Filter } from "../../Filter.js"
import type { At, Path, Unsafe as AnyPath } from "../../Path.js"
import type { Projection } from "../../Projection.js"
import { asDocuments } from "../driver/readOptions.js"
import type { AsGiven } from "../session/client.js"
import { call, filterOf, type Of } from "./collection.js"
import * as Decoding from "./decode.js"
import { type OperationError } from "./operation.js"
import { type Given, readable, wrong } from "./options.js"
import type * as Overloads from "./overloads.js"
import type { Target } from "./request.js"
import { doesWrite, problemOfPipeline } from "./rules.js"
import { collectionOf, concernOf, preferenceOf, refuse } from "./target.js"

/**
 * The operations that read.
 *
 * @since 0.1.0
 * @category models
 */
export interface Reads<A, I extends Driver.Document, R, C> {
  /**
   * The documents that match, as a lazy stream of one chunk for each batch of the server. Without an ambient session, one
   * is opened for the stream.
   */
  readonly find: Overloads.Many<[filter?: Filter<I>], Driver.FindOptions, A, I, R, C>
  /** The first document that matches. */
  readonly findOne: Overloads.One<[filter?: Filter<I>], FindOneOptions, A, I, R, C>
  /** The result of an aggregation; raw documents unless `schema` is set. With `$out` or `$merge` it is a write. */
  readonly aggregate: Overloads.Aggregate<C>
  /** How the server would find what matches: its plan, and, by `verbosity`, what running it takes. Not allowed in a transaction. */
  readonly explainFind: (
    filter?: Filter<I>,
    options?: Overloads.Bare<Driver.FindOptions, I> & Explaining & { readonly projection?: Projection<I> | undefined }
  ) => Effect.Effect<Driver.Document, OperationError, C>
  /** How the server would run an aggregation. Not allowed in a transaction. */
  readonly explainAggregate: (
    pipeline: ReadonlyArray<Driver.Document>,
    options?: Given<Driver.AggregateOptions> & Explaining
  ) => Effect.Effect<Driver.Document, OperationError, C>
  /** How many documents match. */
  readonly countDocuments: (
    filter?: Filter<I>,
    options?: Given<Driver.CountDocumentsOptions>
  ) => Effect.Effect<number, OperationError, C>
  /** How many documents there are, by the collection's metadata; in no session, as these know of none. */
  readonly estimatedDocumentCount: (
    options?: Given<Driver.EstimatedDocumentCountOptions>
  ) => Effect.Effect<number, OperationError, C>
  /** The different values of a field, as they are stored; of an array, those of its elements. */
  readonly distinct: <P extends Path<I> | AnyPath>(
    field: P,
    filter?: Filter<I>,
    options?: Given<Driver.DistinctOptions>
  ) => Effect.Effect<ReadonlyArray<Distinct<At<I, P>>>, OperationError, C>
}

/** How much an explanation tells. */
export interface Explaining {
  /** The plan, what it takes to run it, or that for every plan that was considered. Only the first runs nothing. Default `queryPlanner`. */
  readonly verbosity?: "queryPlanner" | "executionStats" | "allPlansExecution" | undefined
}

type Distinct<T> = T extends ReadonlyArray<infer E> ? E : T

// Version 6.13 of the driver has no type of this name yet.
type FindOneOptions = Omit<Driver.FindOptions, "batchSize" | "limit" | "noCursorTimeout">

/** The operations of a collection that read. */
export const make = <A, I extends Driver.Document, R, C, In>(of: Of<A, I, R, C, In>): Reads<A, I, R, C> => {
  const { codec, target } = of
  const read = (name: string, options: object | undefined, filter?: Filter<I>, canLock = false) =>
    ({ name, kind: "read", options, inTransaction: true, values: [filter], canLock }) as const
  return {
    find: ((filter?: Filter<I>, options?: Decoding.Decoding) =>
      Decoding.stream(
        target,
        read("find", undefined, filter, true),
        options,
        codec,
        (db, given: Driver.FindOptions) => of.driver(db).find(filterOf(filter), given)
      )) as Reads<A, I, R, C>["find"],
    findOne: ((filter?: Filter<I>, options?: Decoding.Decoding) =>
      Decoding.one(
        target,
        options,
        codec,
        (given) =>
          call(
            of,
            read("findOne", given, filter, true),
            (collection, driver: FindOneOptions) => collection.findOne(filterOf(filter), driver)
          )
      )) as Reads<A, I, R, C>["findOne"],
    aggregate: aggregate(target),
    explainFind: (filter, options) => {
      const { given, verbosity } = explaining(options)
      return call(
        of,
        { ...read("explain", given, filter), inTransaction: false },
        (collection, given: Driver.FindOptions) => explained(collection.find(filterOf(filter), given), verbosity)
      )
    },
    explainAggregate: (pipeline, options) => {
      const problem = problemOfPipeline(pipeline)
      if (problem !== undefined) return refuse(target, "explain", problem)
      const { given, verbosity } = explaining(options)
      return call(
        of,
        { name: "explain", kind: "read", options: given, inTransaction: false, values: [pipeline] },
        (collection, given: Driver.AggregateOptions) => explained(collection.aggregate([...pipeline], given), verbosity)
      )
    },
    countDocuments: (filter, options) =>
      call(
        of,
        read("countDocuments", options, filter),
        (collection, given: Driver.CountDocumentsOptions) =>
          collection.countDocuments(filterOf(filter), { ...given, ...asDocuments })
      ),
    estimatedDocumentCount: (options) =>
      call(
        of,
        { ...read("estimatedDocumentCount", options), inTransaction: false },
        (collection, given: Driver.EstimatedDocumentCountOptions) => collection.estimatedDocumentCount(given)
      ),
    distinct: (field, filter, options) =>
      call(
        of,
        read("distinct", options, filter),
        (collection, given: Driver.DistinctOptions) => collection.distinct(field, filterOf(filter), given)
      )
  }
}

const explaining = (options: (Explaining & object) | undefined) => {
  const { verbosity = "queryPlanner", ...given } = readable(options) ?? {}
  return { given: verbosities.includes(verbosity) ? given : wrong(given, unknownVerbosity), verbosity }
}

const verbosities = ["queryPlanner", "executionStats", "allPlansExecution"]

const unknownVerbosity = "`verbosity` is \"queryPlanner\", \"executionStats\" or \"allPlansExecution\"."

interface Explained {
  readonly explain: (verbosity: Driver.ExplainVerbosityLike) => Promise<Driver.Document>
  readonly close: () => Promise<void>
}

// The driver keeps every cursor that was made until it is closed, also one that is only explained.
const explained = (cursor: Explained, verbosity: Driver.ExplainVerbosityLike): Promise<Driver.Document> =>
  cursor.explain(verbosity).finally(() => cursor.close())

/** An aggregation on whatever a target names: a collection, or a database. */
export const aggregate = <C>(target: Target<C>): Overloads.Aggregate<AsGiven<C>> =>
  ((pipeline: ReadonlyArray<Driver.Document>, options?: Decoding.Decoding) => {
    const problem = problemOfPipeline(pipeline)
    return problem !== undefined ? Stream.fromEffect(refuse(target, "aggregate", problem)) : Decoding.stream(
      target,
      { name: "aggregate", kind: doesWrite(pipeline) ? "write" : "read", inTransaction: true, pipeline },
      options,
      raw,
      (db, given: Driver.AggregateOptions) =>
        target.collection === undefined
          ? db.aggregate([...pipeline], {
            ...(doesWrite(pipeline) ? concernOf(target) : {}),
            ...preferenceOf(target),
            ...given
          })
          : collectionOf(db, target, {}).aggregate([...pipeline], given)
    )
  }) as Overloads.Aggregate<AsGiven<C>>
