/**
 * What an operation searches for: filters that the compiler checks, by what is stored.
 *
 * @since 0.1.0
 */
import type * as Driver from "mongodb"
import type { EntriesOf, FieldsOf, NameOf, Scalar, Unsafe as UnsafeOf, Wanted } from "./internal/data/paths.js"

/**
 * A filter of documents `I`, the encoded side of a schema. Fields are named by their paths (`"address.city"`, `"tags.0"`,
 * `"items.sku"`), at most five levels deep; deeper ones may be anything. Without a schema, it is any document.
 *
 * See MongoDB's manual, "Query Predicates".
 *
 * @since 0.1.0
 * @category models
 */
export type Filter<I> = Where<I> | Unsafe

/**
 * A filter that is not checked. See {@link unsafe}.
 *
 * @since 0.1.0
 * @category models
 */
export type Unsafe = UnsafeOf<"filter">

/**
 * A value that is compared, whatever it looks like. See {@link eq}.
 *
 * @since 0.1.0
 * @category models
 */
export type Plain = UnsafeOf<"value">

/**
 * The conditions of a filter, by the paths of fields, and what joins them.
 *
 * @since 0.1.0
 * @category models
 */
export type Where<I> =
  & { readonly [E in EntriesOf<I, "filter"> as NameOf<E>]?: Condition<Wanted<E>> }
  & Joined<I>

/**
 * What joins filters, and conditions that are of no single field.
 *
 * @since 0.1.0
 * @category models
 */
export interface Joined<I> {
  /** All of them match. */
  readonly $and?: ReadonlyArray<Filter<I>>
  /** At least one of them matches. */
  readonly $or?: ReadonlyArray<Filter<I>>
  /** None of them matches. */
  readonly $nor?: ReadonlyArray<Filter<I>>
  /** An expression of the aggregation. */
  readonly $expr?: unknown
  /** A search in the text index. */
  readonly $text?: {
    readonly $search: string
    readonly $language?: string
    readonly $caseSensitive?: boolean
    readonly $diacriticSensitive?: boolean
  }
  /** A JSON schema that documents fit. */
  readonly $jsonSchema?: Driver.Document
  /** A function of JavaScript. */
  readonly $where?: string | Driver.Code
  /** The part of all documents that is looked at, from 0 to 1. */
  readonly $sampleRate?: number
  /** A comment for the server's log. */
  readonly $comment?: string | Driver.Document
}

/**
 * What is asked of a field: its value, or, of an array, that of an element; or operators.
 *
 * @since 0.1.0
 * @category models
 */
export type Condition<T> = unknown extends T ? unknown : Value<T> | Matching<T> | Operators<T> | Plain

/** A value of the field, or of an element of it. */
type Value<T> = T | Element<T>

type Element<T> = T extends ReadonlyArray<infer E> ? E : never

/** Texts are matched by regular expressions, too. */
type Matching<T> = Extract<Value<T>, string> extends never ? never : RegExp | Driver.BSONRegExp

/**
 * The operators of a condition.
 *
 * @since 0.1.0
 * @category models
 */
export type Operators<T> = Comparing<T> & OfText<T> & OfNumber<T> & OfArray<T> & OfPlace<T>

/**
 * The operators of a condition that any field may have.
 *
 * @since 0.1.0
 * @category models
 */
export interface Comparing<T> {
  readonly $eq?: Value<T>
  readonly $ne?: Value<T>
  readonly $gt?: Value<T>
  readonly $gte?: Value<T>
  readonly $lt?: Value<T>
  readonly $lte?: Value<T>
  readonly $in?: ReadonlyArray<Value<T> | Matching<T>>
  readonly $nin?: ReadonlyArray<Value<T> | Matching<T>>
  readonly $not?: Operators<T> | Matching<T>
  /** Whether the field is there. */
  readonly $exists?: boolean
  readonly $type?: Kind | ReadonlyArray<Kind>
}

/** A type of BSON, by its number or its name. */
type Kind = number | Driver.BSONTypeAlias | "number"

type OfText<T> = Extract<Value<T>, string> extends never ? {}
  : { readonly $regex?: string | RegExp | Driver.BSONRegExp; readonly $options?: string }

