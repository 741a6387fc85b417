/**
 * The server's own session commands, with their replies decoded.
 *
 * A program that uses sessions wants `Session`, whose ids the driver makes up and whose end the driver reports. These
 * commands are for those who look after a server: they act on sessions by their ids, also on those of other programs.
 *
 * Three of MongoDB's commands take an empty array for "all of them". Here an empty list is an empty list, and nothing is
 * sent for it; what means all is called so: {@link killMySessions}, {@link killEverySession}.
 *
 * See MongoDB's manual, "Sessions Commands".
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import * as Lists from "./internal/commands/list.js"
import type { ListOptions, TransactionListOptions } from "./internal/commands/list.js"
import * as Patterns from "./internal/commands/patterns.js"
import type { Pattern, Role, User } from "./internal/commands/patterns.js"
import * as Replies from "./internal/commands/replies.js"
import type { CurrentTransaction, ListedSession, Lsid, StartedSession } from "./internal/commands/replies.js"
import * as Send from "./internal/commands/send.js"
import * as MongoClient from "./internal/session/client.js"
import type { MongoError } from "./MongoError.js"
import type { DecodeFailed, SessionMisconfigured } from "./SessionErrors.js"
import type { SessionId } from "./SessionId.js"

export type {
  /** A transaction that is open on a server. @since 0.1.0 @category models */
  CurrentTransaction,
  /** A session that a server knows. @since 0.1.0 @category models */
  ListedSession,
  /** Whose sessions to list. @since 0.1.0 @category options */
  ListOptions,
  /** An lsid as the server has it. @since 0.1.0 @category models */
  Lsid,
  /** Which sessions to kill: the one of an lsid, or all of one owner. @since 0.1.0 @category models */
  Pattern,
  /** A role, and the database that knows it. @since 0.1.0 @category models */
  Role,
  /** A session that the server has started. @since 0.1.0 @category models */
  StartedSession,
  /** Whose transactions to list. @since 0.1.0 @category options */
  TransactionListOptions,
  /** A user, and the database that knows it. @since 0.1.0 @category models */
  User
}

