/**
 * What an update does: operators that the compiler checks, by what is stored.
 *
 * @since 0.1.0
 */
import type * as Driver from "mongodb"
import type { Condition, ElementWhere, Numeric } from "./Filter.js"
import type { EntriesOf, IsLoose, NameOf, Scalar, TypeOf, Unsafe as UnsafeOf } from "./internal/data/paths.js"

/**
 * An update of documents `I`, the encoded side of a schema: operators, at least one, or a pipeline of the aggregation. Fields
 * are named by their paths: `"address.city"`, and in arrays `"items.0.sku"`, `"items.$.sku"`, `"items.$[].sku"` or
 * `"items.$[name].sku"`.
 *
 * See MongoDB's manual, "Update Operators".
 *
 * @since 0.1.0
 * @category models
 */
export type Update<I> =
  | (Operators<I> & AtLeastOne)
  | Pipeline
  | Unsafe
  | (true extends IsLoose<I> ? Driver.UpdateFilter<Driver.Document> : never)

/**
 * An update by a pipeline of the aggregation, which the compiler does not check.
 *
 * @since 0.1.0
 * @category models
 */
export type Pipeline = ReadonlyArray<Driver.Document> & NoOperators

/**
 * An update that is not checked. See {@link unsafe}.
 *
 * @since 0.1.0
 * @category models
 */
export type Unsafe = UnsafeOf<"update"> & NoOperators

type AtLeastOne = { [K in keyof Operators<never>]-?: { readonly [Name in K]: unknown } }[keyof Operators<never>]

// With it, the compiler tells what is wrong at the very field of an operator.
type NoOperators = { readonly [K in keyof Operators<never>]?: undefined }

/**
 * The operators of an update.
 *
 * @since 0.1.0
 * @category models
 */
export interface Operators<I> {
  /** Sets fields. */
  readonly $set?: Values<I>
  /** Sets fields of a document that the update inserts (`upsert`). */
  readonly $setOnInsert?: Values<I>
  /** Removes fields. */
  readonly $unset?: { readonly [E in EntriesOf<I, "update"> as NameOf<E>]?: "" | 1 | true }
  /** Adds to numbers. */
  readonly $inc?: Numbers<I>
  /** Multiplies numbers. */
  readonly $mul?: Numbers<I>
  /** Sets fields to a value that is less than theirs. */
  readonly $min?: Values<I>
  /** Sets fields to a value that is greater than theirs. */
  readonly $max?: Values<I>
  /** Gives fields other names, which are fields, too. */
  readonly $rename?: { readonly [E in EntriesOf<I, "update"> as NameOf<E>]?: NameOf<EntriesOf<I, "update">> }
  /** Sets fields to the server's time. */
  readonly $currentDate?: {
    readonly [E in EntriesOf<I, "update"> as Where<E, Date | Driver.Timestamp>]?:
      | true
      | { readonly $type: "date" | "timestamp" }
  }
  /** Adds to arrays what they do not have. */
  readonly $addToSet?: {
    readonly [E in EntriesOf<I, "update"> as Where<E, ReadonlyArray<unknown>>]?: Item<TypeOf<E>> | {
      readonly $each: ReadonlyArray<Item<TypeOf<E>>>
    }
  }
  /** Adds to arrays. */
  readonly $push?: {
    readonly [E in EntriesOf<I, "update"> as Where<E, ReadonlyArray<unknown>>]?:
      | Item<TypeOf<E>>
      | Pushed<Item<TypeOf<E>>>
  }
  /** Takes the first (-1) or the last (1) element from arrays. */
  readonly $pop?: { readonly [E in EntriesOf<I, "update"> as Where<E, ReadonlyArray<unknown>>]?: 1 | -1 }
  /** Takes from arrays what matches. */
  readonly $pull?: {
    readonly [E in EntriesOf<I, "update"> as Where<E, ReadonlyArray<unknown>>]?:
      | Condition<Item<TypeOf<E>>>
      | ElementWhere<Item<TypeOf<E>>>
  }
  /** Takes values from arrays. */
  readonly $pullAll?: {
    readonly [E in EntriesOf<I, "update"> as Where<E, ReadonlyArray<unknown>>]?: ReadonlyArray<Item<TypeOf<E>>>
  }
  /** Changes the bits of integers. */
  readonly $bit?: {
    readonly [E in EntriesOf<I, "update"> as Where<E, Numeric>]?: {
      readonly [K in "and" | "or" | "xor"]?: Numeric
    }
  }
}

type Values<I> = { readonly [E in EntriesOf<I, "update"> as NameOf<E>]?: TypeOf<E> }

type Numbers<I> = { readonly [E in EntriesOf<I, "update"> as Where<E, Numeric>]?: Widened<TypeOf<E>> }

// What is added need not be one of the values that the field may have.
type Widened<T> = unknown extends T ? Numeric
  : T extends number ? number
  : T extends bigint ? bigint
  : Extract<T, Numeric>

// The path, if what it leads to may be of that type.
type Where<E, T> = unknown extends TypeOf<E> ? NameOf<E>
  : Extract<TypeOf<E>, T> extends never ? never
  : NameOf<E>

type Item<T> = unknown extends T ? unknown : T extends ReadonlyArray<infer E> ? E : never

/**
 * Several elements that are added to an array, and what becomes of it then.
 *
 * @since 0.1.0
 * @category models
 */
export interface Pushed<T> {
  readonly $each: ReadonlyArray<T>
  /** Where they are added. Default: at the end. */
  readonly $position?: number
  /** How many elements are kept: the first ones, or, if it is negative, the last. */
  readonly $slice?: number
  /** In which order. */
  readonly $sort?: 1 | -1 | ([Exclude<T, Scalar>] extends [never] ? never : { readonly [path: string]: 1 | -1 })
}

/**
 * An update as it is, that the compiler does not check. At run time it must have operators, or be a pipeline, like any other.
 *
 * @example
 * ```ts
 * import * as Collection from "effect-mongo-session/Collection"
 * import * as Update from "effect-mongo-session/Update"
 * import * as Schema from "effect/Schema"
 *
 * const Users = Collection.make("users", { schema: Schema.Struct({ name: Schema.String }) })
 *
 * // A field that the schema no longer has.
 * export const cleaned = Users.updateMany({}, Update.unsafe({ $unset: { nick: "" } }))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const unsafe = (update: Driver.Document): Unsafe => update as Unsafe
