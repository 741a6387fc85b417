/**
 * The options of a test server, and their defaults.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { randomUUID } from "node:crypto"
import * as Choice from "./choice.js"
import { temporaryParent } from "./platform.js"
import type * as Progress from "./progress.js"
import { type Credentials, type Tls, type Wanted, WayFailed } from "./way.js"
import type { Kind } from "./ways.js"

/**
 * Options of `make` and `layer`. A way that cannot give what is asked for counts as failed.
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

/** What is asked for, with every default filled in. */
export const wantedOf = (options: Options, progress: Progress.Progress): Effect.Effect<Wanted, WayFailed> =>
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
