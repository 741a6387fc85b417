/**
 * A MongoDB client as a scoped resource: connected when it is acquired, and closed, after its sessions, when its scope
 * closes.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { constTrue } from "effect/Function"
import * as Inspectable from "effect/Inspectable"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type * as Driver from "mongodb"
import type { MongoError } from "../../MongoError.js"
import { SessionId } from "../../SessionId.js"
import * as SessionKeeper from "../../SessionKeeper.js"
import * as Call from "../driver/call.js"
import * as DriverClient from "../driver/client.js"
import * as Command from "../driver/command.js"
import { make as makePool, type Pool } from "../driver/pool.js"
import { type Deployment, type TopologyWatch, watchTopology } from "../driver/topology.js"
import { closingStep, errorName } from "../telemetry/closing.js"
import { watchPools } from "../telemetry/connections.js"
import * as Log from "../telemetry/log.js"
import * as Operations from "../telemetry/operations.js"
import * as Spans from "../telemetry/spans.js"
import type { RunningFiber } from "../time/fiber.js"
import { decode, type Settings } from "./clientSettings.js"

/**
 * A connected client.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service extends Inspectable.Inspectable {
  /** The driver's client. What runs on it directly is not guarded by this library. */
  readonly driver: Driver.MongoClient
  /** The database that data access uses when it names none; absent: the driver's default, from the URL, else `test`. */
  readonly database: string | undefined
  /** How long the server keeps an idle session; none while unknown, and where the deployment has no sessions. */
  readonly sessionTimeout: Effect.Effect<Option.Option<Duration.Duration>>
  /** What is known of the deployment; asks a server when nothing is known yet. */
  readonly deployment: Effect.Effect<Deployment, MongoError>
  /** How many sessions are open at this moment. */
  readonly openSessions: Effect.Effect<number>
  /** How long an interruption or a closing scope waits for an operation that is still in flight. */
  readonly settleTimeout: Duration.Duration
  /** How long an operation may take; absent: no limit. */
  readonly timeout: Duration.Duration | undefined
  /** How long each step of closing may take. */
  readonly closeTimeout: Duration.Duration
  /** What is known of the deployment at this moment. */
  readonly knownDeployment: () => Option.Option<Deployment>
  /** What `sessionTimeout` gives at this moment. */
  readonly knownTimeout: () => Option.Option<Duration.Duration>
  /** Whether session ids can't be guessed. */
  readonly hasSecureRandom: () => boolean
  /** Whether the client is closed, or about to be. */
  readonly isClosed: () => boolean
  /** Keeps this client's sessions alive, and knows which are open. */
  readonly keeper: SessionKeeper.SessionKeeper
  /** Takes driver sessions from the driver's pool, and gives them back. */
  readonly pool: Pool
  /** The driver's database of this name, or the one that data access uses when it names none. */
  readonly db: (name: string | undefined) => Driver.Db
  /** Who is told of this client's operations. */
  readonly observer: Operations.Observer
  /** Runs a command on the `admin` database without any session. */
  readonly adminCommand: (command: Driver.Document) => Effect.Effect<Driver.Document, MongoError>
}

/**
 * The client of the program. Further clients get a tag of their own, by {@link Tag}.
 *
 * @since 0.1.0
 * @category tags
 */
export class MongoClient extends Context.Tag("effect-mongo-session/MongoClient")<MongoClient, Service>() {}

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
   * session refuses every further use. Default: 30 seconds.
   */
  readonly settleTimeout?: Duration.DurationInput | undefined
  /**
   * How long an operation may take in all: its turn in the session, the selection of a server, the server's work (its
   * `maxTimeMS`), the answer, and the driver's repetitions. It is also the `timeout` of sessions that have none of their
   * own, and so of their transactions. What takes longer fails with `MongoError` (`TimedOut`), and whether a write
   * happened is not known then.
   *
   * Each batch of a cursor is an operation of its own; change streams, connecting, keep-alive and closing are not
   * limited. A write without a session cannot be called off: only the waiting for it ends, and the server's work.
   * Default: no limit. See the specification "Client Side Operations Timeout".
   */
  readonly timeout?: Duration.DurationInput | undefined
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
 * Which client is meant, in a program that has several.
 *
 * @since 0.1.0
 * @category options
 */
