/**
 * The names of a document's fields, at every depth.
 *
 * @since 0.1.0
 */
import type { Types, Unsafe as UnsafeOf } from "./internal/data/paths.js"

/**
 * The path of a field of documents `I`, the encoded side of a schema: `"address.city"`, `"tags.0"`, `"items.sku"`. Without a
 * schema, any text.
 *
 * @since 0.1.0
 * @category models
 */
export type Path<I> = keyof Types<I, "filter"> & string

/**
 * The type of the field, as it is stored.
 *
 * @since 0.1.0
 * @category models
 */
export type At<I, P> = P extends keyof Types<I, "filter"> ? Types<I, "filter">[P] : unknown

/**
 * A path that is not checked. See {@link unsafe}.
 *
 * @since 0.1.0
 * @category models
 */
export type Unsafe = string & UnsafeOf<"path">

/**
 * A path as it is, that the compiler does not check.
 *
 * @example
 * ```ts
 * import * as Collection from "effect-mongo-session/Collection"
 * import * as Path from "effect-mongo-session/Path"
 * import * as Schema from "effect/Schema"
 *
 * const Users = Collection.make("users", { schema: Schema.Struct({ name: Schema.String }) })
 *
 * export const nicks = Users.distinct(Path.unsafe("nick"))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const unsafe = (path: string): Unsafe => path as Unsafe
