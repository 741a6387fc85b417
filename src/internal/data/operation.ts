/**
 * Performs one operation of the driver where it is placed: in the ambient session if there is one, in its turn, with what the
 * driver gets wrong put right, its misuse found before any IO, and its failures classified. All data access goes through here.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type * as Driver from "mongodb"
import { MongoError } from "../../MongoError.js"
import type { ForeignSession, OperationError } from "../../SessionErrors.js"
import * as Call from "../driver/call.js"
import { connected } from "../driver/client.js"
import { bounded, maxTimeMS } from "../driver/deadline.js"
import * as Privates from "../driver/privates.js"
import { resent, resentAlone } from "../driver/resent.js"
import type { Signalled } from "../driver/signal.js"
import { readPreferenceOf } from "../driver/transaction.js"
import { type AsGiven, inner, type MongoClient } from "../session/client.js"
import { key } from "../session/gate.js"
import { lending } from "../session/loan.js"
import { perform } from "../session/operation.js"
import type { Service as Session } from "../session/service.js"
import { placeOf, type Timing } from "../session/turn.js"
import type { Comment } from "../telemetry/comment.js"
import * as Log from "../telemetry/log.js"
import { collectionIn } from "../telemetry/names.js"
import * as Operations from "../telemetry/operations.js"
import * as Time from "../time/clock.js"
import type { RunningFiber } from "../time/fiber.js"
import type * as Limits from "./limits.js"
import * as Lock from "./lock.js"
import { optionOf } from "./options.js"
import { isOnPrimary, isRefusal, limitWith, type Placement, placementOf, weightIn } from "./placement.js"
import type { Request, Target } from "./request.js"
import * as Rules from "./rules.js"
import { collectionOf, writeConcernsOf } from "./target.js"

export type { OperationError }

/** What is added to the options of an operation. */
export interface Added {
  readonly session?: Driver.ClientSession
  readonly signal?: AbortSignal
  readonly readConcern?: Driver.ReadConcernLike
  readonly readPreference?: "primary"
  readonly maxTimeMS?: number
  readonly socketTimeoutMS?: 0
  readonly comment?: Comment
}

/** An operation that is placed, and is run in batches or more than once. */
export interface Placed extends Pick<Placement, "client" | "session" | "namespace" | "db"> {
  /**
   * Runs the operation, or one batch of it, in its turn. What the turn finds decides: whether the session is in a
   * transaction then, and so what the operation must not ask for.
   */
  readonly run: <A>(
    evaluate: (added: Added) => PromiseLike<A>,
    name?: string,
    deadline?: Time.Deadline
  ) => Effect.Effect<A, OperationError>
  /**
   * Closes what the operation has opened, in its turn. Nothing that the operation asks for can forbid it: the session may be
   * in a transaction by now.
   */
  readonly close: (evaluate: () => PromiseLike<void>, name: string) => Effect.Effect<void, OperationError>
  /** The deadline of one operation, from now on; none where there is no limit. */
  readonly deadline: (fiber: RunningFiber) => Time.Deadline | undefined
  /** The deadline of all batches together, from now on; none where each has its own, or there is none. */
  readonly lifetime: (fiber: RunningFiber) => Time.Deadline | undefined
  /** The limit of the cursor that it has opened, which has these options besides those of the operation. */
  readonly limitOf: (opened: object) => Limits.Limit | MongoError
  /** The same in a session that was opened for it, with the time limit of the session or client that it was placed in. */
  readonly within: (session: Session) => Placed
}

/** Finds out where an operation is run. */
export const place = <C = MongoClient>(
  target: Target<C>,
  request: Request
): Effect.Effect<Placed, ForeignSession | MongoError, AsGiven<C>> =>
  Effect.withFiberRuntime((fiber) => {
    const found = placementOf(fiber, target, request)
    return isRefusal(found) ? Effect.fail(found) : Effect.succeed(placedAt(found))
  })

