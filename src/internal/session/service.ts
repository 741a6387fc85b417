/**
 * The service of a session, and the choice of the session in which the operations of a fiber run.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Inspectable from "effect/Inspectable"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type * as Driver from "mongodb"
import type { CausalToken } from "../../CausalToken.js"
import type { MongoError } from "../../MongoError.js"
import type { SessionBusy, SessionEnded, SessionLapsed, TransactionEnded, UseError } from "../../SessionErrors.js"
import type { SessionId } from "../../SessionId.js"
import type * as SessionOptions from "../../SessionOptions.js"
import { invalid } from "../driver/errors.js"
import * as DriverSession from "../driver/session.js"
import { writtenIn } from "../driver/written.js"
import * as Time from "../time/clock.js"
import type { RunningFiber } from "../time/fiber.js"
import { tried } from "../values/fault.js"
import { type Advance, checked } from "./advance.js"
import type * as MongoClient from "./client.js"
import { type Gate, key } from "./gate.js"
import { lending } from "./loan.js"
import type { OpenSession, State } from "./open.js"
import { perform } from "./operation.js"
import { Sandbox } from "./turn.js"

/**
 * How errors and logs call an operation.
 *
 * @since 0.1.0
 * @category options
 */
export interface UseOptions {
  /** The operation's name. Default: `use`. */
  readonly operation?: string | undefined
  /** The database, or database and collection, that it works on. Default: none. */
  readonly namespace?: string | undefined
}

/**
 * An open session, as programs see it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service extends Inspectable.Inspectable {
  /** The id of its server session. Another one after a renewal (`onLapse: "renew"`). */
  readonly id: SessionId
  /** The client that it belongs to; no other may use it. */
  readonly client: MongoClient.Service
  /** Its options, with every default filled in. Immutable. */
  readonly options: SessionOptions.Decoded
  /** Runs one operation of the driver in the session. */
  readonly use: <A>(
    evaluate: (session: Driver.ClientSession, signal: AbortSignal) => PromiseLike<A>,
    options?: UseOptions
  ) => Effect.Effect<A, UseError>
  /** Refreshes the session on the server now; the keep-alive does so by itself. */
  readonly refresh: Effect.Effect<void, SessionEnded | SessionLapsed | SessionBusy | TransactionEnded | MongoError>
  /** How long the server has not heard of the session. */
  readonly idle: Effect.Effect<Duration.Duration>
  /** What the session is doing at this moment. */
  readonly state: Effect.Effect<State>
  /** The time of the latest operation that the session has seen. Only causally consistent sessions read as of it. */
  readonly operationTime: Effect.Effect<Option.Option<Driver.Timestamp>>
  /** The latest cluster time that the session has seen. */
  readonly clusterTime: Effect.Effect<Option.Option<Driver.ClusterTime>>
  /** The time of a snapshot session's data: known after its first read, or from its options. */
  readonly snapshotTime: Effect.Effect<Option.Option<Driver.Timestamp>>
  /**
   * What the session has seen, for another session or process to go on from, be this one causally consistent or not. See
   * {@link advanceTo} of that one.
   */
  readonly causalToken: Effect.Effect<CausalToken>
  /**
   * Makes the session see what the token's session has seen. Never goes back. Fails with `CausalTokenRefused`, before any IO,
   * for a token that lies further than `maxAhead` (5 minutes) ahead of this machine's clock, and with `SessionMisconfigured` for what
   * is no token, and a `maxAhead` that is no time.
   */
  readonly advanceTo: Advance
  /** Whether the server session will not be used again, as after a network error. */
  readonly isDirty: Effect.Effect<boolean>
  /** The address of the server that the session is pinned to; only on sharded clusters, during a transaction. */
  readonly serverAddress: Effect.Effect<Option.Option<string>>
  /** What transactions need of the session. Not for use outside of this library. */
  readonly [key]: Gate
}

/**
 * The ambient session: the one that the operations of a fiber run in.
 *
 * @since 0.1.0
 * @category tags
 */
export class Session extends Context.Tag("effect-mongo-session/Session")<Session, Service>() {}

