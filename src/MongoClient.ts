/**
 * A MongoDB client as a scoped resource: connected when it is acquired, and closed, after its sessions, when its scope
 * closes. And what is done with all of a deployment: see {@link bulkWrite}, {@link listDatabases} and {@link watch}.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Driver from "mongodb"
import * as ChangeStream from "./ChangeStream.js"
import { raw } from "./Codec.js"
import { type Given, operation, place, withoutOwn } from "./internal/data/operation.js"
import type { ClientOption, MongoClient } from "./internal/session/client.js"

import type { OperationError, WatchError } from "./SessionErrors.js"

export * from "./internal/session/client.js"

/**
 * How to write to many collections at once.
 *
 * @since 0.1.0
 * @category options
 */
export interface BulkWriteOptions<Client = MongoClient>
  extends Given<Driver.ClientBulkWriteOptions>, ClientOption<Client>
{}

/**
 * One write of a bulk to any collection.
 *
 * @since 0.1.0
 * @category models
 */
export type BulkWriteModel = Untyped<Driver.ClientBulkWriteModel>

// The driver's typings would have an ObjectId for every `_id`.
type Untyped<M> = M extends unknown ?
    & Omit<M, "document" | "filter" | "replacement">
    & { readonly [K in keyof M & ("document" | "filter" | "replacement")]: Driver.Document }
  : never

/**
 * Runs writes to any collections of the deployment with as few commands as possible, in the ambient session and its
 * transaction, if there are any. Documents go out as they are. Needs MongoDB 8.0.
 *
 * See the manual, "bulkWrite".
 *
 * @since 0.1.0
 * @category combinators
 */
export const bulkWrite = <Client = MongoClient>(
  models: ReadonlyArray<BulkWriteModel>,
  { client, ...options }: BulkWriteOptions<Client> = {}
): Effect.Effect<Driver.ClientBulkWriteResult, OperationError, Client> =>
  Effect.flatMap(
    place({ client }, { name: "bulkWrite", kind: "write", inTransaction: true, options }),
    ({ client: { driver }, run }) =>
      run((added) =>
        driver.bulkWrite(models.map(copied), { ...withoutOwn<Driver.ClientBulkWriteOptions>(options), ...added })
      )
  )

/**
 * How to list databases.
 *
 * @since 0.1.0
 * @category options
 */
export interface ListDatabasesOptions<Client = MongoClient>
  extends Given<Driver.ListDatabasesOptions>, ClientOption<Client>
{}

/**
 * The databases of the deployment. Not allowed in a transaction.
 *
 * See the manual, "listDatabases".
 *
 * @since 0.1.0
 * @category combinators
 */
export const listDatabases = <Client = MongoClient>(
  { client, ...options }: ListDatabasesOptions<Client> = {}
): Effect.Effect<Driver.ListDatabasesResult, OperationError, Client> =>
  operation(
    { client, database: "admin" },
    { name: "listDatabases", kind: "read", inTransaction: false, options },
    (db, added) => db.admin().listDatabases({ ...withoutOwn<Driver.ListDatabasesOptions>(options), ...added })
  )

/**
 * How to watch a deployment.
 *
 * @since 0.1.0
 * @category options
 */
export interface WatchOptions<Client = MongoClient> extends ChangeStream.Options<"fail">, ClientOption<Client> {}

/**
 * The changes of all collections of the deployment, as they happen. Not allowed in a transaction.
 *
 * @since 0.1.0
 * @category constructors
 */
export const watch = <Client = MongoClient>(
  pipeline?: ReadonlyArray<Driver.Document>,
  { client, ...options }: WatchOptions<Client> = {}
): ChangeStream.ChangeStream<Driver.Document, WatchError, Client> =>
  ChangeStream.watch({ client }, raw, pipeline, options)

// The driver adds an `_id` to what it is given.
const copied = (
  model: BulkWriteModel
): Driver.ClientBulkWriteModel => ("document" in model ? { ...model, document: { ...model.document } } : model)
