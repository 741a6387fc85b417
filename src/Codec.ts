/**
 * Turns documents into values and back, by a schema of `@effect/schema` or of `effect/Schema`.
 *
 * @since 0.1.0
 */
import type * as OldAst from "@effect/schema/AST"
import type * as OldSchema from "@effect/schema/Schema"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { constVoid, identity } from "effect/Function"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as EffectSchema from "effect/Schema"
import * as EffectAst from "effect/SchemaAST"
import type * as Driver from "mongodb"
import { type Adapt, adapting, namesOf } from "./internal/data/forms.js"
import { isOld, load, type OldPackage } from "./internal/data/oldPackage.js"
import { faultOf, tried } from "./internal/values/fault.js"
import { integerOf } from "./internal/values/foreign.js"
import { DecodeFailed } from "./SessionErrors.js"

/**
 * A schema of either package.
 *
 * @since 0.1.0
 * @category models
 */
export type AnySchema = OldSchema.Schema.Any | EffectSchema.Schema.Any

/**
 * What values of a schema are when a collection writes them: those of its variant `insert`, where it has one, as `Schemas.withId`
 * gives it, and the models of `@effect/sql`.
 *
 * @since 0.1.0
 * @category models
 */
export type Written<S extends AnySchema> = Variant<S>["Type"]

/**
 * What a schema needs, and its variant `insert`, where it has one.
 *
 * @since 0.1.0
 * @category models
 */
export type Needs<S extends AnySchema> = S["Context"] | Variant<S>["Context"]

type Variant<S extends AnySchema> = S extends { readonly insert: infer V extends AnySchema } ? V : S

/**
 * Both directions between values `A` and documents `I`; `R` is what the schema needs. Values are written as `In`, which may
 * lack what the database adds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Codec<A, I, R, In = A> {
  /** Turns a value into a document; `DecodeFailed` names `source` when the value does not fit. */
  readonly encode: (value: In, source: string) => Effect.Effect<I, DecodeFailed, R>
  /** Turns a document into a value; `DecodeFailed` names `source`, the document's `_id` and the path. */
  readonly decode: (document: unknown, source: string) => Effect.Effect<A, DecodeFailed, R>
  /** Turns documents into values, each by itself. */
  readonly decodeAll: (
    documents: ReadonlyArray<unknown>,
    source: string
  ) => Effect.Effect<ReadonlyArray<Either.Either<A, DecodeFailed>>, never, R>
}

/**
 * Documents as they are.
 *
 * @example
 * ```ts
 * import { Codec } from "effect-mongo-session"
 *
 * // What a collection without a schema has.
 * export const document = Codec.raw.decode({ _id: 1, any: ["thing"] }, "shop.things")
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const raw: Codec<Driver.Document, Driver.Document, never> = {
  encode: (value) => Effect.succeed(value),
  decode: (document) => Effect.succeed(document as Driver.Document),
  decodeAll: (documents) => Effect.succeed(documents.map((document) => Either.right(document as Driver.Document)))
}

/**
 * The codec of a schema. Encoder and decoder are built once.
 *
 * @example
 * ```ts
 * import { Schema } from "effect"
 * import { Codec } from "effect-mongo-session"
 *
 * const users = Codec.fromSchema(Schema.Struct({ name: Schema.String, age: Schema.NumberFromString }))
 *
 * export const stored = users.encode({ name: "Ada", age: 36 }, "shop.users") // { name: "Ada", age: "36" }
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromSchema = <S extends AnySchema>(
  schema: S
): Codec<S["Type"], S["Encoded"], Needs<S>, Written<S>> => ofEither(schema, writtenOf)

/**
 * The codec of a schema whose values are written whole, as they are read again: the database adds nothing that a variant
 * `insert` could leave out.
 *
 * @internal
 */
export const whole = <S extends AnySchema>(schema: S): Codec<S["Type"], S["Encoded"], S["Context"]> =>
  ofEither(schema, identity)

const ofEither = (schema: AnySchema, writtenAs: <S extends AnySchema>(schema: S) => S) =>
  isOld(schema)
    ? whenLoaded(({ AST, ParseResult, Schema }) =>
      codec(
        ParseResult.decodeUnknown(schema),
        ParseResult.encodeUnknown(writtenAs(schema)),
        ParseResult.parseError,
        () => adapting(AST.encodedAST(schema.ast), (ast) => Schema.is(Schema.make(ast as OldAst.AST)))
      )
    )
    : codec(
      ParseResult.decodeUnknown(schema),
      ParseResult.encodeUnknown(writtenAs(schema)),
      ParseResult.parseError,
      () =>
        adapting(EffectAst.encodedAST(schema.ast), (ast) => EffectSchema.is(EffectSchema.make(ast as EffectAst.AST)))
    )

/** A codec that is made when the package of its schema is loaded, which begins now. What is asked before waits for that. */
const whenLoaded = <A, I, R, In>(make: (old: OldPackage) => Codec<A, I, R, In>): Codec<A, I, R, In> => {
  let made: Codec<A, I, R, In> | undefined
  const loaded = load().then((old) => made ??= make(old))
  // Whoever asks is told.
  loaded.catch(constVoid)
  const by = <B, E>(use: (codec: Codec<A, I, R, In>) => Effect.Effect<B, E, R>): Effect.Effect<B, E, R> =>
    made === undefined ? Effect.flatMap(Effect.promise(() => loaded), use) : use(made)
  return {
    decode: (document, source) => by((codec) => codec.decode(document, source)),
    decodeAll: (documents, source) => by((codec) => codec.decodeAll(documents, source)),
    encode: (value, source) => by((codec) => codec.encode(value, source))
  }
}

