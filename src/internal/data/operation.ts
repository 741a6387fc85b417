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
import { bounded, maxTimeMS } from "../driver/deadline.js"
import type { Signalled } from "../driver/signal.js"
import { readPreferenceOf } from "../driver/transaction.js"
import { understood } from "../driver/understood.js"
import { clientIn, type ClientOption, inner, type MongoClient, type Service as Client } from "../session/client.js"
import { key } from "../session/gate.js"
import { perform } from "../session/operation.js"
import { type Service as Session, sessionIn } from "../session/service.js"
import * as Log from "../telemetry/log.js"
import * as Operations from "../telemetry/operations.js"
import * as Time from "../time/clock.js"
import type { RunningFiber } from "../time/fiber.js"
import * as Rules from "./rules.js"
import { refusalOf } from "./values.js"

export type { OperationError }

/** What an operation works on, and the concerns that are set for it. */
export interface Target<C = MongoClient> extends ClientOption<C> {
  readonly database?: string | undefined
  readonly collection?: string | undefined
  readonly readConcern?: Driver.ReadConcernLike | undefined
  readonly writeConcern?: Driver.WriteConcern | Driver.WriteConcernSettings | undefined
  readonly readPreference?: Driver.ReadPreferenceLike | undefined
}

/** What an operation is, and the options that it was given. */
export interface Request {
  /** What errors and spans call it. */
  readonly name: string
  /** The collection that it works on, where its target is a database. Spans tell it. */
  readonly collection?: string | undefined
  /** Reads are given up when they are interrupted, and have a read concern; writes are waited for. */
  readonly kind: "read" | "write"
  /** Whether the specification allows it in a transaction. Default `true`. */
  readonly inTransaction?: boolean | undefined
  /** Whether it waits for what may never come, so that no time is too long. Default `false`. */
  readonly isEndless?: boolean | undefined
  /** Whether what runs takes a signal. Default `true`; where not, the driver would make it a field of the command. */
  readonly takesSignal?: boolean | undefined
  /** Whether what runs is code of the caller: it may keep the signal that it is given, and its bugs are its own. Default `false`. */
  readonly isCode?: boolean | undefined
  /** Whether what runs may write, though it has the options of a read. Then it is waited for as a write is. Default `false`. */
  readonly mayWrite?: boolean | undefined
  readonly options?: object | undefined
  /** Filters and updates as the caller gave them, in which nothing may be undefined. */
  readonly values?: ReadonlyArray<unknown> | undefined
  /** Updates among them, which must have operators. */
  readonly updates?: ReadonlyArray<unknown> | undefined
  /** The pipeline of an aggregation, which has a read concern also if it writes. */
  readonly pipeline?: ReadonlyArray<object> | undefined
}

/** The options of the driver that this library sets itself, or that would change the type of a result. */
type Own = "session" | "signal" | "timeoutMS" | "timeoutMode" | "explain"

/** Options of the driver, as a caller may give them. */
export type Given<O> = { readonly [K in keyof O as Exclude<K, Own>]?: O[K] | undefined }

/** What is added to the options of an operation. */
export interface Added {
  readonly session?: Driver.ClientSession
  readonly signal?: AbortSignal
  readonly readConcern?: Driver.ReadConcernLike
  readonly readPreference?: "primary"
  readonly maxTimeMS?: number
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
  readonly run: <A>(evaluate: (added: Added) => PromiseLike<A>, name?: string) => Effect.Effect<A, OperationError>
}

/** Finds out where an operation is run. */
export const place = <C = MongoClient>(
  target: Target<C>,
  request: Request
): Effect.Effect<Placed, ForeignSession, C> =>
  Effect.withFiberRuntime((fiber) => {
    const found = find(fiber, target, request)
    if (found instanceof ForeignSession) return Effect.fail(found)
    const { client, db, namespace, session } = found
    const run: Placed["run"] = (evaluate, name = request.name) =>
      Effect.withFiberRuntime((fiber) => begin(fiber, found, name, evaluate))
    return Effect.succeed({ client, session, namespace, db, run })
  })

