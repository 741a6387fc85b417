/**
 * An open session: the driver session behind it, its lane, its idle time, and the order in which it is ended.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type * as Driver from "mongodb"
import type { CausalToken } from "../CausalToken.js"
import { SessionEnded, SessionLapsed, type UseError } from "../SessionErrors.js"
import type { SessionId } from "../SessionId.js"
import type { Member } from "../SessionKeeper.js"
import type * as SessionOptions from "../SessionOptions.js"
import { closingStep, errorName, once, within } from "./bounded.js"
import { abandon } from "./byHand.js"
import type * as MongoClient from "./connection.js"
import * as Cursors from "./cursors.js"
import * as Gate from "./driver.js"
import * as DriverTransaction from "./driverTransaction.js"
import { runAs, type RunningFiber } from "./fiber.js"
import * as Idleness from "./idleness.js"
import * as Lane from "./lane.js"
import { perform } from "./performing.js"
import * as Pool from "./pool.js"
import * as Reporting from "./reporting.js"
import { type Evaluate, type Gate as Transactional, key, turns } from "./sessionGate.js"
import * as Signal from "./signal.js"

/**
 * What a session is doing.
 *
 * - `idle`: ready for an operation
 * - `busy`: an operation is in flight
 * - `lapsed`: idle for longer than the server keeps sessions
 * - `broken`: an interrupted operation never settled; refuses every further use
 * - `ended`: released
 *
 * @since 0.1.0
 * @category models
 */
export type State = "idle" | "busy" | "lapsed" | "broken" | "ended"

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
  let opened: Opened | undefined
  let isOver = false
  const scope = Context.unsafeGet(fiber.currentContext, Scope.Scope)
  const added = Scope.addFinalizerExit(scope, () => {
    isOver = true
    return opened === undefined ? Effect.void : opened.member.close
  })
  return Effect.flatMap(added, () => {
    const { member, service } = opened = begin(client, options, fiber)
    const kept = Effect.as(client.keeper.add(member), service)
    // The scope may have been closed all along.
    return isOver ? Effect.zipLeft(kept, member.close) : kept
  })
}

type Opened = ReturnType<typeof begin>

/** What is done in `use`. */
export type Use<A> = (session: Driver.ClientSession, signal: AbortSignal) => PromiseLike<A>

// No signal is made for a function that does not take one; what has no parameters in writing may take them all.
const signalled = <A>(evaluate: Use<A>): Evaluate<A> => {
  if (evaluate.length !== 1) return (session, { signal }) => evaluate(session, signal)
  const withoutSignal = evaluate as (session: Driver.ClientSession) => PromiseLike<A>
  return (session) => withoutSignal(session)
}

// What a session that has lapsed is told of itself.
interface Lapse {
  readonly idle: Duration.Duration
  readonly timeout: Duration.Duration
}