const placedAt = (found: Placement): Placed => {
  const { client, db, limit, namespace, request, session } = found
  const run: Placed["run"] = (evaluate, name = request.name, deadline) =>
    Effect.withFiberRuntime((fiber) => performAt(fiber, found, name, evaluate, deadline))
  const close: Placed["close"] = (evaluate, name) =>
    Effect.withFiberRuntime((fiber) => performAt(fiber, { ...found, isClosing: true }, name, evaluate))
  const deadline: Placed["deadline"] = (fiber) =>
    limit instanceof MongoError || limit.timeout === undefined ? undefined : Time.start(fiber, limit.timeout)
  const lifetime: Placed["lifetime"] = (fiber) =>
    limit instanceof MongoError || !limit.isOfLifetime ? undefined : deadline(fiber)
  const limitOf: Placed["limitOf"] = (opened) => limitWith(found, opened)
  const within: Placed["within"] = (session) => placedAt({ ...found, session: Option.some(session) })
  return { client, session, namespace, db, run, close, deadline, lifetime, limitOf, within }
}

/** Runs an operation that is one promise of the driver. */
export const operation = <A, C = MongoClient>(
  target: Target<C>,
  request: Request,
  evaluate: (db: Driver.Db, added: Added) => PromiseLike<A>
): Effect.Effect<A, OperationError, AsGiven<C>> =>
  // In one step: an operation must not cost much more than the driver's promise.
  Effect.withFiberRuntime((fiber) => {
    const found = placementOf(fiber, target, request)
    return isRefusal(found)
      ? Effect.fail(found)
      : performAt(fiber, found, request.name, (added) => evaluate(found.db, added))
  })

const performAt = <A>(
  fiber: RunningFiber,
  found: Placement,
  operation: string,
  evaluate: (added: Added) => PromiseLike<A>,
  deadline?: Time.Deadline
): Effect.Effect<A, OperationError> => {
  const { client, limit, db: { databaseName: database }, namespace, request, session, target: { collection } } = found
  return Operations.observe(
    fiber,
    client[inner].observer,
    {
      name: operation,
      database,
      collection: collection ?? request.collection ?? (request.command && collectionIn(request.command, database))
    },
    (observed) => {
      // Not for each batch of a cursor again.
      const weight = operation === request.name ? weightIn(request, client, namespace) : 0
      if (weight instanceof MongoError) return Call.telling(Effect.fail(weight), observed)
      if (limit instanceof MongoError) return Call.telling(Effect.fail(limit), observed)
      const limited = deadline === undefined ? limit : { ...limit, deadline }
      return Option.isSome(session)
        ? inSession(fiber, session.value, found, limited, operation, evaluate, observed, weight)
        : withoutSession(found, limited, operation, evaluate, observed)
    },
    Option.isSome(session) ? session.value[key].standing?.span : undefined
  )
}

const inSession = <A>(
  fiber: RunningFiber,
  { client, [key]: gate, options }: Session,
  found: Placement,
  limit: Timing,
  operation: string,
  evaluate: (added: Added) => PromiseLike<A>,
  observed: Operations.Observed,
  weight: number
): Effect.Effect<A, OperationError> => {
  const { level, namespace, request, target } = found
  // Not for each batch of a cursor again: it reads what was locked before.
  const turn = request.kind === "read" && operation === request.name ? placeOf(fiber, gate.lane).turn : undefined
  const locks = turn?.isSerializable === true
  // What is refused waits for nobody.
  const filter = request.kind === "write" || locks && request.canLock === true
    ? request.values?.[0] ?? request.inserted
    : undefined
  const bytes = request.kind === "write" ? weight + (request.bytes ?? 0) : 0
  const { isCode: isOpaque, writtenIn } = request
  const description = { operation, namespace, limit, filter, bytes, isOpaque, writtenIn }
  return perform(fiber, gate, description, (driverSession) => {
    const isInTransaction = driverSession.inTransaction()
    const problem = found.isClosing === true ? undefined : Rules.violation(Rules.askedBy(request), {
      session: isInTransaction ? "transaction" : "plain",
      writeConcerns: request.kind === "write" && !isInTransaction ? writeConcernsOf(target, client) : [],
      readPreference: target.readPreference,
      transactionReadPreference: readPreferenceOf(driverSession),
      causalLevel: options.causalConsistency ? level : undefined
    })
    const isLocking = locks && isInTransaction
    const refused = problem ?? (isLocking ? Lock.refusalOf(request, operation) : undefined)
    if (refused !== undefined) return Either.left(refused)
    observed.begins(driverSession, () => isOnPrimary(found))
    const own = isInTransaction ? undefined : options.snapshot ? "snapshot" : level
    return Either.right((session: Driver.ClientSession, signals: Signalled) => {
      const given = added(found, signals, own)
      given.session = session
      if (writes(request) && request.takesSignal !== false) given.signal = signals.unsent
      // The transaction's own is in force, whatever the client prefers.
      if (isInTransaction) given.readPreference = "primary"
      return observed.sends(() =>
        isLocking && request.canLock === true
          ? Lock.locked(collectionOf(found.db, found.target, {}), request, given, signals, (locked) => {
            turn?.wrote(locked)
            return evaluate(given)
          })
          : request.isCode === true || request.isLent === true && found.isClosing !== true
          ? lending((lent) => evaluate({ ...given, session: lent }), client, gate, operation, fiber)(session, signals)
          : isInTransaction || !isResent(request)
          ? evaluate(given)
          : resent(session, client[inner].broken, () => gate.flights.isSent(), () => evaluate(given))
      )
    })
  }, observed)
}

