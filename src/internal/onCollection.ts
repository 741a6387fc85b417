/**
 * What the operations of a collection have in common.
 */
import * as Effect from "effect/Effect"
import type * as Driver from "mongodb"
import type { AnySchema, Codec } from "../Codec.js"
import type { DecodeFailed } from "../SessionErrors.js"
import { collectionOf, namespaceOf, operation, type OperationError, type Target, withoutOwn } from "./operation.js"

/** A schema of documents. */
export type DocumentSchema = AnySchema & { readonly Encoded: Driver.Document }

/** A filter. Typed by the documents, unless nothing is known of them: the driver would have an ObjectId for their `_id`. */
export type Filter<I> = string extends keyof I ? Driver.Document : Driver.Filter<I>

/** A filter as the driver takes it. */
export const filterOf = <I>(filter: Filter<I> | undefined): Driver.Filter<I> => (filter ?? {})

/** A collection, as its operations see it. */
export interface Of<A, I extends Driver.Document, R, C> {
  readonly target: Target<C> & { readonly collection: string }
  readonly codec: Codec<A, I, R>
}

/** An operation's name, whether a transaction allows it, and the options that the caller has given. */
export interface Call {
  readonly name: string
  readonly kind: "read" | "write"
  /** Default `true`. */
  readonly inTransaction?: boolean | undefined
  readonly options?: object | undefined
}

/** Runs an operation of the driver's collection that is one promise. */
export const call = <A, I extends Driver.Document, R, C, O extends object, X>(
  { target }: Of<A, I, R, C>,
  request: Call,
  evaluate: (collection: Driver.Collection<I>, options: O) => PromiseLike<X>
): Effect.Effect<X, OperationError, C> =>
  operation(
    target,
    { ...request, inTransaction: request.inTransaction ?? true },
    (db, added) => evaluate(collectionOf(db, target, added), { ...withoutOwn<O>(request.options), ...added })
  )

/** Turns a value into the document that is sent. A copy, for the driver adds an `_id` to what it is given. */
export const encode = <A, I extends Driver.Document, R, C>(
  { codec, target }: Of<A, I, R, C>,
  value: A
): Effect.Effect<I, DecodeFailed, R | C> =>
  Effect.flatMap(namespaceOf(target), (source) => Effect.map(codec.encode(value, source), copy))

const copy = <I extends Driver.Document>(document: I): I =>
  // With its prototype, which may say how it is turned into BSON.
  Object.assign(Object.create(Object.getPrototypeOf(document)), document)
