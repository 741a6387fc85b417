/**
 * One operation of the driver: in the ambient session if there is one, in its turn, with what the driver gets wrong put
 * right, its misuse found before any IO, and its failures classified. All data access goes through here.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type * as Driver from "mongodb"
import { MongoError } from "../../MongoError.js"
import { ForeignSession, type OperationError } from "../../SessionErrors.js"
import * as Call from "../driver/call.js"
import { connected } from "../driver/client.js"
import { bounded, maxTimeMS } from "../driver/deadline.js"
import * as Privates from "../driver/privates.js"
import { resent, resentAlone } from "../driver/resent.js"
import type { Signalled } from "../driver/signal.js"
import { readPreferenceOf } from "../driver/transaction.js"
import { type AsGiven, clientIn, inner, type MongoClient, type Service as Client } from "../session/client.js"
import { key } from "../session/gate.js"
import { lending } from "../session/loan.js"
import { perform } from "../session/operation.js"
import { type Service as Session, sessionIn } from "../session/service.js"
import { placeOf, type Timing } from "../session/turn.js"
import type { Comment } from "../telemetry/comment.js"
import * as Log from "../telemetry/log.js"
import { collectionIn } from "../telemetry/names.js"
import * as Operations from "../telemetry/operations.js"
import * as Time from "../time/clock.js"
import type { RunningFiber } from "../time/fiber.js"
import * as Names from "../values/names.js"
import * as Limits from "./limits.js"
import * as Lock from "./lock.js"
import { levelOf, optionOf, problemOf, takesFunctions, withoutOwn } from "./options.js"
import { misnamedBy } from "./refused.js"
import type { Request, Target } from "./request.js"
import * as Rules from "./rules.js"
import { weightOf } from "./values.js"

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

/** An operation, where it is run. */
export interface Placed {
  readonly client: Client
  readonly session: Option.Option<Session>
  readonly namespace: string
  readonly db: Driver.Db
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
}

/** Finds out where an operation is run. */
export const place = <C = MongoClient>(
  target: Target<C>,
  request: Request
): Effect.Effect<Placed, ForeignSession | MongoError, AsGiven<C>> =>
  Effect.withFiberRuntime((fiber) => {
    const found = find(fiber, target, request)
    if (isRefusal(found)) return Effect.fail(found)
    const { client, db, limit, namespace, session } = found
    const run: Placed["run"] = (evaluate, name = request.name, deadline) =>
      Effect.withFiberRuntime((fiber) => begin(fiber, found, name, evaluate, deadline))
    const close: Placed["close"] = (evaluate, name) =>
      Effect.withFiberRuntime((fiber) => begin(fiber, { ...found, isClosing: true }, name, evaluate))
    const deadline: Placed["deadline"] = (fiber) =>
      limit instanceof MongoError || limit.timeout === undefined ? undefined : Time.start(fiber, limit.timeout)
    const lifetime: Placed["lifetime"] = (fiber) =>
      limit instanceof MongoError || !limit.isOfLifetime ? undefined : deadline(fiber)
    const limitOf: Placed["limitOf"] = (opened) =>
      limitIn({ ...request, options: { ...request.options, ...opened } }, target, namespace, outsideOf(found))
    return Effect.succeed({ client, session, namespace, db, run, close, deadline, lifetime, limitOf })
  })

/** Runs an operation that is one promise of the driver. */
export const operation = <A, C = MongoClient>(
  target: Target<C>,
  request: Request,
  evaluate: (db: Driver.Db, added: Added) => PromiseLike<A>
): Effect.Effect<A, OperationError, AsGiven<C>> =>
  // In one step: an operation must not cost much more than the driver's promise.
  Effect.withFiberRuntime((fiber) => {
    const found = find(fiber, target, request)
    return isRefusal(found)
      ? Effect.fail(found)
      : begin(fiber, found, request.name, (added) => evaluate(found.db, added))
  })

