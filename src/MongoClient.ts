/**
 * A MongoDB client as a scoped resource: connected when it is acquired, and closed, after its sessions, when its scope
 * closes. And what is done with all of a deployment: see {@link bulkWrite}, {@link listDatabases} and {@link watch}.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type * as Driver from "mongodb"
import * as ChangeStream from "./ChangeStream.js"
import { raw } from "./Codec.js"
import * as Bulk from "./internal/data/bulk.js"
import { operation, place } from "./internal/data/operation.js"
import { type Given, readable, withoutOwn } from "./internal/data/options.js"
import { refuse } from "./internal/data/target.js"
import * as Compatibility from "./internal/driver/compatibility.js"
import { asDocuments } from "./internal/driver/readOptions.js"
import { writtenIn } from "./internal/driver/written.js"
import { type AsGiven, type ClientOption, MongoClient, type Service } from "./internal/session/client.js"
import { decode, decodeOwn, ensureMonitored } from "./internal/session/clientSettings.js"
import { own, theirs } from "./internal/session/serve.js"
import { tried } from "./internal/values/fault.js"
import type { MongoError } from "./MongoError.js"
import type { OperationError, WatchError } from "./SessionErrors.js"
import type * as SessionKeeper from "./SessionKeeper.js"
import type * as TransactionOptions from "./TransactionOptions.js"

export {
  /**
   * The client that an option names; the program's if it names none.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import { MongoClient } from "effect-mongo-session"
   *
   * export const appName = Effect.map(MongoClient.clientOf(), ({ driver }) => driver.options.appName)
   * ```
   *
   * @since 0.1.0
   * @category accessors
   */
  clientOf,
  /**
   * The client of the program. Further clients get a tag of their own, by {@link Tag}.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import { MongoClient } from "effect-mongo-session"
   *
   * // The driver's own client.
   * export const close = Effect.flatMap(MongoClient.MongoClient, ({ driver }) => Effect.promise(() => driver.close()))
   * ```
   *
   * @since 0.1.0
   * @category tags
   */
  MongoClient
} from "./internal/session/client.js"
export type {
  /** Which client is meant, in a program that has several. @since 0.1.0 @category options */
  ClientOption,
  /** A connected client. @since 0.1.0 @category models */
  Service
} from "./internal/session/client.js"

/**
 * The options that a client has, whoever connects it.
 *
 * @since 0.1.0
 * @category options
 */
export interface CommonOptions {
  /** The database that data access uses when it names none. Default: the driver's, from the URL, else `test`. */
  readonly database?: string | undefined
  /** When idle sessions are refreshed, or `false` for never. Default: see `SessionKeeper.Options`. */
  readonly keepAlive?: SessionKeeper.Options | false | undefined
  /** How long each step of closing may take. Default: 10 seconds. */
  readonly closeTimeout?: Duration.DurationInput | undefined
  /**
   * How long an interruption or a closing scope waits for an operation that is still in flight. After it, the operation's
   * session refuses every further use. An abort without a `timeout` that was sent waits twice as long for its answer; one that
   * was lost is sent again, for as long as this, and then in the background. Default: 30 seconds.
   */
  readonly settleTimeout?: Duration.DurationInput | undefined
  /**
   * How long an operation may take in all: its turn in the session, the selection of a server, the server's work (its
   * `maxTimeMS`), the answer, and the driver's repetitions. It is also the `timeout` of sessions that have none of their
   * own, and so of their transactions. What takes longer fails with `MongoError` (`TimedOut`), and whether a write
   * happened is not known then.
   *
   * A cursor has it for its whole life, or for each batch (`timeoutMode`). Of a change stream it limits each answer; consumers
   * and relays have no limit from here. Connecting, keep-alive and closing are not limited. A write without a session cannot
   * be called off: only the waiting for it ends, and the server's work.
   * Default: no limit. See the specification "Client Side Operations Timeout".
   */
  readonly timeout?: Duration.DurationInput | undefined
  /**
   * What transactions have where neither they nor their session say otherwise, by `defaultTransactionOptions` or `timeout`.
   * Where the URL has another `readPreference`, set `"primary"` here: MongoDB allows no other to reads in a transaction.
   * Default: what the URL says, else what the server does by itself.
   */
  readonly transactions?: TransactionOptions.TransactionOptions | undefined
  /** Spans of the commands that the driver sends, besides those of operations, and what the server is told. Default: none. */
  readonly telemetry?: TelemetryOptions | undefined
  /** What is found out when a transaction loses a conflict. Default: see {@link ConflictOptions}. */
  readonly conflicts?: ConflictOptions | undefined
}