export interface ClientOption<Client = MongoClient> {
  /** The tag of the client. Default: `MongoClient.MongoClient`. */
  readonly client?: Context.Tag<Client, Service> | undefined
}

/** A type parameter that is not inferred from where a result goes. Unlike `NoInfer` it leaves no trace in what it becomes. */
export type AsGiven<T> = [T] extends [infer U] ? U : never

/**
 * The client that an option names; the program's if it names none.
 *
 * @since 0.1.0
 * @category accessors
 */
export const clientOf = <Client = MongoClient>(options?: ClientOption<Client>): Effect.Effect<Service, never, Client> =>
  tagOf(options)

/**
 * {@link clientOf} for a fiber that has it.
 *
 * @internal
 */
export const clientAmong = <Client>({ currentContext }: RunningFiber, options: ClientOption<Client>): Service =>
  Context.unsafeGet(currentContext, tagOf(options))

// The default of the type parameter is the default tag's own identifier.
const tagOf = <Client>(options: ClientOption<Client> | undefined): Context.Tag<Client, Service> =>
  options?.client ?? (MongoClient as unknown as Context.Tag<Client, Service>)

/**
 * Connects, and closes when the scope closes: first the keep-alive, then what sessions are still open, then the driver's
 * client. Closing is bounded in time; what fails in it is logged.
 *
 * Connecting may be interrupted at any time; the half-open client is then closed in the background. The driver keeps a
 * socket to a host that accepted and is silent until its `connectTimeoutMS` is over (30 seconds by default).
 *
 * Fails with `MongoError`: `InvalidUrl`, `InvalidArgument` or `InvalidOptions` before any IO (this library's own options,
 * misspelled ones too, are all named in its message and in the `issues` of its cause), `AuthenticationFailed`, `Incompatible`, or `ServerSelectionFailed` when no server answers within the driver's `serverSelectionTimeoutMS`
 * (30 seconds by default).
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<Service, MongoError, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const settings = yield* decode(options, "url")
      const driver = yield* DriverClient.makeClient(options.url, options.driver ?? {})
      yield* watchPools(driver)
      const watch = yield* watchTopology(driver)
      const close = closeDriver(driver, settings.closeTimeout)
      yield* Effect.onError(restore(DriverClient.connect(driver, close)), () => Effect.forkDaemon(close))
      yield* Effect.addFinalizer(() => close)
      return yield* serve(driver, watch, settings)
    })
  )

/**
 * {@link make} with its options from `Config`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeConfig = (
  options: Config.Config.Wrap<Options>
): Effect.Effect<Service, MongoError | ConfigError.ConfigError, Scope.Scope> =>
  Effect.flatMap(Config.unwrap(options), make)

/**
 * Uses the caller's own client of the driver, given as the effect that acquires it: whoever made the client closes it.
 * This library's sessions on it are ended when the scope closes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromDriver = <E, R>(
  acquire: Effect.Effect<Driver.MongoClient, E, R>,
  options: CommonOptions = {}
): Effect.Effect<Service, E | MongoError, R | Scope.Scope> =>
  Effect.gen(function*() {
    const settings = yield* decode(options, "driver")
    const driver = yield* acquire
    return yield* Effect.uninterruptible(
      Effect.flatMap(Effect.zipRight(watchPools(driver), watchTopology(driver)), (watch) =>
        serve(driver, watch, settings))
    )
  })

/**
 * {@link make} as a layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<MongoClient, MongoError> =>
  Layer.scoped(MongoClient, make(options))

/**
 * {@link makeConfig} as a layer.
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
 * @since 0.1.0
 * @category layers
 */
export const layerFromDriver = <E, R>(
  acquire: Effect.Effect<Driver.MongoClient, E, R>,
  options?: CommonOptions
): Layer.Layer<MongoClient, E | MongoError, Exclude<R, Scope.Scope>> =>
  Layer.scoped(MongoClient, fromDriver(acquire, options))