/**
 * The codec of a schema, or {@link raw} where there is none. What it needs and gives is in the type of what is made with it.
 *
 * @internal
 */
export const ofOptional = (schema: AnySchema | undefined): typeof raw =>
  (isSchema(schema) ? fromSchema(schema) : raw) as typeof raw

/**
 * Whether a value is a schema of either package.
 *
 * @internal
 */
export const isSchema = <S extends AnySchema>(value: unknown): value is S =>
  tried(() => isOld(value) || EffectSchema.isSchema(value)) === true

/**
 * The projection of the fields that a schema reads; of one that reads fields of any name, none.
 *
 * @internal
 */
export const fieldsOf = (schema: AnySchema): Driver.Document | undefined => {
  const names = namesOf(schema.ast)
  // An empty projection would be none.
  return names === undefined ? undefined : Object.fromEntries([
    ...(names.has("_id") ? [] : [["_id", names.size === 0 ? 1 : 0]]),
    ...Array.from(names, (name) => [name, 1])
  ])
}

const writtenOf = <S extends AnySchema>(schema: S): S => {
  const insert: object = Object(Reflect.get(schema, "insert"))
  return isSchema<S>(insert) ? insert : schema
}

const codec = <A, I, R, In, Issue>(
  decode: (value: unknown) => Effect.Effect<A, Issue, R>,
  encode: (value: unknown) => Effect.Effect<I, Issue, R>,
  toError: (issue: Issue) => Parameters<typeof DecodeFailed.fromParseError>[1],
  adapting: () => Adapt
): Codec<A, I, R, In> => {
  let adapt: Adapt | undefined
  const failed = (issue: Issue, source: string, value: unknown, isOwnValue: true | undefined) =>
    DecodeFailed.fromParseError(source, toError(issue), idText(value), isOwnValue)
  // A schema that needs nothing answers at once; effects around each document would take longer than all else.
  const named = <B>(
    parsed: Effect.Effect<B, Issue, R>,
    source: string,
    value: unknown,
    isOwnValue?: true
  ): Effect.Effect<B, DecodeFailed, R> | Either.Either<B, DecodeFailed> =>
    isEither(parsed)
      ? isRight(parsed) ? parsed : Either.mapLeft(parsed, (issue) => failed(issue, source, value, isOwnValue))
      : Effect.mapError(parsed, (issue) => failed(issue, source, value, isOwnValue))
  // What a client reads in another form than the schema takes is taken in that one. Nearly nothing is, so that it is looked
  // for only in what does not fit.
  const one = (document: unknown, source: string) => {
    const parsed = deeply(decode, document, source)
    if (parsed instanceof DecodeFailed) return Either.left(parsed)
    const again = () => decode((adapt ??= adapting())(document))
    const better = isEither(parsed) ? isRight(parsed) ? parsed : again() : Effect.catchAll(parsed, again)
    return named(better, source, document)
  }
  return {
    decode: (document, source) => Effect.suspend(() => one(document, source)),
    decodeAll: (documents, source) =>
      Effect.suspend(() => {
        const decoded: Array<Either.Either<A, DecodeFailed>> = []
        for (const document of documents) {
          const result = one(document, source)
          if (isEither(result)) decoded.push(result)
          else {
            const rest = documents.slice(decoded.length + 1)
            const others = Effect.forEach(rest, (next) => Effect.either(one(next, source)))
            return Effect.zipWith(Effect.either(result), others, (first, rest) => [...decoded, first, ...rest])
          }
        }
        return Effect.succeed(decoded)
      }),
    encode: (value, source) =>
      Effect.suspend(() => {
        const parsed = deeply(encode, value, source, true)
        return parsed instanceof DecodeFailed ? Either.left(parsed) : named(parsed, source, value, true)
      })
  }
}

// A recursive schema follows what is nested more deeply than the stack, and any schema what throws when it is read; that is the
// value's fault, and not the schema's.
const deeply = <A>(
  parse: (value: unknown) => A,
  value: unknown,
  source: string,
  isOwnValue?: true
): A | DecodeFailed => {
  try {
    return parse(value)
  } catch (error) {
    const issue = faultOf(value)
    if (issue === undefined) throw error
    return new DecodeFailed({ source, path: [], issue, isOwnValue })
  }
}

// An Either is an effect as well.
const isEither = <A, E, R>(parsed: Effect.Effect<A, E, R>): parsed is Either.Either<A, E> & Effect.Effect<A, E, R> =>
  Either.isEither(parsed)

// One without a failure is as good for any other.
const isRight = <A, E>(either: Either.Either<A, E>): either is Either.Right<never, A> & Either.Either<A, never> =>
  Either.isRight(either)

// What a program gives may throw when it is read.
const idText = (value: unknown): string | undefined => tried(() => textOfId(value))

const textOfId = (value: unknown): string | undefined => {
  if (typeof value !== "object" || value === null || !("_id" in value)) return undefined
  const id = value._id
  if (typeof id !== "object" || id === null) return id === undefined || id === null ? undefined : String(id)
  if ("toHexString" in id && typeof id.toHexString === "function") return String(id.toHexString())
  return Option.getOrUndefined(Option.map(integerOf(id), String))
}
