/**
 * How what is read becomes values: by the collection's schema, by one of its own, or not at all.
 */
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type * as Driver from "mongodb"
import { type Codec, fieldsOf, fromSchema, isSchema, raw } from "../../Codec.js"
import type { Checked, Projected, Projection } from "../../Projection.js"
import { DecodeFailed } from "../../SessionErrors.js"
import type { Sort } from "../../Sort.js"
import { losslessly } from "../driver/readOptions.js"
import { traced } from "../time/fiber.js"
import type { DocumentSchema } from "./collection.js"
import { batches } from "./cursor.js"
import { type Added, type OperationError } from "./operation.js"
import { type Given, type LimitedCursor, readable, withoutOwn, wrong } from "./options.js"
import type { IsLoose, Unsafe } from "./paths.js"
import type { Request, Target } from "./request.js"
import type { UpsertedId } from "./results.js"
import { withNamespace } from "./target.js"

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

/** The options that say how to decode, of any shape. */
export interface Decoding {
  readonly schema?: DocumentSchema | undefined
  readonly projection?: Driver.Document | DocumentSchema | undefined
  readonly onInvalid?: OnInvalid | undefined
}

/** What is read as it is, or decoded. */
type Decoder<R> = Pick<Codec<unknown, never, R>, "decode" | "decodeAll">

/** Reads a stream, and decodes what it gives. */
export const stream = <R, C, O extends object>(
  target: Target<C>,
  request: Request,
  options: Decoding | undefined,
  own: Decoder<R>,
  open: (db: Driver.Db, options: O & Added) => Driver.AbstractCursor<unknown>
): Stream.Stream<unknown, OperationError | DecodeFailed, R | C> => {
  const { decoder, given, onInvalid } = split(options, own)
  const rows = batches(
    target,
    { ...request, options: given },
    (db, added) => open(db, { ...withoutOwn<O>(given as Given<O>), ...added })
  )
  if (decoder === raw) return rows
  // A chunk stays a chunk, up to the first document that is invalid.
  return Stream.flatMap(
    Stream.chunks(rows),
    (chunk) =>
      Stream.unwrap(withNamespace(target, (source) =>
        Effect.map(
          decoder.decodeAll(Chunk.toReadonlyArray(chunk), source),
          (results) => outcome(results, onInvalid)
        )))
  )
}

/** Reads one document, and decodes it if there is one. */
export const one = <R, C, E>(
  target: Target<C>,
  options: Decoding | undefined,
  own: Decoder<R>,
  read: (options: object | undefined) => Effect.Effect<Driver.Document | null, E, C>,
  failed: (error: DecodeFailed) => DecodeFailed = identity
): Effect.Effect<Option.Option<unknown>, E | DecodeFailed, R | C> => {
  const { decoder, given } = split(options, own)
  return decoder === raw ?
    Effect.map(read(given), Option.fromNullable) :
    Effect.flatMap(read(given), (document) =>
      document === null
        ? Effect.succeedNone
        : withNamespace(target, (source) =>
          Effect.mapBoth(decoder.decode(document, source), { onFailure: failed, onSuccess: Option.some })))
}

/** Changes one document, and decodes what the driver gives of it. */
export const modified = <R, C, E>(
  target: Target<C>,
  given: Decoding & { readonly includeResultMetadata?: boolean | undefined } | undefined,
  own: Decoder<R>,
  write: (options: object | undefined) => Effect.Effect<Driver.Document | null, E, C>
): Effect.Effect<unknown, E | DecodeFailed, R | C> => {
  const options = readable(given)
  if (options?.includeResultMetadata !== true) return one(target, options, own, write, written)
  // What one run is told is none of another's.
  return Effect.suspend(() => {
    let told: Driver.Document = {}
    const find = (given: object | undefined) =>
      Effect.map(write(given), (result) => {
        told = Object(result?.["lastErrorObject"])
        return Object(result)["value"] ?? null
      })
    const value = one(target, options, own, find, written)
    return Effect.map(value, (value) => ({
      value,
      isFound: told["updatedExisting"] === true,
      insertedId: Option.fromNullable(told["upserted"])
    }))
  })
}

// A write that has changed nothing gives nothing to be decoded.
const written = ({ documentId, issue, path, source }: DecodeFailed): DecodeFailed =>
  new DecodeFailed({ source, documentId, path, issue, isWritten: true })

const split = <R>(options: Decoding | undefined, own: Decoder<R>) => {
  if (options === undefined) return { given: exactly(own), onInvalid: "fail", decoder: own } as const
  const { onInvalid = "fail", projection, schema, ...rest }: Decoding = readable(options) ?? {}
  const ofFields = isSchema(projection) ? projection : undefined
  const decoding = isSchema(schema) ? schema : ofFields
  const fields = ofFields === undefined ? projection : fieldsOf(ofFields)
  // A projection leaves documents that the collection's schema does not fit.
  const decoder = decoding !== undefined
    // What this schema needs is in the type of the method.
    ? fromSchema(decoding) as Decoder<R>
    : projection === undefined
    ? own
    : raw
  const given = { ...rest, ...(fields !== undefined && { projection: fields }), ...exactly(decoder) }
  const hint = schema !== undefined && !isSchema(schema)
    ? noSchema
    : isOnInvalid(onInvalid)
    ? undefined
    : unknownOnInvalid
  return { given: hint === undefined ? given : wrong(given, hint), onInvalid, decoder }
}

/** What is wrong with a schema that is none. */
export const noSchema = "`schema` is a schema of `effect/Schema` or `@effect/schema`."

const isOnInvalid = (given: unknown): boolean => given === "fail" || given === "skip" || given === "either"

const unknownOnInvalid = "`onInvalid` is \"fail\", \"skip\" or \"either\"."

/**
 * How the driver reads what a schema decodes; what none decodes, it reads as the caller or the client says. Of a `BSONRegExp`, a
 * schema gets the form that it takes.
 */
export const exactly = (decoder: object): Driver.BSONSerializeOptions | undefined =>
  decoder === raw ? undefined : losslessly

const outcome = (
  results: ReadonlyArray<Either.Either<unknown, DecodeFailed>>,
  onInvalid: OnInvalid
): Stream.Stream<unknown, DecodeFailed> => {
  if (onInvalid === "either") return Stream.fromChunk(Chunk.unsafeFromArray(results))
  const values: Array<unknown> = []
  for (const result of results) {
    if (Either.isRight(result)) values.push(result.right)
    else if (onInvalid === "fail") {
      return Stream.concat(
        Stream.fromChunk(Chunk.unsafeFromArray(values)),
        Stream.fromEffect(traced(Exit.fail(result.left)))
      )
    }
  }
  return Stream.fromChunk(Chunk.unsafeFromArray(values))
}
