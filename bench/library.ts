/**
 * The library as it is built: what users get is what is measured.
 *
 * By its place, for a package of its own can't import by name the one that it lies in.
 */
import type * as Library from "../src/index.js"

const library: typeof Library = await import(new URL("../dist/index.js", import.meta.url).href)

export const { Collection, MongoClient, Session, Transaction } = library