// Where an operation is run, and the read concern that is in force there.
interface Found extends Pick<Placed, "client" | "session" | "namespace" | "db"> {
  readonly target: Omit<Target, "client">
  readonly request: Request
  readonly level: Driver.ReadConcernLevel | undefined
  readonly limit: Limits.Limit | MongoError
  /** What the server is told of where in the program the operation is. */
  readonly comment: Comment | undefined
  /** Whether what it has opened is being closed. Default `false`. */
  readonly isClosing?: boolean
}

/** What is wrong with the names of what an operation works on, if anything. */
export const misnaming = <C>(
  client: Client,
  { collection, database }: Target<C>,
  { collection: other, name: operation }: Pick<Request, "collection" | "name">
): MongoError | undefined =>
  misnamedBy(Names.problemOf(client[inner].databaseName(database), collection, other), operation)

type Refusal = ForeignSession | MongoError

const isRefusal = (found: Found | Refusal): found is Refusal =>
  found instanceof ForeignSession || found instanceof MongoError

const find = <C>(fiber: RunningFiber, target: Target<C>, request: Request): Found | Refusal => {
  const client = clientIn(fiber, target)
  const session = sessionIn(fiber, client)
  if (session === "foreign") return new ForeignSession({ operation: request.name })
  const misnamed = misnaming(client, target, request)
  if (misnamed !== undefined) return misnamed
  const { databaseName, db: databaseOf } = client[inner]
  const database = databaseName(target.database)
  const plain = databaseOf(target.database)
  const namespace = qualified(database, target.collection)
  const unread = unreadable(target, request, namespace)
  if (unread !== undefined) return unread
  const limit = limitIn(request, target, namespace, outsideOf({ client, session }))
  const isLimited = !(limit instanceof MongoError) && limit.timeout !== undefined
  const db = isLimited ? databaseOf(target.database, true) : plain
  return {
    client,
    session,
    db,
    namespace,
    target,
    request,
    limit,
    level: levelOf(request.options) ?? levelOf(target) ?? levelOf(db),
    // One that the caller has given stays.
    comment: optionOf(request.options, "comment") === undefined ? client[inner].observer.commentOf(fiber) : undefined
  }
}

// What is wrong with options that could not be read.
const unreadable = (target: object, { name, options }: Request, namespace: string): MongoError | undefined => {
  const hint = problemOf(target) ?? problemOf(options)
  return hint === undefined
    ? undefined
    : new MongoError({ reason: "InvalidOptions", operation: name, namespace, labels: [], hint })
}

const outsideOf = ({ client, session }: Pick<Found, "client" | "session">): Pick<Client, "timeout"> =>
  Option.isSome(session) ? session.value[key] : client

const limitIn = <C>(
  request: Request,
  { timeout: around }: Target<C>,
  namespace: string,
  outside: Pick<Client, "timeout">
): Limits.Limit | MongoError =>
  Limits.limitOf({
    operation: request.name,
    namespace,
    options: request.options,
    around,
    outermost: request.isEndless === true ? undefined : outside.timeout,
    isCursor: request.isCursor === true,
    doesWrite: request.kind === "write"
  })

/** What is wrong with what an operation works on and with what it is given, if anything, in whichever session it is run. */
export const refusalOf = <C>(client: Client, target: Target<C>, request: Request): MongoError | undefined => {
  const namespace = qualified(client[inner].databaseName(target.database), target.collection)
  return misnaming(client, target, request) ?? unreadable(target, request, namespace) ??
    [weightIn(request, client, namespace), limitIn(request, target, namespace, client)]
      .find((found) => found instanceof MongoError)
}

const begin = <A>(
  fiber: RunningFiber,
  found: Found,
  operation: string,
  evaluate: (added: Added) => PromiseLike<A>,
  deadline?: Time.Deadline
): Effect.Effect<A, OperationError> => {
  const { client, limit, db: { databaseName: database }, namespace, request, session, target: { collection } } = found
  return Operations.begin(
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
    Option.isSome(session) ? session.value[key].standing()?.span : undefined
  )
}

