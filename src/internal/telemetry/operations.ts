/**
 * Records operations: the duration of each, and its span if a tracer is installed.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { constTrue } from "effect/Function"
import * as Option from "effect/Option"
import type * as Tracer from "effect/Tracer"
import type * as Driver from "mongodb"
import { attributes, operationDuration } from "../../Telemetry.js"
import { telling } from "../driver/call.js"
import { idOf, pinnedAddressOf } from "../driver/session.js"
import { type Address, toAddress } from "../driver/topology.js"
import { transactionNumberOf } from "../driver/transaction.js"
import { clockOf, secondsSince } from "../time/clock.js"
import type { RunningFiber } from "../time/fiber.js"
import type { Commands } from "./commands.js"
import type { Comment } from "./comment.js"
import { type Labels, update } from "./log.js"
import { type OperationName, operationOf } from "./names.js"
import { watched } from "./outside.js"
import { Series } from "./series.js"
import * as Spans from "./spans.js"

/** Records the operations of one client. */
export interface Observer {
  /** See `TopologyWatch.server`. */
  readonly server: (isOnPrimary: () => boolean) => Address | undefined
  /** The tags of an operation's duration, by its name and what it failed with. */
  readonly labelsOf: (operation: OperationName, errorType?: string) => Labels
  /** Makes the spans of commands; none where nobody has asked for these. */
  readonly commands: Commands | undefined
  /** What the server is told of where in the program a fiber is; nothing where nobody has asked for it. */
  readonly commentOf: (fiber: RunningFiber) => Comment | undefined
}

/** Makes an observer. */
export const make = (
  server: Observer["server"],
  commands?: Commands,
  commentOf: Observer["commentOf"] = () => undefined
): Observer => {
  const series = new Series(({ collection, database, name }, errorType) => ({
    [attributes.system]: Spans.system,
    [attributes.namespace]: database,
    [attributes.operation]: operationOf(name),
    ...(collection === undefined ? {} : { [attributes.collection]: collection }),
    ...(errorType === undefined ? {} : { [attributes.errorType]: errorType })
  }))
  return { server, commands, commentOf, labelsOf: (operation, errorType) => series.labelsOf(operation, errorType) }
}

/** An operation while it runs. Without a tracer it has no span, and nothing is computed for one. */
export class Observed {
  private readonly fiber: RunningFiber
  private readonly observer: Observer
  private readonly name: OperationName
  private readonly span: Tracer.Span | undefined
  private readonly began: bigint
  private session: Driver.ClientSession | undefined
  private hasServer = false

  constructor(fiber: RunningFiber, observer: Observer, name: OperationName, span: Tracer.Span | undefined) {
    this.fiber = fiber
    this.observer = observer
    this.name = name
    this.span = span
    this.began = clockOf(fiber).unsafeCurrentTimeNanos()
  }

  /** Records the session, if any, and the server of the operation, when its turn begins. */
  begins(session: Driver.ClientSession | undefined, isOnPrimary: () => boolean): void {
    if (this.span === undefined) return
    if (session?.inTransaction() === true) return this.beginsInTransaction(session)
    if (session !== undefined) this.inSession(this.span, session)
    this.goesTo(this.span, this.observer.server(isOnPrimary))
  }

  /** {@link begins} of what belongs to the session's last transaction, and ends it. */
  beginsInTransaction(session: Driver.ClientSession, number = transactionNumberOf(session)): void {
    if (this.span === undefined) return
    this.inSession(this.span, session)
    this.span.attribute(attributes.txnNumber, number)
    this.goesTo(this.span, this.pinned ?? this.observer.server(constTrue))
  }

  /** Runs the promise of the driver that sends the operation's commands. */
  sends<A>(evaluate: () => PromiseLike<A>): PromiseLike<A> {
    const { fiber, observer: { commands }, span } = this
    return commands === undefined || span === undefined ? evaluate() : commands.below(fiber, span, evaluate)
  }

  /** Records how the operation ended, and its duration. */
  over(exit: Exit.Exit<unknown, unknown>): void {
    const errorType = Exit.isFailure(exit) ? Spans.errorTypeOf(exit.cause) : undefined
    if (this.span !== undefined) {
      // The first operation of a transaction on a sharded cluster selects the server of all.
      if (!this.hasServer) this.goesTo(this.span, this.pinned)
      if (Exit.isFailure(exit)) Spans.failed(this.span, exit.cause, errorType)
    }
    const seconds = secondsSince(this.began, this.fiber)
    update(this.fiber, operationDuration, seconds, this.observer.labelsOf(this.name, errorType))
  }

  private inSession(span: Tracer.Span, session: Driver.ClientSession): void {
    this.session = session
    span.attribute(attributes.lsid, idOf(session).uuid)
  }

  private get pinned(): Address | undefined {
    return this.session && Option.getOrUndefined(Option.map(pinnedAddressOf(this.session), toAddress))
  }

  private goesTo(span: Tracer.Span, server: Address | undefined): void {
    if (server === undefined) return
    this.hasServer = true
    span.attribute(attributes.serverAddress, server.host)
    if (server.port !== undefined) span.attribute(attributes.serverPort, server.port)
  }
}

/**
 * Runs an operation of a fiber; with a tracer, in a span below the given one or that of the fiber. What it is given is to be
 * told when it is over.
 */
export const observe = <A, E, R>(
  fiber: RunningFiber,
  observer: Observer,
  name: OperationName,
  run: (observed: Observed) => Effect.Effect<A, E, R>,
  parent?: Tracer.Span
): Effect.Effect<A, E, R> =>
  watched(
    fiber,
    name,
    Spans.isTraced(fiber)
      ? Spans.operation(name, parent, (span) => run(new Observed(fiber, observer, name, span)))
      : run(new Observed(fiber, observer, name, undefined))
  )

/** {@link observe}, and tells when it is over. */
export const operation = <A, E, R>(
  observer: Observer,
  name: OperationName,
  run: (observed: Observed) => Effect.Effect<A, E, R>,
  parent?: Tracer.Span
): Effect.Effect<A, E, R> =>
  Effect.withFiberRuntime<A, E, R>((fiber) =>
    observe(fiber, observer, name, (observed) => telling(run(observed), observed), parent)
  )
