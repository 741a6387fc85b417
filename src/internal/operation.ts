/**
 * One operation of the driver: in the ambient session if there is one, in its turn, with what the driver gets wrong put
 * right, its misuse found before any IO, and its failures classified. All data access goes through here.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type * as Driver from "mongodb"
import { MongoError } from "../MongoError.js"
import * as Session from "../Session.js"
import { ForeignSession, type InvalidInTransaction, type UseError } from "../SessionErrors.js"
import * as Telemetry from "../Telemetry.js"
import { clientOf, type ClientOption, type MongoClient, type Service as Client } from "./connection.js"
import * as Deadline from "./deadline.js"
import * as Gate from "./driver.js"
import { readPreferenceOf } from "./driverTransaction.js"
import { perform } from "./performing.js"
import * as Rules from "./rules.js"
import { key } from "./sessionGate.js"

/** What any operation of data access can fail with. */
export type OperationError = UseError | ForeignSession | InvalidInTransaction

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
  /** Reads are given up when they are interrupted, and have a read concern; writes are waited for. */
  readonly kind: "read" | "write"
  /** Whether the specification allows it in a transaction. */
  readonly inTransaction: boolean
  /** Whether it waits for what may never come, so that no time is too long. Default `false`. */
  readonly isEndless?: boolean | undefined
  readonly options?: object | undefined
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
  readonly session: Option.Option<Session.Service>
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
  Effect.flatMap(Effect.zip(clientOf(target), Effect.either(Session.current(target))), ([client, current]) => {
    if (Either.isLeft(current)) return Effect.fail(new ForeignSession({ operation: request.name }))
    const session = current.right
    const db = client.db(target.database)
    const { databaseName: database } = db
    const { collection } = target
    const namespace = qualified(db, collection)
    const level = levelOf(request.options) ?? levelOf(target) ?? levelOf(db)
    const run: Placed["run"] = (evaluate, operation = request.name) =>
      Telemetry.operation(
        { name: operation, database, collection },
        Option.match(session, {
          onSome: ({ [key]: gate, options }) =>
            perform(gate, { operation, namespace, isEndless: request.isEndless }, (driverSession) => {
              const isInTransaction = driverSession.inTransaction()
              const problem = Rules.violation(asked(request), {
                session: isInTransaction ? "transaction" : "plain",
                writeConcerns: writeConcerns(target, client),
                readPreference: target.readPreference ?? readPreferenceOf(driverSession),
                causalLevel: options.causalConsistency ? level : undefined
              })
              if (problem !== undefined) return Either.left(problem)
              const own = isInTransaction ? undefined : options.snapshot ? "snapshot" : level
              return Either.right((session: Driver.ClientSession, controller: Gate.Signalled) =>
                evaluate({
                  session,
                  // The transaction's own is in force, whatever the client prefers.
                  ...(isInTransaction ? { readPreference: "primary" } : {}),
                  ...added(request, controller, own)
                })
              )
            }),
          onNone: () =>
            // The driver would connect a closed client again.
            client.isClosed()
              ? Effect.fail(new MongoError({ reason: "ConnectionClosed", operation, namespace, labels: [] }))
              : withoutSession(
                client,
                request,
                { operation, namespace },
                (signal, limit) => evaluate({ ...added(request, { signal }, level), ...limit })
              )
        })
      )
    return Effect.succeed({ client, session, namespace, db, run })
  })

const withoutSession = <A>(
  client: Client,
  { isEndless, options }: Request,
  name: { readonly operation: string; readonly namespace: string },
  evaluate: (signal: AbortSignal, limit: Pick<Added, "maxTimeMS">) => PromiseLike<A>
): Effect.Effect<A, MongoError> => {
  const { settleTimeout, timeout } = client
  const call = (limit: () => Pick<Added, "maxTimeMS">) =>
    Gate.call({ ...name, settleTimeout, client: client.driver }, (signal) => evaluate(signal, limit()))
  return timeout === undefined || isEndless === true
    ? call(() => ({}))
    : Effect.withFiberRuntime((fiber) => {
      const deadline = Deadline.start(fiber, timeout)
      const asked = optionOf(options, "maxTimeMS")
      return Deadline.bounded(deadline, name, call(() => ({ maxTimeMS: Deadline.maxTimeMS(deadline, asked) })))
    })
}

/** What errors call the target of an operation: the database, or database and collection. */
export const namespaceOf = <C = MongoClient>(
  { client, collection, database }: Target<C>
): Effect.Effect<string, never, C> =>
  Effect.map(
    clientOf({ client }),
    (service) => qualified(service.db(database), collection)
  )

const qualified = ({ databaseName }: Driver.Db, collection: string | undefined): string =>
  collection === undefined ? databaseName : `${databaseName}.${collection}`

/** Runs an operation that is one promise of the driver. */
export const operation = <A, C = MongoClient>(
  target: Target<C>,
  request: Request,
  evaluate: (db: Driver.Db, added: Added) => PromiseLike<A>
): Effect.Effect<A, OperationError, C> =>
  Effect.flatMap(place(target, request), ({ db, run }) => run((added) => evaluate(db, added)))

/** The driver's collection that a target names; a new one each time, for it holds the read concern that it is given. */
export const collectionOf = <I extends Driver.Document, C>(
  db: Driver.Db,
  { collection = "", readPreference, writeConcern }: Target<C>,
  { readConcern }: Added
): Driver.Collection<I> =>
  db.collection<I>(collection, withoutOwn<Driver.CollectionOptions>({ readConcern, readPreference, writeConcern }))

/**
 * Options as the driver takes them. Not only by type: what a caller's object has beyond its type must not take an
 * operation out of its session.
 */
export const withoutOwn = <O extends object>(options: Given<O> | undefined): O =>
  // What is left out is optional in the driver's typings.
  Object.fromEntries(
    Object.entries(options ?? {}).filter(([name, value]) => value !== undefined && !own.has(name))
  ) as O

const own: ReadonlySet<string> = new Set<Own>(["session", "signal", "timeoutMS", "timeoutMode", "explain"])

// A fresh read concern for each operation: the driver writes the session's causal time into the one that it is given.
const added = (
  { kind, pipeline }: Request,
  controller: Gate.Signalled,
  level: Driver.ReadConcernLevel | undefined
): Added => ({
  ...(kind === "read" ? { signal: controller.signal } : {}),
  ...(level !== undefined && (kind === "read" || pipeline !== undefined) ? { readConcern: { level } } : {})
})

const asked = ({ inTransaction, kind, name, options, pipeline }: Request): Rules.Asked => ({
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