/**
 * Starts a session on the server, which chooses its id. Drivers start theirs by themselves, without a command.
 *
 * Fails with `MongoError`, its reason `Unauthorized` where access control is on and nobody is authenticated.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { SessionCommands } from "effect-mongo-session"
 *
 * // The server keeps it for `timeout` when nothing refreshes it.
 * export const program = Effect.flatMap(
 *   SessionCommands.startSession,
 *   ({ id, timeout }) => Effect.log(id.uuid, timeout)
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const startSession: Effect.Effect<StartedSession, MongoError | DecodeFailed, MongoClient.MongoClient> = Effect
  .flatMap(MongoClient.MongoClient, Send.start)

/**
 * {@link startSession} as a resource: the session is ended on the server when the scope closes, within the client's
 * `closeTimeout`. A failure of that is logged, and the server drops the session after its timeout.
 *
 * So it does when starting is interrupted before the server has told the session's id.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { SessionCommands } from "effect-mongo-session"
 *
 * // Ended on the server when the scope closes.
 * export const program = Effect.scoped(Effect.flatMap(SessionCommands.scoped, ({ id }) => Effect.log(id.uuid)))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const scoped: Effect.Effect<
  StartedSession,
  MongoError | DecodeFailed,
  MongoClient.MongoClient | Scope.Scope
> = Effect.uninterruptibleMask((restore) =>
  Effect.flatMap(
    MongoClient.MongoClient,
    (client) => Effect.tap(restore(Send.start(client)), ({ id }) => Effect.addFinalizer(() => Send.release(client, id)))
  )
)

/**
 * Tells the server that these sessions are still in use. One that it does not know it takes up as a new one, so success
 * does not tell that a session had been there.
 *
 * More than 10,000 ids go out in several commands, one after the other; where one fails, the rest are sent nevertheless,
 * and the first failure is told. An empty list sends nothing. What is no id fails with `SessionMisconfigured` before
 * anything is sent, with all issues. The same holds for all commands of this module that take a list.
 *
 * @example
 * ```ts
 * import { SessionCommands, type SessionId } from "effect-mongo-session"
 *
 * export const keep = (ids: ReadonlyArray<SessionId.SessionId>) => SessionCommands.refreshSessions(ids)
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const refreshSessions = <Client = MongoClient.MongoClient>(
  ids: Iterable<SessionId>,
  options?: MongoClient.ClientOption<Client>
): Effect.Effect<void, SessionMisconfigured | MongoError | DecodeFailed, MongoClient.AsGiven<Client>> =>
  Send.sendList("refreshSessions", ids, Patterns.ofId, options)

/**
 * Tells the server that these sessions will not be used again. It closes what they have open at its next refresh of
 * sessions, within 5 minutes; {@link killSessions} does so at once.
 *
 * Never send the id of a driver's session that was given back: the driver's pool lends it to the next user, whose cursors
 * and transactions would be closed. `Session` with `release: "end"` does it right.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { SessionCommands } from "effect-mongo-session"
 *
 * export const program = Effect.flatMap(SessionCommands.startSession, ({ id }) => SessionCommands.endSessions([id]))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const endSessions = <Client = MongoClient.MongoClient>(
  ids: Iterable<SessionId>,
  options?: MongoClient.ClientOption<Client>
): Effect.Effect<void, SessionMisconfigured | MongoError | DecodeFailed, MongoClient.AsGiven<Client>> =>
  Send.sendList("endSessions", ids, Patterns.ofId, options)

/**
 * Kills the running operations, the open cursors and the transactions of these sessions at once. The ids stay usable. All
 * are taken for sessions of the authenticated user; for those of others see {@link killAllSessionsByPattern}.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { SessionCommands, SessionId } from "effect-mongo-session"
 *
 * // The UUID is in the log of the server.
 * export const kill = (uuid: string) =>
 *   Effect.flatMap(SessionId.SessionId.fromString(uuid), (id) => SessionCommands.killSessions([id]))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const killSessions = <Client = MongoClient.MongoClient>(
  ids: Iterable<SessionId>,
  options?: MongoClient.ClientOption<Client>
): Effect.Effect<void, SessionMisconfigured | MongoError | DecodeFailed, MongoClient.AsGiven<Client>> =>
  Send.sendList("killSessions", ids, Patterns.ofId, options)

/**
 * Kills what all sessions of these users have open. Needs the privilege `killAnySession`.
 *
 * @example
 * ```ts
 * import { SessionCommands } from "effect-mongo-session"
 *
 * // All sessions of a job that was removed.
 * export const program = SessionCommands.killAllSessions([{ user: "reports", db: "admin" }])
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const killAllSessions = <Client = MongoClient.MongoClient>(
  users: Iterable<User>,
  options?: MongoClient.ClientOption<Client>
): Effect.Effect<void, SessionMisconfigured | MongoError | DecodeFailed, MongoClient.AsGiven<Client>> =>
  Send.sendList("killAllSessions", users, Patterns.ofUser, options)

/**
 * Kills what the sessions that match one of the patterns have open. Needs the privilege `killAnySession`.
 *
 * Fails with `SessionMisconfigured`, before any IO and with all issues, for a pattern without lsid and uid, which the
 * server would take for all sessions of everybody; for one with both, whose lsid it would ignore; and for ids and digests
 * that are none.
 *
 * @example
 * ```ts
 * import { Effect, Option, Stream } from "effect"
 * import { SessionCommands } from "effect-mongo-session"
 *
 * // The session of the transaction that is open for longest.
 * export const killOldest = SessionCommands.currentTransactions({ allUsers: true }).pipe(
 *   Stream.runHead,
 *   Effect.map(Option.toArray),
 *   Effect.flatMap((found) => SessionCommands.killAllSessionsByPattern(found.map(({ lsid }) => ({ lsid }))))
 * )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const killAllSessionsByPattern = <Client = MongoClient.MongoClient>(
  patterns: Iterable<Pattern>,
  options?: MongoClient.ClientOption<Client>
): Effect.Effect<void, SessionMisconfigured | MongoError | DecodeFailed, MongoClient.AsGiven<Client>> =>
  Send.sendList("killAllSessionsByPattern", patterns, Patterns.ofPattern, options)

/**
 * Kills what all sessions of the authenticated user have open, those of other programs included. Where access control is
 * off, that is everybody's: it does what {@link killEverySession} does.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { SessionCommands } from "effect-mongo-session"
 *
 * // After the tests: what they have left open.
 * export const tidy = Effect.addFinalizer(() => Effect.ignoreLogged(SessionCommands.killMySessions))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const killMySessions: Effect.Effect<void, MongoError | DecodeFailed, MongoClient.MongoClient> = Effect.flatMap(
  MongoClient.MongoClient,
  (client) => Send.send(client, { killSessions: [] }, Replies.acknowledged)
)

/**
 * Kills what all sessions of all users have open on the whole deployment. Needs the privilege `killAnySession`.
 *
 * @example
 * ```ts
 * import { SessionCommands } from "effect-mongo-session"
 *
 * // Of all users, in the whole deployment.
 * export const emergency = SessionCommands.killEverySession
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const killEverySession: Effect.Effect<void, MongoError | DecodeFailed, MongoClient.MongoClient> = Effect.flatMap(
  MongoClient.MongoClient,
  (client) => Send.send(client, { killAllSessions: [] }, Replies.acknowledged)
)

/**
 * The sessions that the deployment knows, from the collection `config.system.sessions`. Servers write theirs there every 5
 * minutes; before that, only {@link listLocalSessions} tells them.
 *
 * The stream is run anew each time, with a chunk for each batch of the server; its cursor is closed when the stream ends
 * or is not read any further. It takes no part in the ambient session. An empty list of users lists nothing.
 *
 * Fails with `SessionMisconfigured` for users that are none, with `MongoError`, its reason `Unauthorized` where a privilege is
 * missing, and with `DecodeFailed` for an entry that is none. See the manual, "$listSessions (aggregation stage)".
 *
 * @example
 * ```ts
 * import { Stream } from "effect"
 * import { SessionCommands } from "effect-mongo-session"
 *
 * export const howMany = Stream.runCount(SessionCommands.listSessions({ allUsers: true }))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const listSessions = <Client = MongoClient.MongoClient>(
  options?: ListOptions<Client>
): Stream.Stream<ListedSession, SessionMisconfigured | MongoError | DecodeFailed, MongoClient.AsGiven<Client>> =>
  Lists.sessions("listSessions", { database: "config", collection: "system.sessions" }, options)

/**
 * The sessions that one server has in its memory: the server that the client's read preference leads to. Otherwise like
 * {@link listSessions}. See the manual, "$listLocalSessions (aggregation stage)".
 *
 * The listing runs in a session of the driver's own, which may be among the entries.
 *
 * @example
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { SessionCommands } from "effect-mongo-session"
 *
 * export const program = Stream.runForEach(
 *   SessionCommands.listLocalSessions(),
 *   ({ lastUse, lsid }) => Effect.log(lsid.id.uuid, lastUse)
 * )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const listLocalSessions = <Client = MongoClient.MongoClient>(
  options?: ListOptions<Client>
): Stream.Stream<ListedSession, SessionMisconfigured | MongoError | DecodeFailed, MongoClient.AsGiven<Client>> =>
  Lists.sessions("listLocalSessions", { database: "admin" }, options)

/**
 * The transactions over several documents that are open on the server that the client's read preference leads to; those of
 * all shards on a sharded cluster. Otherwise like {@link listSessions}. See the manual, "$currentOp (aggregation stage)".
 *
 * @example
 * ```ts
 * import { Duration, Effect, Stream } from "effect"
 * import { SessionCommands } from "effect-mongo-session"
 *
 * export const slow = SessionCommands.currentTransactions().pipe(
 *   Stream.filter(({ timeOpen }) => Duration.greaterThan(timeOpen, "10 seconds")),
 *   Stream.runForEach(({ txnNumber }) => Effect.log("open for long:", txnNumber))
 * )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const currentTransactions = <Client = MongoClient.MongoClient>(
  options?: TransactionListOptions<Client>
): Stream.Stream<CurrentTransaction, MongoError | DecodeFailed, MongoClient.AsGiven<Client>> =>
  Lists.transactions(options)

/**
 * Runs an effect with a further client in the place of the program's: for the commands that take no options.
 *
 * @example
 * ```ts
 * import * as MongoClient from "effect-mongo-session/MongoClient"
 * import * as SessionCommands from "effect-mongo-session/SessionCommands"
 *
 * class Analytics extends MongoClient.Tag("Analytics")<Analytics>() {}
 *
 * export const started = SessionCommands.startSession.pipe(SessionCommands.on(Analytics))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const on = <Client>(client: Context.Tag<Client, MongoClient.Service>) =>
<A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E, Client | Exclude<R, MongoClient.MongoClient>> =>
  Effect.provideServiceEffect(effect, MongoClient.MongoClient, client)
