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
import { DecodeFailed } from "../../SessionErrors.js"
import { losslessly } from "../driver/readOptions.js"
import { traced } from "../time/fiber.js"
import type { DocumentSchema } from "./collection.js"
import { batches } from "./cursor.js"
import { type Added, type OperationError } from "./operation.js"
import { asRead, type Given, readable, withoutOwn, wrong } from "./options.js"
import type { OnInvalid } from "./overloads.js"
import type { Request, Target } from "./request.js"
import { withNamespace } from "./target.js"

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
  return { given: hint === undefined ? asRead(given) : wrong(given, hint), onInvalid, decoder }
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
  decoder === raw ? undefined : stored

const stored = asRead(losslessly)

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
