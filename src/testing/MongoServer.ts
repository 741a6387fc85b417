/**
 * A MongoDB server for tests and examples: the one that `MONGODB_URI` names, a mongod on this machine, a mongod that
 * is downloaded, or the mongod in a wheel of the Python Package Index, whichever is available first.
 *
 * It starts and stops with its scope. Nothing is left behind when the scope closes, when starting is interrupted, or
 * when this process dies, be it by Ctrl-C or by `kill -9`: the servers run below a small process that stops them and
 * removes their folder as soon as its standard input is closed.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { formatIssue } from "../internal/values/issues.js"
import { givenIn, readable } from "../internal/values/options.js"
import * as MongoClient from "../MongoClient.js"
import type { MongoError } from "../MongoError.js"
import type { SessionMisconfigured } from "../SessionErrors.js"
import * as Choice from "./internal/choice.js"
import { live } from "./internal/live.js"
import { type Options, wantedOf } from "./internal/options.js"
import * as Progress from "./internal/progress.js"
import { type Service, serviceOf } from "./internal/service.js"
import type { WayFailed } from "./internal/way.js"
import type { Kind } from "./internal/ways.js"
import * as Ways from "./internal/ways.js"

export type {
  /** Options of {@link make} and {@link layer}. @since 0.1.0 @category options */
  Options
} from "./internal/options.js"
export {
  /**
   * The server that another process has started, from its handle.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import * as MongoServer from "effect-mongo-session/testing/MongoServer"
   *
   * // In a worker, which was given the server that its parent has started.
   * export const inWorker = (handle: MongoServer.Handle) =>
   *   Effect.provideService(MongoServer.MongoServer, MongoServer.MongoServer, MongoServer.fromHandle(handle))
   * ```
   *
   * @since 0.1.0
   * @category constructors
   */
  fromHandle,
  /**
   * Something could not be done to the members of a deployment.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import * as MongoServer from "effect-mongo-session/testing/MongoServer"
   *
   * export const failover = Effect.flatMap(MongoServer.MongoServer, ({ stepDown }) => stepDown).pipe(
   *   Effect.catchTag("MemberFailed", ({ doing, reason }) => Effect.logWarning(doing, reason))
   * )
   * ```
   *
   * @since 0.1.0
   * @category errors
   */
  MemberFailed
} from "./internal/service.js"
export type {
  /** What a server can do. @since 0.1.0 @category models */
  Features,
  /** A server as plain data, which can go to another process. @since 0.1.0 @category models */
  Handle,
  /** A member of a deployment that this library has started. @since 0.1.0 @category models */
  Member,
  /** A running server: a mongod, or a replica set of them. @since 0.1.0 @category models */
  Service
} from "./internal/service.js"
export type {
  /** The user that a server with access control knows. @since 0.1.0 @category models */
  Credentials,
  /** The certificates of a server that talks TLS. @since 0.1.0 @category options */
  Tls
} from "./internal/way.js"
export type {
  /** The ways to get a server, in the order in which they are tried. @since 0.1.0 @category models */
  Kind
} from "./internal/ways.js"

/**
 * The server as a service.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import * as MongoServer from "effect-mongo-session/testing/MongoServer"
 *
 * // What happens to the program when the primary dies.
 * export const killPrimary = Effect.gen(function*() {
 *   const server = yield* MongoServer.MongoServer
 *   const member = yield* server.primary
 *   yield* member.kill
 * })
 * ```
 *
 * @since 0.1.0
 * @category tags
 */
export class MongoServer extends Context.Tag("effect-mongo-session/testing/MongoServer")<MongoServer, Service>() {}

/**
 * Options of {@link layerClient}.
 *
 * @since 0.1.0
 * @category options
 */
export interface ClientOptions extends Options {
  /** The client's own options; the server gives the connection string. */
  readonly client?: Omit<MongoClient.Options, "url"> | undefined
}

/**
 * One way that was tried in vain.
 *
 * @since 0.1.0
 * @category errors
 */
export interface Attempt {
  /** The way, or `settings` if the settings already made no sense. */
  readonly way: Kind | "settings"
  /** Why it failed. */
  readonly reason: string
  /** What to do about it. */
  readonly fix: string
  /** The last lines that the server or the installer printed. */
  readonly output: ReadonlyArray<string>
}

