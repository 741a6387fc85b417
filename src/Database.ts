/**
 * A database: commands, its collections, and what is done with all of it.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type * as Driver from "mongodb"
import * as ChangeStream from "./ChangeStream.js"
import { raw } from "./Codec.js"
import type { Needs, Written } from "./Codec.js"
import * as Collection from "./Collection.js"
import { batches } from "./internal/data/cursor.js"
import { isDocument } from "./internal/data/objects.js"
import { type Added, operation, type OperationError } from "./internal/data/operation.js"
import { type Given, type LimitedCursor, over, readable, withoutOwn, wrong } from "./internal/data/options.js"
import type { Aggregate } from "./internal/data/overloads.js"
import { aggregate } from "./internal/data/reads.js"
import { misconfiguredBy } from "./internal/data/refused.js"
import type { Request, Target } from "./internal/data/request.js"
import { isAllowedCommand, problemOfPipeline } from "./internal/data/rules.js"
import { command as runCommand, copied } from "./internal/data/streams.js"
import { concernOf, preferenceOf, refuse } from "./internal/data/target.js"
import { asDocuments } from "./internal/driver/readOptions.js"
import type { AsGiven, ClientOption, MongoClient } from "./internal/session/client.js"
import { tried } from "./internal/values/fault.js"
import { decoder, duration, serverLimit } from "./internal/values/options.js"

/**
 * A database. Immutable. Its operations run as those of a collection do: in the ambient session, and in its transaction.
 *
 * @since 0.1.0
 * @category models
 */
export interface Database<Client = MongoClient> {
  /** The database's name; absent: the client's own database. */
  readonly name: string | undefined
  /** A collection of this database, with its concerns unless other ones are given. See `Collection.make`. */
  readonly collection: {
    <S extends Collection.DocumentSchema>(
      name: string,
      options: Omit<Collection.TypedOptions<S>, "client" | "database">
    ): Collection.Collection<S["Type"], S["Encoded"], Needs<S>, Client, Written<S>>
    (
      name: string,
      options?: Collection.Concerns & { readonly schema?: undefined }
    ): Collection.Collection<Driver.Document, Driver.Document, never, Client>
  }
  /**
   * Runs a command, and gives the server's reply. An interruption gives it up. In a session, `commitTransaction` and
   * `abortTransaction` are `InvalidInTransaction`: use those of `Transaction`.
   */
  readonly command: (
    command: Driver.Document,
    options?: Given<Driver.RunCommandOptions>
  ) => Effect.Effect<Driver.Document, OperationError, Client>
  /** Runs a command that opens a cursor, and gives its documents. */
  readonly runCursorCommand: (
    command: Driver.Document,
    options?: RunCursorCommandOptions
  ) => Stream.Stream<Driver.Document, OperationError, Client>
  /** Creates a collection. Fails with `MongoError` (`NamespaceExists`) when there is one. */
  readonly createCollection: (
    name: string,
    options?: Given<Driver.CreateCollectionOptions>
  ) => Effect.Effect<void, OperationError, Client>
  /** The collections. Not allowed in a transaction. */
  readonly listCollections: {
    (
      filter: Driver.Document | undefined,
      options: Given<Driver.ListCollectionsOptions> & LimitedCursor & { readonly nameOnly: true }
    ): Stream.Stream<Pick<Driver.CollectionInfo, "name" | "type">, OperationError, Client>
    (
      filter?: Driver.Document,
      options?: Given<Driver.ListCollectionsOptions> & LimitedCursor
    ): Stream.Stream<Driver.CollectionInfo, OperationError, Client>
  }
  /** The result of an aggregation on the database; raw documents unless `schema` is set. */
  readonly aggregate: Aggregate<Client>
  /** The changes of all collections of the database, as they happen. Not allowed in a transaction. */
  readonly watch: (
    pipeline?: ReadonlyArray<Driver.Document>,
    options?: ChangeStream.Options<"fail">
  ) => ChangeStream.ChangeStream<Driver.Document, ChangeStream.WatchError, Client>
  /** The server's statistics of the database. Not allowed in a transaction. */
  readonly stats: (options?: Given<Driver.DbStatsOptions>) => Effect.Effect<Driver.Document, OperationError, Client>
  /** Drops the database. Not allowed in a transaction. */
  readonly drop: (options?: Given<Driver.DropDatabaseOptions>) => Effect.Effect<boolean, OperationError, Client>
}

/**
 * How to run a command that opens a cursor, and how to read the batches after its first one.
 *
 * See the specification "runCommand", section "runCursorCommand".
 *
 * @since 0.1.0
 * @category options
 */
export interface RunCursorCommandOptions extends Given<Driver.RunCursorCommandOptions>, LimitedCursor {
  /** How many documents such a batch has at most. Default: the server's own. */
  readonly batchSize?: number | undefined
  /**
   * How long the server waits for a document of a cursor that waits for data: a time from 1 millisecond to 2147483647, rounded
   * up to whole ones; any other is `MongoError` (`InvalidOptions`). Default: its own, a second.
   */
  readonly maxAwaitTime?: Duration.DurationInput | undefined
  /** A comment for the server's log. Default: none. */
  readonly comment?: unknown
}