const weightIn = (request: Request, { driver }: Client, namespace: string): number | MongoError => {
  const { encodedBy, name, options } = request
  const doesTake = encodedBy !== "none" && takesFunctions(options, encodedBy === "operation" ? undefined : driver)
  return weightOf(request, name, namespace, doesTake)
}

const inSession = <A>(
  fiber: RunningFiber,
  { client, [key]: gate, options }: Session,
  found: Found,
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
  const name = { operation, namespace, limit, filter, bytes, isOpaque, writtenIn }
  return perform(fiber, gate, name, (driverSession) => {
    const isInTransaction = driverSession.inTransaction()
    const problem = found.isClosing === true ? undefined : Rules.violation(Rules.askedBy(request), {
      session: isInTransaction ? "transaction" : "plain",
      writeConcerns: request.kind === "write" ? writeConcerns(target, client) : [],
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
          : resent(session, client[inner].lost, () => gate.isSent(), () => evaluate(given))
      )
    })
  }, observed)
}

const withoutSession = <A>(
  found: Found,
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
            ? resentAlone(driver, client[inner].lost, (session) => evaluate({ ...given, session }))
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

const isOnPrimary = ({ db, request, target }: Found): boolean =>
  Rules.isOnPrimary(
    { ...request, own: optionOf(request.options, "readPreference") },
    target.readPreference ?? db.readPreference
  )

/** Fails an operation whose arguments are none that it takes. */
export const refuse = <C = MongoClient>(
  target: Target<C>,
  operation: string,
  hint: string
): Effect.Effect<never, MongoError, AsGiven<C>> =>
  withNamespace(target, (namespace) =>
    Effect.fail(
      new MongoError({ reason: "InvalidOptions", operation, namespace, labels: [], hint: `${hint} Nothing was sent.` })
    ))

/** Hands over what errors call the target of an operation, the database, or database and collection; and its client. */
export const withNamespace = <A, E, R, C = MongoClient>(
  target: Target<C>,
  use: (namespace: string, client: Client) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R | AsGiven<C>> =>
  Effect.withFiberRuntime((fiber) => {
    const client = clientIn(fiber, target)
    return use(qualified(client[inner].databaseName(target.database), target.collection), client)
  })

const qualified = (database: string, collection: string | undefined): string =>
  collection === undefined ? database : `${database}.${collection}`

/** A new collection of the driver, the one that a target names. It holds the read concern that it is given. */
export const collectionOf = <I extends Driver.Document, C>(
  db: Driver.Db,
  { collection = "", readPreference, writeConcern }: Target<C>,
  { readConcern }: Added
): Driver.Collection<I> =>
  db.collection<I>(collection, withoutOwn<Driver.CollectionOptions>({ readConcern, readPreference, writeConcern }))

/** The write concern of a target, where the driver takes none from its collection, or only the client's from its database. */
export const concernOf = <C>({ writeConcern }: Target<C>) => writeConcern === undefined ? {} : { writeConcern }

/** The read preference of a database. */
export const preferenceOf = <C>({ readPreference }: Target<C>) => readPreference === undefined ? {} : { readPreference }

// A fresh read concern for each operation: the driver writes the session's causal time into the one that it is given.
const added = (
  { comment, request }: Found,
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

/** Whether an operation may have a session: what is unacknowledged has none. */
export const isAcknowledged = <C>(target: Target<C>, request: Request, client: Client): boolean =>
  Rules.violation(Rules.askedBy(request), { session: "plain", writeConcerns: writeConcerns(target, client) }) ===
    undefined

const writeConcerns = <C>(target: Target<C>, client: Client): Rules.Place["writeConcerns"] => [
  { source: target.collection === undefined ? "database" : "collection", concern: target.writeConcern },
  { source: "client", concern: client.driver.options.writeConcern }
]
