/**
 * The overloads of the methods that give documents: what their options say of their results.
 */
import type * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import type * as Option from "effect/Option"
import type * as Stream from "effect/Stream"
import type * as Driver from "mongodb"
import type { Checked, Projected, Projection } from "../../Projection.js"
import type { DecodeFailed } from "../../SessionErrors.js"
import type { Sort } from "../../Sort.js"
import type { DocumentSchema } from "./collection.js"
import type { OperationError } from "./operation.js"
import type { Given, LimitedCursor } from "./options.js"
import type { IsLoose, Unsafe } from "./paths.js"
import type { UpsertedId } from "./results.js"

/** What a stream does with a document that does not fit the schema. */
export type OnInvalid = "fail" | "skip" | "either"

/** What a stream gives for a document. */
export type Row<A, V extends OnInvalid> = V extends "either" ? Either.Either<A, DecodeFailed> : A

/** What a stream of decoded documents can fail with. */
export type Failure<V extends OnInvalid> = V extends "fail" ? OperationError | DecodeFailed : OperationError

/** Options with a schema of their own for what is read. */
export interface WithSchema<S, I> {
  /** Decodes what is read, in the place of the collection's schema. Default: the collection's, unless `projection` is set. */
  readonly schema: S
  /** The fields to read. */
  readonly projection?: Projection<I> | undefined
}

/** Options with a schema of some of the fields: only these are read, and decoded by it. */
export interface WithFields<S extends DocumentSchema, I> {
  readonly schema?: undefined
  /** The fields to read, and how they are decoded. */
  readonly projection: S & Readable<S, I>
}

/** The schema, if it reads what is stored. */
type Readable<S extends DocumentSchema, I> = true extends IsLoose<I> ? unknown
  : [I & { readonly _id: unknown }] extends [S["Encoded"]] ? unknown
  : Unsafe<"it does not read what is stored">

/** Options with a projection and no schema for it: what is read stays as it is. */
export interface WithProjection<P, I> {
  readonly schema?: undefined
  /** The fields to read. */
  readonly projection: P & Checked<I, P>
}

/** Options that leave the document whole. */
export interface Whole {
  readonly schema?: undefined
  readonly projection?: undefined
}

/** What to do with documents that do not fit the schema. */
export interface Invalid<V> {
  /**
   * What a document becomes that does not fit the schema: a failure of the stream, nothing, or a `Left` among `Right`s.
   * Default `fail`.
   */
  readonly onInvalid?: V | undefined
}

/** Options of the driver but its projection, with a sort that is checked. */
export type Bare<O, I> = Omit<Given<O>, "projection" | "includeResultMetadata" | "sort"> & Sorted<I>

/** In which order documents are looked at. */
export interface Sorted<I> {
  /** In which order. Default: in none. */
  readonly sort?: Sort<I> | undefined
}

/** Reads many documents. */
export interface Many<Args extends ReadonlyArray<unknown>, O, A, I, R, C> {
  <S extends DocumentSchema, V extends OnInvalid = "fail">(
    ...args: [...args: Args, options: Bare<O, I> & LimitedCursor & WithSchema<S, I> & Invalid<V>]
  ): Stream.Stream<Row<S["Type"], V>, Failure<V>, S["Context"] | C>
  <S extends DocumentSchema, V extends OnInvalid = "fail">(
    ...args: [...args: Args, options: Bare<O, I> & LimitedCursor & WithFields<S, I> & Invalid<V>]
  ): Stream.Stream<Row<S["Type"], V>, Failure<V>, S["Context"] | C>
  <V extends OnInvalid = "fail">(
    ...args: [...args: Args, options?: Bare<O, I> & LimitedCursor & Whole & Invalid<V>]
  ): Stream.Stream<Row<A, V>, Failure<V>, R | C>
  // The last one, for its complaints are those that are told.
  <const P extends Driver.Document>(
    ...args: [...args: Args, options: Bare<O, I> & LimitedCursor & WithProjection<P, I>]
  ): Stream.Stream<Projected<I, P>, OperationError, C>
}

/** Reads one document, if there is one. */
export interface One<Args extends ReadonlyArray<unknown>, O, A, I, R, C, E = OperationError> {
  <S extends DocumentSchema>(
    ...args: [...args: Args, options: Bare<O, I> & WithSchema<S, I>]
  ): Effect.Effect<Option.Option<S["Type"]>, E | DecodeFailed, S["Context"] | C>
  <S extends DocumentSchema>(
    ...args: [...args: Args, options: Bare<O, I> & WithFields<S, I>]
  ): Effect.Effect<Option.Option<S["Type"]>, E | DecodeFailed, S["Context"] | C>
  (
    ...args: [...args: Args, options?: Bare<O, I> & Whole]
  ): Effect.Effect<Option.Option<A>, E | DecodeFailed, R | C>
  <const P extends Driver.Document>(
    ...args: [...args: Args, options: Bare<O, I> & WithProjection<P, I>]
  ): Effect.Effect<Option.Option<Projected<I, P>>, E, C>
}

/** What a write of one document has found, or inserted (`upsert`). */
export interface Modified<A, Id> {
  /** The document as it was, or as it is (`returnDocument`). */
  readonly value: Option.Option<A>
  /** Whether a document was found. */
  readonly isFound: boolean
  /** The `_id` of the document that was inserted, for none was found. */
  readonly insertedId: Option.Option<Id>
}

type Result<A, I, M> = M extends true ? Modified<A, UpsertedId<I>> : Option.Option<A>

/** Whether the result also tells what was found, and what was inserted. */
interface Telling<M> {
  /** Whether to tell a document that was found from one that was inserted (`upsert`). Default `false`. */
  readonly includeResultMetadata?: M | undefined
}

/** Changes one document, and gives it. */
export interface Modify<Args extends ReadonlyArray<unknown>, O, A, I, R, C, E = OperationError> {
  <S extends DocumentSchema, M extends boolean = false>(
    ...args: [...args: Args, options: Bare<O, I> & WithSchema<S, I> & Telling<M>]
  ): Effect.Effect<Result<S["Type"], I, M>, E | DecodeFailed, S["Context"] | C>
  <S extends DocumentSchema, M extends boolean = false>(
    ...args: [...args: Args, options: Bare<O, I> & WithFields<S, I> & Telling<M>]
  ): Effect.Effect<Result<S["Type"], I, M>, E | DecodeFailed, S["Context"] | C>
  <M extends boolean = false>(
    ...args: [...args: Args, options?: Bare<O, I> & Whole & Telling<M>]
  ): Effect.Effect<Result<A, I, M>, E | DecodeFailed, R | C>
  <const P extends Driver.Document, M extends boolean = false>(
    ...args: [...args: Args, options: Bare<O, I> & WithProjection<P, I> & Telling<M>]
  ): Effect.Effect<Result<Projected<I, P>, I, M>, E, C>
}

/** Reads what an aggregation gives. */
export interface Aggregate<C> {
  <S extends DocumentSchema, V extends OnInvalid = "fail">(
    pipeline: ReadonlyArray<Driver.Document>,
    options: Given<Driver.AggregateOptions> & LimitedCursor & Pick<WithSchema<S, unknown>, "schema"> & Invalid<V>
  ): Stream.Stream<Row<S["Type"], V>, Failure<V>, S["Context"] | C>
  (
    pipeline: ReadonlyArray<Driver.Document>,
    options?: Given<Driver.AggregateOptions> & LimitedCursor & {
      readonly schema?: undefined
      readonly onInvalid?: undefined
    }
  ): Stream.Stream<Driver.Document, OperationError, C>
}
