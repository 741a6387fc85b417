/**
 * The fields of a document by their paths, as the compiler sees them: what filters, updates, sorts and projections may name.
 */
import type { ObjectId } from "mongodb"

/** What a path does not lead into: a value of BSON that is no document and no array. */
export type Scalar =
  | string
  | number
  | bigint
  | boolean
  | symbol
  | null
  | undefined
  | Date
  | RegExp
  | ArrayBufferView
  | ArrayBuffer
  | { readonly _bsontype: string }
  | ((...args: ReadonlyArray<never>) => unknown)

/** How a path goes through an array: by a filter, by an update, or by a projection. */
export type Way = "filter" | "update" | "projection"

/** What a path leads to: its name, the type there, and whether it may lead to nothing. */
type Entry<P extends string, T, O extends boolean> = readonly [path: P, type: Exclude<T, undefined>, isOptional: O]

/** Of what lies deeper than this nothing is known: it may be named, and is of any type. */
type Deepest = [1, 2, 3, 4]

/** The paths of a document, each with its type. */
export type EntriesOf<I, W extends Way> = I extends unknown ? FieldsOf<I, W> | IdOf<I> : never

/** The paths of a document that is a part of another one. */
export type FieldsOf<I, W extends Way> = I extends unknown ? Fields<I, "", Deepest, false, false, W> : never

// The driver adds one where there is none.
type IdOf<I> = "_id" extends keyof I ? never : Entry<"_id", ObjectId, false>

type Fields<T, Prefix extends string, D, O extends boolean, L extends boolean, W extends Way> = string extends keyof T
  ? KnownFields<Pick<T, Known<T>>, Prefix, D, O, L, W> | Entry<`${Prefix}${string}`, unknown, true>
  : KnownFields<T, Prefix, D, O, L, W>

type KnownFields<T, Prefix extends string, D, O extends boolean, L extends boolean, W extends Way> = {
  [K in keyof T & string]-?: IsPattern<K> extends true ? Entry<`${Prefix}${K}${string}`, unknown, true> :
    | Entry<`${Prefix}${K}`, L extends true ? unknown : T[K], undefined extends T[K] ? true : O>
    | Below<Exclude<T[K], undefined>, `${Prefix}${K}`, D, undefined extends T[K] ? true : O, L, W>
}[keyof T & string]

// The names that are no index signature.
type Known<T> = keyof { [K in keyof T as IsPattern<K> extends true ? never : K]: never } & keyof T

type IsPattern<K extends PropertyKey> = {} extends Record<K, 1> ? true : false

/** The paths below a value. */
type Below<T, P extends string, D, O extends boolean, L extends boolean, W extends Way> = unknown extends T
  ? Anything<P>
  : T extends Scalar ? never
  : T extends ReadonlyArray<infer E> ? InArray<E, P, D, O, L, W>
  : T extends ReadonlyMap<unknown, unknown> ? Anything<P>
  : [keyof T] extends [never] ? Anything<P>
  : D extends [unknown, ...infer Rest] ? Fields<T, `${P}.`, Rest, O, L, W>
  : Anything<P>

type Anything<P extends string> = Entry<`${P}.${string}`, unknown, true>

/** The paths below an array. By a filter or a projection, names lead through it, to the fields of its elements. */
type InArray<E, P extends string, D, O extends boolean, L extends boolean, W extends Way> = W extends "update" ?
    | Elements<E, `${P}.${number | "$" | "$[]"}`, D, O, false, W>
    // Any text may stand in the brackets, also one that leads to an array in the element. What both would say is not said.
    | Elements<E, `${P}.$[${string}]`, D, O, HasArray<E, D>, W>
  : W extends "filter" ? Elements<E, `${P}.${number}`, D, O, L, W> | Through<E, P, D, O, L, W>
  : Entry<`${P}.$`, E, O> | Through<E, P, D, O, L, W>

type Elements<E, P extends string, D, O extends boolean, L extends boolean, W extends Way> =
  | Entry<P, L extends true ? unknown : E, O>
  | Below<E, P, D, O, L, W>

type Through<E, P extends string, D, O extends boolean, L extends boolean, W extends Way> = unknown extends E
  ? Anything<P>
  : E extends ReadonlyArray<unknown> ? never
  : Below<E, P, D, O, L, W>

type HasArray<T, D> = true extends AnyArray<T, D> ? true : false

type AnyArray<T, D> = unknown extends T ? true
  : T extends Scalar ? false
  : T extends ReadonlyArray<unknown> ? true
  : D extends [unknown, ...infer Rest] ? { [K in keyof T]-?: AnyArray<T[K], Rest> }[keyof T]
  : true

/** Whether nothing is known of documents but that they are documents. */
export type IsLoose<I> = [Known<I>] extends [never] ? true : false

/** The path of an entry. */
export type NameOf<E> = E extends Entry<infer P, unknown, boolean> ? P : never

/** What is stored at the path of an entry. */
export type TypeOf<E> = E extends readonly [string, infer T, boolean] ? T : never

/** What is stored there, or null, where there may be nothing. */
export type Wanted<E> = E extends readonly [string, infer T, infer O] ? T | (true extends O ? null : never) : never

/** The type at each path. */
export type Types<I, W extends Way> = { readonly [E in EntriesOf<I, W> as NameOf<E>]: TypeOf<E> }

declare const unchecked: unique symbol

/** What was said to be unsafe. It has the type of its maker only. */
export type Unsafe<Of extends string> = { readonly [unchecked]: Of }
