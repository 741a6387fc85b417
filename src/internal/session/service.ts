/**
 * A session as its scope opens it, and as programs see it.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Inspectable from "effect/Inspectable"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type * as Driver from "mongodb"
import type { CausalToken } from "../../CausalToken.js"
import type { UseError } from "../../SessionErrors.js"
import type { SessionId } from "../../SessionId.js"
import type * as SessionOptions from "../../SessionOptions.js"
import * as DriverCursor from "../driver/cursor.js"
import * as Lent from "../driver/lent.js"
import * as DriverSession from "../driver/session.js"
import * as Time from "../time/clock.js"
import type { RunningFiber } from "../time/fiber.js"
import { type Advance, refuseAhead } from "./advance.js"
import { inner } from "./client.js"
import type * as MongoClient from "./client.js"
import { type Evaluate, key } from "./gate.js"
import { OpenSession, type State } from "./open.js"
import { perform } from "./operation.js"
import type { Name } from "./turn.js"

export type { State }

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
 * Opens a session for a fiber, on a client whose deployment is known to have sessions; it is ended when the fiber's scope
 * closes.
 *
 * Not by `Effect.acquireRelease`, which takes longer than all that is done here: as the finalizer is there before the session
 * is, an interruption in between leaves nothing behind.
 */
export const open = (client: MongoClient.Service, options: SessionOptions.Decoded, fiber: RunningFiber) => {
  let opened: OpenSession | undefined
  let isOver = false
  const scope = Context.unsafeGet(fiber.currentContext, Scope.Scope)
  const added = Scope.addFinalizerExit(scope, () => {
    isOver = true
    return opened === undefined ? Effect.void : opened.close
  })
  return Effect.flatMap(added, () => {
    const session = opened = new OpenSession(client, options, fiber)
    const usable = new Usable(session)
    // The scope may have been closed all along.
    return isOver ? Effect.as(session.close, usable) : Effect.as(client[inner].keeper.add(session), usable)
  })
}

/** What is done in `use`. */
export type Use<A> = (session: Driver.ClientSession, signal: AbortSignal) => PromiseLike<A>

// No signal is made for a function that does not take one; what has no parameters in writing may take them all.
const lent = <A>(evaluate: Use<A>, open: OpenSession, { operation }: Name, fiber: RunningFiber): Evaluate<A> => {
  const { length } = evaluate
  const withoutSignal = evaluate as (session: Driver.ClientSession) => PromiseLike<A>
  const unused = () => open.client[inner].unused(operation, fiber)
  return (session, controller) => {
    const use = (lent: Driver.ClientSession) => length === 1 ? withoutSignal(lent) : evaluate(lent, controller.signal)
    return Lent.lend({
      session,
      evaluate: (lent) => open.calling(() => use(lent)),
      cursors: () => DriverCursor.sessionsOf(open.client.driver),
      unused,
      refused: () => open.maybeHoldsCursor()
    })
  }
}

/** An open session, as programs see it. */
class Usable {
  readonly [key]: OpenSession
  readonly use: <A>(evaluate: Use<A>, options?: UseOptions) => Effect.Effect<A, UseError>
  readonly advanceTo: Advance

  constructor(session: OpenSession) {
    this[key] = session
    // Functions of its own, for programs may take them out of it.
    this.use = (evaluate, { namespace, operation = "use" } = {}) => {
      const name = { operation, namespace, isOpaque: true }
      return Effect.withFiberRuntime((fiber) =>
        perform(fiber, session, name, () => Either.right(lent(evaluate, session, name, fiber)))
      )
    }
    this.advanceTo = (token, options) =>
      session.ensureOpen("advanceTo").pipe(
        Effect.zipRight(refuseAhead(token, options)),
        Effect.zipRight(Effect.sync(() => DriverSession.advance(session.session(), token)))
      )
  }

  get id(): SessionId {
    return DriverSession.idOf(this[key].session())
  }

  get client(): MongoClient.Service {
    return this[key].client
  }

  get options(): SessionOptions.Decoded {
    return this[key].options
  }

  get refresh() {
    return this[key].refresh
  }

  get idle(): Effect.Effect<Duration.Duration> {
    return Effect.map(Time.now, (now) => Duration.millis(Math.floor(this[key].idleAt(now))))
  }

  get state(): Effect.Effect<State> {
    return Effect.map(Time.now, (now) => this[key].stateAt(now))
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
    return Effect.sync(() => read(this[key].session()))
  }
}