/** Runs an operation that is one promise of the driver. */
export const operation = <A, C = MongoClient>(
  target: Target<C>,
  request: Request,
  evaluate: (db: Driver.Db, added: Added) => PromiseLike<A>
): Effect.Effect<A, OperationError, C> =>
  // In one step: an operation must not cost much more than the driver's promise.
  Effect.withFiberRuntime((fiber) => {
    const found = find(fiber, target, request)
    return found instanceof ForeignSession
      ? Effect.fail(found)
      : begin(fiber, found, request.name, (added) => evaluate(found.db, added))
  })

// Where an operation is run, and the read concern that is in force there.
interface Found extends Pick<Placed, "client" | "session" | "namespace" | "db"> {
  readonly target: Omit<Target, "client">
  readonly request: Request
  readonly level: Driver.ReadConcernLevel | undefined
}

const find = <C>(fiber: RunningFiber, target: Target<C>, request: Request): Found | ForeignSession => {
  const client = clientIn(fiber, target)
  const session = sessionIn(fiber, client)
  if (session === "foreign") return new ForeignSession({ operation: request.name })
  const db = client[inner].db(target.database)
  return {
    client,
    session,
    db,
    namespace: qualified(db, target.collection),
    target,
    request,
    level: levelOf(request.options) ?? levelOf(target) ?? levelOf(db)
  }
}

const begin = <A>(
  fiber: RunningFiber,
  found: Found,
  operation: string,
  evaluate: (added: Added) => PromiseLike<A>
): Effect.Effect<A, OperationError> => {
  const { client, db: { databaseName: database }, namespace, request, session, target: { collection } } = found
  return Operations.begin(
    fiber,
    client[inner].observer,
    { name: operation, database, collection: collection ?? request.collection },
    (observed) => {
      // Not for each batch of a cursor again.
      const refused = operation === request.name ? refusalOf(request, operation, namespace) : undefined
      if (refused !== undefined) return Call.telling(Effect.fail(refused), observed)
      const read = request.isCode === true ? evaluate : (added: Added) => understood(() => evaluate(added))
      return Option.isSome(session)
        ? inSession(fiber, session.value, found, operation, read, observed)
        : withoutSession(found, operation, read, observed)
    },
    Option.isSome(session) ? session.value[key].standing()?.span : undefined
  )
}

const inSession = <A>(
  fiber: RunningFiber,
  { client, [key]: gate, options }: Session,
  found: Found,
  operation: string,
  evaluate: (added: Added) => PromiseLike<A>,
  observed: Operations.Observed
): Effect.Effect<A, OperationError> => {
  const { level, namespace, request, target } = found
  return perform(fiber, gate, { operation, namespace, isEndless: request.isEndless }, (driverSession) => {
    const isInTransaction = driverSession.inTransaction()
    const problem = Rules.violation(asked(request), {
      session: isInTransaction ? "transaction" : "plain",
      writeConcerns: request.kind === "write" ? writeConcerns(target, client) : [],
      readPreference: target.readPreference ?? readPreferenceOf(driverSession),
      readPreferenceOf: target.readPreference === undefined ? "transaction" : "collection",
      causalLevel: options.causalConsistency ? level : undefined
    })
    if (problem !== undefined) return Either.left(problem)
    observed.begins(driverSession, () => isOnPrimary(found))
    const own = isInTransaction ? undefined : options.snapshot ? "snapshot" : level
    return Either.right((session: Driver.ClientSession, signals: Signalled) => {
      const given = added(request, signals, own)
      given.session = session
      if (writes(request) && request.takesSignal !== false) given.signal = signals.unsent
      // The transaction's own is in force, whatever the client prefers.
      if (isInTransaction) given.readPreference = "primary"
      return observed.sends(() => evaluate(given))
    })
  }, observed)
}

const withoutSession = <A>(
  found: Found,
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
  const { settleTimeout, timeout } = client
  const call = (limit: () => number | undefined, watcher?: Call.Watcher) =>
    Call.call({ ...name, settleTimeout, client: client.driver, onUnsettled: Log.unsettled }, (signals) => {
      observed.begins(undefined, () => isOnPrimary(found))
      const given = added(request, signals, level)
      const limited = limit()
      if (limited !== undefined) given.maxTimeMS = limited
      return observed.sends(() => evaluate(given))
    }, watcher)
  return timeout === undefined || request.isEndless === true
    ? call(() => undefined, observed)
    : Effect.withFiberRuntime((fiber) => {
      const deadline = Time.start(fiber, timeout)
      const asked = optionOf(request.options, "maxTimeMS")
      const limited = call(() => maxTimeMS(deadline, asked))
      return Call.telling(bounded(deadline, name, limited), observed)
    })
}

