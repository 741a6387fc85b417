/**
 * A logical session as a scoped resource: acquiring it starts a session of the driver, releasing it ends it, and its
 * operations run one at a time.
 *
 * @since 0.1.0
 */
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FiberRef from "effect/FiberRef"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type * as Driver from "mongodb"
import { acquire, acquireAs, take, type Taken } from "./internal/session/acquire.js"
import type { AdvanceOptions } from "./internal/session/advance.js"
import * as MongoClient from "./internal/session/client.js"
import { key } from "./internal/session/gate.js"
import type { State } from "./internal/session/open.js"
import { type Service, Session, sessionIn, type UseOptions } from "./internal/session/service.js"
import { inLane, isInSandbox, placeOf, type Transaction } from "./internal/session/turn.js"
import * as Log from "./internal/telemetry/log.js"
import type { RunningFiber } from "./internal/time/fiber.js"
import { type AcquireError, ForeignSession, type UseError } from "./SessionErrors.js"
import * as SessionOptions from "./SessionOptions.js"

export {
  /**
   * The ambient session: the one that the operations of a fiber run in.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import { Session } from "effect-mongo-session"
   *
   * export const idOfSession = Effect.map(Session.Session, ({ id }) => id)
   * ```
   *
   * @since 0.1.0
   * @category tags
   */
  Session
} from "./internal/session/service.js"
export type {
  /** An open session. @since 0.1.0 @category models */
  Service
} from "./internal/session/service.js"
export type {
  /** How a session takes a causal token. @since 0.1.0 @category options */
  AdvanceOptions,
  /** What a session is doing. @since 0.1.0 @category models */
  State,
  /** How errors and logs call an operation. @since 0.1.0 @category options */
  UseOptions
}

/**
 * How to open a session, and on which client.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options<Client = MongoClient.MongoClient>
  extends SessionOptions.SessionOptions, MongoClient.ClientOption<Client>
{}

/**
 * What an effect that must run inside a transaction needs when it is run in another session: a transaction of that one.
 * Nothing provides it, so that such a program does not compile. Run the effect in the session of the transaction, or in a
 * transaction of its own (`Transaction.run`).
 *
 * @since 0.1.0
 * @category models
 */
export interface TransactionOfThatSession {
  readonly TransactionOfThatSession: "the effect needs the transaction of another session than the one it is given"
}

/**
 * What an effect needs when it is run in a session that is given to it.
 *
 * @since 0.1.0
 * @category models
 */
export type InSession<R> =
  | Exclude<R, Session | Transaction>
  | (Transaction extends R ? TransactionOfThatSession : never)

