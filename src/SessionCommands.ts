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
import * as Schema from "@effect/schema/Schema"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Driver from "mongodb"
import { list, type ListOptions, type TransactionListOptions } from "./internal/commands/list.js"
import * as Patterns from "./internal/commands/patterns.js"
import type { Pattern, Role, User } from "./internal/commands/patterns.js"
import * as Replies from "./internal/commands/replies.js"
import type { CurrentTransaction, ListedSession, Lsid, StartedSession } from "./internal/commands/replies.js"
import * as DriverSession from "./internal/driver/session.js"
import * as MongoClient from "./internal/session/client.js"
import { closingStep } from "./internal/telemetry/closing.js"
import type { MongoError } from "./MongoError.js"
import { DecodeFailed, SessionMisconfigured } from "./SessionErrors.js"
import type { SessionId } from "./SessionId.js"
import * as SessionKeeper from "./SessionKeeper.js"

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
 * @since 0.1.0
 * @category constructors
 */
export const startSession: Effect.Effect<StartedSession, MongoError | DecodeFailed, MongoClient.MongoClient> = Effect
  .flatMap(MongoClient.MongoClient, (client) => start(client))

/**
 * {@link startSession} as a resource: the session is ended on the server when the scope closes, within the client's
 * `closeTimeout`. A failure of that is logged, and the server drops the session after its timeout.
 *
 * So it does when starting is interrupted before the server has told the session's id.
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
    (client) => Effect.tap(restore(start(client)), ({ id }) => Effect.addFinalizer(() => release(client, id)))
  )
)

/**
 * Tells the server that these sessions are still in use. One that it does not know it takes up as a new one, so success
 * does not tell that a session had been there.
 *
 * More than 10,000 ids go out in several commands, one after the other; where one fails, the rest are sent nevertheless,
 * and the first failure is told. An empty list sends nothing. The same holds for all commands of this module that take a
 * list.
 *
 * @since 0.1.0
 * @category combinators
 */
export const refreshSessions = <Client = MongoClient.MongoClient>(
  ids: Iterable<SessionId>,
  options?: MongoClient.ClientOption<Client>
): Effect.Effect<void, MongoError | DecodeFailed, NoInfer<Client>> =>
  sendList("refreshSessions", Array.from(ids, DriverSession.toLsid), options)

/**
 * Tells the server that these sessions will not be used again. It closes what they have open at its next refresh of
 * sessions, within 5 minutes; {@link killSessions} does so at once.
 *
 * Never send the id of a driver's session that was given back: the driver's pool lends it to the next user, whose cursors
 * and transactions would be closed. `Session` with `release: "end"` does it right.
 *
 * @since 0.1.0
 * @category combinators
 */
export const endSessions = <Client = MongoClient.MongoClient>(
  ids: Iterable<SessionId>,
  options?: MongoClient.ClientOption<Client>
): Effect.Effect<void, MongoError | DecodeFailed, NoInfer<Client>> =>
  sendList("endSessions", Array.from(ids, DriverSession.toLsid), options)

/**
 * Kills the running operations, the open cursors and the transactions of these sessions at once. The ids stay usable. All
 * are taken for sessions of the authenticated user; for those of others see {@link killAllSessionsByPattern}.
 *
 * @since 0.1.0
 * @category combinators
 */
export const killSessions = <Client = MongoClient.MongoClient>(
  ids: Iterable<SessionId>,
  options?: MongoClient.ClientOption<Client>
): Effect.Effect<void, MongoError | DecodeFailed, NoInfer<Client>> =>
  sendList("killSessions", Array.from(ids, DriverSession.toLsid), options)

/**
 * Kills what all sessions of these users have open. Needs the privilege `killAnySession`.
 *
 * @since 0.1.0
 * @category combinators
 */
export const killAllSessions = <Client = MongoClient.MongoClient>(
  users: Iterable<User>,
  options?: MongoClient.ClientOption<Client>
): Effect.Effect<void, MongoError | DecodeFailed, NoInfer<Client>> =>
  sendList("killAllSessions", Array.from(users, Patterns.toUser), options)

/**
 * Kills what the sessions that match one of the patterns have open. Needs the privilege `killAnySession`.
 *
 * Fails with `SessionMisconfigured`, before any IO and with all issues, for a pattern without lsid and uid, which the
 * server would take for all sessions of everybody; for one with both, whose lsid it would ignore; and for ids and digests
 * that are none.
 *
 * @since 0.1.0
 * @category combinators
 */
export const killAllSessionsByPattern = <Client = MongoClient.MongoClient>(
  patterns: Iterable<Pattern>,
  options?: MongoClient.ClientOption<Client>
): Effect.Effect<void, SessionMisconfigured | MongoError | DecodeFailed, NoInfer<Client>> => {
  const given = Array.from(patterns)
  const issues = given.flatMap((pattern, index) => Patterns.issuesOf(pattern, String(index)))
  return issues.length === 0
    ? sendList("killAllSessionsByPattern", given.map(Patterns.toDocument), options)
    : Effect.fail(new SessionMisconfigured({ issues }))
}

/**
 * Kills what all sessions of the authenticated user have open, those of other programs included. Where access control is
 * off, that is everybody's: it does what {@link killEverySession} does.
 *
 * @since 0.1.0
 * @category combinators
 */
export const killMySessions: Effect.Effect<void, MongoError | DecodeFailed, MongoClient.MongoClient> = Effect.flatMap(
  MongoClient.MongoClient,
  (client) => send(client, { killSessions: [] }, Replies.acknowledged)
)

