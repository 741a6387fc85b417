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
import { isTooOldServer } from "./internal/driver/errors.js"
import { type Deployment, unsupported } from "./internal/driver/topology.js"
import { type Service, Session, sessionIn } from "./internal/session/ambient.js"
import * as MongoClient from "./internal/session/client.js"
import { open, type State, type UseOptions } from "./internal/session/service.js"
import type { RunningFiber } from "./internal/time/fiber.js"
import { MongoError } from "./MongoError.js"
import {
  type AcquireError,
  CryptoUnavailable,
  ForeignSession,
  SessionsUnsupported,
  UnacknowledgedWrite,
  type UseError
} from "./SessionErrors.js"
import * as SessionOptions from "./SessionOptions.js"

export {
  /** The ambient session: the one that the operations of a fiber run in. @since 0.1.0 @category tags */
  Session
} from "./internal/session/ambient.js"
export type {
  /** An open session. @since 0.1.0 @category models */
  Service
} from "./internal/session/ambient.js"
export type {
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
 * @since 0.1.0
 * @category constructors
 */
export const make = <Client = MongoClient.MongoClient>(
  options?: Options<Client>
): Effect.Effect<Service, AcquireError, NoInfer<Client> | Scope.Scope> =>
  Effect.withFiberRuntime((fiber): Effect.Effect<Service, AcquireError, NoInfer<Client> | Scope.Scope> => {
    const { client: _, ...rest } = options ?? {}
    const decoded = SessionOptions.decode(rest)
    if (Either.isLeft(decoded)) return decoded.left
    return openOn(MongoClient.clientIn(fiber, options), decoded.right, fiber)
  })

/**
 * {@link make} as a layer: everything built on it shares one session.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <Client = MongoClient.MongoClient>(
  options?: Options<Client>
): Layer.Layer<Session, AcquireError, NoInfer<Client>> => Layer.scoped(Session, make(options))

/**
 * Opens a session around an effect and makes it the ambient one.
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
  ): Effect.Effect<A, E | AcquireError, MongoClient.MongoClient | Exclude<R, Session>>
  <A, E, R, Client = MongoClient.MongoClient>(
    effect: Effect.Effect<A, E, R>,
    options?: Options<Client>
  ): Effect.Effect<A, E | AcquireError, MongoClient.AsGiven<Client> | Exclude<R, Session>>
  (options?: Options): <A, E, R>(
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | AcquireError, MongoClient.MongoClient | Exclude<R, Session>>
  <Client = MongoClient.MongoClient>(
    options?: Options<Client>
  ): <A, E, R>(
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | AcquireError, MongoClient.AsGiven<Client> | Exclude<R, Session>>
} = dual(
  (args) => Effect.isEffect(args[0]),
  <A, E, R, Client = MongoClient.MongoClient>(
    effect: Effect.Effect<A, E, R>,
    options?: Options<Client>
  ): Effect.Effect<A, E | AcquireError, Client | Exclude<R, Session>> =>
    // Not by the layer, which is made for more than one.
    Effect.scopedWith((scope) =>
      Effect.flatMap(Scope.extend(make(options), scope), (session) => provide(effect, session))
    )
)

/**
 * Runs an effect with the given session as the ambient one.
 *
 * @since 0.1.0
 * @category combinators
 */
export const provide: {
  (session: Service): <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, Exclude<R, Session>>
  <A, E, R>(effect: Effect.Effect<A, E, R>, session: Service): Effect.Effect<A, E, Exclude<R, Session>>
} = dual(
  2,
  <A, E, R>(effect: Effect.Effect<A, E, R>, session: Service): Effect.Effect<A, E, Exclude<R, Session>> =>
    Effect.provideService(effect, Session, session)
)

/**
 * Runs an effect with no ambient session: its operations use sessions of the driver's own, or another client's.
 *
 * An effect that needs a session can't be detached from it, so it does not type-check.
 *
 * @since 0.1.0
 * @category combinators
 */
export const detached = <A, E, R>(
  effect: [Session] extends [R] ? never : Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.locallyWith(effect, FiberRef.currentContext, (context) => Context.omit(Session)(context))

/**
 * The ambient session, if there is one, for an operation on the given client.
 *
 * Fails with `ForeignSession`, before any IO, when the ambient session belongs to another client.
 *
 * @since 0.1.0
 * @category accessors
 */
export const current = <Client = MongoClient.MongoClient>(
  options?: MongoClient.ClientOption<Client>
): Effect.Effect<Option.Option<Service>, ForeignSession, NoInfer<Client>> =>
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
 * (`MongoExpiredSessionError` to whoever sends it), and what is in flight then is waited for. A transaction is not to be
 * begun or ended by it: that fails with `MongoError` (`TransactionMisuse`).
 *
 * An interruption fires the signal and waits until the promise has settled, for at most the session's `settleTimeout`. A
 * promise that is rejected with anything but a failure of the driver is a defect.
 *
 * Fails with `SessionEnded`, `SessionLapsed` or `SessionBusy` without any IO, `UnacknowledgedWrite` for a write with
 * `w: 0`, and `MongoError`.
 *
 * @since 0.1.0
 * @category accessors
 */
export const use = <A>(
  evaluate: (session: Driver.ClientSession, signal: AbortSignal) => PromiseLike<A>,
  options?: UseOptions
): Effect.Effect<A, UseError, Session> =>
  Effect.withFiberRuntime(({ currentContext }) =>
    Context.get(currentContext as Context.Context<Session>, Session).use(evaluate, options)
  )

/**
 * Checks options of unknown origin; `SessionMisconfigured` lists everything that is wrong with them.
 *
 * @since 0.1.0
 * @category options
 */
export const decodeOptions = SessionOptions.decode

/**
 * Session options from `Config`, under a prefix.
 *
 * @since 0.1.0
 * @category options
 */
export const config: (prefix?: string) => Config.Config<SessionOptions.SessionOptions> = SessionOptions.config

const openOn = (
  client: MongoClient.Service,
  options: SessionOptions.Decoded,
  fiber: RunningFiber
): Effect.Effect<Service, AcquireError, Scope.Scope> => {
  if (!client[MongoClient.inner].hasSecureRandom()) return new CryptoUnavailable()
  if (client.driver.options.writeConcern?.w === 0) {
    return new UnacknowledgedWrite({ operation: "Session.make", source: "client" })
  }
  if (client[MongoClient.inner].isClosed()) return closed
  const known = client[MongoClient.inner].knownDeployment()
  return Option.isSome(known)
    ? openWhere(known.value, client, options, fiber)
    : Effect.flatMap(asked(client), (deployment) => openWhere(deployment, client, options, fiber))
}

const asked = (client: MongoClient.Service) =>
  Effect.catchIf(client.deployment, isTooOldServer, () => new SessionsUnsupported({ reason: "WireVersion" }))

const openWhere = (
  deployment: Deployment,
  client: MongoClient.Service,
  options: SessionOptions.Decoded,
  fiber: RunningFiber
): Effect.Effect<Service, AcquireError, Scope.Scope> => {
  const lacking = unsupported(deployment, options)
  if (Option.isSome(lacking)) return lacking.value
  // It may have closed while it was asked.
  return client[MongoClient.inner].isClosed() ? closed : open(client, options, fiber)
}

// The driver would connect a closed client again.
const closed = Effect.suspend(() =>
  new MongoError({ reason: "ConnectionClosed", operation: "Session.make", labels: [] })
)
