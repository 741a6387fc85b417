/**
 * A MongoDB server for tests and examples: the one that `MONGODB_URI` names, a mongod on this machine, a mongod that
 * is downloaded, or SecantusDB from the Python Package Index, whichever can be had first.
 *
 * It starts and stops with its scope. Nothing is left behind when the scope closes, when starting is interrupted, or
 * when this process dies, be it by Ctrl-C or by `kill -9`: the server runs below a small process that ends it and
 * removes its folder as soon as its standard input is closed.
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
import type * as Scope from "effect/Scope"
import { randomUUID } from "node:crypto"
import { cacheFolder, choose } from "./internal/choice.js"
import type { Chosen } from "./internal/choice.js"
import { live } from "./internal/live.js"
import * as Mongod from "./internal/mongod.js"
import * as Probe from "./internal/probe.js"
import * as Progress from "./internal/progress.js"
import * as Secantus from "./internal/secantus.js"
import type { Wanted } from "./internal/way.js"
import { undoneOnFailure, WayFailed, withUser } from "./internal/way.js"

/**
 * The ways to get a server, in the order in which they are tried.
 *
 * - `uri`: the server that the environment variable `MONGODB_URI` names
 * - `mongod`: the mongod on the `PATH`, or the one that `MONGOMS_SYSTEM_BINARY` names
 * - `download`: the mongod that the package `mongodb-memory-server-core` downloads
 * - `secantus`: SecantusDB, which needs Python 3.10 or newer
 *
 * @since 0.1.0
 * @category models
 */
export type Kind = "uri" | "mongod" | "download" | "secantus"

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
 * What a server can do, so that a test that needs more is skipped with a reason.
 *
 * `transactions` and `failCommand` are asked of the server. The others follow from what it is: SecantusDB lacks them
 * (which a test of this library verifies), a mongod from 5.0 on has them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Features {
  /** Transactions over several documents: it is a replica set or a sharded cluster. */
  readonly transactions: boolean
  /** Change streams. */
  readonly changeStreams: boolean
  /** The fail point `failCommand`: test commands are enabled, and the user may use them. */
  readonly failCommand: boolean
  /** The stages `$listSessions` and `$listLocalSessions` list sessions. */
  readonly listSessions: boolean
  /** `killSessions` kills the sessions' cursors. */
  readonly killSessionsKillsCursors: boolean
  /** Reads of one snapshot session outside of transactions all see the same moment. */
  readonly pinnedSnapshotReads: boolean
  /** `refreshSessions` refuses what is not a list of session ids, and more than 10,000 of them. */
  readonly validatesRefreshSessions: boolean
  /** The option `parameters` works, so that `localLogicalSessionTimeoutMinutes` can be set. */
  readonly settableSessionTimeout: boolean
  /** `$currentOp` shows open transactions. */
  readonly currentOpTransactions: boolean
}

/**
 * A running server.
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
  /** The way by which it was got. */
  readonly kind: Kind
  /** The version of MongoDB that it is, or is compatible with, e.g. `8.2.11`. */
  readonly version: string
  /** What it is, for people: e.g. `SecantusDB 0.7.0b3 (compatible with MongoDB 8.2.11)`. */
  readonly description: string
  /** What it can do. */
  readonly features: Features
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
  /** Access control with this user; `true` chooses a name and a password. Default `false`. */
  readonly auth?: boolean | Credentials | undefined
  /** The port on 127.0.0.1. Default: a free one. */
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
  /** Gets each line that says what is being done. Default: they are written to the standard error. */
  readonly onProgress?: ((line: string) => Effect.Effect<void>) | undefined
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
 * There is no server to be had. The message lists each way that was tried, why it failed and how to fix it.
 *
 * @since 0.1.0
 * @category errors
 */
export class MongoServerUnavailable extends Data.TaggedError("MongoServerUnavailable")<{
  readonly attempts: ReadonlyArray<Attempt>
}> {
  override get message(): string {
    return ["no MongoDB server is to be had", ...this.attempts.flatMap(linesOf)].join("\n")
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
    const settings = yield* readSettings(options).pipe(
      Effect.mapError((failed) => new MongoServerUnavailable({ attempts: [toAttempt("settings")(failed)] }))
    )
    const attempts: Array<Attempt> = []
    for (const way of settings.ways) {
      const result = yield* Effect.either(take(way, settings))
      if (Either.isRight(result)) {
        yield* settings.wanted.progress.say(`test server: ${result.right.description}`)
        return result.right
      }
      attempts.push(toAttempt(way)(result.left))
      // whoever named a server should not find another one used without a word
      if (way === "uri" && Option.isSome(settings.uri)) {
        yield* settings.wanted.progress.say(`${names.uri} is not used: ${result.left.reason}`)
      }
    }
    return yield* new MongoServerUnavailable({ attempts })
  }))

