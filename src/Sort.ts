/**
 * In which order documents come: sorts that the compiler checks, by what is stored.
 *
 * @since 0.1.0
 */
import type * as Driver from "mongodb"
import type { EntriesOf, IsLoose, NameOf, Unsafe as UnsafeOf } from "./internal/data/paths.js"
import type { Path } from "./Path.js"

/**
 * The order of documents `I`, the encoded side of a schema, in any of the driver's forms: `{ name: 1 }`, `"name"`,
 * `["name", "age"]`, `[["name", -1]]`, a `Map`. Fields are named by their paths.
 *
 * See MongoDB's manual, "cursor.sort()".
 *
 * @since 0.1.0
 * @category models
 */
export type Sort<I> =
  | { readonly [E in EntriesOf<I, "filter"> as NameOf<E>]?: Direction }
  | Path<I>
  | ReadonlyArray<Path<I>>
  | ReadonlyArray<readonly [path: Path<I>, direction: Direction]>
  | ReadonlyMap<Path<I>, Direction>
  | Unsafe
  | (true extends IsLoose<I> ? Driver.Sort : never)

/**
 * Up, down, or by how well a text matches.
 *
 * @since 0.1.0
 * @category models
 */
export type Direction = 1 | -1 | "asc" | "desc" | "ascending" | "descending" | { readonly $meta: string }

/**
 * A sort that is not checked. See {@link unsafe}.
 *
 * @since 0.1.0
 * @category models
 */
export type Unsafe = UnsafeOf<"sort">

/**
 * A sort as it is, that the compiler does not check.
 *
 * @example
 * ```ts
 * import * as Collection from "effect-mongo-session/Collection"
 * import * as Sort from "effect-mongo-session/Sort"
 * import * as Schema from "effect/Schema"
 *
 * const Users = Collection.make("users", { schema: Schema.Struct({ name: Schema.String }) })
 *
 * export const byScore = Users.find({ $text: { $search: "ada" } }, { sort: Sort.unsafe({ score: { $meta: "textScore" } }) })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const unsafe = (sort: Driver.Sort): Unsafe => sort as unknown as Unsafe