/**
 * Opens a session, and ends it when the scope closes: new uses are refused, the running operation is waited for, an open
 * transaction is aborted, and the server session goes back to the driver's pool, or is ended on the server with
 * `release: "end"`. Use a session within a minute of opening it.
 *
 * Fails, in this order: `SessionMisconfigured` for invalid options, `CryptoUnavailable` where session ids could be
 * guessed, `UnacknowledgedWrite` when the client's write concern is `w: 0`, `MongoError` (`ConnectionClosed`) when the
 * client is closed, all without any IO; `SessionsUnsupported` where the deployment has no sessions, `MongoError` when it
 * can't be asked.
 *
 * See the specification "driver sessions", section "startSession".
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Collection, Session } from "effect-mongo-session"
 *
 * const Users = Collection.make("users")
 *
 * export const program = Effect.scoped(Effect.gen(function*() {
 *   const session = yield* Session.make({ settleTimeout: "5 seconds" })
 *   return yield* Users.findOne({ name: "Ada" }).pipe(Session.provide(session))
 * }))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <Client = MongoClient.MongoClient>(
  options?: Options<Client>
): Effect.Effect<Service, AcquireError, MongoClient.AsGiven<Client> | Scope.Scope> => acquire(options)

/**
 * Shares one session with everything that is built on the layer.
 *
 * A session runs one operation at a time. A layer at the top of an application therefore makes all its requests wait for each
 * other: 20 reads of 50 ms take 75 ms without it and 1,083 ms with it. Open one session for each request or job instead, by
 * {@link scoped} or {@link ensure}. The layer fits a stream, a test, or a part of a program that needs a session in order.
 *
 * Fails with the errors of {@link make}. See `docs/sessions.md`, section "One session for each request".
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Collection, Session } from "effect-mongo-session"
 *
 * const Users = Collection.make("users")
 *
 * // One job: both operations are in one session, which ends with the job.
 * export const job = Users.insertOne({ name: "Ada" }).pipe(
 *   Effect.zipRight(Users.countDocuments({})),
 *   Effect.provide(Session.layer())
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <Client = MongoClient.MongoClient>(
  options?: Options<Client>
): Layer.Layer<Session, AcquireError, MongoClient.AsGiven<Client>> => Layer.scoped(Session, make(options))

/**
 * Opens a session around an effect and makes it the ambient one, even if there is one already. {@link ensure} uses the
 * existing one.
 *
 * Inside a transaction the effect is outside of it, which is logged as a warning where the client is the same; an effect that
 * needs the transaction does not type-check. In a sandbox, it stays in the sandbox.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Collection, Session } from "effect-mongo-session"
 *
 * const Users = Collection.make("users")
 *
 * // One session for one request: what it reads includes what it has written.
 * export const request = Effect.zipRight(Users.insertOne({ name: "Ada" }), Users.countDocuments({})).pipe(
 *   Session.scoped({ timeout: "5 seconds" })
 * )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
// Of four forms that a call does not fit the compiler tells what is wrong with the last only, and of fewer it tells of
// all, at the call.
export const scoped: {
  <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    options?: Options
  ): Effect.Effect<A, E | AcquireError, MongoClient.MongoClient | InSession<R>>
  <A, E, R, Client = MongoClient.MongoClient>(
    effect: Effect.Effect<A, E, R>,
    options?: Options<Client>
  ): Effect.Effect<A, E | AcquireError, MongoClient.AsGiven<Client> | InSession<R>>
  (options?: Options): <A, E, R>(
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | AcquireError, MongoClient.MongoClient | InSession<R>>
  <Client = MongoClient.MongoClient>(
    options?: Options<Client>
  ): <A, E, R>(
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | AcquireError, MongoClient.AsGiven<Client> | InSession<R>>
} = dual(
  (args) => Effect.isEffect(args[0]),
  <A, E, R, Client = MongoClient.MongoClient>(
    effect: Effect.Effect<A, E, R>,
    options?: Options<Client>
  ): Effect.Effect<A, E | AcquireError, Client | InSession<R>> =>
    Effect.withFiberRuntime((fiber) => {
      const taken = take(options)
      if (Either.isLeft(taken)) return taken.left
      const opened = withOpened(taken.right, (session) => provide(effect, session))
      const leaves = leavesTransaction(fiber, MongoClient.clientIn(fiber, taken.right))
      return leaves ? Effect.zipRight(Log.leftTransaction("Session.scoped"), opened) : opened
    })
)

/**
 * Runs an effect in the ambient session, and opens one around it where there is none: for the methods of services, which
 * run by themselves, and join the session and the transaction of whoever calls them.
 *
 * Fails with `ForeignSession` when the ambient session belongs to another client, and as {@link make} does where it opens
 * one. The options are those of a session that it opens; they are checked in any case.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Collection, Session } from "effect-mongo-session"
 *
 * const Users = Collection.make("users")
 *
 * // A method of a service: it runs in its caller's session, or in one of its own.
 * export const rename = (_id: string, name: string) =>
 *   Users.updateOne({ _id }, { $set: { name } }).pipe(
 *     Effect.zipRight(Users.findOne({ _id })),
 *     Session.ensure()
 *   )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const ensure: {
  <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    options?: Options
  ): Effect.Effect<A, E | AcquireError | ForeignSession, MongoClient.MongoClient | Exclude<R, Session>>
  <A, E, R, Client = MongoClient.MongoClient>(
    effect: Effect.Effect<A, E, R>,
    options?: Options<Client>
  ): Effect.Effect<A, E | AcquireError | ForeignSession, MongoClient.AsGiven<Client> | Exclude<R, Session>>
  (options?: Options): <A, E, R>(
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | AcquireError | ForeignSession, MongoClient.MongoClient | Exclude<R, Session>>
  <Client = MongoClient.MongoClient>(
    options?: Options<Client>
  ): <A, E, R>(
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | AcquireError | ForeignSession, MongoClient.AsGiven<Client> | Exclude<R, Session>>
} = dual(
  (args) => Effect.isEffect(args[0]),
  <A, E, R, Client = MongoClient.MongoClient>(
    effect: Effect.Effect<A, E, R>,
    options?: Options<Client>
  ): Effect.Effect<A, E | AcquireError | ForeignSession, Client | Exclude<R, Session>> =>
    Effect.withFiberRuntime((fiber) => {
      const taken = take(options)
      if (Either.isLeft(taken)) return taken.left
      const ambient = sessionIn(fiber, MongoClient.clientIn(fiber, taken.right))
      if (ambient === "foreign") return new ForeignSession({ operation: "Session.ensure" })
      return Option.isSome(ambient)
        ? Effect.provideService(effect, Session, ambient.value)
        : withOpened(taken.right, (session) => Effect.provideService(effect, Session, session))
    })
)

/**
 * Runs an effect with the given session as the ambient one. An effect that needs a transaction does not type-check: whether
 * the transaction is one of that session the compiler can't know.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Collection, Session } from "effect-mongo-session"
 *
 * const Users = Collection.make("users")
 *
 * export const program = Effect.scoped(Effect.flatMap(
 *   Session.make(),
 *   (session) => Session.provide(Users.countDocuments(), session)
 * ))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const provide: {
  (session: Service): <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, InSession<R>>
  <A, E, R>(effect: Effect.Effect<A, E, R>, session: Service): Effect.Effect<A, E, InSession<R>>
} = dual(
  2,
  <A, E, R>(effect: Effect.Effect<A, E, R>, session: Service): Effect.Effect<A, E, InSession<R>> =>
    Effect.mapInputContext(
      effect,
      (context: Context.Context<InSession<R>>) =>
        inLane(Context.add(context, Session, session), session[key].lane) as Context.Context<never> as Context.Context<
          R
        >
    )
)

/**
 * Runs an effect with no ambient session: its operations use sessions of the driver's own, or another client's. In a sandbox,
 * those on its client stay in the sandbox.
 *
 * An effect that needs a session, or a transaction, can't be detached from it, so it does not type-check.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Collection, Session } from "effect-mongo-session"
 *
 * const Users = Collection.make("users")
 *
 * // Both reads are in flight at once: they do not wait for the session's turn.
 * export const both = Effect.all([Users.countDocuments(), Users.distinct("name")], { concurrency: 2 }).pipe(
 *   Session.detached
 * )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const detached = <A, E, R>(
  effect: [Extract<R, Session | Transaction>] extends [never] ? Effect.Effect<A, E, R> : never
): Effect.Effect<A, E, R> =>
  Effect.locallyWith(
    effect,
    FiberRef.currentContext,
    (context) => inLane(Context.omit(Session)(context as Context.Context<Session>), undefined)
  )

/**
 * The ambient session, if there is one, for an operation on the given client.
 *
 * Fails with `ForeignSession`, before any IO, when the ambient session belongs to another client.
 *
 * @example
 * ```ts
 * import { Effect, Option } from "effect"
 * import { Session } from "effect-mongo-session"
 *
 * export const hasSession = Effect.map(Session.current(), Option.isSome)
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const current = <Client = MongoClient.MongoClient>(
  options?: MongoClient.ClientOption<Client>
): Effect.Effect<Option.Option<Service>, ForeignSession, MongoClient.AsGiven<Client>> =>
  Effect.withFiberRuntime((fiber) => {
    const session = sessionIn(fiber, MongoClient.clientIn(fiber, options))
    return session === "foreign"
      ? Effect.fail(new ForeignSession({ operation: "Session.current" }))
      : Effect.succeed(session)
  })

/**
 * The escape hatch: runs one operation of the driver in the ambient session, in its turn. Pass the driver session to the
 * operation, and the signal to those that take one. A function whose `length` is 1 is given the session only.
 *
 * The driver session is lent until the promise has settled: what is sent with it later is refused
 * (`MongoExpiredSessionError` to whoever sends it), and what is in flight then is waited for. A cursor that it has made goes
 * on in a later `use`. To begin or end a transaction by it fails with `MongoError` (`TransactionMisuse`). Do not send
 * `commitTransaction` or `abortTransaction` as a command either: the driver shows nobody what it sends. An effect that the
 * function runs in the same session before it returns would wait for itself; it fails with `SessionBusy`.
 *
 * An interruption fires the signal and waits until the promise has settled, for at most the session's `settleTimeout`. A
 * promise that is rejected with anything but a failure of the driver is a defect.
 *
 * Fails with `SessionEnded`, `SessionLapsed` or `SessionBusy` without any IO, `UnacknowledgedWrite` for a write with
 * `w: 0`, and `MongoError`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { MongoClient, Session } from "effect-mongo-session"
 *
 * // A command that the library has no function for.
 * export const stats = Effect.flatMap(MongoClient.MongoClient, ({ driver }) =>
 *   Session.use((session, signal) => driver.db().command({ dbStats: 1 }, { session, signal })))
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const use = <A>(
  evaluate: (session: Driver.ClientSession, signal: AbortSignal) => PromiseLike<A>,
  options?: UseOptions
): Effect.Effect<A, UseError, Session> =>
  Effect.withFiberRuntime((fiber) => {
    const session = Context.get(fiber.currentContext as Context.Context<Session>, Session)
    const ambient = sessionIn(fiber, session.client)
    return (ambient !== "foreign" && Option.isSome(ambient) ? ambient.value : session).use(evaluate, options)
  })

/**
 * Checks options of unknown origin; `SessionMisconfigured` lists everything that is wrong with them.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Session } from "effect-mongo-session"
 *
 * // From a file, say: the error lists everything that is wrong.
 * export const scoped = (json: unknown) =>
 *   Effect.map(Session.decodeOptions(json), (options) => Session.scoped(options))
 * ```
 *
 * @since 0.1.0
 * @category options
 */
export const decodeOptions = SessionOptions.decode

/**
 * Session options from `Config`, under a prefix.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Session } from "effect-mongo-session"
 *
 * // From SESSION_TIMEOUT, SESSION_SNAPSHOT and so on.
 * export const session = Effect.flatMap(Session.config("SESSION"), (options) => Session.make(options))
 * ```
 *
 * @since 0.1.0
 * @category options
 */
export const config: (prefix?: string) => Config.Config<SessionOptions.SessionOptions> = SessionOptions.config

// Not by the layer, which is made for more than one.
const withOpened = <A, E, R, Client>(
  taken: Taken<Client>,
  f: (session: Service) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | AcquireError, Client | R> =>
  Effect.scopedWith((scope) => Effect.flatMap(Scope.extend(acquireAs(taken), scope), f))

// Whether an effect that is given another session is no longer in the transaction that it is in.
const leavesTransaction = (fiber: RunningFiber, client: MongoClient.Service): boolean => {
  const { currentContext } = fiber
  const session = Context.getOption(currentContext, Session)
  return Option.isSome(session) && session.value.client.driver === client.driver && !isInSandbox(currentContext) &&
    placeOf(fiber, session.value[key].lane).turn !== undefined
}
