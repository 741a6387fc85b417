/**
 * The classes of the errors of sessions: their misuse, what prevents them, and their expiry.
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import { formatIssue, type Issue } from "./issues.js"
import { render } from "./render.js"

/**
 * The options of a session or a transaction are invalid or in conflict. Found before any IO.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Session } from "effect-mongo-session"
 *
 * export const session = Session.make({ snapshot: true, causalConsistency: true }).pipe(
 *   Effect.tapErrorTag("SessionMisconfigured", ({ issues }) => Effect.logError(issues))
 * )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionMisconfigured extends Data.TaggedError("SessionMisconfigured")<{
  /** All the issues, not only the first. */
  readonly issues: ReadonlyArray<Issue>
}> {
  override get message(): string {
    return `invalid options: ${this.issues.map(formatIssue).join("; ")}`
  }
  get hint(): string {
    return "Correct every option listed; none of them was applied and nothing was sent."
  }
  override toJSON(): object {
    return render(this, { issues: this.issues })
  }
}

/**
 * The runtime has no secure random source, so session ids could be guessed.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Session } from "effect-mongo-session"
 *
 * // An edge runtime without `crypto`: the program works without a session there.
 * export const session = Session.make().pipe(
 *   Effect.asSome,
 *   Effect.catchTag("CryptoUnavailable", (error) => Effect.zipRight(Effect.logWarning(error.hint), Effect.succeedNone))
 * )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class CryptoUnavailable extends Data.TaggedError("CryptoUnavailable") {
  override get message(): string {
    return "the runtime has no secure random source for session ids"
  }
  get hint(): string {
    return "Run where the Web Crypto API (globalThis.crypto.getRandomValues) is available and not overridden."
  }
  override toJSON(): object {
    return render(this, {})
  }
}

/**
 * The deployment has no logical sessions, or does not support an option of this one.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Collection, Session } from "effect-mongo-session"
 *
 * const count = Collection.make("users").countDocuments()
 *
 * // A snapshot where the server has them.
 * export const program = Session.scoped(count, { snapshot: true }).pipe(
 *   Effect.catchTag("SessionsUnsupported", () => Session.scoped(count))
 * )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionsUnsupported extends Data.TaggedError("SessionsUnsupported")<{
  /** What is not supported, or too old. */
  readonly reason: "NoSessionTimeout" | "WireVersion" | "SnapshotReads"
  /** What the deployment reports, e.g. a wire version. */
  readonly found?: string | undefined
  /** The least that is needed. */
  readonly required?: string | undefined
}> {
  override get message(): string {
    const found = this.found === undefined ? "" : `, found ${this.found}`
    const required = this.required === undefined ? "" : `, required ${this.required}`
    return `the deployment does not support this session: ${unsupported[this.reason].what}${found}${required}`
  }
  get hint(): string {
    return unsupported[this.reason].hint
  }
  override toJSON(): object {
    return render(this, { reason: this.reason, found: this.found, required: this.required })
  }
}

/**
 * The session was used after its release, or after it broke. Found before any IO.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Collection, Session } from "effect-mongo-session"
 *
 * const count = Collection.make("users").countDocuments()
 *
 * // The session has left its scope.
 * export const program = Effect.scoped(Session.make()).pipe(
 *   Effect.flatMap((session) => Session.provide(count, session)),
 *   Effect.catchTag("SessionEnded", ({ operation, reason }) => Effect.logError(operation, reason))
 * )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionEnded extends Data.TaggedError("SessionEnded")<{
  /** What was attempted. */
  readonly operation: string
  /** `released`: its scope was closed. `broken`: an operation on it never settled, so its state is unknown. */
  readonly reason: "released" | "broken"
}> {
  override get message(): string {
    const why = this.reason === "released"
      ? "has been released"
      : "is broken: an operation on it did not settle in time"
    return `${this.operation}: the session ${why}`
  }
  get hint(): string {
    return this.reason === "released"
      ? "Use the session inside the scope that acquired it, and run streams and forked fibers to their end there."
      : "Acquire a new session; raise `settleTimeout` if the operation was merely slow."
  }
  override toJSON(): object {
    return render(this, { operation: this.operation, reason: this.reason })
  }
}

/**
 * The session was idle for longer than the server keeps sessions, by the client's clock.
 *
 * @example
 * ```ts
 * import { Duration, Effect } from "effect"
 * import { Collection } from "effect-mongo-session"
 *
 * export const program = Collection.make("users").countDocuments().pipe(
 *   Effect.tapErrorTag("SessionLapsed", ({ idle }) => Effect.logWarning(`idle for ${Duration.format(idle)}`))
 * )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionLapsed extends Data.TaggedError("SessionLapsed")<{
  /** What was attempted. */
  readonly operation: string
  /** How long the session had been idle. */
  readonly idle: Duration.Duration
  /** How long the server keeps an idle session. */
  readonly timeout: Duration.Duration
}> {
  override get message(): string {
    return `${this.operation}: the session lapsed, idle for ${Duration.format(this.idle)} of ` +
      `${Duration.format(this.timeout)} allowed`
  }
  get hint(): string {
    return "Leave `keepAlive` on, use the session more often, or set `onLapse: \"renew\"` to go on with a new one. A transaction that was started in it must be aborted first."
  }
  override toJSON(): object {
    return render(this, { operation: this.operation, idle: this.idle, timeout: this.timeout })
  }
}

