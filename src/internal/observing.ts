/**
 * What is told of an operation: how long it took, and its span, if anybody looks at it.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Tracer from "effect/Tracer"
import type * as Driver from "mongodb"
import { attributes, operationDuration } from "../Telemetry.js"
import { type Address, toAddress } from "./deployment.js"
import { idOf, pinnedAddressOf } from "./driver.js"
import { transactionNumberOf } from "./driverTransaction.js"
import { clockOf } from "./fiber.js"
import { type Labels, labels, update } from "./reporting.js"
import * as Spans from "./spans.js"

/** Who is told of the operations of one client. */
export interface Observer {
  /** See `TopologyWatch.server`. */
  readonly server: (isOnPrimary: boolean) => Address | undefined
  /** The tags of an operation's duration, by its name and what it failed with. */
  readonly labelsOf: (operation: Spans.Name, errorType?: string) => Labels
}

/** An observer that keeps the tags of each operation: they are dear to make. */
export const make = (server: Observer["server"]): Observer => {
  // By objects that are there anyway: to put them together to one would cost more than to look three times.
  const known = new Map<string | undefined, Map<string, Map<string, Map<string | undefined, Labels>>>>()
  return {
    server,
    labelsOf: ({ collection, database, name }, errorType) => {
      const byError = at(at(at(known, collection), database), name)
      const kept = byError.get(errorType)
      if (kept !== undefined) return kept
      const made = labels({
        [attributes.system]: Spans.system,
        [attributes.namespace]: database,
        [attributes.operation]: name,
        ...(collection === undefined ? {} : { [attributes.collection]: collection }),
        ...(errorType === undefined ? {} : { [attributes.errorType]: errorType })
      })
      byError.set(errorType, made)
      return made
    }
  }
}

const at = <K, K2, V>(map: Map<K, Map<K2, V>>, key: K): Map<K2, V> => {
  const found = map.get(key)
  if (found !== undefined) return found
  const made = new Map<K2, V>()
  map.set(key, made)
  return made
}

/** An operation that is looked at while it runs. */
export class Observed {
  private readonly observer: Observer
  private readonly span: Tracer.Span
  private session: Driver.ClientSession | undefined
  private hasServer = false

  constructor(observer: Observer, span: Tracer.Span) {
    this.observer = observer
    this.span = span
  }

  /** Tells what is known when it is its turn: its session, if any, and the server that it goes to. */
  begins(session: Driver.ClientSession | undefined, isOnPrimary: () => boolean): void {
    if (session?.inTransaction() === true) return this.beginsInTransaction(session)
    if (session !== undefined) this.inSession(session)
    this.goesTo(this.observer.server(isOnPrimary()))
  }

  /** {@link begins} of what belongs to the session's last transaction, and ends it. */
  beginsInTransaction(session: Driver.ClientSession): void {
    this.inSession(session)
    this.span.attribute(attributes.txnNumber, transactionNumberOf(session))
    this.goesTo(this.pinned ?? this.observer.server(true))
  }

  /** The first operation of a transaction on a sharded cluster selects the server of all. */
  ends(): void {
    if (!this.hasServer) this.goesTo(this.pinned)
  }

  private inSession(session: Driver.ClientSession): void {
    this.session = session
    this.span.attribute(attributes.lsid, idOf(session).uuid)
  }

  private get pinned(): Address | undefined {
    return this.session && Option.getOrUndefined(Option.map(pinnedAddressOf(this.session), toAddress))
  }

  private goesTo(server: Address | undefined): void {
    if (server === undefined) return
    this.hasServer = true
    this.span.attribute(attributes.serverAddress, server.host)
    if (server.port !== undefined) this.span.attribute(attributes.serverPort, server.port)
  }
}

/**
 * Runs an operation, and tells how long it took; with a tracer, in a span. What is to be told besides of an operation is
 * told to what it is given, which is nothing where nobody looks.
 */
export const operation = <A, E, R>(
  observer: Observer,
  name: Spans.Name,
  effect: (observed: Observed | undefined) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.withFiberRuntime<A, E, R>((fiber) => {
    const clock = clockOf(fiber)
    const began = clock.unsafeCurrentTimeNanos()
    const run = Spans.isTraced(fiber)
      ? Spans.operation(name, (span) => {
        const observed = new Observed(observer, span)
        return Effect.ensuring(effect(observed), Effect.sync(() => observed.ends()))
      })
      : effect(undefined)
    return Effect.onExit(run, (exit) => {
      const seconds = Number(clock.unsafeCurrentTimeNanos() - began) / 1_000_000_000
      const errorType = Exit.isFailure(exit) ? Spans.errorTypeOf(exit.cause) : undefined
      update(fiber, operationDuration, seconds, observer.labelsOf(name, errorType))
      return Effect.void
    })
  })