/**
 * What is found out when a transaction loses a conflict.
 *
 * @since 0.1.0
 * @category options
 */
export interface ConflictOptions {
  /**
   * Whether the values are kept by which an operation that has lost had searched: in the error, in its message and in
   * `Transaction.report`. Default: `false`.
   */
  readonly values?: boolean | undefined
  /**
   * Whether the server is asked which other transactions are open (`$currentOp`), once for each transaction that is given up
   * after a conflict, for a second or `settleTimeout` at most. Default: `true`.
   */
  readonly server?: boolean | undefined
}

/**
 * Which spans the commands of a client have, and what the server is told of spans.
 *
 * See MongoDB's specification "OpenTelemetry".
 *
 * @since 0.1.0
 * @category options
 */
export interface TelemetryOptions {
  /**
   * Whether each command that the driver sends for an operation has a span, below that of the operation. The driver then
   * makes events of its commands (`monitorCommands`), with or without a tracer, and Node.js hands a context on along all
   * promises as soon as there is a tracer. Default: `false`.
   */
  readonly commands?: boolean | undefined
  /**
   * How many characters of a command its span has as `db.query.text`, with documents and filters. Needs `commands`. Default:
   * 0, none.
   */
  readonly queryTextLength?: number | undefined
  /**
   * Whether each operation carries the span of the program that it is in as its `comment`: `{ span, traceparent }`, the
   * span's name and its ids in the form of W3C's "Trace Context". `$currentOp`, the profiler and the server's log show it.
   * It needs no tracer. A `comment` of the operation's own stays. What runs through `Session.use`, and commands of
   * `Database.command`, have none, nor has anything before MongoDB 4.4. Default: `false`.
   */
  readonly comments?: boolean | undefined
}

/**
 * How to connect.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options extends CommonOptions {
  /** The connection string. */
  readonly url: Redacted.Redacted<string>
  /** The driver's own options. Default: none. */
  readonly driver?: Driver.MongoClientOptions | undefined
}

/**
 * A tag of a further client of the program, with its own layers.
 *
 * @since 0.1.0
 * @category models
 */
export interface TagClass<Self, Id extends string> extends Context.TagClass<Self, Id, Service> {
  /** See {@link layer}. */
  readonly layer: (options: Options) => Layer.Layer<Self, MongoError>
  /** See {@link layerConfig}. */
  readonly layerConfig: (
    options: Config.Config.Wrap<Options>
  ) => Layer.Layer<Self, MongoError | ConfigError.ConfigError>
  /** See {@link layerFromDriver}. */
  readonly layerFromDriver: <E, R>(
    acquire: Effect.Effect<Driver.MongoClient, E, R>,
    options?: CommonOptions
  ) => Layer.Layer<Self, E | MongoError, Exclude<R, Scope.Scope>>
}

/**
 * The tag of a further client, for a program that has several: `Session.make` and others take it as their option
 * `client`, and need it in place of {@link MongoClient}.
 *
 * @example
 * ```ts
 * import * as MongoClient from "effect-mongo-session/MongoClient"
 * import * as Session from "effect-mongo-session/Session"
 * import * as Redacted from "effect/Redacted"
 *
 * class Analytics extends MongoClient.Tag("Analytics")<Analytics>() {}
 *
 * export const AnalyticsLive = Analytics.layer({ url: Redacted.make("mongodb://localhost:27017") })
 * export const session = Session.make({ client: Analytics })
 * ```
 *
 * @since 0.1.0
 * @category tags
 */
export const Tag = <const Name extends string>(
  name: Name
) =>
<Self>(): TagClass<Self, `effect-mongo-session/MongoClient/${Name}`> => {
  const tag = Context.Tag(`effect-mongo-session/MongoClient/${name}` as const)<Self, Service>()
  return Object.assign(tag, {
    layer: (options: Options) => Layer.scoped(tag, make(options)),
    layerConfig: (options: Config.Config.Wrap<Options>) => Layer.scoped(tag, makeConfig(options)),
    layerFromDriver: <E, R>(acquire: Effect.Effect<Driver.MongoClient, E, R>, options?: CommonOptions) =>
      Layer.scoped(tag, fromDriver(acquire, options))
  })
}