/**
 * Another operation is running on the session, and the session was opened with `onBusy: "fail"`; or the operation would wait
 * for what waits for it.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Collection, Session } from "effect-mongo-session"
 *
 * // Refused, where it would have to wait.
 * export const program = Collection.make("users").countDocuments().pipe(
 *   Effect.catchTag("SessionBusy", ({ holder }) => Effect.fail(`try again: ${holder} is running`)),
 *   Session.scoped({ onBusy: "fail" })
 * )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionBusy extends Data.TaggedError("SessionBusy")<{
  /** What was attempted. */
  readonly operation: string
  /** The operation that holds the session. */
  readonly holder: string
  /**
   * Why it does not wait. `running`: the session was opened with `onBusy: "fail"`. `use`: it was called in a `use` of the
   * session. `outside`: it has stepped out of the transaction that holds the session. Default `running`.
   */
  readonly reason?: "running" | "use" | "outside" | undefined
}> {
  override get message(): string {
    return `${this.operation}: the session is busy with ${this.holder}`
  }
  get hint(): string {
    return hintsOfBusy[this.reason ?? "running"]
  }
  override toJSON(): object {
    return render(this, { operation: this.operation, holder: this.holder, reason: this.reason })
  }
}

/**
 * The ambient session belongs to another client than the operation. Found before any IO.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Collection, MongoClient, Session } from "effect-mongo-session"
 *
 * class Analytics extends MongoClient.Tag("Analytics")<Analytics>() {}
 * const Visits = Collection.make("visits", { client: Analytics })
 *
 * // In the session of another client it fails; detached from that, it does not.
 * export const visits = Visits.countDocuments().pipe(
 *   Effect.catchTag("ForeignSession", () => Session.detached(Visits.countDocuments()))
 * )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class ForeignSession extends Data.TaggedError("ForeignSession")<{
  /** What was attempted. */
  readonly operation: string
}> {
  override get message(): string {
    return `${this.operation}: the ambient session belongs to another client`
  }
  get hint(): string {
    return "Open a session of the operation's own client, or step out of the ambient one with `Session.detached`."
  }
  override toJSON(): object {
    return render(this, { operation: this.operation })
  }
}

/**
 * An unacknowledged write (write concern `w: 0`) with a session, which MongoDB does not allow.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Collection, Session } from "effect-mongo-session"
 *
 * const Logs = Collection.make("logs", { writeConcern: { w: 0 } })
 *
 * export const log = (line: string) =>
 *   Logs.insertOne({ line }).pipe(
 *     Effect.catchTag("UnacknowledgedWrite", () => Session.detached(Logs.insertOne({ line })))
 *   )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class UnacknowledgedWrite extends Data.TaggedError("UnacknowledgedWrite")<{
  /** What was attempted. */
  readonly operation: string
  /** Where the write concern was set. */
  readonly source: "operation" | "collection" | "database" | "client" | "transaction" | "session"
}> {
  override get message(): string {
    return `${this.operation}: sessions and transactions do not support unacknowledged write concern (w: 0, set on the ` +
      `${this.source})`
  }
  get hint(): string {
    return `Remove w: 0 from the write concern of the ${this.source}, or write outside the session with ` +
      "`Session.detached`."
  }
  override toJSON(): object {
    return render(this, { operation: this.operation, source: this.source })
  }
}

// Whatever `onBusy` says, two of them would wait for ever.
const hintsOfBusy = {
  running: "Set `onBusy: \"queue\"` to wait for the running operation, or open a session for each fiber.",
  use:
    "Return from the `use` first, or do it by the driver session that the `use` lends: in the `use` it would wait for itself.",
  outside:
    "Leave out the session there: `Transaction.outside` by itself runs an effect without it. Or run the effect in the " +
    "transaction, or after it."
} as const

const unsupported = {
  NoSessionTimeout: {
    what: "it reports no session timeout",
    hint: "Connect to a replica set, a sharded cluster or a standalone server that has logical sessions " +
      "(MongoDB and feature compatibility version 3.6 or later); behind a proxy, let logicalSessionTimeoutMinutes pass."
  },
  WireVersion: {
    what: "its wire version is too old",
    hint: "Upgrade the server, or use a driver that still supports it."
  },
  SnapshotReads: {
    what: "snapshot reads require MongoDB 5.0 or later, and no standalone server",
    hint: "Snapshot reads need a replica set or a sharded cluster of MongoDB 5.0 or later; open the session " +
      "without `snapshot`."
  }
} as const