const withoutSession = <A>(
  found: Placement,
  { deadline: around, omitsMaxTime, timeout }: Timing,
  operation: string,
  evaluate: (added: Added) => PromiseLike<A>,
  observed: Operations.Observed
): Effect.Effect<A, MongoError> => {
  const { client, level, namespace, request } = found
  const name = { operation, namespace }
  // The driver would connect a closed client again.
  if (client[inner].isClosed()) {
    return Call.telling(
      Effect.fail(new MongoError({ ...name, reason: "ConnectionClosed", labels: [] })),
      observed
    )
  }
  const { driver, settleTimeout } = client
  const call = (limit: (() => number | undefined) | undefined, watcher?: Call.Watcher) =>
    Call.call(
      { ...name, settleTimeout, client: driver, isOpaque: request.isCode, onUnsettled: Log.unsettled },
      (signals) => {
        observed.begins(undefined, () => isOnPrimary(found))
        const given = added(found, signals, level)
        if (limit !== undefined) {
          const limited = limit()
          if (limited !== undefined) given.maxTimeMS = limited
          // The client's does not count beside it.
          given.socketTimeoutMS = 0
        }
        return observed.sends(() =>
          isResent(request)
            ? resentAlone(driver, client[inner].broken, (session) => evaluate({ ...given, session }))
            : evaluate(given)
        )
      },
      watcher
    )
  if (timeout !== undefined) {
    return Effect.withFiberRuntime((fiber) => {
      const deadline = around ?? Time.start(fiber, timeout)
      const asked = optionOf(request.options, "maxTimeMS")
      const limited = call(() => omitsMaxTime ? undefined : maxTimeMS(deadline, asked))
      return Call.telling(bounded(deadline, name, connected(driver, limited)), observed)
    })
  }
  return Privates.isToConnect(driver)
    ? Call.telling(connected(driver, call(undefined)), observed)
    : call(undefined, observed)
}

// A fresh read concern for each operation: the driver writes the session's causal time into the one that it is given.
const added = (
  { comment, request }: Placement,
  signals: Signalled,
  level: Driver.ReadConcernLevel | undefined
): { -readonly [K in keyof Added]: Added[K] } => {
  const { isCode, kind, pipeline } = request
  const given: ReturnType<typeof added> = {}
  if (!writes(request)) given.signal = isCode === true ? signals.signal : signals.lent
  if (level !== undefined && (kind === "read" || pipeline !== undefined)) given.readConcern = { level }
  if (comment !== undefined) given.comment = comment
  return given
}

// What the driver may send again by its number. A caller's own code is not looked into.
const isResent = ({ isCode, kind, pipeline }: Request): boolean =>
  kind === "write" && pipeline === undefined && isCode !== true

const writes = ({ kind, mayWrite }: Request): boolean => kind === "write" || mayWrite === true