/**
 * No server is available. The message lists each way that was tried, why it failed and how to fix it.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import * as MongoServer from "effect-mongo-session/testing/MongoServer"
 *
 * export const program = MongoServer.make().pipe(
 *   Effect.catchTag("MongoServerUnavailable", ({ attempts }) => Effect.logError(attempts.map(({ fix }) => fix)))
 * )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class MongoServerUnavailable extends Data.TaggedError("MongoServerUnavailable")<{
  readonly attempts: ReadonlyArray<Attempt>
}> {
  override get message(): string {
    return ["no MongoDB server is available", ...this.attempts.flatMap(linesOf)].join("\n")
  }
}

/**
 * Starts a server, or connects to one that runs, and waits until it takes writes. The scope stops what was started.
 *
 * Time is the system's even where a TestClock is installed, since servers do not start in virtual time.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import * as MongoServer from "effect-mongo-session/testing/MongoServer"
 *
 * export const program = Effect.scoped(Effect.flatMap(
 *   MongoServer.make({ members: 3 }),
 *   ({ url, version }) => Effect.log(`MongoDB ${version} at ${url}`)
 * ))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (given?: Options): Effect.Effect<Service, MongoServerUnavailable, Scope.Scope> =>
  live(Effect.gen(function*() {
    const options = (yield* Either.mapLeft(readable(given), notRead)) ?? {}
    const progress = options.onProgress === undefined ? Progress.toStderr : Progress.toFunction(options.onProgress)
    const [chosen, wanted] = yield* Effect.all([
      Choice.choose(Ways.kinds, options.which ?? "auto"),
      wantedOf(options, progress)
    ]).pipe(Effect.mapError((failed) => new MongoServerUnavailable({ attempts: [attemptOf("settings", failed)] })))
    const attempts: Array<Attempt> = []
    for (const way of chosen.ways) {
      const result = yield* Effect.either(Ways.take(way, chosen, wanted))
      if (Either.isRight(result)) {
        const service = serviceOf(result.right)
        yield* progress.say(`test server: ${service.description}`)
        return service
      }
      attempts.push(attemptOf(way, result.left))
      // whoever named a server should not find another one used without a word
      if (way === "uri" && Option.isSome(chosen.uri)) {
        yield* progress.say(`${Ways.names.uri} is not used: ${result.left.reason}`)
      }
    }
    return yield* new MongoServerUnavailable({ attempts })
  }))

/**
 * The server as a layer. One for all tests of a file: `it.layer(MongoServer.layer())("...", (it) => { ... })`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import * as MongoServer from "effect-mongo-session/testing/MongoServer"
 *
 * export const program = Effect.map(MongoServer.MongoServer, ({ features }) => features).pipe(
 *   Effect.provide(MongoServer.layer({ members: 3 }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<MongoServer, MongoServerUnavailable> =>
  Layer.scoped(MongoServer, make(options))

/**
 * The server and a client that is connected to it, in one layer.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Collection } from "effect-mongo-session"
 * import * as MongoServer from "effect-mongo-session/testing/MongoServer"
 *
 * const Users = Collection.make("users")
 *
 * export const program = Users.insertOne({ name: "Ann" }).pipe(
 *   Effect.provide(MongoServer.layerClient({ members: 3, client: { database: "shop" } }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerClient = (
  given?: ClientOptions
): Layer.Layer<MongoServer | MongoClient.MongoClient, MongoServerUnavailable | MongoError> => {
  const read = readable(given)
  const { client, ...options } = givenIn(read)
  return Layer.provideMerge(clientOf(client), layer(Either.isLeft(read) ? given : options))
}

/**
 * A client that is connected to the server in the context.
 *
 * @example
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { Collection } from "effect-mongo-session"
 * import * as MongoServer from "effect-mongo-session/testing/MongoServer"
 *
 * const TestLive = Layer.provideMerge(MongoServer.clientOf({ database: "shop" }), MongoServer.layer())
 *
 * export const test = Effect.provide(Collection.make("users").countDocuments(), TestLive)
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const clientOf = (
  options?: Omit<MongoClient.Options, "url">
): Layer.Layer<MongoClient.MongoClient, MongoError, MongoServer> =>
  Layer.unwrapEffect(
    Effect.map(MongoServer, ({ url }) =>
      Either.match(readable(options), {
        // The client tells what is wrong with them.
        onLeft: () => MongoClient.layer(options as MongoClient.Options),
        onRight: (given) => MongoClient.layer({ ...given, url: Redacted.make(url) })
      }))
  )

const notRead = ({ issues }: SessionMisconfigured): MongoServerUnavailable =>
  new MongoServerUnavailable({
    attempts: [{
      way: "settings",
      reason: `the options: ${issues.map(formatIssue).join("; ")}`,
      fix: "give an object of options, or none",
      output: []
    }]
  })

const attemptOf = (way: Attempt["way"], failed: WayFailed): Attempt => ({
  way,
  reason: failed.reason,
  fix: failed.fix,
  output: failed.output ?? []
})

const linesOf = (attempt: Attempt): ReadonlyArray<string> => [
  `- ${Ways.names[attempt.way]}: ${attempt.reason}`,
  ...attempt.output.slice(-12).map((line) => `    | ${line.slice(0, 300)}`),
  `    to fix it: ${attempt.fix}`
]
