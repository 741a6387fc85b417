/**
 * The operations on a collection as a whole, and on its indexes.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import type * as Driver from "mongodb"
import { MongoError } from "../../MongoError.js"
import { asDocuments } from "../driver/readOptions.js"
import { tried } from "../values/fault.js"
import { call, type Of } from "./collection.js"
import { batches } from "./cursor.js"
import { isDocument, namesOf } from "./objects.js"
import { type OperationError } from "./operation.js"
import { type Given, type LimitedCursor, optionOf, readable, withoutOwn, wrong } from "./options.js"
import { command as runCommand, copied, limited } from "./streams.js"
import { collectionOf, refuse } from "./target.js"
import { documentsIn } from "./values.js"

/**
 * The operations on a collection's indexes. Those for search need MongoDB Atlas, or another deployment with the search
 * service; elsewhere they fail with `NotSupported`, and a hint that says so.
 *
 * @since 0.1.0
 * @category models
 */
export interface Indexes<C> {
  /** Creates an index, and gives its name. In a transaction only on a collection that is empty and new in it. */
  readonly createIndex: (
    keys: Driver.IndexSpecification,
    options?: Given<Driver.CreateIndexesOptions>
  ) => Effect.Effect<string, OperationError, C>
  /** Creates indexes, and gives their names. The driver sends no `maxTimeMS` with it: set `timeout`. */
  readonly createIndexes: (
    indexes: ReadonlyArray<Driver.IndexDescription>,
    options?: Given<Omit<Driver.CreateIndexesOptions, "maxTimeMS">>
  ) => Effect.Effect<ReadonlyArray<string>, OperationError, C>
  /** Drops one index by its name, not `*`. Not allowed in a transaction. */
  readonly dropIndex: (
    name: string,
    options?: Given<Driver.DropIndexesOptions>
  ) => Effect.Effect<Driver.Document, OperationError, C>
  /** Drops all indexes but that of `_id`. Not allowed in a transaction. */
  readonly dropIndexes: (options?: Given<Driver.DropIndexesOptions>) => Effect.Effect<boolean, OperationError, C>
  /** The indexes. Not allowed in a transaction. */
  readonly listIndexes: (
    options?: Given<Driver.ListIndexesOptions> & LimitedCursor
  ) => Stream.Stream<Driver.IndexDescriptionInfo, OperationError, C>
  /** The names of the indexes. Not allowed in a transaction. */
  readonly listIndexNames: (
    options?: Given<Driver.ListIndexesOptions> & LimitedCursor
  ) => Effect.Effect<ReadonlyArray<string>, OperationError, C>
  /** Creates a search index, and gives its name. Not allowed in a transaction. */
  readonly createSearchIndex: (index: Driver.SearchIndexDescription) => Effect.Effect<string, OperationError, C>
  /** Creates search indexes, and gives their names. Not allowed in a transaction. */
  readonly createSearchIndexes: (
    indexes: ReadonlyArray<Driver.SearchIndexDescription>
  ) => Effect.Effect<ReadonlyArray<string>, OperationError, C>
  /** Changes the definition of a search index. Not allowed in a transaction. */
  readonly updateSearchIndex: (name: string, definition: Driver.Document) => Effect.Effect<void, OperationError, C>
  /** Drops a search index. Not allowed in a transaction. */
  readonly dropSearchIndex: (name: string) => Effect.Effect<void, OperationError, C>
  /** The search indexes, or the one of that name. Not allowed in a transaction. */
  readonly listSearchIndexes: (
    name?: string,
    options?: Given<Driver.ListSearchIndexesOptions> & LimitedCursor
  ) => Stream.Stream<Driver.Document, OperationError, C>
}

// An index is for no document in particular.
const sought = undefined