/**
 * Connects, and closes when the scope closes: first the keep-alive, then what sessions are still open, then the driver's
 * client. Closing is bounded in time; what fails in it is logged.
 *
 * Connecting may be interrupted at any time; the half-open client is then closed in the background. The driver keeps a
 * socket to a host that accepted and is silent until its `connectTimeoutMS` is over (30 seconds by default).
 *
 * Fails with `MongoError`: `InvalidUrl`, `InvalidArgument` or `InvalidOptions` before any IO (what is wrong with this
 * library's own options, misspelled ones too, is all in its message and in the `issues` of its cause),
 * `AuthenticationFailed`, `Incompatible` (also before any IO, when the driver lacks something of its own that this library
 * uses: the message names it, and the driver's version), or `ServerSelectionFailed` when no server answers within the
 * driver's `serverSelectionTimeoutMS` (30 seconds by default).
 *
 * @example
 * ```ts
 * import { Effect, Redacted } from "effect"
 * import { Collection, MongoClient } from "effect-mongo-session"
 *
 * const Users = Collection.make("users")
 *
 * export const program = Effect.scoped(Effect.gen(function*() {
 *   const client = yield* MongoClient.make({ url: Redacted.make("mongodb://localhost:27017/shop") })
 *   return yield* Effect.provideService(Users.countDocuments(), MongoClient.MongoClient, client)
 * }))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<Service, MongoError, Scope.Scope> =>
  Effect.flatMap(decode(options), own)

/**
 * {@link make} with its options from `Config`.
 *
 * @example
 * ```ts
 * import { Config } from "effect"
 * import { MongoClient } from "effect-mongo-session"
 *
 * export const client = MongoClient.makeConfig({ url: Config.redacted("MONGO_URL"), database: Config.string("MONGO_DB") })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeConfig = (
  options: Config.Config.Wrap<Options>
): Effect.Effect<Service, MongoError | ConfigError.ConfigError, Scope.Scope> =>
  Effect.suspend(() => {
    const config = tried(() => Config.unwrap(options))
    // What cannot be read as options is none.
    return config === undefined ? Effect.flatMap(decode(config), own) : Effect.flatMap(config, make)
  })

/**
 * Uses the caller's own client of the driver, given as the effect that acquires it: whoever made the client closes it.
 * This library's sessions on it are ended when the scope closes.
 *
 * Fails with `MongoError` as {@link make} does before any IO: `InvalidOptions`, or `Incompatible` with the driver.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { MongoClient } from "effect-mongo-session"
 * import { MongoClient as Driver } from "mongodb"
 *
 * // Whoever has made it closes it.
 * export const around = (driver: Driver) => MongoClient.fromDriver(Effect.succeed(driver), { timeout: "5 seconds" })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromDriver = <E, R>(
  acquire: Effect.Effect<Driver.MongoClient, E, R>,
  options: CommonOptions = {}
): Effect.Effect<Service, E | MongoError, R | Scope.Scope> =>
  Effect.flatMap(
    decodeOwn(options),
    (settings) =>
      acquire.pipe(
        Effect.tap(Compatibility.check),
        Effect.tap((driver) => ensureMonitored(driver, settings)),
        Effect.flatMap((driver) => theirs(driver, settings))
      )
  )

/**
 * {@link make} as a layer.
 *
 * @example
 * ```ts
 * import { Effect, Redacted } from "effect"
 * import { Collection, MongoClient } from "effect-mongo-session"
 *
 * const MongoLive = MongoClient.layer({ url: Redacted.make("mongodb://localhost:27017/shop"), timeout: "5 seconds" })
 *
 * export const program = Effect.provide(Collection.make("users").countDocuments(), MongoLive)
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<MongoClient, MongoError> =>
  Layer.scoped(MongoClient, make(options))

/**
 * {@link makeConfig} as a layer.
 *
 * @example
 * ```ts
 * import { Config } from "effect"
 * import { MongoClient } from "effect-mongo-session"
 *
 * export const MongoLive = MongoClient.layerConfig({ url: Config.redacted("MONGO_URL") })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Config.Wrap<Options>
): Layer.Layer<MongoClient, MongoError | ConfigError.ConfigError> => Layer.scoped(MongoClient, makeConfig(options))

/**
 * {@link fromDriver} as a layer.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { MongoClient } from "effect-mongo-session"
 * import { MongoClient as Driver } from "mongodb"
 *
 * export const MongoLive = MongoClient.layerFromDriver(
 *   Effect.acquireRelease(
 *     Effect.promise(() => new Driver("mongodb://localhost:27017").connect()),
 *     (driver) => Effect.promise(() => driver.close())
 *   )
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerFromDriver = <E, R>(
  acquire: Effect.Effect<Driver.MongoClient, E, R>,
  options?: CommonOptions
): Layer.Layer<MongoClient, E | MongoError, Exclude<R, Scope.Scope>> =>
  Layer.scoped(MongoClient, fromDriver(acquire, options))

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
 * transaction, if there are any. Of documents, fields that are undefined are left out; in filters and updates they are
 * refused, as `MongoError` (`EncodingFailed`). Needs MongoDB 8.0.
 *
 * Of a bulk of which a write fails, and the write concern, too, the driver tells the write concern alone: after
 * `WriteConcernFailed`, compare the counts in `details`.
 *
 * See the manual, "bulkWrite".
 *
 * @example
 * ```ts
 * import { MongoClient } from "effect-mongo-session"
 *
 * export const program = MongoClient.bulkWrite([
 *   { namespace: "shop.orders", name: "insertOne", document: { _id: 1, sku: "tea" } },
 *   { namespace: "shop.stock", name: "updateOne", filter: { _id: "tea" }, update: { $inc: { left: -1 } } }
 * ])
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const bulkWrite = <Client = MongoClient>(
  models: ReadonlyArray<BulkWriteModel>,
  given?: BulkWriteOptions<Client>
): Effect.Effect<Driver.ClientBulkWriteResult, OperationError, AsGiven<Client>> => {
  const { client, ...options }: BulkWriteOptions<Client> = readable(given) ?? {}
  const writes = Bulk.writesIn(models, Bulk.isPlaced)
  if (writes === undefined) return refuse({ client, database: "admin" }, "bulkWrite", Bulk.placed)
  return Effect.flatMap(
    Effect.forEach(writes, Bulk.copied),
    (copies) => {
      const given = copies.map(({ document }) => document)
      const named = given.map((model): Bulk.Named => [model.name, model])
      return Effect.flatMap(
        place({ client, database: "admin" }, {
          name: "bulkWrite",
          kind: "write",
          inTransaction: true,
          options,
          parts: given.map(Bulk.partOf),
          filters: named.map(Bulk.filterOf),
          updates: named.flatMap(Bulk.updateOf),
          bytes: Bulk.bytesOf(copies),
          encodedBy: "none",
          writtenIn
        }),
        ({ client: { driver }, run }) =>
          run((added) =>
            driver.bulkWrite(given as ReadonlyArray<Driver.ClientBulkWriteModel>, {
              ...withoutOwn<Driver.ClientBulkWriteOptions>(options),
              ...added,
              ...asDocuments,
              // The driver takes each write for failed whose answer has no plain number.
              promoteValues: true
            })
          )
      )
    }
  )
}

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
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { MongoClient } from "effect-mongo-session"
 *
 * export const names = Effect.map(
 *   MongoClient.listDatabases({ nameOnly: true }),
 *   ({ databases }) => databases.map(({ name }) => name)
 * )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const listDatabases = <Client = MongoClient>(
  given?: ListDatabasesOptions<Client>
): Effect.Effect<Driver.ListDatabasesResult, OperationError, AsGiven<Client>> => {
  const { client, ...options }: ListDatabasesOptions<Client> = readable(given) ?? {}
  return operation(
    { client, database: "admin" },
    { name: "listDatabases", kind: "read", inTransaction: false, options },
    (db, added) => db.admin().listDatabases({ ...withoutOwn<Driver.ListDatabasesOptions>(options), ...added })
  )
}

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
 * @example
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { MongoClient } from "effect-mongo-session"
 *
 * export const drops = MongoClient.watch([{ $match: { operationType: "drop" } }]).pipe(
 *   Stream.runForEach((event) => Effect.log(event._tag))
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const watch = <Client = MongoClient>(
  pipeline?: ReadonlyArray<Driver.Document>,
  given?: WatchOptions<Client>
): ChangeStream.ChangeStream<Driver.Document, WatchError, AsGiven<Client>> => {
  const { client, ...options }: WatchOptions<Client> = readable(given) ?? {}
  return ChangeStream.watch({ client }, raw, pipeline, options)
}
