/**
 * What the operations of a collection have in common.
 */
import * as Effect from "effect/Effect"
import type * as Driver from "mongodb"
import type { AnySchema, Codec } from "../../Codec.js"
import type { Filter } from "../../Filter.js"
import { MongoError } from "../../MongoError.js"
import type { DecodeFailed } from "../../SessionErrors.js"
import * as Bson from "../driver/bson.js"
import { asDocuments } from "../driver/readOptions.js"
import { type Added, operation, type OperationError } from "./operation.js"
import { leavesId, readable, takesFunctions, withoutOwn } from "./options.js"
import type { Request, Target } from "./request.js"
import { collectionOf, withNamespace } from "./target.js"
import { storable, type Stored } from "./values.js"

/** A schema of documents. */
export type DocumentSchema = AnySchema & { readonly Encoded: Driver.Document }

/** A filter as the driver takes it. */
export const filterOf = <I>(filter: Filter<I> | undefined): Driver.Filter<I> => (filter ?? {}) as Driver.Filter<I>

/** A document as the driver inserts it: its typings cannot see whether a type that is not known yet has an `_id`. */
export const insertable = <I extends Driver.Document>(document: I) =>
  document as unknown as Driver.OptionalUnlessRequiredId<I>

/** A collection, as its operations see it. */
export interface Of<A, I extends Driver.Document, R, C, In = A> {
  readonly target: Target<C> & { readonly collection: string }
  readonly codec: Codec<A, I, R, In>
  /**
   * The driver's collection. One for all operations, which bring their read concern along: the driver writes the causal time
   * of a session into that of its collection, where an operation has none.
   */
  readonly driver: (db: Driver.Db) => Driver.Collection<I>
}

/** A collection by its place and its codec. */
export const make = <A, I extends Driver.Document, R, C, In>(
  target: Of<A, I, R, C>["target"],
  codec: Codec<A, I, R, In>
): Of<A, I, R, C, In> => {
  let last: { readonly db: Driver.Db; readonly collection: Driver.Collection<I> } | undefined
  return {
    target,
    codec,
    driver: (db) => {
      // The driver takes as long to make one as to encode a command.
      if (last?.db !== db) last = { db, collection: collectionOf(db, target, {}) }
      return last.collection
    }
  }
}

/** Runs an operation of the driver's collection that is one promise. */
export const call = <A, I extends Driver.Document, R, C, In, O extends object, X>(
  { driver, target }: Of<A, I, R, C, In>,
  request: Request,
  evaluate: (collection: Driver.Collection<I>, options: O) => PromiseLike<X>,
  run: typeof operation = operation
): Effect.Effect<X, OperationError, C> => {
  const options = readable(request.options)
  return run(
    target,
    options === undefined ? request : { ...request, options },
    (db, added) => Bson.naming(driver(db), given<O>(options, request.kind, added), evaluate)
  )
}

// The driver reads in the answer to a write what has become of it. What most operations have, no options, costs nothing.
const given = <O>(options: object | undefined, kind: Request["kind"], added: Added): O & Added => {
  const read = kind === "write" ? Object.assign(added, asDocuments) : added
  return (options === undefined ? read : { ...withoutOwn(options), ...read }) as O & Added
}

/** What a value is encoded for. */
interface Encoding {
  /** The operation's name. */
  readonly name: string
  /** The operation's options, as they were read. */
  readonly options: object | undefined
  /** Whether it is inserted. Default `false`. */
  readonly isInserted?: boolean
}

/**
 * Turns a value into the document that is sent: a new one, whatever the schema does, without what is undefined. Fails with
 * `EncodingFailed` where BSON has no such value.
 */
export const encode = <A, I extends Driver.Document, R, C, In>(
  { codec, target }: Of<A, I, R, C, In>,
  value: In,
  { isInserted, name, options }: Encoding
): Effect.Effect<Stored<I>, DecodeFailed | MongoError, R | C> =>
  withNamespace(target, (source, { driver }) =>
    Effect.flatMap(codec.encode(value, source), (document) => {
      const stored = storable(document, name, source, {
        takesFunctions: takesFunctions(options, driver),
        getsId: isInserted === true && !leavesId(options, driver)
      })
      return stored instanceof MongoError ? Effect.fail(stored) : Effect.succeed(stored)
    }))