/** The operations on a collection's indexes. */
export const make = <A, I extends Driver.Document, R, C, In>(of: Of<A, I, R, C, In>): Indexes<C> => {
  const { target } = of
  const { collection } = target
  const create = (name: string, options: object | undefined) => ({ name, kind: "write", options }) as const
  const change = (name: string, options?: object) => ({ ...create(name, options), inTransaction: false })
  const list = (name: string, options: object | undefined) =>
    ({ name, kind: "read", inTransaction: false, options }) as const
  // The driver's own methods for them take no session.
  const search = (name: string, command: Driver.Document) =>
    Effect.mapError(
      runCommand(target, { ...change(name), command }, (db, added) => db.command(copied(command, added), added)),
      withHint
    )
  const createSearchIndexes: Indexes<C>["createSearchIndexes"] = (indexes) =>
    Effect.map(
      search("createSearchIndexes", { createSearchIndexes: collection, indexes }),
      ({ indexesCreated }): ReadonlyArray<string> => indexesCreated.map((index: Driver.Document) => index["name"])
    )
  const indexes = (name: string, given: Parameters<Indexes<C>["listIndexes"]>[0]) => {
    const options = readable(given)
    return batches(
      target,
      list(name, options),
      (db, added) =>
        collectionOf(db, target, added).listIndexes({ ...withoutOwn<Driver.ListIndexesOptions>(options), ...added })
    )
  }
  return {
    createIndex: (keys, options) =>
      call(
        of,
        { ...create("createIndex", options), values: [sought, { key: keys }] },
        (driver, given: Driver.CreateIndexesOptions) => driver.createIndex(keys, given)
      ),
    createIndexes: (indexes, asked) => {
      const given = readable(asked)
      const options = given === undefined || optionOf(given, "maxTimeMS") === undefined ? given : wrong(given, unsent)
      const found = tried(() => {
        const all = indexes.map(documentsIn)
        return all.every(hasKey) ? all : undefined
      })
      return found === undefined ? refuse(target, "createIndexes", descriptions) : call(
        of,
        { ...create("createIndexes", options), values: [sought, found] },
        (driver, given: Driver.CreateIndexesOptions) => driver.createIndexes([...indexes], given),
        limited
      )
    },
    dropIndex: (name, options) =>
      !isOne(name) ? refuse(target, "dropIndex", dropped) : call(
        of,
        change("dropIndex", options),
        (driver, given: Driver.DropIndexesOptions) => driver.dropIndex(name, given)
      ),
    dropIndexes: (options) =>
      call(of, change("dropIndexes", options), (driver, given: Driver.DropIndexesOptions) => driver.dropIndexes(given)),
    listIndexes: (options) => indexes("listIndexes", options),
    listIndexNames: (options) =>
      Effect.map(
        Stream.runCollect(indexes("listIndexNames", { ...readable(options), ...asDocuments })),
        (found) => [...found].flatMap(({ name }) => name === undefined ? [] : [name])
      ),
    createSearchIndex: (index) => Effect.map(createSearchIndexes([index]), ([name = ""]) => name),
    createSearchIndexes,
    updateSearchIndex: (name, definition) =>
      Effect.asVoid(search("updateSearchIndex", { updateSearchIndex: collection, name, definition })),
    dropSearchIndex: (name) =>
      search("dropSearchIndex", { dropSearchIndex: collection, name }).pipe(
        Effect.asVoid,
        // As the driver has it: what is not there needs no dropping.
        Effect.catchIf(
          (error) => error._tag === "MongoError" && error.reason === "NamespaceNotFound",
          () => Effect.void
        )
      ),
    listSearchIndexes: (name, asked) => {
      const options = readable(asked)
      return Stream.mapError(
        batches(target, list("listSearchIndexes", options), (db, added) => {
          const given = { ...withoutOwn<Driver.ListSearchIndexesOptions>(options), ...added }
          const driver = collectionOf(db, target, added)
          return name === undefined ? driver.listSearchIndexes(given) : driver.listSearchIndexes(name, given)
        }),
        withHint
      )
    }
  }
}

// The driver throws at any other one.
const hasKey = ({ key }: { readonly key?: unknown }): boolean => isDocument(key) && namesOf(key).length > 0

// To the server, `*` is all indexes.
const isOne = (name: unknown): boolean => Predicate.isString(name) && name !== "" && name !== "*"

const dropped = "An index is dropped by its name. All of them are dropped by `dropIndexes`."

const unsent = "`maxTimeMS` is not taken, for the driver would not send it. Set `timeout`."

const descriptions = "Indexes are a list of descriptions, like `[{ key: { name: 1 } }]`."

// The server only says that it does not know the command or the stage.
const withHint = (error: OperationError): OperationError => {
  if (error._tag !== "MongoError" || error.reason !== "NotSupported") return error
  const { cause, code, codeName, labels, namespace, operation, reason } = error
  return new MongoError({ reason, operation, namespace, code, codeName, labels, cause, hint })
}

const hint = "Search indexes need MongoDB Atlas, or a deployment of your own with the search service (mongot)."