/**
 * The types of numbers.
 *
 * @since 0.1.0
 * @category models
 */
export type Numeric = number | bigint | Driver.Int32 | Driver.Long | Driver.Double | Driver.Decimal128

type OfNumber<T> = Extract<Value<T>, Numeric | Driver.Binary | Uint8Array> extends never ? {} : {
  readonly $mod?: readonly [divisor: Numeric, remainder: Numeric]
  readonly $bitsAllSet?: Bits
  readonly $bitsAllClear?: Bits
  readonly $bitsAnySet?: Bits
  readonly $bitsAnyClear?: Bits
}

type Bits = Numeric | Driver.Binary | ReadonlyArray<number>

type OfArray<T> = Extract<T, ReadonlyArray<unknown>> extends never ? {} : {
  readonly $all?: ReadonlyArray<Value<T> | Matching<T> | { readonly $elemMatch: ElementWhere<Element<T>> }>
  readonly $elemMatch?: ElementWhere<Element<T>>
  readonly $size?: number
}

/**
 * What is asked of one element of an array: conditions of its fields, or of itself.
 *
 * @since 0.1.0
 * @category models
 */
export type ElementWhere<E> = unknown extends E ? Driver.Document
  : [Exclude<E, Scalar>] extends [never] ? Operators<E>
  : Exclude<E, Scalar> extends ReadonlyArray<unknown> ? Operators<E>
  : PartWhere<Exclude<E, Scalar | ReadonlyArray<unknown>>> | Operators<E> | Unsafe

type PartWhere<I> =
  & { readonly [E in FieldsOf<I, "filter"> as NameOf<E>]?: Condition<Wanted<E>> }
  & Joined<I>

/** Where on the earth, or in the plane. */
type OfPlace<T> = [Exclude<T, Scalar>] extends [never] ? {} : {
  readonly $geoWithin?: Driver.Document
  readonly $geoIntersects?: Driver.Document
  readonly $near?: Driver.Document | ReadonlyArray<number>
  readonly $nearSphere?: Driver.Document | ReadonlyArray<number>
  readonly $maxDistance?: number
  readonly $minDistance?: number
}

/**
 * A filter as it is, that the compiler does not check: for what its types cannot say, and for code that knows nothing of the
 * documents. At run time it is refused like any other where it has something undefined, or something that BSON does not have.
 *
 * @example
 * ```ts
 * import * as Collection from "effect-mongo-session/Collection"
 * import * as Filter from "effect-mongo-session/Filter"
 * import * as Schema from "effect/Schema"
 *
 * const Users = Collection.make("users", { schema: Schema.Struct({ name: Schema.String }) })
 *
 * // Documents of an older form, of which the schema says nothing.
 * export const old = Users.countDocuments(Filter.unsafe({ nick: { $exists: true } }))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const unsafe = (filter: Driver.Document): Unsafe => filter as Unsafe

/**
 * The condition that a field has just this value, `{ $eq: value }`: for values that come from outside. An object in it is a
 * value, also if its fields are called like operators. Without it, a password of `{ "$ne": null }` in the body of a request
 * matches every document. A value of unknown type fits every field, and is compared as it is. A `null` also matches documents
 * that do not have the field, as MongoDB compares it: refuse it before, where that would say too much.
 *
 * @example
 * ```ts
 * import * as Collection from "effect-mongo-session/Collection"
 * import * as Filter from "effect-mongo-session/Filter"
 * import * as Schema from "effect/Schema"
 *
 * const Users = Collection.make("users", { schema: Schema.Struct({ name: Schema.String, token: Schema.String }) })
 *
 * export const login = (body: { readonly name: unknown; readonly token: unknown }) =>
 *   Users.findOne({ name: Filter.eq(body.name), token: Filter.eq(body.token) })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const eq = <const T>(value: T): Eq<T> => ({ $eq: value }) as Eq<T>

/**
 * What {@link eq} gives: of an unknown value, what fits every field.
 *
 * @since 0.1.0
 * @category models
 */
export type Eq<T> = unknown extends T ? Plain : { readonly $eq: T }
