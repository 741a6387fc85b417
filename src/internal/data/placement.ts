/**
 * Where an operation is run: its client, its session, its database, and the limits that are in force there; or why it is refused
 * before that.
 */
import * as Option from "effect/Option"
import type * as Driver from "mongodb"
import { MongoError } from "../../MongoError.js"
import { ForeignSession } from "../../SessionErrors.js"
import { invalid } from "../driver/errors.js"
import { clientIn, inner, type Service as Client } from "../session/client.js"
import { key } from "../session/gate.js"
import { type Service as Session, sessionIn } from "../session/service.js"
import type { Comment } from "../telemetry/comment.js"
import type { RunningFiber } from "../time/fiber.js"
import * as Limits from "./limits.js"
import { levelOf, optionOf, problemOf, takesFunctions } from "./options.js"
import type { Request, Target } from "./request.js"
import * as Rules from "./rules.js"
import { misnaming, namespaceOf, writeConcernsOf } from "./target.js"
import { weightOf } from "./values.js"

/** Where an operation is run, and what is in force there. */
export interface Placement {
  readonly client: Client
  readonly session: Option.Option<Session>
  readonly namespace: string
  readonly db: Driver.Db
  readonly target: Omit<Target, "client">
  readonly request: Request
  /** The level of the read concern. */
  readonly level: Driver.ReadConcernLevel | undefined
  readonly limit: Limits.Limit | MongoError
  /** What the server is told of where in the program the operation is. */
  readonly comment: Comment | undefined
  /** Whether what it has opened is being closed. Default `false`. */
  readonly isClosing?: boolean
}

type Refusal = ForeignSession | MongoError

/** Whether an operation is refused and has no placement. */
export const isRefusal = (found: Placement | Refusal): found is Refusal =>
  found instanceof ForeignSession || found instanceof MongoError

/** The placement of an operation that a fiber runs; or why it has none. */
export const placementOf = <C>(fiber: RunningFiber, target: Target<C>, request: Request): Placement | Refusal => {
  const client = clientIn(fiber, target)
  const session = sessionIn(fiber, client)
  if (session === "foreign") return new ForeignSession({ operation: request.name })
  const misnamed = misnaming(client, target, request)
  if (misnamed !== undefined) return misnamed
  const { db: databaseOf } = client[inner]
  const plain = databaseOf(target.database)
  const namespace = namespaceOf(client, target)
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
  return hint === undefined ? undefined : invalid(name, hint, namespace)
}

/** The time limit of a request where it is placed, with other options of its own. */
export const limitWith = ({ client, namespace, request, session, target }: Placement, options: object) =>
  limitIn(
    { ...request, options: { ...request.options, ...options } },
    target,
    namespace,
    outsideOf({ client, session })
  )

const outsideOf = ({ client, session }: Pick<Placement, "client" | "session">): Pick<Client, "timeout"> =>
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
  const namespace = namespaceOf(client, target)
  return misnaming(client, target, request) ?? unreadable(target, request, namespace) ??
    [weightIn(request, client, namespace), limitIn(request, target, namespace, client)]
      .find((found) => found instanceof MongoError)
}

/** What the documents of a request weigh, in bytes; or what is wrong with its values. */
export const weightIn = (request: Request, { driver }: Client, namespace: string): number | MongoError => {
  const { encodedBy, name, options } = request
  const doesTake = encodedBy !== "none" && takesFunctions(options, encodedBy === "operation" ? undefined : driver)
  return weightOf(request, name, namespace, doesTake)
}

/** Whether an operation goes to the primary. */
export const isOnPrimary = ({ db, request, target }: Placement): boolean =>
  Rules.isOnPrimary(
    { ...request, own: optionOf(request.options, "readPreference") },
    target.readPreference ?? db.readPreference
  )

/** Whether an operation may have a session: what is unacknowledged has none. */
export const isAcknowledged = <C>(target: Target<C>, request: Request, client: Client): boolean =>
  Rules.violation(Rules.askedBy(request), { session: "plain", writeConcerns: writeConcernsOf(target, client) }) ===
    undefined