/** The ambient session of a fiber, if it has one, unless that belongs to another client than the given one. */
export const sessionIn = (
  { currentContext }: RunningFiber,
  client: MongoClient.Service
): Option.Option<Service> | "foreign" => {
  // In a sandbox nothing is kept, whatever session an effect was given.
  const sandboxes: ReadonlyArray<Service> | undefined = currentContext.unsafeMap.get(Sandbox.key)
  const sandbox = sandboxes?.find((session) => session.client.driver === client.driver)
  if (sandbox !== undefined) return Option.some(sandbox)
  const session = Context.getOption(currentContext, Session)
  return Option.isSome(session) && session.value.client.driver !== client.driver ? "foreign" : session
}

// What a use is called; nothing where its options say nothing of the kind.
const named = (options: UseOptions = {}) =>
  tried(() => {
    const { namespace, operation = "use" } = options
    const isNamed = Predicate.isRecord(options) && Predicate.isString(operation) &&
      (namespace === undefined || Predicate.isString(namespace))
    return isNamed ? { operation, namespace, isOpaque: true, writtenIn } : undefined
  })

const namedWrongly = (): MongoError =>
  invalid(
    "use",
    "Options of a use are an object of texts."
  )

/** Makes the service of an open session. */
export class Usable implements Service {
  readonly [key]: OpenSession
  readonly client: MongoClient.Service
  readonly options: SessionOptions.Decoded
  readonly use: Service["use"]
  readonly advanceTo: Advance

  constructor(session: OpenSession) {
    this[key] = session
    this.client = session.client
    this.options = session.options
    // Functions of its own, for programs may take them out of it.
    this.use = (evaluate, options) => {
      const name = named(options)
      if (name === undefined) return Effect.fail(namedWrongly())
      const { operation } = name
      return Effect.withFiberRuntime((fiber) =>
        perform(fiber, session, name, () => Either.right(lending(evaluate, this.client, session, operation, fiber)))
      )
    }
    this.advanceTo = (token, options) =>
      Effect.suspend((): ReturnType<Advance> =>
        session.refusal("advanceTo") ??
          Effect.map(checked(token, options), (checked) => DriverSession.advance(session.session, checked))
      )
  }

  get id(): SessionId {
    return DriverSession.idOf(this[key].session)
  }

  get refresh() {
    return this[key].refresh
  }

  get idle(): Effect.Effect<Duration.Duration> {
    return Effect.map(Time.now, (now) => Duration.millis(Math.floor(this[key].idleAt(now))))
  }

  get state(): Effect.Effect<State> {
    return Effect.withFiberRuntime((fiber) => Effect.succeed(this[key].stateOf(fiber)))
  }

  get operationTime(): Effect.Effect<Option.Option<Driver.Timestamp>> {
    return this.#reading(DriverSession.operationTimeOf)
  }

  get clusterTime(): Effect.Effect<Option.Option<Driver.ClusterTime>> {
    return this.#reading(({ clusterTime }) => Option.fromNullable(clusterTime))
  }

  get snapshotTime(): Effect.Effect<Option.Option<Driver.Timestamp>> {
    return this.#reading(DriverSession.snapshotTimeOf)
  }

  get causalToken(): Effect.Effect<CausalToken> {
    return this.#reading(DriverSession.causalTokenOf)
  }

  get isDirty(): Effect.Effect<boolean> {
    return this.#reading(({ serverSession }) => serverSession.isDirty)
  }

  get serverAddress(): Effect.Effect<Option.Option<string>> {
    return this.#reading(DriverSession.pinnedAddressOf)
  }

  // A log or a message must not show the client, which holds the URL.
  toJSON(): object {
    return { _id: "Session", id: this.id.uuid, options: this.options }
  }

  toString(): string {
    return Inspectable.format(this.toJSON())
  }

  [Inspectable.NodeInspectSymbol](): object {
    return this.toJSON()
  }

  #reading<A>(read: (session: Driver.ClientSession) => A): Effect.Effect<A> {
    return Effect.sync(() => read(this[key].session))
  }
}
