/**
 * Which fields are read of a document, and what type is left of it.
 *
 * @since 0.1.0
 */
import type * as Driver from "mongodb"
import type { ElementWhere } from "./Filter.js"
import type { IsLoose, Scalar, Types, Unsafe as UnsafeOf } from "./internal/data/paths.js"

/**
 * A projection of documents `I`, the encoded side of a schema: the fields to read (`{ name: 1, "address.city": 1 }`), or those
 * to leave out (`{ password: 0 }`). Fields are named by their paths; of an array of documents, `"items.sku"`.
 *
 * See MongoDB's manual, "Project Fields to Return from Query".
 *
 * @since 0.1.0
 * @category models
 */
export type Projection<I> =
  | { readonly [K in keyof Types<I, "projection">]?: Field<Types<I, "projection">[K]> }
  | Unsafe

/**
 * What a projection says of a field.
 *
 * @since 0.1.0
 * @category models
 */
export type Field<T> =
  | 0
  | 1
  | boolean
  | { readonly $meta: string }
  | (T extends ReadonlyArray<infer E>
    ? { readonly $slice: number | readonly [skip: number, limit: number] } | { readonly $elemMatch: ElementWhere<E> }
    : never)

/**
 * A projection that is not checked. See {@link unsafe}.
 *
 * @since 0.1.0
 * @category models
 */
export type Unsafe = UnsafeOf<"projection">

/**
 * The projection, if documents `I` have its fields.
 *
 * @since 0.1.0
 * @category models
 */
export type Checked<I, P> = P extends Unsafe ? unknown
  : true extends IsLoose<I> | IsLoose<P> ? unknown
  : {
    readonly [K in keyof P]: K extends keyof Types<I, "projection"> ? Field<Types<I, "projection">[K]>
      : UnsafeOf<"no such field is stored">
  }

/**
 * What a projection leaves of a document, as it is stored. Where it has operators, nothing is said of it.
 *
 * @since 0.1.0
 * @category models
 */
export type Projected<I, P> = P extends Unsafe ? Driver.Document
  : true extends IsLoose<I> | IsLoose<P> ? Driver.Document
  : [Extract<keyof P, `${string}$${string}`>] extends [never] ? Plain<I, P>
  : Driver.Document

type Plain<I, P> = [Exclude<keyof P, Named<P, 0 | false> | "_id">] extends [never]
  ? ["_id", keyof P] extends [keyof P, Named<P, 1 | true>] ? Picked<Stored<I>, "_id">
  : Left<Stored<I>, Named<P, 0 | false>>
  : [Exclude<keyof P, Named<P, 1 | true> | "_id">] extends [never]
    ? Picked<Stored<I>, Named<P, 1 | true> | ("_id" extends Named<P, 0 | false> ? never : "_id")>
  : Driver.Document

/** The fields of which a projection says that. */
type Named<P, V> = { readonly [K in keyof P]: P[K] extends V ? K : never }[keyof P] & string

/** What is stored: the driver adds an `_id` where there is none. */
type Stored<I> = I extends unknown ? "_id" extends keyof I ? I : I & { readonly _id: Driver.ObjectId } : never

/** What is left with these paths only. */
type Picked<T, P extends string> = T extends unknown ? Whole<
    & { [K in keyof T as K extends P ? K : IsOf<T[K], Deeper<P, K>> extends true ? K : never]: In<T, K, P> }
    & { [K in keyof T as K extends P ? never : IsOf<T[K], Deeper<P, K>> extends false ? K : never]?: In<T, K, P> }
  >
  : never

// What a path does not lead into is left out.
type In<T, K extends keyof T, P extends string> = K extends P ? T[K] : Inside<Exclude<T[K], undefined>, Deeper<P, K>>

type Inside<V, P extends string> = unknown extends V ? unknown
  : V extends Scalar ? never
  : V extends ReadonlyArray<infer E> ? ReadonlyArray<Inside<E, P>>
  : Picked<V, P>

// Whether something lies at the path for certain.
type IsOf<V, P> = [P] extends [never] ? undefined
  : unknown extends V ? false
  : [Extract<Exclude<V, undefined>, Scalar>] extends [never] ? true
  : false

/** What is left without these paths. */
type Left<T, P extends string> = T extends Scalar ? T
  : T extends ReadonlyArray<infer E> ? ReadonlyArray<Left<E, P>>
  : { [K in keyof T as K extends P ? never : K]: [Deeper<P, K>] extends [never] ? T[K] : Left<T[K], Deeper<P, K>> }

type Deeper<P, K> = P extends `${K & string}.${infer Rest}` ? Rest : never

type Whole<T> = { [K in keyof T]: T[K] }

/**
 * A projection as it is, that the compiler does not check. Of what it leaves nothing is known.
 *
 * @example
 * ```ts
 * import * as Collection from "effect-mongo-session/Collection"
 * import * as Projection from "effect-mongo-session/Projection"
 * import * as Schema from "effect/Schema"
 *
 * const Users = Collection.make("users", { schema: Schema.Struct({ first: Schema.String, last: Schema.String }) })
 *
 * export const names = Users.find({}, {
 *   projection: Projection.unsafe({ name: { $concat: ["$first", " ", "$last"] } }),
 *   schema: Schema.Struct({ name: Schema.String })
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const unsafe = (projection: Driver.Document): Unsafe => projection as Unsafe