/**
 * The server as a layer. One for all tests of a file: `it.layer(MongoServer.layer())("...", (it) => { ... })`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<MongoServer, MongoServerUnavailable> =>
  Layer.scoped(MongoServer, make(options))

interface Settings extends Chosen<Kind> {
  readonly wanted: Wanted
}

const kinds: ReadonlyArray<Kind> = ["uri", "mongod", "download", "secantus"]

const names: Readonly<Record<Attempt["way"], string>> = {
  uri: "the server that MONGODB_URI names",
  mongod: "a mongod on this machine",
  download: "a downloaded mongod",
  secantus: "SecantusDB from the Python Package Index",
  settings: "settings"
}

const readSettings = (options: Options): Effect.Effect<Settings, WayFailed> =>
  Effect.gen(function*() {
    const cache = yield* cacheFolder(Option.fromNullable(options.cacheFolder))
    return {
      ...yield* choose(kinds, options.which ?? "auto"),
      wanted: {
        credentials: credentialsOf(options.auth),
        port: Option.fromNullable(options.port),
        storagePath: Option.fromNullable(options.storagePath),
        standalone: options.standalone ?? false,
        parameters: options.parameters ?? {},
        startTimeout: options.startTimeout ?? "1 minute",
        cache,
        progress: options.onProgress === undefined ? Progress.toStderr : Progress.toFunction(options.onProgress)
      }
    }
  })

const credentialsOf = (auth: Options["auth"]): Option.Option<Credentials> => {
  if (auth === undefined || auth === false) return Option.none()
  return Option.some(auth === true ? { username: "tester", password: randomUUID() } : auth)
}

const take = (way: Kind, settings: Settings): Effect.Effect<Service, WayFailed, Scope.Scope> => {
  switch (way) {
    case "uri":
      return connectToUri(settings)
    case "mongod":
      return started(way, settings.wanted, Mongod.startInstalled(settings.wanted))
    case "download":
      return started(way, settings.wanted, Mongod.startDownloaded(settings.wanted, settings.isForced))
    case "secantus":
      return started(way, settings.wanted, Secantus.start(settings.wanted))
  }
}

const started = (kind: Kind, wanted: Wanted, start: Effect.Effect<string, WayFailed, Scope.Scope>) =>
  undoneOnFailure(Effect.flatMap(start, (url) => describe(kind, withUser(url, wanted.credentials), wanted)))

const connectToUri = ({ uri, wanted }: Settings): Effect.Effect<Service, WayFailed> => {
  if (Option.isNone(uri)) {
    return new WayFailed({ reason: "MONGODB_URI is not set", fix: "set it to use a server that runs already" })
  }
  const isPlain = Option.isNone(wanted.port) && Option.isNone(wanted.storagePath) &&
    Option.isNone(wanted.credentials) && !wanted.standalone && Object.keys(wanted.parameters).length === 0
  return isPlain ?
    wanted.progress.during(`connecting to ${names.uri}`, () => describe("uri", uri.value, wanted)) :
    new WayFailed({
      reason: "a server that runs already cannot be given users, a port, data or parameters",
      fix: "leave out the options `auth`, `port`, `storagePath`, `standalone` and `parameters`"
    })
}

const describe = (kind: Kind, url: string, wanted: Wanted): Effect.Effect<Service, WayFailed> =>
  Effect.map(Probe.ask(url, wanted.startTimeout), (answers) => ({
    url,
    urlAs: (credentials) => withUser(url, credentials),
    kind,
    version: answers.version,
    description: answers.secantus === undefined
      ? `MongoDB ${answers.version}`
      : `SecantusDB ${answers.secantus} (compatible with MongoDB ${answers.version})`,
    features: featuresOf(kind, answers)
  }))

const featuresOf = (kind: Kind, answers: Probe.Answers): Features => {
  const isMongod = answers.secantus === undefined
  return {
    transactions: answers.isReplicaSet || answers.isSharded,
    changeStreams: answers.isReplicaSet || answers.isSharded,
    failCommand: answers.hasFailPoints,
    listSessions: isMongod,
    killSessionsKillsCursors: isMongod,
    pinnedSnapshotReads: isMongod && (answers.isReplicaSet || answers.isSharded),
    validatesRefreshSessions: isMongod,
    settableSessionTimeout: kind === "mongod" || kind === "download",
    currentOpTransactions: isMongod && (answers.isReplicaSet || answers.isSharded)
  }
}

const toAttempt = (way: Attempt["way"]) => (failed: WayFailed): Attempt => ({
  way,
  reason: failed.reason,
  fix: failed.fix,
  output: failed.output ?? []
})

const linesOf = (attempt: Attempt): ReadonlyArray<string> => [
  `- ${names[attempt.way]}: ${attempt.reason}`,
  ...attempt.output.slice(-12).map((line) => `    | ${line.slice(0, 300)}`),
  `    to fix it: ${attempt.fix}`
]