/**
 * Kills what all sessions of all users have open on the whole deployment. Needs the privilege `killAnySession`.
 *
 * @since 0.1.0
 * @category combinators
 */
export const killEverySession: Effect.Effect<void, MongoError | DecodeFailed, MongoClient.MongoClient> = Effect.flatMap(
  MongoClient.MongoClient,
  (client) => send(client, { killAllSessions: [] }, Replies.acknowledged)
)

/**
 * The sessions that the deployment knows, from the collection `config.system.sessions`. Servers write theirs there every 5
 * minutes; before that, only {@link listLocalSessions} tells them.
 *
 * The stream is run anew each time, with a chunk for each batch of the server; its cursor is closed when the stream ends
 * or is not read any further. It takes no part in the ambient session. An empty list of users lists nothing.
 *
 * Fails with `MongoError`, its reason `Unauthorized` where a privilege is missing, and `DecodeFailed` for an entry that is
 * none. See the manual, "$listSessions (aggregation stage)".
 *
 * @since 0.1.0
 * @category combinators
 */
export const listSessions = <Client = MongoClient.MongoClient>(
  options?: ListOptions<Client>
): Stream.Stream<ListedSession, MongoError | DecodeFailed, NoInfer<Client>> =>
  sessions("listSessions", { database: "config", collection: "system.sessions" }, options)

/**
 * The sessions that one server has in its memory: the server that the client's read preference leads to. Otherwise like
 * {@link listSessions}. See the manual, "$listLocalSessions (aggregation stage)".
 *
 * The listing runs in a session of the driver's own, which may be among the entries.
 *
 * @since 0.1.0
 * @category combinators
 */
export const listLocalSessions = <Client = MongoClient.MongoClient>(
  options?: ListOptions<Client>
): Stream.Stream<ListedSession, MongoError | DecodeFailed, NoInfer<Client>> =>
  sessions("listLocalSessions", { database: "admin" }, options)

/**
 * The transactions over several documents that are open on the server that the client's read preference leads to; those of
 * all shards on a sharded cluster. Otherwise like {@link listSessions}. See the manual, "$currentOp (aggregation stage)".
 *
 * @since 0.1.0
 * @category combinators
 */
export const currentTransactions = <Client = MongoClient.MongoClient>(
  options?: TransactionListOptions<Client>
): Stream.Stream<CurrentTransaction, MongoError | DecodeFailed, NoInfer<Client>> =>
  Stream.unwrap(Effect.map(MongoClient.clientOf(options), (client) =>
    Stream.map(
      list(client, {
        name: "currentTransactions",
        database: "admin",
        pipeline: [
          { $currentOp: { allUsers: options?.allUsers ?? false, idleSessions: true } },
          // A retryable write has a transaction number as well, but no autocommit.
          { $match: { "transaction.parameters.autocommit": { $exists: true } } }
        ],
        entry: Replies.operation
      }),
      Replies.toCurrentTransaction
    )))

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
): Effect.Effect<A, E, NoInfer<Client> | Exclude<R, MongoClient.MongoClient>> =>
  Effect.provideServiceEffect(effect, MongoClient.MongoClient, client)

const send = <A, I>(
  client: MongoClient.Service,
  command: Driver.Document,
  reply: Schema.Schema<A, I>
): Effect.Effect<A, MongoError | DecodeFailed> =>
  Effect.flatMap(client[MongoClient.inner].adminCommand(command), (document) =>
    Effect.mapError(
      Schema.decodeUnknown(reply)(document),
      (error) => DecodeFailed.fromParseError(`reply of ${Object.keys(command)[0]}`, error)
    ))

// The one way for lists, which an empty one does not get through.
const sendList = <Client>(
  command: string,
  items: ReadonlyArray<Driver.Document>,
  options: MongoClient.ClientOption<Client> | undefined
): Effect.Effect<void, MongoError | DecodeFailed, NoInfer<Client>> =>
  Effect.flatMap(MongoClient.clientOf(options), (client) =>
    Effect.mapError(
      Effect.validateAll(
        SessionKeeper.batches(items),
        (batch) => send(client, { [command]: batch }, Replies.acknowledged),
        { discard: true }
      ),
      ([first]) => first
    ))

const start = (client: MongoClient.Service): Effect.Effect<StartedSession, MongoError | DecodeFailed> =>
  Effect.map(
    send(client, { startSession: 1 }, Replies.started),
    ({ id, timeoutMinutes }) => ({ id: id.id, timeout: timeoutMinutes })
  )

const release = (client: MongoClient.Service, id: SessionId): Effect.Effect<void> =>
  closingStep(
    "session started by command",
    client.closeTimeout,
    send(client, { endSessions: [DriverSession.toLsid(id)] }, Replies.acknowledged),
    (error) => error._tag === "MongoError" ? error.reason : error._tag
  )

const sessions = <Client>(
  name: "listSessions" | "listLocalSessions",
  place: { readonly database: string; readonly collection?: string },
  options: ListOptions<Client> | undefined
): Stream.Stream<ListedSession, MongoError | DecodeFailed, NoInfer<Client>> => {
  const users = options?.users && Array.from(options.users, Patterns.toUser)
  // The server would list one's own for an empty list of users.
  if (users?.length === 0) return Stream.empty
  const whose = users === undefined ? options?.allUsers === true ? { allUsers: true } : {} : { users }
  return Stream.unwrap(Effect.map(MongoClient.clientOf(options), (client) =>
    Stream.map(
      list(client, { name, ...place, pipeline: [{ [`$${name}`]: whose }], entry: Replies.listedSession }),
      Replies.toListedSession
    )))
}