const isOnPrimary = ({ db, request, target }: Found): boolean =>
  Rules.isOnPrimary(
    { ...request, own: optionOf(request.options, "readPreference") },
    target.readPreference ?? db.readPreference
  )

/** Hands over what errors call the target of an operation: the database, or database and collection. */
export const withNamespace = <A, E, R, C = MongoClient>(
  target: Target<C>,
  use: (namespace: string) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R | C> =>
  Effect.withFiberRuntime((fiber) =>
    use(qualified(clientIn(fiber, target)[inner].db(target.database), target.collection))
  )

const qualified = ({ databaseName }: Driver.Db, collection: string | undefined): string =>
  collection === undefined ? databaseName : `${databaseName}.${collection}`

/** A new collection of the driver, the one that a target names. It holds the read concern that it is given. */
export const collectionOf = <I extends Driver.Document, C>(
  db: Driver.Db,
  { collection = "", readPreference, writeConcern }: Target<C>,
  { readConcern }: Added
): Driver.Collection<I> =>
  db.collection<I>(collection, withoutOwn<Driver.CollectionOptions>({ readConcern, readPreference, writeConcern }))

/** The write concern of a database, of which the driver's own knows only the client's. */
export const concernOf = <C>({ writeConcern }: Target<C>) => writeConcern === undefined ? {} : { writeConcern }

/** The read preference of a database. */
export const preferenceOf = <C>({ readPreference }: Target<C>) => readPreference === undefined ? {} : { readPreference }

/**
 * Options as the driver takes them. Not only by type: what a caller's object has beyond its type must not take an
 * operation out of its session.
 */
export const withoutOwn = <O extends object>(options: Given<O> | undefined): O =>
  // What is left out is optional in the driver's typings.
  (options === undefined ? {} : Object.fromEntries(
    Object.entries(options).filter(([name, value]) => value !== undefined && !own.has(name))
  )) as O

const own: ReadonlySet<string> = new Set<Own>(["session", "signal", "timeoutMS", "timeoutMode", "explain"])

// A fresh read concern for each operation: the driver writes the session's causal time into the one that it is given.
const added = (
  request: Request,
  signals: Signalled,
  level: Driver.ReadConcernLevel | undefined
): { -readonly [K in keyof Added]: Added[K] } => {
  const { isCode, kind, pipeline } = request
  const given: ReturnType<typeof added> = {}
  if (!writes(request)) given.signal = isCode === true ? signals.signal : signals.lent
  if (level !== undefined && (kind === "read" || pipeline !== undefined)) given.readConcern = { level }
  return given
}

const writes = ({ kind, mayWrite }: Request): boolean => kind === "write" || mayWrite === true

const asked = ({ inTransaction = true, kind, name, options, pipeline }: Request): Rules.Asked => ({
  operation: name,
  // A command that brings a write concern along writes.
  kind: optionOf(options, "writeConcern") === undefined ? kind : "write",
  inTransaction,
  readConcern: optionOf(options, "readConcern"),
  writeConcern: optionOf(options, "writeConcern"),
  readPreference: optionOf(options, "readPreference"),
  timeoutMS: optionOf(options, "timeoutMS"),
  forbiddenStage: pipeline && Rules.forbiddenStageOf(pipeline)
})

const writeConcerns = <C>(target: Target<C>, client: Client): Rules.Place["writeConcerns"] => [
  { source: target.collection === undefined ? "database" : "collection", concern: target.writeConcern },
  { source: "client", concern: client.driver.options.writeConcern }
]

const optionOf = (options: object | undefined, name: string): unknown =>
  options === undefined ? undefined : Reflect.get(options, name)

const levelOf = (of: object | undefined): Driver.ReadConcernLevel | undefined => {
  const concern = optionOf(of, "readConcern")
  const level = typeof concern === "object" && concern !== null && "level" in concern ? concern.level : concern
  return level as Driver.ReadConcernLevel | undefined
}
