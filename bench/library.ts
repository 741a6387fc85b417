/**
 * The built library, so that the benchmark measures what users get.
 *
 * By its place, for a package of its own can't import by name the one that it lies in.
 */
import type * as Library from "../src/index.js"
import type * as Inner from "../src/internal/session/client.js"

const library: typeof Library = await import(new URL("../dist/index.js", import.meta.url).href)

export const { Collection, MongoClient, Session, Transaction } = library

/** What of a client is the library's own: its keeper can be told to look for idle sessions at once. */
export const inner: typeof Inner.inner = Symbol.for("effect-mongo-session/MongoClient/Inner") as typeof Inner.inner
