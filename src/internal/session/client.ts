/**
 * The service of a client, its internal part, and the choice of one client among several.
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Inspectable from "effect/Inspectable"
import type * as Option from "effect/Option"
import type * as Driver from "mongodb"
import type { MongoError } from "../../MongoError.js"
import type { SessionKeeper } from "../../SessionKeeper.js"
import type * as TransactionOptions from "../../TransactionOptions.js"
import type { Pool } from "../driver/pool.js"
import type { Deployment } from "../driver/topology.js"
import type { Lifetime } from "../telemetry/lifetime.js"
import type * as Operations from "../telemetry/operations.js"
import type { RunningFiber } from "../time/fiber.js"

/** The key under which a client keeps what is for this library only. */
export const inner: unique symbol = Symbol.for("effect-mongo-session/MongoClient/Inner")

/** A client, seen from the rest of this library. */
export interface Inner {
  /** What is known of the deployment at this moment. */
  readonly knownDeployment: () => Option.Option<Deployment>
  /** What `sessionTimeout` gives at this moment. */
  readonly knownTimeout: () => Option.Option<Duration.Duration>
  /** Whether session ids can't be guessed. */
  readonly hasSecureRandom: () => boolean
  /** Whether the client is closed, or about to be. */
  readonly isClosed: () => boolean
  /** How many connections broke so far. */
  readonly broken: () => number
  /** Keeps this client's sessions alive, and knows which are open. */
  readonly keeper: SessionKeeper
  /** Takes driver sessions from the driver's pool, and gives them back. */
  readonly pool: Pool
  /** Its sessions of which the server is still to be told something. */
  readonly owed: Set<{ readonly lsid: Driver.ServerSessionId | undefined }>
  /**
   * The driver's database of this name, or the one that data access uses when it names none. What has a time limit of this
   * library's has no `wTimeoutMS` of the client's beside it.
   */
  readonly db: (name: string | undefined, isLimited?: boolean) => Driver.Db
  /** What that database is called. The driver throws where there can be none of the name. */
  readonly databaseName: (name: string | undefined) => string
  /** Who is told of this client's operations. */
  readonly observer: Operations.Observer
  /** What transactions have where neither they nor their session say otherwise. */
  readonly transactions: TransactionOptions.Decoded | undefined
  /** What is found out of conflicts: whether values are kept, and whether the server is asked. */
  readonly conflicts: { readonly values: boolean; readonly server: boolean }
  /** How long a transaction may be open. */
  readonly lifetime: Lifetime
  /** Warns of a `use` that has not passed its session on, once for each name. */
  readonly unused: (operation: string, fiber: RunningFiber) => void
  /** Runs a command on the `admin` database without any session. */
  readonly adminCommand: (command: Driver.Document) => Effect.Effect<Driver.Document, MongoError>
}

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
  /** What the rest of this library needs of the client. Not for use outside of it. */
  readonly [inner]: Inner
}

/**
 * The client of the program. Further clients get a tag of their own, by {@link Tag}.
 *
 * @since 0.1.0
 * @category tags
 */
export class MongoClient extends Context.Tag("effect-mongo-session/MongoClient")<MongoClient, Service>() {}

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

/**
 * A type parameter that is not inferred from where a result goes. Unlike `NoInfer` it leaves no trace in what it becomes. While
 * it is not known, the compiler takes it for a `T`, but no `T` for it.
 */
export type AsGiven<T> = [T] extends [infer U extends T] ? U : never

/**
 * The client that an option names; the program's if it names none.
 *
 * @since 0.1.0
 * @category accessors
 */
export const clientOf = <Client = MongoClient>(
  options?: ClientOption<Client>
): Effect.Effect<Service, never, AsGiven<Client>> =>
  Effect.withFiberRuntime((fiber) => Effect.succeed(clientIn(fiber, options)))

/** The client that an option names, of a fiber that has it. */
export const clientIn = <Client>({ currentContext }: RunningFiber, options?: ClientOption<Client>): Service =>
  Context.unsafeGet(
    currentContext,
    // The default of the type parameter is the default tag's own identifier.
    options?.client ?? (MongoClient as unknown as Context.Tag<Client, Service>)
  )