const serve = (
  driver: Driver.MongoClient,
  topology: TopologyWatch,
  settings: Settings
): Effect.Effect<Service, never, Scope.Scope> =>
  Effect.gen(function*() {
    let closed = false
    const observer = Operations.make(topology.server)
    const adminCommand = (command: Driver.Document): Effect.Effect<Driver.Document, MongoError> => {
      const name = Object.keys(command)[0] ?? "command"
      return Operations.operation(observer, { name, database: "admin" }, (observed) =>
        Call.call({
          operation: name,
          namespace: "admin",
          settleTimeout: settings.settleTimeout,
          onUnsettled: Log.unsettled
        }, ({ signal }) => {
          observed.begins(undefined, constTrue)
          return Command.adminCommand(driver, command, signal)
        }))
    }
    const knownTimeout = () => {
      const deployment = topology.known()
      return Option.isSome(deployment) ? deployment.value.sessionTimeout : Option.none()
    }
    const sessionTimeout = Effect.sync(knownTimeout)
    const keeper = SessionKeeper.make(
      (ids) => Effect.asVoid(adminCommand({ refreshSessions: ids })),
      sessionTimeout,
      settings.keepAlive === false ? {} : settings.keepAlive
    )
    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        closed = true
        const members = keeper.members()
        return Effect.zipRight(
          Log.leaked(
            members.filter((member) => member.isOpen()).map(leak)
          ),
          Effect.forEach(members, (member) => member.close, { concurrency: "unbounded", discard: true })
        )
      })
    )
    if (settings.keepAlive !== false) {
      // Forked last, so that its end comes first when the scope closes.
      yield* Effect.forkScoped(Effect.interruptible(Spans.apart(keeper.run)))
    }
    const known = (orElse: Effect.Effect<Deployment, MongoError>) =>
      Effect.suspend(() => Option.match(topology.known(), { onNone: () => orElse, onSome: Effect.succeed }))
    // One at a time, so that many who open a session at once do not all ask.
    const asking = yield* Effect.makeSemaphore(1)
    const ask = DriverClient.connect(driver).pipe(
      Effect.zipRight(adminCommand({ hello: 1 })),
      Effect.map(topology.learn)
    )
    return {
      ...Inspectable.BaseProto,
      // A log or a message must not show the driver's client, which holds the URL.
      toJSON: () => ({ _id: "MongoClient", database: settings.database }),
      driver,
      database: settings.database,
      sessionTimeout,
      knownDeployment: topology.known,
      knownTimeout,
      deployment: known(asking.withPermits(1)(known(ask))),
      openSessions: Effect.sync(() => keeper.members().length),
      settleTimeout: settings.settleTimeout,
      timeout: settings.timeout,
      closeTimeout: settings.closeTimeout,
      hasSecureRandom: DriverClient.secureRandom(),
      isClosed: () => closed,
      keeper,
      pool: makePool(driver),
      db: databases(driver, settings.database),
      observer,
      adminCommand
    }
  })

const leak = (member: SessionKeeper.Member): Log.Leak => {
  const { openedIn } = member
  return {
    id: SessionId.fromBytes(member.lsid().id.buffer).uuid,
    ...(openedIn?._tag === "Span" ? { span: openedIn.name } : {}),
    ...(openedIn === undefined ? {} : { traceId: openedIn.traceId, spanId: openedIn.spanId })
  }
}

// The driver makes a new one each time, which takes as long as an operation's command.
const databases = (driver: Driver.MongoClient, fallback: string | undefined) => {
  const known = new Map<string | undefined, Driver.Db>()
  return (name = fallback): Driver.Db => {
    const db = known.get(name) ?? driver.db(name)
    known.set(name, db)
    return db
  }
}

const closeDriver = (driver: Driver.MongoClient, timeout: Duration.Duration): Effect.Effect<void> =>
  closingStep("client", timeout, Effect.tryPromise(() => driver.close()), errorName)