/**
 * Whose database it is, and how it is read and written by default.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options<Client = MongoClient> extends Collection.Concerns, ClientOption<Client> {}

/**
 * A database of that name; without a name, the client's own. Nothing is sent, and the database need not exist.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Database } from "effect-mongo-session"
 *
 * const shop = Database.make("shop", { readConcern: "majority" })
 * const Users = shop.collection("users")
 *
 * export const program = Effect.zip(shop.command({ dbStats: 1 }), Users.countDocuments())
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <Client = MongoClient>(name?: string, options?: Options<Client>): Database<AsGiven<Client>> => {
  const target: Target<Client> = { ...readable(options), database: name }
  const run = <O extends object, X>(
    request: Request,
    evaluate: (db: Driver.Db, options: O) => PromiseLike<X>,
    send: typeof operation = operation
  ) => {
    const options = readable(request.options)
    return send(target, { ...request, options }, (db, added) =>
      evaluate(db, {
        // In a transaction its own are in force.
        ...(added.session?.inTransaction() === true
          ? {}
          : request.kind === "write"
          ? concernOf(target)
          : preferenceOf(target)),
        ...withoutOwn<O>(options),
        ...(request.kind === "write" && asDocuments),
        ...added
      }))
  }
  const whole = (operation: string, kind: "read" | "write", options: object | undefined): Request => ({
    name: operation,
    kind,
    options,
    inTransaction: false
  })
  return {
    name,
    collection: (collection: string, own?: Collection.Concerns) =>
      Collection.make<Client>(collection, over(target, own)),
    command: (command, options) => {
      const given = readable(options)
      return runCommand(
        target,
        commanding("command", command, given),
        (db, added) => db.command(copied(command, added), { ...withoutOwn<Driver.RunCommandOptions>(given), ...added })
      )
    },
    runCursorCommand: (command, options) => {
      const { batchSize, comment, maxAwaitTime: wait, ...given } = readable<RunCursorCommandOptions>(options) ?? {}
      const decoded = misconfiguredBy(decodeAwaiting({ maxAwaitTime: wait }), "runCursorCommand")
      if (Either.isLeft(decoded)) return Stream.fail(decoded.left)
      const { maxAwaitTime } = decoded.right
      return batches(
        target,
        commanding("runCursorCommand", command, { ...given, comment, maxAwaitTime }),
        (db, added) => {
          const cursor = db.runCursorCommand(copied(command, added), {
            ...withoutOwn<Driver.RunCursorCommandOptions>(given),
            ...added
          })
          if (batchSize !== undefined) cursor.setBatchSize(batchSize)
          if (comment !== undefined) cursor.setComment(comment)
          if (maxAwaitTime !== undefined) cursor.setMaxTimeMS(Duration.toMillis(maxAwaitTime))
          return cursor
        }
      )
    },
    createCollection: (collection, options) => {
      const given = readable(options)
      const name = given?.viewOn === undefined ? "createCollection" : "createView"
      const problem = given?.pipeline === undefined ? undefined : problemOfPipeline(given.pipeline)
      if (problem !== undefined) return refuse(target, name, problem)
      return Effect.asVoid(
        run(
          {
            name,
            collection,
            kind: "write",
            inTransaction: true,
            takesSignal: false,
            options: given
          },
          // The driver would make it a field of the command.
          (db, { socketTimeoutMS: _, ...driver }: Driver.CreateCollectionOptions & Pick<Added, "socketTimeoutMS">) =>
            db.createCollection(collection, driver),
          // Without it, the client's would count.
          runCommand
        )
      )
    },
    listCollections: (filter: Driver.Document = {}, options?: Given<Driver.ListCollectionsOptions> & LimitedCursor) => {
      const given = readable(options)
      return batches(
        target,
        { ...whole("listCollections", "read", given), values: [filter] },
        (db, added) =>
          db.listCollections<Driver.CollectionInfo>(filter, {
            ...preferenceOf(target),
            ...withoutOwn<Driver.ListCollectionsOptions>(given),
            ...added
          })
      )
    },
    aggregate: aggregate(target),
    watch: (pipeline, given) => ChangeStream.watch(target, raw, pipeline, given),
    stats: (given) => run(whole("stats", "read", given), (db, driver: Driver.DbStatsOptions) => db.stats(driver)),
    drop: (given) =>
      run(whole("dropDatabase", "write", given), (db, driver: Driver.DropDatabaseOptions) => db.dropDatabase(driver))
  }
}

const decodeAwaiting = decoder(Schema.Struct({ maxAwaitTime: Schema.optional(duration(serverLimit)) }), () => [])

// The concerns of a command are in the command, and its time limit is.
const commanding = (name: string, command: Driver.Document, options: object | undefined): Request => {
  const fields = tried((): Driver.Document | undefined => isDocument(command) ? { ...command } : undefined)
  if (fields === undefined) {
    return { name, kind: "read", options: wrong({ ...options }, "A command is an object, like `{ ping: 1 }`.") }
  }
  const { maxTimeMS, pipeline, readConcern, writeConcern } = fields
  return {
    name,
    kind: "read",
    inTransaction: isAllowedCommand(fields),
    command,
    encodedBy: "operation",
    options: readable({ ...options, readConcern, writeConcern, maxTimeMS }),
    pipeline: Array.isArray(pipeline) ? pipeline : undefined
  }
}