// Not an effect: sessions are opened and closed for a few operations each, and effects for each step of it took longer
// than those.
const begin = (client: MongoClient.Service, options: SessionOptions.Decoded, opener: RunningFiber) => {
  const refs = opener.getFiberRefs()
  const openedIn = opener.currentSpan
  const lane = Lane.make()
  const signals = Signal.lender()
  const settleTimeout = options.settleTimeout ?? client.settleTimeout
  const take = (now: Idleness.Instant): Pool.Taken => {
    const taken = client.pool.take(Gate.sessionOptions(options), client.knownTimeout(), now)
    if (!options.causalConsistency) Gate.keepOperationTime(taken.session)
    // The driver ignores it as an option.
    if (options.snapshotTime !== undefined) Gate.setSnapshotTime(taken.session, options.snapshotTime)
    return taken
  }

  let { lastUsed, session } = take(Idleness.nowOf(opener))
  let ended = false
  let broken = false
  let lapseNoted = false
  // A find that was given up may have left a cursor on the server whose id nobody knows. It lives as long as its session.
  let mayHoldCursor = false

  const idleAt = (now: Idleness.Instant): number => Idleness.elapsed(lastUsed, now)
  const idle = Effect.map(Idleness.now, idleAt)

  // How long the session has been idle and how long it may be, if that is too long.
  const lapseAt = (now: Idleness.Instant): Lapse | undefined => {
    const timeout = Option.getOrUndefined(client.knownTimeout())
    const time = idleAt(now)
    return timeout !== undefined && Idleness.hasLapsed(time, timeout)
      ? { idle: Duration.millis(Math.floor(time)), timeout }
      : undefined
  }

  const closed = (operation: string): SessionEnded | undefined =>
    ended || broken ? new SessionEnded({ operation, reason: ended ? "released" : "broken" }) : undefined

  const ensureOpen = (operation: string): Effect.Effect<void, SessionEnded> =>
    Effect.suspend(() => closed(operation) ?? Effect.void)

  const ready = (operation: string) =>
    Effect.withFiberRuntime<void, SessionEnded | SessionLapsed>((fiber) => {
      const lapse = lapseAt(Idleness.nowOf(fiber))
      const refusal = closed(operation)
      if (refusal !== undefined || lapse === undefined) return refusal ?? Effect.void
      return Effect.when(Reporting.lapsed(1, lapse.timeout), member.noteLapse).pipe(
        // A transaction is gone with its session; what remains of it must not run outside of one.
        Effect.zipRight(
          options.onLapse === "renew" && !session.inTransaction()
            ? renew
            : Effect.fail(new SessionLapsed({ operation, ...lapse }))
        )
      )
    })

  const closeCursors = (of: Driver.ClientSession) =>
    closingStep(
      "cursors",
      client.closeTimeout,
      Effect.tryPromise(() => Cursors.closeOf(of, client.driver)),
      errorName
    )

  const renew = Effect.gen(function*() {
    const old = session
    yield* closeCursors(old)
    ;({ lastUsed, session } = take(yield* Idleness.now))
    Gate.carryOver(old, session)
    lapseNoted = false
    mayHoldCursor = false
    Pool.discard(old)
  }).pipe(Effect.uninterruptible)

  // The server has heard of the session when the driver last sent its id, not when the operation was over: an operation
  // may go on without the server, or never have needed it.
  const noteUse = (before: number, fiber: RunningFiber): void => {
    const server = session.serverSession
    if (server.lastUse !== before) {
      lastUsed = Idleness.latest(lastUsed, Idleness.before(Idleness.nowOf(fiber), client.pool.sinceLastUse(server)))
    }
  }

  const breakUp = Effect.sync(() => {
    broken = true
    Pool.markDirty(session)
  })

  const begin: Transactional["begin"] = (fiber, { namespace, operation }, evaluate, done, onAborted) => {
    const before = session.serverSession.lastUse
    return Gate.begin({
      operation,
      namespace,
      settleTimeout,
      client: client.driver,
      signals,
      evaluate: (controller) => DriverTransaction.keepStarting(session, evaluate, controller),
      done: (exit) => {
        noteUse(before, fiber)
        done(exit)
      },
      onAborted: () => {
        mayHoldCursor = true
        onAborted?.()
      },
      onUnsettled: breakUp
    })
  }

  const gate: Transactional = {
    lane,
    observer: client.observer,
    settleTimeout,
    timeout: options.timeout ?? client.timeout,
    session: () => session,
    ...turns(lane, options.onBusy, ensureOpen),
    isReady: (fiber) => !ended && !broken && lapseAt(Idleness.nowOf(fiber)) === undefined,
    ready,
    begin,
    breakUp,
    isBroken: () => broken,
    manual: undefined
  }

  const member: Member = {
    lsid: () => session.serverSession.id,
    keepAlive: () => options.keepAlive && !ended && !broken,
    isBusy: () => Lane.isBusy(lane),
    isOpen: () => !ended,
    openedIn,
    idleAt,
    touch: (at) => {
      lastUsed = Idleness.latest(lastUsed, at)
      client.pool.touch(session)
    },
    noteLapse: () => {
      const news = !lapseNoted
      lapseNoted = true
      return news
    },
    // Whoever comes second, the session's own scope or its client's, waits for the first.
    close: once(() => endAtOnce(), Effect.suspend(() => end))
  }

  Reporting.sessionsOpen(1)
  const left = (): void => {
    client.keeper.remove(member)
    Reporting.sessionsOpen(-1)
  }

  // All that ending comes down to where nothing is to be waited for, as mostly; says whether it has done it.
  const endAtOnce = (): boolean => {
    ended = true
    const waits = Lane.isBusy(lane) || Cursors.hasOpen(session, client.driver) || gate.manual !== undefined
    if (waits || broken || mayHoldCursor || options.release === "end" || !Pool.canEndAtOnce(session)) return false
    client.pool.note(session, lastUsed)
    Pool.endAtOnce(session)
    left()
    return true
  }

  const end = Effect.suspend(() =>
    runAs(
      refs,
      Effect.gen(function*() {
        if (yield* within(settleTimeout, Lane.withPermit(lane, "release", Effect.void))) {
          yield* closeCursors(session)
        } else {
          yield* Reporting.closingFailed("running operation", "not done in time")
          Pool.markDirty(session)
        }
        const lsid = session.serverSession.id
        // Where somebody else has ended the driver session, its server session is in the pool already, or in use again.
        const isOurs = !session.hasEnded
        const endOnServer = isOurs && (options.release === "end" || mayHoldCursor)
        if (endOnServer) {
          Pool.markDirty(session)
        }
        if (isOurs) {
          client.pool.note(session, lastUsed)
        }
        yield* closingStep(
          "session",
          client.closeTimeout,
          Effect.tryPromise(() => session.endSession()),
          errorName
        )
        if (endOnServer) {
          // Only now: an id that were still in the pool could be in use again, and this would kill its cursors.
          const command = client.adminCommand({ endSessions: [lsid] })
          yield* closingStep("endSessions", client.closeTimeout, command, (error) => error.reason)
        }
        yield* abandon(gate)
        left()
      })
    )
  )

  // In its turn: it may renew the session, which must not happen under an operation that is in flight.
  const refreshInTurn = Effect.gen(function*() {
    yield* gate.ready("refresh")
    const sent = yield* Idleness.now
    yield* client.adminCommand({ refreshSessions: [member.lsid()] })
    member.touch(sent)
  })
  const refresh = gate.inTurn("refresh", () => refreshInTurn)

  let id: { readonly of: Driver.ServerSession; readonly id: SessionId } | undefined
  const service = {
    [key]: gate,
    get id(): SessionId {
      if (id?.of !== session.serverSession) {
        id = { of: session.serverSession, id: Gate.idOf(session) }
      }
      return id.id
    },
    client,
    options,
    use: <A>(evaluate: Use<A>, { namespace, operation = "use" }: UseOptions = {}): Effect.Effect<A, UseError> => {
      const prepared = Either.right(signalled(evaluate))
      return Effect.withFiberRuntime((fiber) => perform(fiber, gate, { operation, namespace }, () => prepared))
    },
    refresh,
    idle: Effect.map(idle, (time) => Duration.millis(Math.floor(time))),
    state: Effect.map(Idleness.now, (now): State => {
      if (ended) return "ended"
      if (broken) return "broken"
      return Lane.isBusy(lane) ? "busy" : lapseAt(now) === undefined ? "idle" : "lapsed"
    }),
    operationTime: Effect.sync(() => Gate.operationTimeOf(session)),
    clusterTime: Effect.sync(() => Option.fromNullable(session.clusterTime)),
    snapshotTime: Effect.sync(() => Gate.snapshotTimeOf(session)),
    causalToken: Effect.sync(() => Gate.causalTokenOf(session)),
    advanceTo: (token: CausalToken) =>
      Effect.zipRight(ensureOpen("advanceTo"), Effect.sync(() => Gate.advance(session, token))),
    isDirty: Effect.sync(() => session.serverSession.isDirty),
    serverAddress: Effect.sync(() => Gate.pinnedAddressOf(session))
  }
  return { service, member }
}
